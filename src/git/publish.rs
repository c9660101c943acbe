//! Moving references at the remote.
//!
//! Keeps true: a reference moves only from where it was last seen, but for marks that may move from
//! anywhere; a refusal says what the remote said.

use std::cell::{Cell, RefCell};

use git2::{Direction, Oid, PushOptions, RemoteCallbacks};

use super::{
    error::GitError,
    fetch::list,
    local::{self, MoveFrom},
    repository::Repository,
    url::RemoteUrl,
};

/// As much of what a hook says is told.
const SAID: usize = 200;

impl Repository {
    /// Moves a reference at the remote.
    pub(super) fn publish(
        &self,
        mirror: &git2::Repository,
        reference: &str,
        commit: Oid,
        from: MoveFrom,
    ) -> Result<(), GitError> {
        if let RemoteUrl::Local(path) = &self.url {
            return local::publish(mirror, path, reference, commit, from);
        }
        let (seen, expected) = match from {
            MoveFrom::Seen(seen) => (seen, Some(seen.unwrap_or(Oid::ZERO_SHA1))),
            MoveFrom::Anywhere => (None, None),
        };
        let found = Cell::new(None);
        let refused = RefCell::new(None);
        let said = RefCell::new(Vec::new());
        let pushed = self.with_remote(mirror, "push to", self.limits.push, |remote| {
            let mut callbacks = RemoteCallbacks::new();
            // The remote says where its reference is, and moves it only from there. So whoever was
            // faster is seen here, or by the remote.
            callbacks.push_negotiation(|updates| match updates.iter().find(|u| Some(u.src()) != expected) {
                Some(update) if expected.is_some() => {
                    found.set(Some(update.src()));
                    Err(git2::Error::from_str("the reference has moved"))
                }
                _ => Ok(()),
            });
            callbacks.sideband_progress(|text| {
                let mut said = said.borrow_mut();
                let room = (4 * SAID).saturating_sub(said.len());
                said.extend_from_slice(&text[..text.len().min(room)]);
                true
            });
            callbacks.push_update_reference(|_, status| {
                *refused.borrow_mut() = status.map(str::to_owned);
                Ok(())
            });
            let mut options = PushOptions::new();
            options.remote_callbacks(callbacks);
            let force = if expected.is_some() { "" } else { "+" };
            remote.push(&[format!("{force}{commit}:{reference}")], Some(&mut options))
        });
        let diverged = |found: Oid| diverged(&self.url.to_string(), reference, seen, some(found));
        match (pushed, found.get(), refused.into_inner()) {
            (_, Some(found), _) => Err(diverged(found)),
            (_, None, Some(status)) => match (expected, self.remote_tip(mirror, reference)?) {
                (Some(expected), found) if found != expected => Err(diverged(found)),
                _ => {
                    let why = reason(&status, &said.into_inner());
                    Err(GitError::Refused { url: self.url.to_string(), reference: reference.to_owned(), why })
                }
            },
            (pushed, None, None) => pushed,
        }
    }

    /// Where the remote's reference is now; zero where there is none.
    fn remote_tip(&self, mirror: &git2::Repository, reference: &str) -> Result<Oid, GitError> {
        self.with_remote(mirror, "ask", self.limits.push, |remote| {
            let heads = list(&remote.connect_auth(Direction::Fetch, None, None)?)?;
            Ok(heads.iter().find(|head| head.name == reference).map_or(Oid::ZERO_SHA1, |head| head.at))
        })
    }
}

/// The remote's status, and what its hook said of it.
fn reason(status: &str, said: &[u8]) -> String {
    let said: String = String::from_utf8_lossy(said).chars().take(SAID).collect();
    let words = [status, &said].map(|text| text.split(|c: char| c.is_whitespace() || c.is_control()).collect());
    let [status, said] = words
        .map(|words: Vec<_>| words.into_iter().filter(|word: &&str| !word.is_empty()).collect::<Vec<_>>().join(" "));
    if said.is_empty() { status } else { format!("{status} ({said})") }
}

pub(super) fn diverged(url: &str, reference: &str, seen: Option<Oid>, found: Option<Oid>) -> GitError {
    let text = |oid: Option<Oid>| oid.map_or("nothing".to_owned(), |oid| oid.to_string());
    GitError::Diverged { url: url.to_owned(), reference: reference.to_owned(), seen: text(seen), found: text(found) }
}

fn some(oid: Oid) -> Option<Oid> {
    Some(oid).filter(|oid| !oid.is_zero())
}
