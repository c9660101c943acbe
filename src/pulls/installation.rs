//! What becomes of the App's installation while we run: it is removed, suspended, allowed more, given back.
//!
//! Keeps true: a delivery is a hint, and GitHub says what is so; another installation than ours is none of our business;
//! what waited for it is tried at once.

use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::{PullRequests, queue::State};
use crate::{
    github::{GitHubError, event::InstallationEvent},
    host::HostRead,
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
                info!(action, "the App's installation was changed: signed in to GitHub anew");
                self.is_let_in();
                state.try_again(Instant::now());
                self.signed_in.send_replace(());
                // What the loop could not fetch, push or ask. A full channel holds a poke already.
                let _ = self.poke.try_send(());
            }
            Err(error) if error.may_pass() => {
                warn!(
                    action,
                    "the App's installation was changed, and is asked about later: {}",
                    report::chain(&error)
                );
            }
            Err(error) => {
                error!(action, "GitHub lets evenkeel in no longer: {}", told_with_hint(&error));
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
