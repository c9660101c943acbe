//! What a probe answered, to an [`Observation`].
//!
//! Keeps true: a pure function; an answer that is cut, or not of the expected form, is an error as a
//! whole, never a host on which things are absent.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use super::Question;
use crate::model::{
    digest::Digest,
    manifest::Manifest,
    observation::{Facts, Listener, LiveFile, LiveNginx, LiveUnit, Observation},
    seen::Seen,
};

/// The sections of an answer by name. Several of one name are kept in order.
struct Sections<'a> {
    known: HashMap<&'a str, Vec<&'a str>>,
    unknown: HashMap<&'a str, &'a str>,
}

impl<'a> Sections<'a> {
    fn read(mut rest: &'a str) -> Result<Self, String> {
        let mut sections = Self { known: HashMap::new(), unknown: HashMap::new() };
        while !rest.is_empty() {
            let (header, body) = rest.split_once('\n').ok_or("it is cut within a header")?;
            let (name, length) = header.split_once(' ').ok_or_else(|| format!("`{header:.80}` is no header"))?;
            let length: usize = length.parse().map_err(|_| format!("`{header:.80}` is no header"))?;
            let text = body.get(..length).ok_or_else(|| format!("section {name} is cut"))?;
            rest = body[length..].strip_prefix('\n').ok_or_else(|| format!("section {name} has another length"))?;
            match name.strip_prefix('?') {
                Some(name) => _ = sections.unknown.insert(name, text),
                None => sections.known.entry(name).or_default().push(text),
            }
        }
        if sections.one("end").is_some() { Ok(sections) } else { Err("it has no end".to_owned()) }
    }

    fn one(&self, name: &str) -> Option<&'a str> {
        self.known.get(name).and_then(|texts| texts.first()).copied()
    }

    fn seen(&self, name: &str) -> Seen<&'a str> {
        match (self.one(name), self.unknown.get(name)) {
            (Some(text), _) => Seen::Known(text),
            (None, Some(why)) => Seen::Unknown((*why).to_owned()),
            (None, None) => Seen::Absent,
        }
    }
}

pub(super) fn observation(question: &Question, answer: &[u8]) -> Result<Observation, String> {
    let text = std::str::from_utf8(answer).map_err(|_| "it is not UTF-8".to_owned())?;
    let sections = Sections::read(text)?;
    let base = format!("/var/lib/evenkeel/{}", question.fleet);
    let mut files = files(&sections)?;
    let manifest_path = format!("{base}/manifest");
    let manifest_digest = files.remove(&manifest_path).and_then(|file| file.known()?.digest());
    let manifest = match sections.seen("manifest") {
        Seen::Known(text) => match Manifest::parse(text) {
            Ok(manifest) => Seen::Known(manifest),
            Err(error) => Seen::Unknown(format!("{manifest_path}: {error}")),
        },
        Seen::Absent => Seen::Absent,
        Seen::Unknown(why) => Seen::Unknown(why),
    };
    let paths =
        question.paths.iter().chain(manifest.known().into_iter().flat_map(|m| m.files.keys().chain(m.links.keys())));
    for path in paths {
        if !files.contains_key(path) {
            files.insert(path.clone(), missing(&sections, path));
        }
    }
    let units = units(&sections)?;
    let nginx = nginx(&sections, &units);
    Ok(Observation {
        manifest,
        manifest_digest,
        generation: generation(&sections),
        unfinished: sections.one("unfinished").and_then(|text| text.parse().ok()),
        files,
        listeners: listeners(&sections),
        nginx,
        packages: packages(&sections, question),
        users: users(&sections, question),
        releases: releases(&sections, question),
        facts: facts(&sections),
        units,
    })
}

fn generation(sections: &Sections<'_>) -> Seen<u64> {
    match sections.one("generation").map(str::parse) {
        Some(Ok(generation)) => Seen::Known(generation),
        _ => Seen::Unknown("the generation file holds no number".to_owned()),
    }
}

