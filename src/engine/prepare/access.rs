//! The file given with `--credentials`: what sources may reach, and by what they are let in.
//!
//! Keeps true: it is read anew at each use, so it can be replaced; nobody but its owner can read or write it; without
//! one, sources reach public addresses over https and ssh, and nothing lets them in.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::{
    declare,
    model::{
        address::{Address, InvalidAddress},
        budget::Budget,
        finding::Finding,
        name::CredentialName,
        reach::{OutOfReach, Scope, Secret, SourceAccess},
    },
};

/// Where the operator's file is, if there is one.
#[derive(Debug, Clone, Default)]
pub struct AccessFile {
    path: Option<PathBuf>,
    /// Where systemd keeps what it hands over (`$CREDENTIALS_DIRECTORY`).
    handed_over: Option<PathBuf>,
}

#[derive(Debug, Error)]
pub enum AccessError {
    #[error("cannot read {path}")]
    File { path: PathBuf, source: io::Error },
    #[error("{path} is open to others than its owner (mode {mode:03o})")]
    Open { path: PathBuf, mode: u32 },
    #[error("{path} is not valid")]
    Invalid { path: PathBuf, findings: Vec<Finding> },
    #[error("there is no credential `{name}`: {}", known_in(.file.as_deref()))]
    Unknown { name: CredentialName, file: Option<PathBuf> },
    #[error("the credential `{name}` is not for {address}: `for` in {file} does not cover it")]
    NotFor { name: CredentialName, address: String, file: PathBuf },
    #[error("the address cannot be listed")]
    Address {
        #[from]
        source: InvalidAddress,
    },
    #[error("the source is out of reach")]
    OutOfReach { source: OutOfReach, listed: Option<String>, file: Option<PathBuf> },
}

fn known_in(file: Option<&Path>) -> String {
    match file {
        Some(file) => format!("{} (--credentials) declares none of that name", file.display()),
        None => "no file is given with --credentials".to_owned(),
    }
}

impl AccessError {
    /// The next move, for who runs evenkeel.
    pub fn hint(&self) -> Option<String> {
        let example = r#"{token_file: …, for: ["https://github.com/org/*"]}"#;
        Some(match self {
            AccessError::File { .. } => "check --credentials".to_owned(),
            AccessError::Open { path, .. } => format!("chmod 600 {}", path.display()),
            AccessError::Unknown { name, file: Some(file) } => {
                format!("write `{name}: {example}` into {}", file.display())
            }
            AccessError::Unknown { name, file: None } => {
                format!("on the controller, name a file with `--credentials FILE` that holds `{name}: {example}`")
            }
            AccessError::NotFor { address, file, .. } => {
                format!("where that is meant, add \"{address}\" to it in {}", file.display())
            }
            AccessError::OutOfReach { listed, file, .. } => {
                let file = file.as_ref().map(|file| file.display().to_string());
                let file = file.unwrap_or_else(|| "a file given with --credentials".to_owned());
                match listed {
                    Some(address) => format!("where that is meant, list `reach: [\"{address}\"]` in {file}"),
                    None => format!("where that is meant, list the address under `reach` in {file}"),
                }
            }
            AccessError::Invalid { .. } | AccessError::Address { .. } => return None,
        })
    }
}

impl AccessFile {
    pub fn new(path: Option<PathBuf>, handed_over: Option<PathBuf>) -> Self {
        Self { path, handed_over }
    }

    pub fn read(&self) -> Result<SourceAccess, AccessError> {
        let Some(path) = &self.path else { return Ok(SourceAccess::default()) };
        let told = |source| AccessError::File { path: path.clone(), source };
        let file = File::open(path).map_err(told)?;
        let mode = file.metadata().map_err(told)?.permissions().mode() & 0o777;
        // There systemd grants its one reader access by a list, whose extent shows as the group's bits.
        let by_list = self.handed_over.as_ref().is_some_and(|folder| path.starts_with(folder));
        if mode & if by_list { 0o037 } else { 0o077 } != 0 {
            return Err(AccessError::Open { path: path.clone(), mode });
        }
        let mut text = String::new();
        // One byte more than is allowed: then the reader says so.
        let most = Budget::STANDARD.file_bytes as u64 + 1;
        file.take(most).read_to_string(&mut text).map_err(told)?;
        declare::read_credentials(&text, path).map_err(|findings| AccessError::Invalid { path: path.clone(), findings })
    }

    /// What a source at `address` that names this credential may reach, and what lets it in.
    pub fn entry(
        &self,
        name: Option<&CredentialName>,
        address: Result<Address, InvalidAddress>,
    ) -> Result<(Scope, Option<Secret>), AccessError> {
        let (mut access, address) = (self.read()?, address?);
        let mut scope = Scope { reach: access.reach, carried: Vec::new() };
        let mut secret = None;
        if let Some(name) = name {
            let unknown = || AccessError::Unknown { name: name.clone(), file: self.path.clone() };
            let credential = access.credentials.remove(name).ok_or_else(unknown)?;
            scope.carried = credential.addresses;
            if !scope.carries(&address) {
                let file = self.path.clone().unwrap_or_default();
                return Err(AccessError::NotFor { name: name.clone(), address: address.to_string(), file });
            }
            secret = Some(credential.secret);
        }
        scope.way(&address).map_err(|source| self.out_of_reach(source, Some(address.to_string())))?;
        Ok((scope, secret))
    }

    /// Links, and what a repository borrows from others, lead no further than to what is listed.
    pub fn admit_places(&self, scope: &Scope, places: &[PathBuf]) -> Result<(), AccessError> {
        let listed = scope.reach.iter().filter_map(|pattern| Path::new(&pattern.path()?).canonicalize().ok());
        let listed: Vec<PathBuf> = listed.collect();
        for place in places {
            // Where nothing is, whoever opens it says so.
            let Ok(real) = place.canonicalize() else { continue };
            if !listed.iter().any(|folder| real.starts_with(folder)) {
                let address = Address::of_path(&real)?.to_string();
                let source = OutOfReach::File { address: address.clone() };
                return Err(self.out_of_reach(source, Some(address)));
            }
        }
        Ok(())
    }

    fn out_of_reach(&self, source: OutOfReach, listed: Option<String>) -> AccessError {
        AccessError::OutOfReach { source, listed, file: self.path.clone() }
    }
}
