//! What a probe answered, to an [`Observation`].
//!
//! Keeps true: a pure function; an answer that is cut, or not of the expected form, is an error as a
//! whole, never a host on which things are absent.

mod certificates;
mod drop_ins;
mod nginx;
mod seal;
pub(super) mod strangers;
mod units;
mod venvs;

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

pub(super) use units::tries;

use super::{ProbeRequest, Remembered};
use crate::model::{
    budget::Budget,
    digest::Digest,
    generation,
    manifest::Manifest,
    observation::{Installing, Listener, LiveFile, LiveFolder, LiveProgram, LiveRelease, Observation},
    seal::{Key, Seal},
    seen::Seen,
    text,
};

const UNASKED: &str = "evenkeel did not ask who listens";

/// The sections of an answer by name.
struct Sections {
    known: BTreeMap<String, String>,
    unknown: BTreeMap<String, String>,
}

impl Sections {
    /// Cut by lengths in bytes, and only then read as text: one process with a strange name must not
    /// make all of the host unreadable.
    fn read(mut rest: &[u8]) -> Result<Self, String> {
        let mut sections = Self { known: BTreeMap::new(), unknown: BTreeMap::new() };
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'\n').ok_or("it is cut within a header")?;
            let header = String::from_utf8_lossy(&rest[..end]);
            let no_header = || format!("`{header:.80}` is no header");
            let (name, length) = header.split_once(' ').ok_or_else(no_header)?;
            let length: usize = length.parse().map_err(|_| no_header())?;
            let body = &rest[end + 1..];
            let (text, after) = body.split_at_checked(length).ok_or_else(|| format!("section {name} is cut"))?;
            rest = after.strip_prefix(b"\n").ok_or_else(|| format!("section {name} has another length"))?;
            let text = String::from_utf8_lossy(text).into_owned();
            let (place, name) = match name.strip_prefix('?') {
                Some(name) => (&mut sections.unknown, name),
                None => (&mut sections.known, name),
            };
            if place.insert(name.to_owned(), text).is_some() {
                return Err(format!("section {name} comes twice"));
            }
        }
        if sections.one("end").is_some() { Ok(sections) } else { Err("it has no end".to_owned()) }
    }

    fn one(&self, name: &str) -> Option<&str> {
        self.known.get(name).map(String::as_str)
    }

    fn why_unknown(&self, name: &str) -> Option<&str> {
        self.unknown.get(name).map(String::as_str)
    }

    /// A section that the script always gives when it is asked for: without it nothing is known.
    fn told(&self, name: &str) -> Result<&str, String> {
        match (self.one(name), self.why_unknown(name)) {
            (_, Some(why)) => Err(why.to_owned()),
            (Some(text), None) => Ok(text),
            (None, None) => Err(format!("nothing was said of {name}")),
        }
    }
}

/// `fresh` is the key of a host that has none yet.
pub(super) fn observation(question: &ProbeRequest, answer: &[u8], fresh: &Key) -> Result<Observation, String> {
    let sections = Sections::read(answer)?;
    let Stat { mut files, mut folders, directories } = Stat::read(&sections)?;
    folders.retain(|path, _| question.folders.contains(path));
    for path in question.folders.iter().filter(|path| !question.paths.contains(*path)) {
        let seen = files.remove(path).unwrap_or_else(|| missing(&sections, path));
        if !folders.contains_key(path) {
            let why = || Seen::Unknown(seen.unknown().unwrap_or("it is no folder").to_owned());
            folders.insert(path.clone(), if seen.is_absent() { Seen::Absent } else { why() });
        }
    }
    let manifest_path = format!("{}/manifest", question.base);
    let manifest_file = files.remove(&manifest_path).unwrap_or_else(|| missing(&sections, &manifest_path));
    let key_file = files.remove(&format!("{}/key", question.base));
    let (manifest, key, seal) = match seal::key(&sections, fresh) {
        Ok((key, new_key)) => {
            let manifest = manifest(&sections, &manifest_file, &key);
            let broken = seal::broken(&sections, &manifest_file, key_file.as_ref());
            (manifest, key, Seal { new_key, broken })
        }
        Err(why) => (Seen::Unknown(why), fresh.clone(), Seal::default()),
    };
    seal::secrets(question, &manifest, &key, &mut files);
    let manifest_digest = manifest_file.known().and_then(LiveFile::digest);
    let paths =
        question.paths.iter().chain(manifest.known().into_iter().flat_map(|m| m.files.keys().chain(m.links.keys())));
    for path in paths {
        if !files.contains_key(path) {
            files.insert(path.clone(), missing(&sections, path));
        }
    }
    let units = units::units(&sections, &directories)?;
    let nginx = nginx::nginx(&sections, question, &units);
    Ok(Observation {
        manifest,
        seal,
        manifest_digest,
        generation: newest_generation(&sections, &question.base),
        unfinished: sections.one("unfinished").map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned),
        files,
        listeners: if question.listeners { listeners(&sections) } else { Seen::Unknown(UNASKED.to_owned()) },
        strangers: strangers::strangers(&sections),
        way_in: strangers::way_in(&sections),
        drop_ins: drop_ins::settings(&sections),
        own_drop_ins: drop_ins::lines(sections.one("own-drop-ins").unwrap_or_default()),
        folders,
        nginx,
        packages: packages(&sections, question),
        installing: installing(&sections),
        users: users(&sections, question),
        releases: releases(&sections, question),
        venvs: venvs::venvs(&sections, question),
        interpreters: venvs::interpreters(&sections, question),
        programs: programs(&sections, question),
        noexec: noexec(&sections),
        certificates: certificates::certificates(&sections, question, &key),
        units,
    })
}

