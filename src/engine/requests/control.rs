//! What people ask of an environment: written into the history first, then done.
//!
//! Keeps true: what is recorded here outlives this process; the same is asked with a daemon or without one,
//! but for what only a daemon can do: cancel what it deploys, and take over what another left open.

use chrono::Utc;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    declare,
    engine::{
        controller::Handle,
        history::{
            log,
            store::{Store, StoreError},
        },
        prepare::off::off,
    },
    git::Fetched,
    host::HostRead,
    model::time::timestamp,
    model::{
        belief::Held,
        commit::CommitId,
        environment_state::{Control, StateEvent},
        event::{Detail, EventKind},
        name::{EnvironmentName, InstanceName},
        plan::Commits,
    },
    report,
};

/// Something that a person asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// None: the only one there is.
    pub environment: Option<EnvironmentName>,
    pub by: String,
    pub ask: Ask,
    /// Why, for the record; a hold and a cancellation have theirs in `ask`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    Hold {
        instance: Option<InstanceName>,
        reason: String,
    },
    Resume {
        instance: Option<InstanceName>,
    },
    Retry {
        allow_rewind: bool,
        /// Also end what another controller left open, which is gone for good.
        take_over: bool,
    },
    Cancel {
        reason: String,
    },
    /// Keep the environment at what this generation deployed.
    Pin {
        generation: u64,
        commits: Commits,
    },
}

#[derive(Debug, Error)]
pub enum ControlError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the repository has no default branch {0:?}; push one, or set it as the default at the remote")]
    NoDefaultBranch(String),
    #[error("which environment? The fleet declares {0}; name one with -e")]
    Which(String),
    #[error("the fleet declares no environment {name}; it declares {known}")]
    Unknown { name: EnvironmentName, known: String },
    #[error("{environment} has no instance {name}; it has {known}")]
    UnknownInstance { environment: EnvironmentName, name: InstanceName, known: String },
    #[error("nothing is being deployed to {0} by this controller")]
    NothingRuns(EnvironmentName),
    #[error("no branch that {environment} follows holds {commit:.12}; merge it first")]
    Unmerged { environment: EnvironmentName, commit: CommitId },
    #[error("{what} is not held; nothing to resume")]
    NotHeld { what: String },
}

impl ControlError {
    /// Whether it says no, and not that something went wrong on the way.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Store(error) => matches!(error, StoreError::Unlisted { .. } | StoreError::NoWriter { .. }),
            _ => true,
        }
    }
}

impl Ask {
    /// Whether it asks for what only a running controller can do.
    pub fn needs_reconciler(&self) -> bool {
        matches!(self, Self::Cancel { .. } | Self::Retry { take_over: true, .. })
    }
}

/// Writes what is asked into the history. Answers what was written.
pub async fn record<S: Store>(
    store: &S,
    folder: &str,
    request: &Request,
) -> Result<(EnvironmentName, Control), ControlError> {
    let fetched = known(store).await?;
    let place = RequestedEnvironment::find(store, &fetched, folder, request.environment.as_ref()).await?;
    let environment = place.environment;
    let state = log::newest(store, &environment).await?.state;
    let control = match &request.ask {
        Ask::Hold { instance, reason } => {
            if let Some(name) = instance.as_ref().filter(|name| !place.instances.contains(name)) {
                let known = list(place.instances.iter().map(InstanceName::as_str));
                return Err(ControlError::UnknownInstance { environment, name: name.clone(), known });
            }
            Control::Hold { instance: instance.clone(), reason: reason.clone() }
        }
        Ask::Resume { instance } => {
            if !state.holds.iter().any(|hold| hold.instance == *instance) {
                let what = instance.as_ref().map_or(environment.to_string(), ToString::to_string);
                return Err(ControlError::NotHeld { what });
            }
            Control::Resume { instance: instance.clone() }
        }
        Ask::Retry { allow_rewind, .. } => {
            Control::Retry { commits: state.target(&place.wanted).clone(), allow_rewind: *allow_rewind }
        }
        Ask::Cancel { reason } => Control::Cancel { reason: reason.clone() },
        Ask::Pin { generation, commits } => {
            let held = store.held(&environment, Held::asked([commits].into_iter())).await?;
            if let Some((_, commit)) = held.refuses(commits) {
                return Err(ControlError::Unmerged { environment, commit });
            }
            Control::Pin { commits: commits.clone(), instead_of: place.wanted, generation: *generation }
        }
    };
    let (by, reason) = (request.by.clone(), request.reason.clone());
    let event = StateEvent { control: control.clone(), by, reason, when: timestamp(Utc::now()) };
    log::note(store, &environment, &event).await?;
    Ok((environment, control))
}

