//! What others have of a running controller: its workspace, what it publishes, and messages to it.

use std::sync::{Arc, atomic::AtomicU64};

use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Published, Statuses,
    targets::{FetchResult, Resolver},
};
use crate::{
    decide::{Event, Goal},
    engine::sync::{
        pursue::{Pursued, StatusChange},
        workspace::Workspace,
    },
    model::name::EnvironmentName,
};

/// A message to the loop.
pub(super) enum Message {
    Event(Event),
    Fetched {
        fetched: Box<FetchResult>,
        resolver: Box<Resolver>,
    },
    Status {
        environment: EnvironmentName,
        change: StatusChange,
    },
    Pursued {
        environment: EnvironmentName,
        goal: Goal,
        pursued: Box<Pursued>,
    },
    /// What runs is to stop and to be undone. The answer is false where nothing runs.
    Cancel {
        environment: EnvironmentName,
        by: String,
        reason: String,
        answer: oneshot::Sender<bool>,
    },
}

/// A running controller, to others.
pub struct Handle<H, S> {
    pub workspace: Arc<Workspace<H, S>>,
    /// Goes up with each turn of the loop: who watches it sees that it lives.
    pub pulse: Arc<AtomicU64>,
    /// Why GitHub cannot be asked or told anything, where it takes a person to mend that. `status` shows it.
    pub shut_out: watch::Sender<Option<String>>,
    published: watch::Receiver<Published>,
    messages: mpsc::UnboundedSender<Message>,
}

impl<H, S> Clone for Handle<H, S> {
    fn clone(&self) -> Self {
        Self {
            workspace: self.workspace.clone(),
            pulse: self.pulse.clone(),
            shut_out: self.shut_out.clone(),
            published: self.published.clone(),
            messages: self.messages.clone(),
        }
    }
}

impl<H, S> Handle<H, S> {
    pub(super) fn new(
        workspace: Arc<Workspace<H, S>>,
        published: watch::Receiver<Published>,
        messages: mpsc::UnboundedSender<Message>,
        pulse: Arc<AtomicU64>,
    ) -> Self {
        Self { workspace, pulse, shut_out: watch::Sender::default(), published, messages }
    }

    /// What is published, and whenever that changes.
    pub fn published(&self) -> watch::Receiver<Published> {
        self.published.clone()
    }

    /// What is known of each environment now.
    pub fn statuses(&self) -> Arc<Statuses> {
        self.published.borrow().statuses.clone()
    }

    /// Tells what runs in the environment to stop and to be undone. False where nothing runs.
    pub async fn cancel(&self, environment: &EnvironmentName, by: &str, reason: &str) -> bool {
        let (answer, answered) = oneshot::channel();
        let (by, reason) = (by.to_owned(), reason.to_owned());
        let cancel = Message::Cancel { environment: environment.clone(), by, reason, answer };
        // A loop that has ended runs nothing.
        self.messages.send(cancel).is_ok() && answered.await.unwrap_or(false)
    }

    /// What was put off in the environment is tried now, and the repository is asked. What another controller left open
    /// stays its.
    pub fn retry(&self, environment: &EnvironmentName) {
        self.tell(Event::RetryRequested { environment: environment.clone(), take_over: false });
    }

    /// As [`Self::retry`], and what another controller left open is ended, too.
    pub fn retry_and_take_over(&self, environment: &EnvironmentName) {
        self.tell(Event::RetryRequested { environment: environment.clone(), take_over: true });
    }

    fn tell(&self, event: Event) {
        // The send fails only after the loop has ended.
        let _ = self.messages.send(Message::Event(event));
    }
}