/// What need not be asked again while the host looks the same: nothing of packages, where dpkg could not tell, and nothing
/// at all of an answer that is not understood.
pub(super) fn remembered(question: &ProbeRequest, answer: &[u8]) -> Remembered {
    let Ok(sections) = Sections::read(answer) else { return Remembered::default() };
    let text = |name: &str| sections.one(name).map(str::to_owned);
    let releases_signed = text("releases-signed").unwrap_or_default();
    match (text("packages"), text("packages-database")) {
        (Some(said), Some(database)) => {
            Remembered { packages: question.packages.clone(), said, database, releases_signed }
        }
        _ => Remembered { releases_signed, ..Remembered::default() },
    }
}

/// Read and hashed by two programs one after the other: only what fits together is known.
fn manifest(sections: &Sections, file: &Seen<LiveFile>, key: &Key) -> Seen<Manifest> {
    let text = match (sections.told("manifest"), file) {
        (Ok(text), _) if text.len() > Budget::STANDARD.manifest_bytes => {
            let limit = Budget::STANDARD.manifest_bytes >> 20;
            return Seen::Unknown(format!("the manifest has more than {limit} MiB; log in there, and look at it"));
        }
        (Ok(text), _) => text,
        (Err(_), Seen::Absent) => return Seen::Absent,
        (Err(why), _) => return Seen::Unknown(format!("the manifest: {why}")),
    };
    // The shell takes line breaks off the end.
    let digest = Digest::of(format!("{text}\n"));
    match Manifest::parse(text) {
        Err(error) => Seen::Unknown(format!("the manifest: {error}")),
        Ok(_) if file.known().and_then(LiveFile::digest) != Some(digest) => {
            Seen::Unknown("the manifest changed while it was looked at".to_owned())
        }
        Ok(manifest) if Manifest::is_plain(text) => Seen::Known(manifest.sealed(key)),
        Ok(manifest) => Seen::Known(manifest),
    }
}

fn newest_generation(sections: &Sections, base: &str) -> Seen<u64> {
    match sections.told("generation").map(generation::parse) {
        Ok(Ok(generation)) => Seen::Known(generation),
        Ok(Err(doubt)) => {
            Seen::Unknown(format!("{doubt}; log in there, and write the last true one to {base}/generation"))
        }
        Err(why) => Seen::Unknown(why),
    }
}

/// Lines of `stat -c '%f %U:%G %N'` on paths and, as `/proc/PID/cwd`, on working directories.
struct Stat<'a> {
    files: BTreeMap<String, Seen<LiveFile>>,
    folders: BTreeMap<String, Seen<LiveFolder>>,
    directories: HashMap<u32, &'a str>,
}

impl<'a> Stat<'a> {
    fn read(sections: &'a Sections) -> Result<Self, String> {
        let digests: HashMap<&str, &str> = sections
            .one("digests")
            .unwrap_or_default()
            .lines()
            .filter_map(|line| line.split_once("  "))
            .map(|(digest, path)| (path, digest))
            .collect();
        let mut stat = Self { files: BTreeMap::new(), folders: BTreeMap::new(), directories: HashMap::new() };
        for line in sections.one("files").ok_or("it has no files")?.lines().filter(|line| !line.starts_with("stat: ")) {
            let mut fields = line.splitn(3, ' ');
            // What anything else complains of there says nothing of a file, and a file that is not told of is not known.
            let (Some(Ok(raw)), Some(owner), Some(name)) =
                (fields.next().map(|raw| u32::from_str_radix(raw, 16)), fields.next(), fields.next())
            else {
                continue;
            };
            // Only links point somewhere. Of one with an arrow in its own name nothing becomes known.
            let link = if is_link(raw) { name.split_once(" -> ") } else { None };
            let (path, target) =
                link.map_or((unquoted(name), None), |(path, target)| (unquoted(path), Some(unquoted(target))));
            if raw & 0o170_000 == 0o040_000 {
                let folder = LiveFolder { mode: raw & 0o7777, owner: owner.to_owned() };
                stat.folders.insert(path.to_string(), Seen::Known(folder));
            }
            match (process(path), target) {
                (Some(pid), Some(directory)) => _ = stat.directories.insert(pid, directory),
                _ => _ = stat.files.insert(path.to_owned(), file(raw, owner, digests.get(path).copied(), target)),
            }
        }
        Ok(stat)
    }
}

