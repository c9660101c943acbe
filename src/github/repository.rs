//! The repository itself, and who we are there.

use serde::Deserialize;

use super::{GitHub, GitHubError, Installation, rest::Ask};

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Repository {
    pub full_name: String,
    pub default_branch: String,
    /// Where people read it.
    pub html_url: String,
}

impl GitHub {
    /// <https://docs.github.com/en/rest/repos/repos#get-a-repository>
    pub async fn repository(&self) -> Result<Repository, GitHubError> {
        self.rest.read(&Ask::get(self.url(&[])?)).await
    }

    /// The login under which we write: an App's is its name in addresses and `[bot]`.
    /// <https://docs.github.com/en/rest/apps/apps#get-the-authenticated-app>
    pub async fn who_am_i(&self) -> Result<String, GitHubError> {
        #[derive(Deserialize)]
        struct App {
            slug: String,
        }
        #[derive(Deserialize)]
        struct User {
            login: String,
        }
        let wire = &self.rest.wire;
        match self.rest.session.as_app().await? {
            Some(key) => {
                let app: App = wire.exchange(&Ask::get(wire.url(&["app"])?), &key).await?.read()?;
                Ok(format!("{}[bot]", app.slug))
            }
            None => Ok(self.rest.read::<User>(&Ask::get(wire.url(&["user"])?)).await?.login),
        }
    }

    /// What the App may do here. None with a token: GitHub does not say what that may do.
    /// <https://docs.github.com/en/rest/apps/apps#get-a-repository-installation-for-the-authenticated-app>
    pub async fn installation(&self) -> Result<Option<Installation>, GitHubError> {
        self.rest.session.installation(&self.rest.wire).await
    }
}