/// `stat -c '%f %U:%G %n'` with digests and link targets.
fn files(sections: &Sections<'_>) -> Result<BTreeMap<String, Seen<LiveFile>>, String> {
    let digests: HashMap<&str, &str> = sections
        .one("digests")
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(d, p)| (p, d))
        .collect();
    let links: HashMap<&str, &str> =
        sections.known.get("link").into_iter().flatten().filter_map(|text| text.split_once('\t')).collect();
    let mut files = BTreeMap::new();
    for line in sections.one("files").ok_or("it has no files")?.lines().filter(|line| !line.starts_with("stat: ")) {
        let mut fields = line.splitn(3, ' ');
        let (Some(raw), Some(owner), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(format!("`{line:.120}` is not what stat prints"));
        };
        let raw = u32::from_str_radix(raw, 16).map_err(|_| format!("`{line:.120}` is not what stat prints"))?;
        files.insert(path.to_owned(), file(raw, owner, digests.get(path).copied(), links.get(path).copied()));
    }
    Ok(files)
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
        0o120_000 => match target {
            Some(target) => Seen::Known(LiveFile::Symlink { target: target.to_owned() }),
            None => Seen::Unknown("it is a link that cannot be read".to_owned()),
        },
        0o040_000 => Seen::Known(LiveFile::Other { kind: "directory".to_owned() }),
        _ => Seen::Known(LiveFile::Other { kind: "special file".to_owned() }),
    }
}

/// A path that stat said nothing good about: absent only when it said so.
fn missing(sections: &Sections<'_>, path: &str) -> Seen<LiveFile> {
    let about = |line: &&str| line.starts_with("stat: ") && line.contains(&format!("{path}'"));
    match sections.one("files").unwrap_or_default().lines().find(about) {
        Some(line) if line.ends_with(": No such file or directory") || line.ends_with(": Not a directory") => {
            Seen::Absent
        }
        Some(line) => Seen::Unknown(line.to_owned()),
        None => Seen::Unknown("it was not looked at".to_owned()),
    }
}

/// Blocks of `systemctl show`, in the order of the names asked.
fn units(sections: &Sections<'_>) -> Result<BTreeMap<String, Seen<LiveUnit>>, String> {
    let names: Vec<&str> = sections.one("units").unwrap_or_default().split_whitespace().collect();
    if let Some(why) = sections.unknown.get("states") {
        return Ok(names.into_iter().map(|name| (name.to_owned(), Seen::Unknown((*why).to_owned()))).collect());
    }
    let states = sections.one("states").unwrap_or_default();
    let blocks: Vec<&str> = states.split("\n\n").filter(|block| !block.trim().is_empty()).collect();
    if blocks.len() != names.len() {
        return Err(format!("{} units were asked about and {} answered", names.len(), blocks.len()));
    }
    let directories: HashMap<&str, &str> =
        sections.one("directories").unwrap_or_default().lines().filter_map(|line| line.split_once(" -> ")).collect();
    Ok(names.into_iter().zip(blocks).map(|(name, block)| (name.to_owned(), unit(block, &directories))).collect())
}

fn unit(block: &str, directories: &HashMap<&str, &str>) -> Seen<LiveUnit> {
    let fields: HashMap<&str, &str> = block.lines().filter_map(|line| line.split_once('=')).collect();
    let field = |name: &str| fields.get(name).copied().unwrap_or_default().to_owned();
    let main_pid = field("MainPID").parse().unwrap_or(0);
    match field("LoadState").as_str() {
        "" => Seen::Unknown("systemctl did not say its LoadState".to_owned()),
        // A unit whose file has gone may still run.
        "not-found" if main_pid == 0 => Seen::Absent,
        _ => Seen::Known(LiveUnit {
            active: field("ActiveState"),
            sub: field("SubState"),
            enabled: field("UnitFileState"),
            needs_reload: field("NeedDaemonReload") == "yes",
            restarts: field("NRestarts").parse().unwrap_or(0),
            main_pid,
            directory: directories.get(format!("/proc/{main_pid}/cwd").as_str()).map(|path| (*path).to_owned()),
        }),
    }
}