/// A name as uutils' stat prints it, which heeds no QUOTING_STYLE. All that we ask about begins with `/`.
fn unquoted(name: &str) -> &str {
    let inner = |quote: char| name.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(name)
}

/// The process whose working directory a path is.
fn process(path: &str) -> Option<u32> {
    path.strip_prefix("/proc/")?.strip_suffix("/cwd")?.parse().ok()
}

fn is_link(raw: u32) -> bool {
    raw & 0o170_000 == 0o120_000
}

/// Source of the type bits: inode(7).
fn file(raw: u32, owner: &str, digest: Option<&str>, target: Option<&str>) -> Seen<LiveFile> {
    match raw & 0o170_000 {
        0o100_000 => match digest.map(str::parse::<Digest>) {
            Some(Ok(digest)) => {
                Seen::Known(LiveFile::Regular { digest, mode: raw & 0o7777, owner: owner.to_owned(), content: None })
            }
            _ => Seen::Unknown("it is there and cannot be read".to_owned()),
        },
        _ if is_link(raw) => match target {
            Some(target) => Seen::Known(LiveFile::Symlink { target: target.to_owned() }),
            None => Seen::Unknown("it is a link that cannot be read".to_owned()),
        },
        0o040_000 => Seen::Known(LiveFile::Other { kind: "directory".to_owned() }),
        _ => Seen::Known(LiveFile::Other { kind: "special file".to_owned() }),
    }
}

/// A path that stat said nothing good about: absent only when it said so, of this very path.
fn missing(sections: &Sections, path: &str) -> Seen<LiveFile> {
    let about = |line: &str| -> Option<String> {
        let quoted = line.strip_prefix("stat: cannot statx ").or_else(|| line.strip_prefix("stat: cannot stat "))?;
        let why = quoted.strip_prefix('\'')?.strip_prefix(path)?.strip_prefix("': ")?;
        // uutils' stat adds the number.
        Some(why.split(" (os error ").next().unwrap_or(why).to_owned())
    };
    match sections.one("files").unwrap_or_default().lines().find_map(about).as_deref() {
        Some("No such file or directory" | "Not a directory") => Seen::Absent,
        Some(why) => Seen::Unknown(why.to_owned()),
        None => Seen::Unknown("it was not looked at".to_owned()),
    }
}

/// What `systemctl show` lists as `DropInPaths`.
pub(super) fn drop_in_words(text: &str) -> Vec<String> {
    drop_ins::words(text)
}

/// Lines of `ss -Hltnp`: state, two queues, local address, peer address, `users:(("name",pid=N,fd=N),…)`.
fn listeners(sections: &Sections) -> Seen<Vec<Listener>> {
    let text = match sections.told("listeners") {
        Ok(text) => text,
        Err(why) => return Seen::Unknown(why),
    };
    let units = units_by_process(sections.one("groups").unwrap_or_default());
    let mut listeners = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let Some(port) = line.split_whitespace().nth(3).and_then(|local| local.rsplit_once(':')?.1.parse().ok()) else {
            return Seen::Unknown(format!("`{line:.120}` is not what ss prints"));
        };
        let process =
            line.split("((\"").nth(1).and_then(|users| users.split('"').next()).unwrap_or("a process unknown");
        let pids: Vec<u32> =
            line.split("pid=").skip(1).filter_map(|rest| rest.split([',', ')']).next()?.parse().ok()).collect();
        let unit = pids.iter().find_map(|pid| units.get(pid).cloned());
        listeners.push(Listener { port, pid: pids.first().copied().unwrap_or(0), process: process.to_owned(), unit });
    }
    Seen::Known(listeners)
}

/// Lines `PID /system.slice/NAME.service` to the unit of each process.
pub(super) fn units_by_process(text: &str) -> HashMap<u32, String> {
    text.lines()
        .filter_map(|line| {
            let (pid, group) = line.split_once(' ')?;
            let named = |part: &&str| Path::new(part).extension().is_some_and(|e| e == "service" || e == "scope");
            let unit = group.split('/').rev().find(named)?;
            Some((pid.parse().ok()?, unescape(unit)))
        })
        .collect()
}

