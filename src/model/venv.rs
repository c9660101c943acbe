//! Virtual environments of Python services: what one is made of, and what makes two the same.
//!
//! A virtual environment is content, as a release is: named outright by the units that start from it, not undone. Its
//! key is over what it is made of: the requirements with all that they include, the interpreter's path, the index.
//! Units are rendered before any host is asked, so the key cannot hold what that interpreter *is*; the file `made` in
//! it does, beside a digest over everything's name, owner, mode, size and time. The probe compares both. It is made
//! by a step of the first phase, after packages, in a sandbox of systemd's (`DynamicUser=`) where an empty folder has
//! the name of the one that holds them all: a virtual environment holds its own path and cannot be moved, and half a
//! one is never at its place. Root runs no interpreter of others: the probe asks it as nobody. The last phase removes
//! those that neither the manifest nor a deployment that is kept names. One that is made anew at its place is not
//! undone either: what ran from the one before it has no `inputs` in the manifest until it is restarted, also where
//! the deployment is undone.
//!
//! Of a release that is not built yet nobody knows what its requirements say. Its services have no key in the plan,
//! nothing is made for them, and their units name a place where nothing ever is, so that people see it; such a plan
//! is never carried out (`needs_builds`). Records keep, beside a build's digest, what its requirements say: that
//! tells a controller which has not built it what is live. Requirements in folders of the repository are read while
//! declaring, all others when they are gathered or built.

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
