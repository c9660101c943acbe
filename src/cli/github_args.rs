//! The flags with which one signs in to GitHub.

use std::path::PathBuf;

use super::Failure;
use crate::github::{GitHub, RepositoryName, Settings, SettingsError, SignIn, settings};

#[derive(Debug, Clone, clap::Args)]
pub struct GitHubArgs {
    /// Sign in as this GitHub App: its number.
    #[arg(long, value_name = "N", requires = "github_key_file", conflicts_with = "github_token_file")]
    github_app_id: Option<u64>,
    /// The App's private key, in PEM.
    #[arg(long, value_name = "FILE", requires = "github_app_id")]
    github_key_file: Option<PathBuf>,
    /// Sign in with the fine-grained token in this file.
    #[arg(long, value_name = "FILE")]
    github_token_file: Option<PathBuf>,
    /// The address of GitHub's API. Default: that of the host that the config repository is on.
    #[arg(long, value_name = "URL")]
    github_url: Option<String>,
    /// The repository there. Default: the config repository.
    #[arg(long, value_name = "OWNER/NAME")]
    github_repository: Option<String>,
    /// Certificates to trust besides the system's, in PEM.
    #[arg(long, value_name = "FILE")]
    github_ca_file: Option<PathBuf>,
}

impl GitHubArgs {
    /// The GitHub that is meant, where one is to be signed in to. `repository` is the config repository's address.
    pub fn open(&self, repository: &str) -> Result<Option<GitHub>, Failure> {
        let sign_in = match (self.github_app_id, &self.github_key_file, &self.github_token_file) {
            (Some(id), Some(key_file), _) => SignIn::App { id, key_file: key_file.clone() },
            (_, _, Some(file)) => SignIn::Token { file: file.clone() },
            _ => return Ok(None),
        };
        let named = self.settings(repository, sign_in).map_err(|error| Failure::of(&error).hint(error.hint()))?;
        GitHub::open(&named).map(Some).map_err(|error| Failure::of(&error))
    }

    fn settings(&self, repository: &str, sign_in: SignIn) -> Result<Settings, SettingsError> {
        let name = self.github_repository.as_deref().map(str::parse::<RepositoryName>).transpose()?;
        let api = self.github_url.as_deref().map(settings::api_at).transpose()?;
        let (repository, api) = match (name, api) {
            (Some(name), Some(api)) => (name, api),
            (name, api) => {
                let (found, at) = settings::at(repository)?;
                (name.unwrap_or(found), api.unwrap_or(at))
            }
        };
        Ok(Settings { repository, api, sign_in, ca_file: self.github_ca_file.clone() })
    }
}
