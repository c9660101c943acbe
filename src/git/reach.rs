//! Whether a remote lets us in. Changes nothing, there or here.

use git2::{Direction, Remote};

use super::{
    error::GitError,
    repository::failed,
    transport::{Credentials, Limits, Session},
    url::RemoteUrl,
};

/// Whether what is at the remote may be read.
pub fn can_read(url: &RemoteUrl, credentials: &Credentials) -> Result<(), GitError> {
    asked(url, credentials, "read", Direction::Fetch)
}

/// Whether one may push there at all; a rule that stands against one branch is met by a push alone. Servers say so
/// when they are asked where to push to.
pub fn can_push(url: &RemoteUrl, credentials: &Credentials) -> Result<(), GitError> {
    asked(url, credentials, "push to", Direction::Push)
}

fn asked(url: &RemoteUrl, credentials: &Credentials, doing: &'static str, way: Direction) -> Result<(), GitError> {
    let limits = Limits::default();
    let session = Session::open(url, credentials, limits, limits.push).map_err(|source| GitError::Remote {
        doing,
        url: url.to_string(),
        source: Box::new(source),
    })?;
    let address = session.as_ref().map_or_else(|| url.to_string(), Session::address);
    Remote::create_detached(address)
        .and_then(|mut remote| remote.connect_auth(way, None, None).map(|_| ()))
        .map_err(|source| failed(doing, url, session.as_ref(), source))
}
