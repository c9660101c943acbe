//! git's login at GitHub: the token that signs requests to the API lets git in over HTTPS, too.
//!
//! Keeps true: it goes to that GitHub's own scheme, host and port and to no other. `git` and `github` are neighbours
//! and do not see one another.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};

use crate::{
    git::{RemoteUrl, Token, TokenError, TokenSource},
    github::GitHub,
};

/// What lets git in at a repository of this GitHub. None at any other address.
pub fn token(github: &Arc<GitHub>, repository: &RemoteUrl) -> Token {
    match repository.http() {
        Some(address) if github.serves(address) => Token::Source(Arc::new(SignedIn(github.clone()))),
        _ => Token::None,
    }
}

struct SignedIn(Arc<GitHub>);

impl TokenSource for SignedIn {
    fn token(&self) -> BoxFuture<'_, Result<String, TokenError>> {
        async {
            let token = self.0.token().await;
            token.map_err(|error| TokenError { next: error.hint(), why: Box::new(error) })
        }
        .boxed()
    }

    fn refused<'a>(&'a self, token: &'a str) -> BoxFuture<'a, bool> {
        self.0.refused(token).boxed()
    }
}
