//! A source as written to the source that is meant.
//!
//! Keeps true: whatever makes no source is an error of its own, found by `check::sources` once and not per
//! environment; only what depends on an instance is said here.

use std::time::Duration;

use super::{
    Declaration, codes,
    de::At,
    file::File,
    kinds::{Arch, Archive, BuildKeys, CredentialFile, SourceKeys},
    overrides::Overrides,
    similar,
};
use crate::model::{
    build::Build,
    digest::Digest,
    exclude::Exclude,
    finding::Finding,
    name::InstanceName,
    quantity::Span,
    source::{ArchiveSource, GitSource, Origin, Revision, Source, SourceCredentials},
    tree,
};

/// A frontend's packages are fetched and bundled in a fraction of it.
const BUILD_TIMEOUT: Span = Span(Duration::from_secs(600));

/// What bundlers take for a large frontend.
const BUILD_MEMORY: u64 = 2 << 30;

/// A folder of the config repository, from its root; None when it would leave it.
pub fn folder(declaration: &Declaration, path: &str) -> Option<String> {
    let folder = if path.starts_with('/') { "" } else { declaration.folder.as_str() };
    tree::join(folder, path)
}

/// What is written, for an instance with this processor. None when it makes no source there.
pub fn source(declaration: &Declaration, keys: &SourceKeys, arch: Option<Arch>) -> Option<Source> {
    let path = keys.path.as_ref().map_or("", |path| path.as_str());
    let credentials = || keys.credentials.as_ref().and_then(|file| credentials(file));
    let origin = match (&keys.git, &keys.archive) {
        (Some(git), None) => Origin::Git(GitSource {
            url: git.to_string(),
            revision: revision(keys.rev.as_ref().map(|rev| &***rev)),
            folder: tree::join("", path)?,
            credentials: credentials(),
        }),
        (None, Some(archive)) => {
            let (url, sha256) = match &archive.value {
                Archive::One(url) => (url, &keys.sha256.as_ref()?.value),
                Archive::ByArch(of) => of.get(&arch?).map(|of| (&of.url, &of.sha256))?,
            };
            let sha256: Digest = sha256.parse().ok()?;
            let folder = tree::join("", path)?;
            Origin::Archive(ArchiveSource { url: url.to_string(), sha256, folder, credentials: credentials() })
        }
        (None, None) => Origin::Folder(folder(declaration, &keys.path.as_ref()?.value)?),
        (Some(_), Some(_)) => return None,
    };
    let build = match &keys.build {
        Some(keys) => Some(build(keys)?),
        None => None,
    };
    Some(Source { origin, exclude: exclude(keys)?, build })
}

fn build(keys: &BuildKeys) -> Option<Build> {
    Some(Build {
        run: keys.run.value.clone(),
        output: tree::join("", &keys.output)?,
        env: keys.env.iter().map(|(name, value)| (name.value.clone(), value.value.clone())).collect(),
        network: keys.network.unwrap_or(false),
        timeout: keys.timeout.as_deref().copied().unwrap_or(BUILD_TIMEOUT),
        memory: keys.memory.as_ref().map_or(BUILD_MEMORY, |memory| memory.bytes()),
    })
}

/// None when one of the patterns is none.
pub fn exclude(keys: &SourceKeys) -> Option<Exclude> {
    Exclude::new(keys.exclude.iter().map(|pattern| pattern.value.clone()).collect()).ok()
}

fn revision(written: Option<&str>) -> Revision {
    match written {
        None => Revision::Default,
        Some(commit) if commit.len() == 40 && commit.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) => {
            Revision::Commit(commit.to_owned())
        }
        Some(name) => Revision::Named(name.to_owned()),
    }
}

fn credentials(file: &CredentialFile) -> Option<SourceCredentials> {
    let token = file.token_file.as_ref().map(|path| SourceCredentials::TokenFile((&**path).into()));
    token.or_else(|| file.ssh_key.as_ref().map(|path| SourceCredentials::SshKey((&**path).into())))
}

/// Says when an archive cannot be chosen for an instance.
pub fn choose(
    declaration: &Declaration,
    overrides: &Overrides,
    file: &File,
    keys: &At<SourceKeys>,
    instance: &InstanceName,
    findings: &mut Vec<Finding>,
) -> Option<Source> {
    let declared = declaration.instances.get(instance)?;
    let arch = overrides.instances.get(instance).and_then(|instance| instance.arch).or(declared.arch);
    if let (None, Some(archive)) = (&keys.git, &keys.archive)
        && let Archive::ByArch(of) = &archive.value
    {
        let known: Vec<String> = of.keys().map(Arch::to_string).collect();
        let known = similar::list(&known.iter().map(String::as_str).collect::<Vec<_>>());
        let there = declared.file.place(declared.address.span);
        let missing = match arch {
            None => {
                let message = format!("nothing says which processor `{instance}` has, and the archive depends on it");
                Some((message, "no `arch` here", format!("add `arch` to `{instance}`: {known}")))
            }
            Some(arch) if !of.contains_key(&arch) => {
                let message = format!("there is no archive for `{instance}`, which is {arch}");
                Some((message, "the instance", format!("add {arch} to the archives, beside {known}")))
            }
            Some(_) => None,
        };
        if let Some((message, why, hint)) = missing {
            let finding = Finding::error(codes::MISSING_ARCH, message).at(file.place(archive.span)).also(there, why);
            findings.push(finding.hint(hint));
            return None;
        }
    }
    source(declaration, keys, arch)
}