/// systemd writes `\x2d` and the like in names of cgroups.
fn unescape(unit: &str) -> String {
    unit.replace("\\x2d", "-").replace("\\x40", "@")
}

fn packages(sections: &Sections, question: &ProbeRequest) -> BTreeMap<String, Seen<String>> {
    let told = sections.told("packages");
    let seen = |name: &String| match &told {
        Err(why) => Seen::Unknown(why.clone()),
        Ok(text) => text
            .lines()
            .filter_map(|line| line.strip_prefix("installed ")?.split_once(' '))
            .find(|(installed, _)| installed == name)
            .map_or(Seen::Absent, |(_, version)| Seen::Known(version.to_owned())),
    };
    question.packages.iter().map(|name| (name.clone(), seen(name))).collect()
}

/// How many packages that are half-way are told.
const HALF_WAY: usize = 20;

fn installing(sections: &Sections) -> Installing {
    let told = |name: &str| sections.one(name).map(str::trim).filter(|text| !text.is_empty());
    let half_way = told("dpkg-half").unwrap_or_default().lines().filter_map(|line| line.split_once(' '));
    let half_way = half_way.map(|(state, package)| (text::of_host(package), text::of_host(state)));
    Installing {
        half_way: half_way.take(HALF_WAY).collect(),
        // dpkg notes there what is not in its database yet, and numbers it.
        interrupted: told("dpkg-updates").is_some_and(|names| names.contains(|c: char| c.is_ascii_digit())),
        refused: told("simulated").map(|words| text::of_host(&words.replace('\n', " "))),
    }
}

fn users(sections: &Sections, question: &ProbeRequest) -> BTreeMap<String, Seen<()>> {
    let told = sections.told("users");
    let seen = |name: &String| match &told {
        Err(why) => Seen::Unknown(why.clone()),
        Ok(text) if text.lines().filter_map(|line| line.split(':').next()).any(|user| user == name) => Seen::Known(()),
        Ok(_) => Seen::Absent,
    };
    question.users.iter().map(|name| (name.clone(), seen(name))).collect()
}

/// Lines `FOLDER MOUNT`.
fn noexec(sections: &Sections) -> BTreeMap<String, String> {
    let lines = sections.one("noexec").unwrap_or_default().lines().filter_map(|line| line.split_once(' '));
    lines.map(|(folder, mount)| (folder.to_owned(), mount.to_owned())).collect()
}

/// Lines `there PROGRAM`, `unfit PROGRAM` or `absent PROGRAM`.
fn programs(sections: &Sections, question: &ProbeRequest) -> BTreeMap<String, Seen<LiveProgram>> {
    let told = sections.told("programs");
    let state = |name: &String, text: &&str| {
        text.lines()
            .filter_map(|line| line.split_once(' '))
            .find(|(_, told)| told == name)
            .map(|(state, _)| state.to_owned())
    };
    let seen = |name: &String| match told.as_ref().map(|text| state(name, text)) {
        Err(why) => Seen::Unknown(why.clone()),
        Ok(Some(state)) => match state.as_str() {
            "there" => Seen::Known(LiveProgram::Executable),
            "unfit" => Seen::Known(LiveProgram::NotExecutable),
            "absent" => Seen::Absent,
            other => Seen::Unknown(format!("`{other:.40}` is no state of a program")),
        },
        Ok(None) => Seen::Unknown("nothing was said of it".to_owned()),
    };
    question.programs.iter().map(|name| (name.clone(), seen(name))).collect()
}

fn releases(sections: &Sections, question: &ProbeRequest) -> BTreeMap<Digest, Seen<LiveRelease>> {
    let told = sections.told("releases");
    let words = told.iter().flat_map(|text| text.lines()).filter_map(|line| line.split_once(' '));
    let present: BTreeMap<Digest, &str> =
        words.filter_map(|(digest, state)| Some((digest.parse().ok()?, state))).collect();
    let seen = |digest: &Digest| match (&told, present.get(digest)) {
        (Err(why), _) => Seen::Unknown(why.clone()),
        (Ok(_), None) => Seen::Absent,
        (Ok(_), Some(&"whole")) => Seen::Known(LiveRelease::Whole),
        (Ok(_), Some(&"there")) => Seen::Known(LiveRelease::There),
        (Ok(_), Some(&"touched")) => Seen::Known(LiveRelease::Touched),
        (Ok(_), Some(&"changed")) => Seen::Known(LiveRelease::Changed),
        (Ok(_), Some(other)) => Seen::Unknown(format!("`{other}` is no state of a release")),
    };
    question.releases.iter().map(|digest| (*digest, seen(digest))).collect()
}

#[cfg(test)]
mod tests;
