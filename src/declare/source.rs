//! A source as written to the source that is meant.
//!
//! Keeps true: whatever makes no source is an error of its own, found by `check::sources` once and not per
//! environment; only what depends on an instance is said here.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Declaration,
    de::At,
    file::File,
    findings::{Draft, Findings},
    kinds::{Arch, Archive, BuildKeys, SourceKeys},
    overrides::Overrides,
    similar,
};
use crate::model::{
    budget::Budget,
    build::Build,
    commit::CommitId,
    digest::Digest,
    exclude::{Exclude, InvalidExclude},
    finding::Code,
    name::InstanceName,
    quantity::Span,
    source::{ArchiveSource, GitSource, Origin, Revision, Source},
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
    let credentials = match &keys.credentials {
        Some(name) => Some(name.parse().ok()?),
        None => None,
    };
    let origin = match (&keys.git, &keys.archive) {
        (Some(git), None) => Origin::Git(GitSource {
            url: git.to_string(),
            revision: revision(keys.rev.as_ref().map(|rev| &***rev)),
            folder: tree::join("", path)?,
            credentials,
        }),
        (None, Some(archive)) => {
            let (url, sha256) = match &archive.value {
                Archive::One(url) => (url, &keys.sha256.as_ref()?.value),
                Archive::ByArch(of) => of.get(&arch?).map(|of| (&of.url, &of.sha256))?,
            };
            let sha256: Digest = sha256.parse().ok()?;
            let folder = tree::join("", path)?;
            Origin::Archive(ArchiveSource { url: url.to_string(), sha256, folder, credentials })
        }
        (None, None) => Origin::Folder(folder(declaration, &keys.path.as_ref()?.value)?),
        (Some(_), Some(_)) => return None,
    };
    let build = match &keys.build {
        Some(keys) => Some(build(keys)?),
        None => None,
    };
    Some(Source { origin, exclude: exclude(keys, &Budget::STANDARD).ok()?, build })
}

fn build(keys: &BuildKeys) -> Option<Build> {
    Some(Build {
        run: keys.run.value.clone(),
        output: tree::join("", &keys.output)?,
        env: keys.env.iter().map(|(name, value)| (name.value.clone(), value.value.clone())).collect(),
        network: keys.network.unwrap_or(false),
        timeout: keys.timeout.as_deref().copied().unwrap_or(BUILD_TIMEOUT),
        memory: keys.memory.as_ref().map_or(BUILD_MEMORY, |memory| memory.bytes()),
        cpu: keys.cpu,
    })
}

pub fn exclude(keys: &SourceKeys, budget: &Budget) -> Result<Exclude, InvalidExclude> {
    // Those beyond the limit are not even copied.
    let taken = keys.exclude.iter().take(budget.patterns + 1);
    Exclude::new(taken.map(|pattern| pattern.value.clone()).collect(), budget)
}

/// How many bytes of text a source has: what one more copy of it costs.
pub fn weight(keys: &SourceKeys) -> usize {
    let archive = |archive: &Archive| match archive {
        Archive::One(url) => url.len(),
        Archive::ByArch(of) => of.values().map(|of| of.url.len()).sum(),
    };
    let build = |build: &BuildKeys| {
        build.run.len()
            + build.output.len()
            + build.env.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>()
    };
    let texts = [
        keys.path.as_ref().map_or(0, |path| path.len()),
        keys.git.as_ref().map_or(0, |git| git.len()),
        keys.rev.as_ref().map_or(0, |rev| rev.len()),
        keys.archive.as_ref().map_or(0, |of| archive(of)),
        keys.build.as_ref().map_or(0, |of| build(of)),
    ];
    texts.iter().sum()
}

fn revision(written: Option<&str>) -> Revision {
    match written {
        None => Revision::Default,
        Some(text) => match CommitId::named(text).filter(|commit| commit.len() == 40) {
            Some(commit) => Revision::Commit(commit),
            None => Revision::Named(text.to_owned()),
        },
    }
}

/// Says when an archive cannot be chosen for an instance. `made` has the sources that were made of these keys already.
pub fn choose(
    declaration: &Declaration,
    overrides: &Overrides,
    (file, keys): (&File, &At<SourceKeys>),
    instance: &InstanceName,
    made: &mut BTreeMap<Option<Arch>, Option<Source>>,
    findings: &mut Findings,
) -> Option<Source> {
    let declared = declaration.instances.get(instance)?;
    let arch = overrides.instances.get(instance).and_then(|instance| instance.arch).or(declared.arch);
    if let (None, Some(archive)) = (&keys.git, &keys.archive)
        && let Archive::ByArch(of) = &archive.value
    {
        let known: Vec<String> = of.keys().map(Arch::to_string).collect();
        let known = similar::list(&known.iter().map(String::as_str).collect::<Vec<_>>());
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
            let finding = Draft::error(Code::MissingArch, message).at(file, archive.span);
            findings.say(finding.also(&declared.file, declared.address.span, why).hint(hint));
            return None;
        }
    }
    made.entry(arch).or_insert_with(|| source(declaration, keys, arch)).clone()
}