/// The repository as it was fetched last. What is asked right after a start, before the first fetch, fetches it.
async fn known<S: Store>(store: &S) -> Result<Fetched, StoreError> {
    match store.last_fetched().await? {
        Some(fetched) => Ok(fetched),
        None => store.fetch().await,
    }
}

/// The environment that is meant: the named one, or the only one.
pub async fn environment<S: Store>(
    store: &S,
    folder: &str,
    named: Option<&EnvironmentName>,
) -> Result<EnvironmentName, ControlError> {
    let fetched = known(store).await?;
    Ok(RequestedEnvironment::find(store, &fetched, folder, named).await?.environment)
}

/// As [`environment`], with the newest commits of the default branch and of the environment's own.
pub async fn newest_commits<S: Store>(
    store: &S,
    folder: &str,
    named: Option<&EnvironmentName>,
) -> Result<(EnvironmentName, Commits), ControlError> {
    let fetched = known(store).await?;
    let place = RequestedEnvironment::find(store, &fetched, folder, named).await?;
    Ok((place.environment, place.wanted))
}

/// The environment that a request is about, as the repository has it.
struct RequestedEnvironment {
    environment: EnvironmentName,
    wanted: Commits,
    instances: Vec<InstanceName>,
}

impl RequestedEnvironment {
    async fn find<S: Store>(
        store: &S,
        fetched: &Fetched,
        folder: &str,
        wanted: Option<&EnvironmentName>,
    ) -> Result<Self, ControlError> {
        let name = &fetched.default_branch;
        let default = fetched.branches.get(name).ok_or_else(|| ControlError::NoDefaultBranch(name.clone()))?;
        let tree = store.tree(default, default, folder).await?;
        let folder = folder.to_owned();
        let read = off(move || declare::read_shared(&tree, &folder)).await;
        let (declaration, _) = read.map_err(StoreError::from)?;
        let environments: Vec<EnvironmentName> =
            declaration.iter().flat_map(|declared| declared.environments()).cloned().collect();
        let known = || list(environments.iter().map(EnvironmentName::as_str));
        let environment = match (wanted, &environments[..]) {
            (Some(name), all) if all.contains(name) => name.clone(),
            (Some(name), _) => return Err(ControlError::Unknown { name: name.clone(), known: known() }),
            (None, [only]) => only.clone(),
            (None, _) => return Err(ControlError::Which(known())),
        };
        let branch = declaration.as_ref().and_then(|declared| declared.environment_branch(&environment));
        let commit = branch.and_then(|branch| fetched.branches.get(branch)).cloned();
        let instances = declaration.iter().flat_map(|declared| declared.instances_of(&environment)).cloned().collect();
        Ok(Self { environment, wanted: Commits::of_config(Some(default.clone()), commit), instances })
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

impl<H: HostRead, S: Store> Handle<H, S> {
    /// Does what a person asks, and says what comes of it.
    pub async fn asked(&self, request: &Request) -> Result<String, ControlError> {
        if let Ask::Cancel { reason } = &request.ask {
            let environment = match &request.environment {
                Some(environment) => environment.clone(),
                None => self.only_environment()?,
            };
            // Told first: what is recorded of it is how it ends, and that names who asked.
            if !self.cancel(&environment, &request.by, reason).await {
                return Err(ControlError::NothingRuns(environment));
            }
            let (by, reason) = (Detail::of(&request.by), Detail::of(reason));
            self.workspace.events.of(&environment).emit(EventKind::ControlCancelled { by, reason });
            return Ok(format!("{environment}: what runs is stopped at the next safe step, and undone"));
        }
        let (environment, control) = record(&self.workspace.store, &self.workspace.preparation.folder, request).await?;
        let said = report::control::line(&control);
        let by = Detail::of(&request.by);
        self.workspace.events.of(&environment).emit(EventKind::ControlRecorded { control, by });
        match request.ask {
            Ask::Retry { take_over: true, .. } => self.retry_and_take_over(&environment),
            _ => self.retry(&environment),
        }
        Ok(format!("{environment}: {said}"))
    }

    fn only_environment(&self) -> Result<EnvironmentName, ControlError> {
        let known: Vec<EnvironmentName> = self.statuses().keys().cloned().collect();
        match &known[..] {
            [only] => Ok(only.clone()),
            all => Err(ControlError::Which(list(all.iter().map(EnvironmentName::as_str)))),
        }
    }
}

/// The user who runs this, for the record.
pub fn asker(user: Option<String>) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{}@{host}", user.unwrap_or_else(|| "somebody".to_owned()))
}
