//! What lets us in over HTTPS, and where it comes from.
//!
//! Keeps true: no token is shown, also not by `Debug`. Whether a source's token may go to a server is settled by whoever
//! names the source for it.

use std::{error::Error, fmt, path::PathBuf, sync::Arc};

use futures_util::future::BoxFuture;

/// The user beside a token, as GitHub wants it. Others take any.
/// <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/authenticating-as-a-github-app-installation#about-authentication-as-a-github-app-installation>
pub(super) const USER: &str = "x-access-token";

/// Where the token for HTTPS comes from.
#[derive(Clone, Default)]
pub enum Token {
    /// From nowhere: what stands in the address is all there is.
    #[default]
    None,
    /// From a file, which is read at each use, so it is rotated by writing it. It goes before a login in the address.
    File(PathBuf),
    /// From a file of logins by host, which is read at each use.
    Netrc(PathBuf),
    /// From one who signs in for us. A login in the address goes before it.
    Source(Arc<dyn TokenSource>),
}

/// One who signs in at a server, and is handed tokens there that end.
pub trait TokenSource: Send + Sync {
    /// One that is good now.
    fn token(&self) -> BoxFuture<'_, Result<String, TokenError>>;

    /// The server takes this one no longer. Whether another may be had.
    fn refused<'a>(&'a self, token: &'a str) -> BoxFuture<'a, bool>;
}

/// Why there is no token.
#[derive(Debug)]
pub struct TokenError {
    /// Without any token in it.
    pub why: Box<dyn Error + Send + Sync>,
    /// The next move, where there is one to name.
    pub next: Option<String>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::None => f.write_str("None"),
            Token::File(path) => write!(f, "File({})", path.display()),
            Token::Netrc(path) => write!(f, "Netrc({})", path.display()),
            Token::Source(_) => f.write_str("Source"),
        }
    }
}
