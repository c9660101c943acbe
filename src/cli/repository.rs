//! Which repository, and where its mirror is kept.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{ERROR, Failure, REFUSED, common, github_args::GitHubArgs};
use crate::{
    engine::{
        history::{log, store::GitStore},
        prepare::{
            access::{AccessError, AccessFile},
            fetch::NetworkFetcher,
            sign_in,
        },
    },
    git::{self, Credentials, RemoteUrl, Repository, Signer, Token},
    github::GitHub,
    model::{build::BuiltReleases, digest::Digest, name::EnvironmentName},
    release::BuildCache,
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
    /// The private key for an ssh repository. Default: --ssh-key, which is for hosts.
    #[arg(long, value_name = "FILE")]
    pub repo_key: Option<PathBuf>,
    /// A file that lists what lets sources in, and what they may reach besides public addresses over https and ssh.
    ///
    /// It is yours, and not in git: a service's file names a credential, this one says which file that is and for which
    /// addresses, as in `shop: {token_file: /etc/shop-token, for: ["https://github.com/org/*"]}`. With
    /// `reach: ["file:///srv/mirrors/*"]` sources may also be files, plain http and private addresses. Read at each use.
    #[arg(long, value_name = "FILE")]
    pub credentials: Option<PathBuf>,
    /// A private key that signs what is written into the history. Default: the controller's own in the state directory;
    /// without one a listed key of the ssh-agent, or ~/.ssh/id_ed25519.
    #[arg(long, value_name = "FILE")]
    pub history_key: Option<PathBuf>,
    #[command(flatten)]
    pub github: GitHubArgs,
}

/// The folders of a state.
const OURS: [&str; 3] = ["mirror.git", "sources", "builds"];

/// The repository in question.
#[derive(Clone)]
pub struct Place {
    pub url: RemoteUrl,
    pub state: PathBuf,
    /// Signed in to, where a flag says with what.
    pub github: Option<Arc<GitHub>>,
    credentials: Credentials,
    access: AccessFile,
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
        let access =
            AccessFile::new(self.credentials.clone(), std::env::var_os("CREDENTIALS_DIRECTORY").map(Into::into));
        let history_key = self.history_key.clone();
        Ok(Place { url, state, github, credentials, access, history_key })
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
        let ssh_key = self.repo_key.as_deref().or(ssh_key).map(Path::to_owned);
        let credentials = Credentials { token, ca_file, ssh_key, known_hosts, scope: None };
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

/// Whether a folder holds no others but a state's: closing one that others use, /var/lib say, would break what is there.
fn is_ours(state: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(state)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && !OURS.iter().any(|ours| entry.file_name() == *ours) {
            return Ok(false);
        }
    }
    Ok(true)
}

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        let mut failure = Failure::of(&error);
        failure.hint = error.hint();
        if let AccessError::Invalid { findings, .. } = error {
            failure.findings = findings;
        }
        failure
    }
}

impl Place {
    pub fn socket(&self) -> PathBuf {
        self.state.join("socket")
    }

    /// The way to sources that lie elsewhere. A file of credentials that cannot be used is told at once.
    pub fn fetcher(&self) -> Result<NetworkFetcher, Failure> {
        self.access.read()?;
        self.make_state()?;
        Ok(NetworkFetcher::new(&self.state, &self.credentials, self.access.clone()))
    }

    /// Mirrors of private repositories and archives lie there: it is closed to others, also one that was made open. Where
    /// it holds what is not ours too, ours is closed.
    fn make_state(&self) -> Result<(), Failure> {
        let told = |error: io::Error| {
            Failure::new(ERROR, format!("cannot make the state directory {}: {error}", self.state.display()))
                .hint("name another with --state DIR")
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.state).map_err(told)?;
        let found = fs::metadata(&self.state).map_err(told)?;
        if found.uid() != rustix::process::geteuid().as_raw() {
            common::write_as_before();
        }
        if found.mode() & 0o077 == 0 {
            return Ok(());
        }
        let closed = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o700));
        if is_ours(&self.state).map_err(told)? {
            return closed(&self.state).map_err(told);
        }
        let mut folders = OURS.map(|name| self.state.join(name)).into_iter().filter(|path| path.is_dir());
        folders.try_for_each(|folder| closed(&folder)).map_err(told)
    }

    /// Where builds are run and kept.
    pub fn build_cache(&self) -> BuildCache {
        BuildCache::new(self.state.join("builds"))
    }

    /// What was made of builds, as the history says. Where that cannot be asked, what is not kept here counts as
    /// not built.
    pub fn recorded_builds(&self, fleet: &str, environment: &EnvironmentName) -> BuiltReleases {
        let newest = common::block_on(async {
            let store = self.store(fleet).await?;
            Ok(log::newest(&store, environment).await?)
        });
        let told = |error: &Failure| {
            anstream::eprintln!("what was built before is not known: {}", error.message);
        };
        newest.inspect_err(told).map(|newest| newest.builds()).unwrap_or_default()
    }

    pub fn open(&self) -> Result<Repository, Failure> {
        self.make_state()?;
        Ok(Repository::open(&self.state.join("mirror.git"), &self.url, self.credentials.clone())?)
    }

    /// The right to deploy from this state directory: one process has it at a time, and the kernel takes it
    /// back when that ends, however it ends. So an intent of this place without outcome is nobody's any more.
    pub fn claim(&self) -> Result<std::fs::File, Failure> {
        let path = self.state.join("deploying.lock");
        let told = |error: &dyn std::error::Error| {
            Failure::new(ERROR, format!("cannot lock {}: {error}", path.display())).hint("name another --state DIR")
        };
        self.make_state()?;
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
    pub async fn store(&self, fleet: &str) -> Result<GitStore, Failure> {
        let store = GitStore::new(self.open()?, fleet).with_signers(self.signers().await?);
        store.call(|repository| repository.fetch().map(|_| ())).await?;
        Ok(store)
    }
}
