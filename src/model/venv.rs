//! Virtual environments of Python services: what one is made of, and what makes two the same.

use serde::{Deserialize, Serialize};

use super::digest::Digest;

/// What is to be made on a host. Services that agree in the key share one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Venv {
    /// The interpreter that it is made with: a path on the host. What lies there only the host knows, so what
    /// it was made with is noted in it, and looked at beside what it holds.
    pub interpreter: String,
    /// The file on the host that says what is installed.
    pub requirements: String,
    /// Where packages come from; the public index if not given.
    pub index: Option<String>,
    /// Where on the host the credentials of the index lie. No part of the key: they change nothing of what is made.
    pub netrc: Option<String>,
}

/// `requirements` is over the contents of that file and of those that it includes.
pub fn key(interpreter: &str, index: Option<&str>, requirements: &Digest) -> Digest {
    // Environments of before have no compiled files, and no service can write any: another tag makes each anew, once.
    Digest::of_fields(["compiled venv", interpreter, index.unwrap_or_default(), &requirements.to_string()])
}
