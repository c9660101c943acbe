//! The flags with which one signs in to GitHub.

use std::path::{Path, PathBuf};

use super::Failure;
use crate::{
    git::RemoteUrl,
    github::{GitHub, GitHubError, RepositoryName, Settings, SettingsError, SignIn, settings},
};

/// Told apart in the help: every command that reaches the repository has them.
const HEADING: &str = "GitHub";

#[derive(Debug, Clone, clap::Args)]
pub struct GitHubArgs {
    /// Sign in to GitHub as the App with this number; its private key is in --github-key-file.
    #[arg(long, hide_short_help = true, help_heading = HEADING, value_name = "N", requires = "github_key_file")]
    github_app_id: Option<u64>,
    /// The private key of the App, as GitHub gave it; read at each use.
    #[arg(long, hide_short_help = true, help_heading = HEADING, value_name = "FILE", requires = "github_app_id")]
    github_key_file: Option<PathBuf>,
    /// Sign in to GitHub with the fine-grained token in this file; read at each use.
    #[arg(long, hide_short_help = true, help_heading = HEADING, value_name = "FILE", conflicts_with = "github_app_id")]
    github_token_file: Option<PathBuf>,
    /// The address of GitHub's API. Default: by the config repository's address.
    #[arg(long, hide_short_help = true, help_heading = HEADING, value_name = "URL")]
    github_url: Option<String>,
    /// The config repository on GitHub. Default: by its address.
    #[arg(long, hide_short_help = true, help_heading = HEADING, value_name = "OWNER/NAME")]
    github_repository: Option<String>,
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        let hint = error.hint();
        Failure::of(&error).hint(hint)
    }
}

impl From<GitHubError> for Failure {
    fn from(error: GitHubError) -> Self {
        let mut failure = Failure::of(&error);
        failure.hint = error.hint();
        failure
    }
}

impl GitHubArgs {
    /// A client for the config repository at this address, signed in. None where no flag says with what.
    /// `ca_file` is trusted besides what the system trusts.
    pub fn open(&self, repository: &RemoteUrl, ca_file: Option<&Path>) -> Result<Option<GitHub>, Failure> {
        let Some(sign_in) = self.sign_in() else { return Ok(None) };
        let (name, api) = self.place(repository)?;
        let settings = Settings { repository: name, api, sign_in, ca_file: ca_file.map(Path::to_owned) };
        Ok(Some(GitHub::open(&settings)?))
    }

    fn sign_in(&self) -> Option<SignIn> {
        match (self.github_app_id, &self.github_key_file, &self.github_token_file) {
            (Some(id), Some(key_file), _) => Some(SignIn::App { id, key_file: key_file.clone() }),
            (_, _, Some(file)) => Some(SignIn::Token { file: file.clone() }),
            _ => None,
        }
    }

    /// What a flag says, and else what the address says.
    fn place(&self, repository: &RemoteUrl) -> Result<(RepositoryName, reqwest::Url), SettingsError> {
        let name: Option<RepositoryName> = self.github_repository.as_deref().map(str::parse).transpose()?;
        let api = self.github_url.as_deref().map(settings::api_at).transpose()?;
        if let (Some(name), Some(api)) = (&name, &api) {
            return Ok((name.clone(), api.clone()));
        }
        let (by_address, its_api) = settings::at(&repository.to_string())?;
        Ok((name.unwrap_or(by_address), api.unwrap_or(its_api)))
    }
}