/// Lines of `ss -Hltnp`: state, two queues, local address, peer address, `users:(("name",pid=N,fd=N),…)`.
fn listeners(sections: &Sections<'_>) -> Seen<Vec<Listener>> {
    let text = match sections.seen("listeners") {
        Seen::Known(text) => text,
        Seen::Absent => return Seen::Unknown("nothing was said of listeners".to_owned()),
        Seen::Unknown(why) => return Seen::Unknown(why),
    };
    let units = cgroups(sections.one("cgroups").unwrap_or_default());
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

/// `/proc/PID/cgroup:0::/system.slice/NAME.service` to the unit of each process.
fn cgroups(text: &str) -> HashMap<u32, String> {
    text.lines()
        .filter_map(|line| {
            let (pid, group) = line.strip_prefix("/proc/")?.split_once("/cgroup:")?;
            let path = group.split_once("::")?.1;
            let named = |part: &&str| Path::new(part).extension().is_some_and(|e| e == "service" || e == "scope");
            let unit = path.split('/').rev().find(named)?;
            Some((pid.parse().ok()?, unescape(unit)))
        })
        .collect()
}

/// systemd writes `\x2d` and the like in names of cgroups.
fn unescape(unit: &str) -> String {
    unit.replace("\\x2d", "-").replace("\\x40", "@")
}

fn nginx(sections: &Sections<'_>, units: &BTreeMap<String, Seen<LiveUnit>>) -> Seen<LiveNginx> {
    if sections.one("nginx").is_none() {
        return Seen::Absent;
    }
    let digest = match sections.seen("digest") {
        Seen::Known("") | Seen::Absent => Seen::Absent,
        // Whatever answers without a digest at its end is not our server.
        Seen::Known(answer) => {
            answer.lines().last().and_then(|line| line.trim().parse().ok()).map_or(Seen::Absent, Seen::Known)
        }
        Seen::Unknown(why) => Seen::Unknown(why),
    };
    let running = units.get("nginx.service").and_then(Seen::known).is_some_and(LiveUnit::is_active);
    Seen::Known(LiveNginx { running, digest })
}

fn packages(sections: &Sections<'_>, question: &Question) -> BTreeMap<String, Seen<String>> {
    let installed: HashMap<&str, &str> = sections
        .one("packages")
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.strip_prefix("installed ")?.split_once(' '))
        .collect();
    let unknown = sections.unknown.get("packages");
    let seen = |name: &String| match (installed.get(name.as_str()), unknown) {
        (Some(version), _) => Seen::Known((*version).to_owned()),
        (None, Some(why)) => Seen::Unknown((*why).to_owned()),
        (None, None) => Seen::Absent,
    };
    question.packages.iter().map(|name| (name.clone(), seen(name))).collect()
}

fn users(sections: &Sections<'_>, question: &Question) -> BTreeMap<String, Seen<()>> {
    let found: Vec<&str> =
        sections.one("users").unwrap_or_default().lines().filter_map(|line| line.split(':').next()).collect();
    let unknown = sections.unknown.get("users");
    let seen = |name: &String| match (found.contains(&name.as_str()), unknown) {
        (true, _) => Seen::Known(()),
        (false, Some(why)) => Seen::Unknown((*why).to_owned()),
        (false, None) => Seen::Absent,
    };
    question.users.iter().map(|name| (name.clone(), seen(name))).collect()
}

fn releases(sections: &Sections<'_>, question: &Question) -> BTreeMap<Digest, Seen<()>> {
    let present: Vec<Digest> = sections
        .one("releases")
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|digest| digest.parse().ok())
        .collect();
    let seen = |digest: &Digest| if present.contains(digest) { Seen::Known(()) } else { Seen::Absent };
    question.releases.iter().map(|digest| (*digest, seen(digest))).collect()
}

fn facts(sections: &Sections<'_>) -> Facts {
    let mut lines = sections.one("facts").unwrap_or_default().lines();
    let mut next = || lines.next().unwrap_or_default().trim().to_owned();
    let (arch, boot_id, load) = (next(), next(), next());
    Facts { arch, boot_id, load, memory_available_kib: next().parse().ok(), disk_free_kib: next().parse().ok() }
}
