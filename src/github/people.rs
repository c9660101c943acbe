//! What a person may do in the repository. It is asked of GitHub: a payload is not believed.
//! <https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user>

use serde::Deserialize;

use super::{GitHub, GitHubError, rest::Ask};

/// From the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    None,
    Read,
    Triage,
    Write,
    Maintain,
    Admin,
}

impl Permission {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "none" => Permission::None,
            "read" => Permission::Read,
            "triage" => Permission::Triage,
            "write" => Permission::Write,
            "maintain" => Permission::Maintain,
            "admin" => Permission::Admin,
            _ => return None,
        })
    }
}

impl GitHub {
    /// Whom GitHub does not know has none.
    pub async fn permission(&self, login: &str) -> Result<Permission, GitHubError> {
        #[derive(Deserialize)]
        struct Held {
            /// `admin`, `write`, `read` or `none`: what a role of the organisation's own making comes to.
            permission: String,
            #[serde(default)]
            role_name: String,
        }
        let ask = Ask::get(self.url(&["collaborators", login, "permission"])?);
        let held = match self.rest.read::<Held>(&ask).await {
            Err(error) if error.is_not_found() => return Ok(Permission::None),
            held => held?,
        };
        let by_role = Permission::named(&held.role_name).or_else(|| Permission::named(&held.permission));
        Ok(by_role.unwrap_or(Permission::None))
    }
}
