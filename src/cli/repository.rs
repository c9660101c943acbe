//! Which repository, and where its mirror is kept.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{ERROR, Failure, REFUSED, common, github_args::GitHubArgs};
use crate::{
    engine::{NetworkFetcher, chronicle, ledger::GitLedger, sign_in},
    git::{self, Credentials, RemoteUrl, Repository, Signer, Token},
    github::GitHub,
    model::{build::BuiltReleases, digest::Digest, name::EnvironmentName},
    release::Workshop,
};

/// The controller's own key, below the state directory.
const HISTORY_KEY: &str = "history-key";

#[derive(Debug, Clone, clap::Args)]
pub struct RepositoryArgs {
    /// The config repository: a path, or an https or ssh address. Default: `origin`, else the local repository.
    #[arg(long, value_name = "URL")]
    pub repo: Option<String>,
    /// Where the mirror, the socket and the controller's key are kept. Deleting it loses nothing else than that key and what
    /// a branch no longer holds.
    #[arg(long, value_name = "DIR", env = "STATE_DIRECTORY")]
    pub state: Option<PathBuf>,
    /// A file with a token for an https repository; read at each use. Default: what signs in to GitHub, on its host.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Certificates in PEM that are trusted besides the system's: by git over https, and for GitHub's API.
    #[arg(long, value_name = "FILE", alias = "github-ca-file")]
    pub ca_file: Option<PathBuf>,
    /// The public keys of servers of ssh repositories. Default: ~/.ssh/known_hosts.
    #[arg(long, value_name = "FILE")]
    pub known_hosts: Option<PathBuf>,
    /// A private key that signs what is written into the history. Default: the controller's own in the state directory;
    /// without one a listed key of the ssh-agent, or ~/.ssh/id_ed25519.
    #[arg(long, value_name = "FILE")]
    pub history_key: Option<PathBuf>,
    #[command(flatten)]
    pub github: GitHubArgs,
}

/// The repository in question.
#[derive(Clone)]
pub struct Place {
    pub url: RemoteUrl,
    pub state: PathBuf,
    /// Signed in to, where a flag says with what.
    pub github: Option<Arc<GitHub>>,
    credentials: Credentials,
    history_key: Option<PathBuf>,
}

impl RepositoryArgs {
    /// `near` is a folder of a local clone, for when `--repo` is not given.
    pub fn place(&self, near: &Path, ssh_key: Option<&Path>) -> Result<Place, Failure> {
        let url = address(self.repo.as_deref(), near)?;
        let state = match &self.state {
            Some(state) => state.clone(),
            None => default_state(&url)?,
        };
        let (github, credentials) = self.login(&url, ssh_key)?;
        let history_key = self.history_key.clone();
        Ok(Place { url, state, github, credentials, history_key })
    }

    /// What lets us in at this address: on GitHub, and with git.
    pub fn login(
        &self,
        url: &RemoteUrl,
        ssh_key: Option<&Path>,
    ) -> Result<(Option<Arc<GitHub>>, Credentials), Failure> {
        let github = self.github.open(url, self.ca_file.as_deref())?.map(Arc::new);
        let token = match (&self.token_file, &github) {
            (Some(file), _) => Token::File(file.clone()),
            (None, Some(github)) => sign_in::token(github, url),
            (None, None) => Token::None,
        };
        let (ca_file, known_hosts) = (self.ca_file.clone(), self.known_hosts.clone());
        let credentials = Credentials { token, ca_file, ssh_key: ssh_key.map(Path::to_owned), known_hosts };
        Ok((github, credentials))
    }
}

/// The config repository's address: as it is given, else that of the clone that `near` is a folder of.
pub fn address(repo: Option<&str>, near: &Path) -> Result<RemoteUrl, Failure> {
    let address = match repo {
        Some(address) => address.to_owned(),
        None => git::nearest(near)?.ok_or_else(|| {
            Failure::new(ERROR, format!("{} is in no git repository", near.display()))
                .hint("name the config repository with --repo, or run `git init` and commit the fleet")
        })?,
    };
    Ok(address.parse()?)
}

