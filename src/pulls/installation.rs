//! What becomes of the App's installation while we run: it is removed, suspended, allowed more, given back.
//!
//! Keeps true: a delivery is a hint, and GitHub says what is so; another installation than ours is none of our business;
//! what waited for it is tried at once.

use tokio::time::Instant;
use tracing::debug;

use super::{PullRequests, queue::State, reason};
use crate::{
    github::{GitHubError, event::InstallationEvent},
    host::HostRead,
    model::event::{Detail, EventKind},
    report,
};

impl<H: HostRead> PullRequests<H> {
    /// Signs in anew, where it is our installation. Whether it is.
    pub(super) async fn installation_changed(&self, told: &InstallationEvent, state: &mut State) -> bool {
        let action = told.action.as_str();
        if !self.github.forget_installation(told).await {
            debug!(action, "another installation was changed");
            return false;
        }
        match self.github.token().await {
            Ok(_) => {
                self.is_let_in();
                state.try_again(Instant::now());
                // What could not be told may be told now.
                self.emit(EventKind::GitHubSignedIn { action: Detail::of(action) });
                // What the loop could not fetch, push or ask. A full channel holds a poke already.
                let _ = self.poke.try_send(());
            }
            Err(error) if error.may_pass() => {
                self.emit(EventKind::GitHubSilent { action: Detail::of(action), why: reason(&error) });
            }
            Err(error) => {
                let why = Detail::of(told_with_hint(&error));
                self.emit(EventKind::GitHubShutOut { action: Detail::of(action), why });
                self.is_shut_out(&error);
            }
        }
        true
    }

    /// `status` says so, until it is otherwise.
    pub(super) fn is_shut_out(&self, error: &GitHubError) {
        if !error.may_pass() {
            self.controller.shut_out.send_replace(Some(format!("GitHub: {}", told_with_hint(error))));
        }
    }

    pub(super) fn is_let_in(&self) {
        self.controller.shut_out.send_if_modified(|why| why.take().is_some());
    }
}

fn told_with_hint(error: &GitHubError) -> String {
    let said = report::chain(error);
    error.hint().map_or_else(|| said.clone(), |hint| format!("{said}; {hint}"))
}
