//! What a person may do in the repository. It is asked of GitHub: a payload is not believed.
//! <https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user>

use serde::Deserialize;

use super::{GitHub, GitHubError, rest::Ask};
use crate::model::rights::{Permission, Team};

/// The permission that an answer comes to. `permission` is what a role of the organisation's own making comes to; of
/// GitHub's own roles it does not tell `maintain` from `write`, nor `triage` from `read`. A role's name counts only where
/// both say the same, so that nobody gains by what an organisation calls a role.
fn held(permission: &str, role_name: &str) -> Permission {
    let base = Permission::named(permission).unwrap_or(Permission::None);
    match Permission::named(role_name) {
        Some(Permission::Maintain) if base == Permission::Write => Permission::Maintain,
        Some(Permission::Triage) if base == Permission::Read => Permission::Triage,
        _ => base,
    }
}

impl GitHub {
    /// Whom GitHub does not know has none.
    pub async fn permission(&self, login: &str) -> Result<Permission, GitHubError> {
        #[derive(Deserialize)]
        struct HeldMembership {
            /// `admin`, `write`, `read` or `none`: what a role of the organisation's own making comes to.
            permission: String,
            #[serde(default)]
            role_name: String,
        }
        let ask = Ask::get(self.url(&["collaborators", login, "permission"])?);
        let held = match self.rest.read::<HeldMembership>(&ask).await {
            Err(error) if error.is_not_found() => return Ok(Permission::None),
            held => held?,
        };
        Ok(self::held(&held.permission, &held.role_name))
    }

    /// Whether a person is an active member of a team, or of a team below it. Who was invited and has not accepted is
    /// none. A team that we may not see has no members for us.
    /// <https://docs.github.com/en/rest/teams/members#get-team-membership-for-a-user>
    pub async fn is_in_team(&self, team: &Team, login: &str) -> Result<bool, GitHubError> {
        #[derive(Deserialize)]
        struct Membership {
            state: String,
        }
        let path = ["orgs", &team.organisation, "teams", &team.slug, "memberships", login];
        match self.rest.read::<Membership>(&Ask::get(self.rest.wire.url(&path)?)).await {
            Err(error) if error.is_not_found() => Ok(false),
            membership => Ok(membership?.state == "active"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_counts_for_what_github_says_that_it_comes_to() {
        for (permission, role, expected) in [
            ("admin", "admin", Permission::Admin),
            ("write", "maintain", Permission::Maintain),
            ("write", "write", Permission::Write),
            ("read", "triage", Permission::Triage),
            ("read", "read", Permission::Read),
            ("none", "none", Permission::None),
            // Roles of an organisation's own making.
            ("write", "deployer", Permission::Write),
            ("read", "maintain", Permission::Read),
            ("read", "admin", Permission::Read),
            ("write", "", Permission::Write),
            ("all of them", "admin", Permission::None),
        ] {
            assert_eq!(held(permission, role), expected, "{permission} {role}");
        }
    }
}
