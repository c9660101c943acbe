//! The file given with `--credentials` to what sources may reach, and by what they are let in.
//!
//! Keeps true: every address in it is parsed; a credential names one file, of a kind that its addresses take.

use std::path::{Path, PathBuf};

use super::{
    de::At,
    file::File,
    findings::{Draft, Findings},
    kinds::{CredentialKeys, CredentialsFile},
    schema, typed,
};
use crate::model::{
    address::AddressPattern,
    budget::Budget,
    finding::{Code, Finding},
    reach::{Credential, Secret, SourceAccess},
};

/// Reads such a file; `file` is its path, for findings and for the paths that begin beside it.
pub fn read_credentials(text: &str, file: &Path) -> Result<SourceAccess, Vec<Finding>> {
    let folder = file.parent().unwrap_or(Path::new("")).to_owned();
    let file = File::new(&file.display().to_string(), text);
    let mut findings = Findings::new(&Budget::STANDARD);
    let read = typed::read::<CredentialsFile>(&file, schema::credentials(), &mut findings).whole();
    let Some(read) = read else { return Err(findings.finish()) };
    let mut reader = CredentialsReader { file: &file, folder, findings };
    let reach = reader.patterns(&read.reach);
    let named = read.credentials.into_iter().map(|(name, keys)| (name, reader.credential(&keys)));
    let credentials = named.filter_map(|(name, credential)| Some((name, credential?))).collect();
    reader.findings.finish_or(SourceAccess { credentials, reach })
}

struct CredentialsReader<'a> {
    file: &'a File,
    folder: PathBuf,
    findings: Findings,
}

impl CredentialsReader<'_> {
    fn patterns(&mut self, written: &[At<String>]) -> Vec<AddressPattern> {
        let mut patterns = Vec::new();
        for text in written {
            match text.parse() {
                Ok(pattern) => patterns.push(pattern),
                Err(why) => {
                    let message = format!("this is no address that sources could have: {why}");
                    let hint = "write one address, or with `/*` at its end all below it";
                    self.say(text, message, hint);
                }
            }
        }
        patterns
    }

    fn credential(&mut self, keys: &CredentialKeys) -> Option<Credential> {
        let path = |path: &At<String>| self.folder.join(&path.value);
        let secret = match (&keys.token_file, &keys.ssh_key, &keys.netrc) {
            (Some(file), None, None) => Secret::Token(path(file)),
            (None, Some(file), None) => Secret::SshKey(path(file)),
            (None, None, Some(file)) => Secret::Netrc(path(file)),
            // The schema has said so.
            _ => return None,
        };
        let known = self.findings.said();
        let addresses = self.patterns(&keys.addresses);
        if self.findings.said() > known {
            return None;
        }
        for (text, pattern) in keys.addresses.iter().zip(&addresses) {
            if !secret.is_for(pattern.scheme()) {
                let message = format!("a `{}` lets nobody in at such an address", secret.kind());
                let hint = "https takes a `token_file` or `netrc`, ssh an `ssh_key`; files are listed under `reach`";
                self.say(text, message, hint);
            }
        }
        Some(Credential { secret, addresses })
    }

    fn say(&mut self, at: &At<String>, message: String, hint: &str) {
        self.findings.say(Draft::error(Code::InvalidValue, message).at(self.file, at.span).hint(hint));
    }
}
