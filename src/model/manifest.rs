//! The manifest: what evenkeel made on an instance, kept there as
//! `/var/lib/evenkeel/<fleet>/manifest`.
//!
//! Owns its text form, which is one entry a line with tabs between fields, so that the probe (POSIX
//! sh) can read paths from it and a person can `cat` it. Keeps true: parse(write(m)) = m; paths and
//! unit names hold no tab or newline.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use serde::{Deserialize, Serialize};

use super::{digest::Digest, seal::Key};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub files: BTreeMap<String, Digest>,
    /// Symbolic links and their targets.
    pub links: BTreeMap<String, String>,
    /// Units that evenkeel enabled and started, each with what it was last started with.
    pub units: BTreeMap<String, StartedWith>,
    pub releases: BTreeSet<Digest>,
    /// Virtual environments, by their key.
    pub venvs: BTreeSet<Digest>,
    /// Certificates, which are not ours, as they were when nginx read them last: sealed digests.
    pub certificates: BTreeMap<String, Digest>,
}

/// What evenkeel last (re)started a unit with: a difference to what is desired is a reason to restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedWith {
    /// Digest over the unit file, the environment file and the release. None: not known, because a
    /// deployment failed, and undoing could not start it again or its virtual environment is another now.
    pub inputs: Option<Digest>,
    /// Sealed digest of the foreign `env_file` at that time; None where the service has none.
    pub env_file: Option<Digest>,
}

const HEADER: &str = "evenkeel manifest 2";
/// Whose digests of what is not ours are not sealed.
const PLAIN: &str = "evenkeel manifest 1";

#[derive(Debug, Clone, PartialEq, Eq, Error)]
// What the line holds may be a digest of a secret.
#[error("line {line} of the manifest is not understood")]
pub struct InvalidManifest {
    pub line: usize,
}

impl Manifest {
    pub fn write(&self) -> String {
        let mut text = format!("{HEADER}\n");
        for (path, digest) in &self.files {
            text += &format!("file\t{digest}\t{path}\n");
        }
        for (path, target) in &self.links {
            text += &format!("link\t{target}\t{path}\n");
        }
        for (unit, started) in &self.units {
            let [inputs, env_file] = [started.inputs, started.env_file]
                .map(|digest| digest.map_or("-".to_owned(), |digest| digest.to_string()));
            text += &format!("unit\t{inputs}\t{env_file}\t{unit}\n");
        }
        for digest in &self.releases {
            text += &format!("release\t{digest}\n");
        }
        for key in &self.venvs {
            text += &format!("venv\t{key}\n");
        }
        for (path, digest) in &self.certificates {
            text += &format!("certificate\t{digest}\t{path}\n");
        }
        text
    }

    pub fn parse(text: &str) -> Result<Self, InvalidManifest> {
        let mut manifest = Manifest::default();
        for (index, line) in text.lines().enumerate() {
            manifest.read_line(index, line).ok_or(InvalidManifest { line: index + 1 })?;
        }
        if text.is_empty() { Err(InvalidManifest { line: 1 }) } else { Ok(manifest) }
    }

    /// Whether this is one from before digests were sealed.
    pub fn is_plain(text: &str) -> bool {
        text.lines().next() == Some(PLAIN)
    }

    /// One whose digests were plain, with them sealed: what they are compared with is.
    pub fn sealed(mut self, key: &Key) -> Self {
        let env_files = self.units.values_mut().filter_map(|started| started.env_file.as_mut());
        for digest in env_files.chain(self.certificates.values_mut()) {
            *digest = key.seal(digest);
        }
        self
    }

    fn read_line(&mut self, index: usize, line: &str) -> Option<()> {
        if index == 0 {
            return [HEADER, PLAIN].contains(&line).then_some(());
        }
        match line.split('\t').collect::<Vec<_>>()[..] {
            ["file", digest, path] => {
                self.files.insert(path.to_owned(), digest.parse().ok()?);
            }
            ["link", target, path] => {
                self.links.insert(path.to_owned(), target.to_owned());
            }
            ["unit", inputs, env_file, unit] => {
                let digest = |text: &str| if text == "-" { Some(None) } else { text.parse().ok().map(Some) };
                let (inputs, env_file) = (digest(inputs)?, digest(env_file)?);
                self.units.insert(unit.to_owned(), StartedWith { inputs, env_file });
            }
            ["release", digest] => {
                self.releases.insert(digest.parse().ok()?);
            }
            ["venv", key] => {
                self.venvs.insert(key.parse().ok()?);
            }
            ["certificate", digest, path] => {
                self.certificates.insert(path.to_owned(), digest.parse().ok()?);
            }
            _ => return None,
        }
        Some(())
    }

    /// What either owns: in force from before the first change to after the last, so that whatever
    /// happens in between, everything evenkeel made is known to be its own.
    pub fn union(&self, newer: &Manifest) -> Manifest {
        let mut union = self.clone();
        union.files.extend(newer.files.clone());
        union.links.extend(newer.links.clone());
        for (unit, started) in &newer.units {
            union.units.entry(unit.clone()).or_insert_with(|| started.clone());
        }
        union.releases.extend(&newer.releases);
        union.venvs.extend(&newer.venvs);
        for (path, digest) in &newer.certificates {
            union.certificates.entry(path.clone()).or_insert(*digest);
        }
        union
    }

    pub fn owns(&self, path: &str) -> bool {
        self.files.contains_key(path) || self.links.contains_key(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let digest = Digest::of("x");
        let manifest = Manifest {
            files: [("/etc/a b".to_owned(), digest)].into(),
            links: [("/var/current".to_owned(), "/var/releases/x".to_owned())].into(),
            units: [
                ("a@1.service".to_owned(), StartedWith { inputs: Some(digest), env_file: None }),
                ("b@2.service".to_owned(), StartedWith { inputs: None, env_file: Some(digest) }),
            ]
            .into(),
            releases: [digest].into(),
            venvs: [digest].into(),
            certificates: [("/etc/ssl/a.pem".to_owned(), digest)].into(),
        };
        assert_eq!(Manifest::parse(&manifest.write()), Ok(manifest));
    }

    #[test]
    fn one_of_before_is_read_and_sealed() {
        let digest = Digest::of("PASSWORD=1234");
        let text = format!("{PLAIN}\nunit\t-\t{digest}\ta@1.service\ncertificate\t{digest}\t/etc/ssl/a.pem\n");
        let key = Key::from_bytes([1; 32]);
        let sealed = Manifest::parse(&text).unwrap().sealed(&key);
        assert!(Manifest::is_plain(&text) && !Manifest::is_plain(&sealed.write()));
        assert!(!sealed.write().contains(&digest.to_string()));
        assert_eq!(sealed.write().matches(&key.seal(&digest).to_string()).count(), 2);
    }

    #[test]
    fn a_torn_or_foreign_manifest_is_refused_with_its_line() {
        assert!(Manifest::parse("").is_err());
        assert!(Manifest::parse("something else\n").is_err());
        let torn = format!("{HEADER}\nfile\tabc");
        assert_eq!(Manifest::parse(&torn).map_err(|error| error.line), Err(2));
    }
}