fn default_state(url: &RemoteUrl) -> Result<PathBuf, Failure> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let base = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).or_else(home).ok_or_else(|| {
        Failure::new(ERROR, "there is no place for state: neither XDG_STATE_HOME nor HOME is set")
            .hint("name one with --state DIR")
    })?;
    Ok(base.join("evenkeel").join(Digest::of(url.to_string()).short()))
}

impl Place {
    pub fn socket(&self) -> PathBuf {
        self.state.join("socket")
    }

    /// The way to sources that lie elsewhere.
    pub fn fetcher(&self) -> NetworkFetcher {
        NetworkFetcher::new(&self.state, &self.url, self.credentials.clone())
    }

    /// Where builds are run and kept.
    pub fn workshop(&self) -> Workshop {
        Workshop::new(self.state.join("builds"))
    }

    /// What was made of builds, as the history says. Where that cannot be asked, what is not kept here counts as
    /// not built.
    pub fn recorded_builds(&self, fleet: &str, environment: &EnvironmentName) -> BuiltReleases {
        let newest = common::block_on(async {
            let ledger = self.ledger(fleet).await?;
            Ok(chronicle::newest(&ledger, environment).await?)
        });
        let told = |error: &Failure| {
            anstream::eprintln!("what was built before is not known: {}", error.message);
        };
        newest.inspect_err(told).map(|newest| newest.builds()).unwrap_or_default()
    }

    pub fn open(&self) -> Result<Repository, Failure> {
        std::fs::create_dir_all(&self.state).map_err(|error| {
            Failure::new(ERROR, format!("cannot make the state directory {}: {error}", self.state.display()))
                .hint("name another with --state DIR")
        })?;
        Ok(Repository::open(&self.state.join("mirror.git"), &self.url, self.credentials.clone())?)
    }

    /// The right to deploy from this state directory: one process has it at a time, and the kernel takes it
    /// back when that ends, however it ends. So an intent of this place without outcome is nobody's any more.
    pub fn claim(&self) -> Result<std::fs::File, Failure> {
        let path = self.state.join("deploying.lock");
        let told = |error: &dyn std::error::Error| {
            Failure::new(ERROR, format!("cannot lock {}: {error}", path.display())).hint("name another --state DIR")
        };
        std::fs::create_dir_all(&self.state).map_err(|error| told(&error))?;
        let file = std::fs::File::create(&path).map_err(|error| told(&error))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(std::fs::TryLockError::WouldBlock) => Err(Failure::new(
                REFUSED,
                format!("another evenkeel on this machine deploys with the state in {}", self.state.display()),
            )
            .hint("wait for it to end")),
            Err(std::fs::TryLockError::Error(error)) => Err(told(&error)),
        }
    }

    /// The controller's key, made at its first start.
    pub fn controllers_key(&self) -> Result<Signer, Failure> {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let key = match &self.history_key {
            Some(path) => Signer::read(path),
            None => Signer::read_or_make(&self.state.join(HISTORY_KEY), &format!("evenkeel@{host}")),
        };
        key.map_err(|error| Failure::of(&error).hint("name a key that evenkeel may read with --history-key FILE"))
    }

    /// The keys of whoever runs a command: the named one, else the controller's where it is readable, those of the
    /// agent, and the usual one.
    async fn signers(&self) -> Result<Vec<Signer>, Failure> {
        if self.history_key.is_some() {
            return Ok(vec![self.controllers_key()?]);
        }
        let usual = std::env::home_dir().map(|home| home.join(".ssh/id_ed25519"));
        // One with a passphrase is in the agent, or is not used.
        let mut signers: Vec<Signer> = Signer::read(&self.state.join(HISTORY_KEY)).into_iter().collect();
        signers.extend(Signer::of_agent().await);
        signers.extend(usual.and_then(|path| Signer::read(&path).ok()));
        Ok(signers)
    }

    /// Opened and fetched. `fleet` is the fleet folder in the repository.
    pub async fn ledger(&self, fleet: &str) -> Result<GitLedger, Failure> {
        let ledger = GitLedger::new(self.open()?, fleet).with_signers(self.signers().await?);
        ledger.call(|repository| repository.fetch().map(|_| ())).await?;
        Ok(ledger)
    }
}
