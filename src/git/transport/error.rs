//! What can go wrong on the way to a remote, said so that a person knows where and what to do next.
//!
//! Keeps true: no text holds a credential, and none repeats its source's text.

use std::{error::Error, io, path::PathBuf};

use thiserror::Error as ThisError;

use crate::model::{budget::Exceeded, reach::OutOfReach};

#[derive(Debug, ThisError)]
pub enum TransportError {
    #[error("cannot read {path}")]
    File { path: PathBuf, source: io::Error },
    #[error("cannot start the network's runtime")]
    Runtime { source: io::Error },
    #[error("{0}")]
    Register(String),
    #[error("nothing was heard from {host} for {seconds} s while {doing}")]
    Silence { host: String, seconds: u64, doing: &'static str },
    #[error("{host} was not done after {seconds} s, while {doing}")]
    TooLong { host: String, seconds: u64, doing: &'static str },
    #[error("cannot connect to {host}")]
    Connect { host: String, source: io::Error },

    #[error("{path} holds no certificate in PEM")]
    NoCertificate { path: PathBuf },
    #[error("cannot sign in to {host}")]
    SignIn { host: String, source: Box<dyn Error + Send + Sync>, next: Option<String> },
    #[error("the HTTP request failed")]
    Http { source: reqwest::Error },
    #[error("{host} answered {status}: {text}")]
    Status { host: String, status: u16, text: String },
    #[error("{host} {}", if *.tried { "refused the token" } else { "asks for a token, and there is none" })]
    Unauthorized { host: String, tried: bool },
    #[error("{host} sends us elsewhere, to {to}")]
    Redirect { host: String, to: String },
    #[error("{host} does not speak git's smart protocol there (it answered with {content_type}: {text})")]
    NotGit { host: String, content_type: String, text: String },

    #[error("{host} sends {limit}, which is more than evenkeel reads")]
    OverBudget { host: String, limit: Exceeded },
    #[error("the source is out of reach")]
    OutOfReach(#[from] OutOfReach),
    #[error("{path} has no login for {host}")]
    NoLogin { path: PathBuf, host: String },

    #[error("the SSH connection failed")]
    Ssh { source: russh::Error },
    #[error("{host} is unknown: {known_hosts} has no key for it (it offers {algorithm} {fingerprint})")]
    UnknownHost { host: String, port: u16, known_hosts: PathBuf, algorithm: String, fingerprint: String },
    #[error("{host} offers another key than line {line} of {known_hosts} has for it: {algorithm} {fingerprint}")]
    ChangedHost { host: String, known_hosts: PathBuf, line: usize, algorithm: String, fingerprint: String },
    #[error("{host} offers a key that line {line} of {known_hosts} revokes: {fingerprint}")]
    RevokedHost { host: String, known_hosts: PathBuf, line: usize, fingerprint: String },
    #[error("{host} lets user {user} in with none of these: {tried}")]
    Login { host: String, user: String, tried: String },
    #[error("{host}: {service} ended with status {status}: {text}")]
    Command { host: String, service: &'static str, status: u32, text: String },
    #[error("{host} refuses to run {service}")]
    NoCommand { host: String, service: &'static str },
}

impl TransportError {
    /// The next move, where there is one to name.
    pub fn hint(&self) -> Option<String> {
        match self {
            TransportError::Unauthorized { tried: true, .. } => {
                Some("renew the token; it needs to read and write the repository's contents".to_owned())
            }
            TransportError::Unauthorized { tried: false, .. } => Some("name a file that holds a token".to_owned()),
            TransportError::Status { status: 404, .. } => {
                Some("check the address; a private repository hides itself from who may not read it".to_owned())
            }
            TransportError::Status { status: 403, .. } => {
                Some("let the token read and write the repository's contents".to_owned())
            }
            TransportError::Status { status: 500.., .. } => {
                Some("the server is in trouble: look at what it logged, and try again when it is well".to_owned())
            }
            TransportError::NotGit { .. } => {
                Some("check the address; a login page or a proxy may stand before the repository".to_owned())
            }
            TransportError::Silence { host, .. } | TransportError::TooLong { host, .. } => {
                Some(format!("look whether {host} is well and the way there is free, then try again"))
            }
            TransportError::Connect { .. } | TransportError::Http { .. } => Some(
                "check the address, and that the way there is free: name, port, proxy, firewall, certificate (--ca-file)"
                    .to_owned(),
            ),
            TransportError::NoCertificate { .. } => {
                Some("write the certificate of your own authority into it, in PEM".to_owned())
            }
            TransportError::SignIn { next, .. } => next.clone(),
            TransportError::OutOfReach(why) => Some(why.hint()),
            TransportError::NoLogin { host, .. } => Some(format!("write `machine {host} login … password …` into it")),
            TransportError::Ssh { .. } => Some("check that an SSH server listens at this address and port".to_owned()),
            TransportError::Command { .. } | TransportError::NoCommand { .. } => {
                Some("check the path, and that this key's account may run git there".to_owned())
            }
            TransportError::Redirect { to, .. } => Some(format!("use {to} if it is yours")),
            TransportError::UnknownHost { host, port, known_hosts, .. } => Some(format!(
                "ssh-keyscan -p {port} {host} >> {}, after comparing the fingerprint with what its operator publishes",
                known_hosts.display()
            )),
            TransportError::ChangedHost { .. } => Some(
                "somebody may be in between; if the operator did change the key, compare the fingerprint and replace the line"
                    .to_owned(),
            ),
            TransportError::Login { .. } => Some("add the public key to the account, or name a private key".to_owned()),
            _ => None,
        }
    }
}
