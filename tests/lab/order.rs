//! The order in which a host's files change, from a trace of its system calls: wherever power goes,
//! what evenkeel made is known to be its own, and what was there before is there still.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    fleet::Fleet,
    trace::{self, Call},
    world::{Host, World, assert_is, wait_for},
};

pub fn the_trace_of_a_host_is_read_as_it_is_written(_: &World) {
    trace::reads_what_strace_writes();
}

pub fn files_change_in_the_order_that_survives_a_cut(world: &World) {
    let fleet = Fleet::new(world, "order");
    let h1 = world.host("h1");
    let manifest = "/var/lib/evenkeel/order/manifest";
    fleet.service("alpha", fleet.port(0), &["h1"], "env: {GREETING: hello}");
    fleet.service("beta", fleet.port(1), &["h1"], "");
    fleet.service("delta", fleet.port(3), &["h1"], "env: {GREETING: hello}");
    fleet.write("frontend/index.html", "old");
    fleet.site("order", &["h1"], "frontend: {source: {path: frontend}}\nroutes: {/old/: {service: alpha}}");
    fleet.deploy().ends_with(0);
    let before = owned(&h1.run(&format!("cat {manifest}")));

    // Units, environments, an nginx file and a link change; two files go, and two come.
    for (name, number) in [("alpha", 0), ("delta", 3)] {
        fleet.service(name, fleet.port(number), &["h1"], "env: {GREETING: ahoy}\ndescription: A new one");
    }
    fleet.remove("services/beta.yaml");
    fleet.service("gamma", fleet.port(2), &["h1"], "");
    fleet.write("frontend/index.html", "new");
    fleet.site("order", &["h1"], "frontend: {source: {path: frontend}}\nroutes: {/new/: {service: alpha}}");
    fleet.commit();
    let tracer = Tracer::attach(h1);
    fleet.apply().ends_with(0);
    let calls = trace::calls(&tracer.end());

    let after = owned(&h1.run(&format!("cat {manifest}")));
    let story = Story { manifest, before, after, calls: &calls };
    assert!(story.removed().len() >= 2 && story.renamed().len() >= 8, "too little was traced:\n{}", story.told());
    // Two services change, and one comes: with a unit and an environment each.
    assert_is("how many files change as one", story.largest_group(), 6);
    assert!(story.breaches().is_empty(), "{}\nin\n{}", story.breaches().join("\n"), story.told());

    // Without any one of what was synced the order would not hold, and this test would see it.
    for synced in story.leaned_on() {
        let without: Vec<Call> = calls.iter().filter(|call| **call != Call::Synced(synced.clone())).cloned().collect();
        let story = Story { calls: &without, before: story.before.clone(), after: story.after.clone(), manifest };
        assert!(!story.breaches().is_empty(), "nobody would miss that {synced} is synced");
    }
}

/// The files and links that a manifest owns.
fn owned(manifest: &str) -> BTreeSet<String> {
    let is_path = |line: &&str| line.starts_with("file\t") || line.starts_with("link\t");
    let paths = manifest.lines().filter(is_path).filter_map(|line| line.rsplit('\t').next());
    paths.map(str::to_owned).collect()
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// The fleet whose manifest it is.
fn fleet_of(manifest: &str) -> &str {
    parent(manifest).rsplit('/').next().unwrap_or_default()
}

/// A traced deployment.
struct Story<'a> {
    manifest: &'a str,
    /// What was owned before it, and after.
    before: BTreeSet<String>,
    after: BTreeSet<String>,
    calls: &'a [Call],
}

impl Story<'_> {
    fn is_owned(&self, path: &str) -> bool {
        path == self.manifest || self.before.contains(path) || self.after.contains(path)
    }

    /// The owned path that a call puts in place or takes away.
    fn changes(&self, call: &Call) -> Option<String> {
        let (Call::Renamed { to: path, .. } | Call::Removed(path)) = call else { return None };
        self.is_owned(path).then(|| path.clone())
    }

    fn renamed(&self) -> Vec<&Call> {
        self.calls.iter().filter(|call| matches!(call, Call::Renamed { to, .. } if self.is_owned(to))).collect()
    }

    fn removed(&self) -> Vec<&Call> {
        self.calls.iter().filter(|call| matches!(call, Call::Removed(path) if self.is_owned(path))).collect()
    }

    /// Everything in which the order does not hold.
    fn breaches(&self) -> Vec<String> {
        let mut breaches = self.manifest_first_and_last();
        for (at, call) in self.calls.iter().enumerate() {
            match call {
                Call::Renamed { from, to } if self.is_owned(to) => {
                    let is_link = self.calls[..at].contains(&Call::Linked(from.clone()));
                    if !is_link && !self.is_settled(from, at) {
                        breaches.push(format!("{to} is put in place before its content is synced"));
                    }
                }
                Call::Wrote { path, .. } | Call::Linked(path) if self.is_owned(path) => {
                    breaches.push(format!("{path} is written in its place"));
                }
                _ => {}
            }
            if let Some(path) = self.changes(call) {
                breaches.extend(self.not_kept(&path, at));
                if !self.lasts(&path, at) {
                    breaches.push(format!("the folder of {path} is not synced before what comes after its group"));
                }
            }
        }
        breaches
    }

    /// Whether the folder of the change at `at` is synced before anything changes that is not of its group: changes of
    /// one group have no sync between them, and the manifest is in no group.
    fn lasts(&self, path: &str, at: usize) -> bool {
        let folder = Call::Synced(parent(path).to_owned());
        let mut is_group = path != self.manifest;
        let until = self.calls[at + 1..].iter().take_while(|call| {
            is_group &= !matches!(call, Call::Synced(synced) if self.is_folder(synced));
            self.changes(call).is_none_or(|changed| is_group && changed != self.manifest)
        });
        until.into_iter().any(|call| *call == folder)
    }

    /// The most changes that have no sync of a folder between them.
    fn largest_group(&self) -> usize {
        let between = |call: &Call| matches!(call, Call::Synced(path) if self.is_folder(path));
        let groups =
            self.calls.split(between).map(|calls| calls.iter().filter(|call| self.changes(call).is_some()).count());
        groups.max().unwrap_or_default()
    }

    /// Whether something owned lies in the folder.
    fn is_folder(&self, path: &str) -> bool {
        path == parent(self.manifest) || self.before.iter().chain(&self.after).any(|owned| parent(owned) == path)
    }

    /// The first change is a manifest that owns what is there and what is to come, the last one the
    /// manifest that owns what is declared.
    fn manifest_first_and_last(&self) -> Vec<String> {
        let changes: Vec<usize> = (0..self.calls.len()).filter(|at| self.changes(&self.calls[*at]).is_some()).collect();
        let (Some(first), Some(last)) = (changes.first(), changes.last()) else {
            return vec!["nothing changes".to_owned()];
        };
        let union = self.before.union(&self.after).cloned().collect();
        let mut breaches = Vec::new();
        for (at, expected, which) in [(*first, &union, "first"), (*last, &self.after, "last")] {
            match &self.calls[at] {
                Call::Renamed { from, to } if to == self.manifest => {
                    let found = owned(&self.content(from, at));
                    if found != *expected {
                        breaches.push(format!("the {which} manifest owns {found:#?}, expected {expected:#?}"));
                    }
                }
                other => breaches.push(format!("the {which} change is not the manifest's: {other}")),
            }
        }
        breaches
    }

    /// What was written to a path since it last became another file.
    fn content(&self, path: &str, at: usize) -> String {
        let ends = |call: &Call| match call {
            Call::Renamed { from, .. } => from == path,
            Call::Removed(removed) => removed == path,
            _ => false,
        };
        let from = self.calls[..at].iter().rposition(ends).map_or(0, |end| end + 1);
        let written = self.calls[from..at].iter().filter_map(|call| match call {
            Call::Wrote { path: written, content } if written == path => Some(content.as_str()),
            _ => None,
        });
        written.collect()
    }

    /// Whether a file was written, and synced after that.
    fn is_settled(&self, path: &str, at: usize) -> bool {
        let calls = &self.calls[..at];
        let written =
            calls.iter().rposition(|call| matches!(call, Call::Wrote { path: written, .. } if written == path));
        let synced = calls.iter().rposition(|call| *call == Call::Synced(path.to_owned()));
        written.is_some_and(|written| synced > Some(written))
    }

    /// Of the lines of journals each with the call that wrote its end.
    fn records(&self) -> Vec<(usize, &str, String)> {
        let (mut records, mut begun) = (Vec::new(), BTreeMap::<&str, String>::new());
        for (at, call) in self.calls.iter().enumerate() {
            let Call::Wrote { path, content } = call else { continue };
            if !path.ends_with("/journal") {
                continue;
            }
            let text = begun.entry(path).or_default();
            text.push_str(content);
            while let Some(end) = text.find('\n') {
                let rest = text.split_off(end + 1);
                records.push((at, path.as_str(), std::mem::replace(text, rest)));
            }
        }
        records
    }

    /// Why what lay at the path could not be put back after the change at `at`.
    fn not_kept(&self, path: &str, at: usize) -> Option<String> {
        let noted =
            self.records().into_iter().rev().filter(|(noted, ..)| *noted < at).find_map(|(noted, journal, line)| {
                let [kind, number, of] = line.trim_end_matches('\n').split('\t').collect::<Vec<_>>()[..] else {
                    return None;
                };
                (of == path && matches!(kind, "kept" | "absent"))
                    .then(|| (noted, journal, kind.to_owned(), number.to_owned()))
            });
        let Some((noted, journal, kind, number)) = noted else {
            return Some(format!("the journal does not name {path} before it is changed"));
        };
        if !self.calls[noted..at].contains(&Call::Synced(journal.to_owned())) {
            return Some(format!("the journal is not synced before {path} is changed"));
        }
        let existed = path == self.manifest || self.before.contains(path);
        match kind.as_str() {
            "absent" if existed => Some(format!("{path} was there, and the journal says that it was not")),
            "kept" => {
                let kept = format!("{}/kept/{number}", parent(journal));
                (!self.is_safe(&kept, noted))
                    .then(|| format!("what lay at {path} is not synced in {kept} before the journal says so"))
            }
            _ => None,
        }
    }

    /// Whether a copy, or a link, is synced with the folders that lead to it before the call at `noted`.
    fn is_safe(&self, kept: &str, noted: usize) -> bool {
        let made = self.calls[..noted].iter().rposition(|call| match call {
            Call::Linked(path) | Call::Wrote { path, .. } => path == kept,
            _ => false,
        });
        let Some(made) = made else { return false };
        let is_link = self.calls[..noted].contains(&Call::Linked(kept.to_owned()));
        let mut folder = parent(kept);
        let mut folders = vec![folder];
        while !folder.ends_with("/kept") {
            folder = parent(folder);
            folders.push(folder);
        }
        (is_link || self.is_settled(kept, noted))
            && folders.iter().all(|folder| self.calls[made..noted].contains(&Call::Synced((*folder).to_owned())))
    }

    /// What the order needs synced, as far as this host synced it.
    fn leaned_on(&self) -> BTreeSet<String> {
        let needed = |path: &String| {
            path.ends_with("/journal")
                || path.ends_with("/kept")
                || path.contains("/kept/")
                || self.renamed().iter().any(|call| matches!(call, Call::Renamed { from, .. } if from == path))
                || self.calls.iter().filter_map(|call| self.changes(call)).any(|changed| parent(&changed) == path)
        };
        let synced = self.calls.iter().filter_map(|call| match call {
            Call::Synced(path) => Some(path.clone()),
            _ => None,
        });
        synced.filter(needed).collect()
    }

    /// The calls that matter, one a line.
    fn told(&self) -> String {
        let mut told = String::new();
        for call in self.calls {
            let (Call::Wrote { path, .. }
            | Call::Synced(path)
            | Call::Renamed { to: path, .. }
            | Call::Removed(path)
            | Call::Linked(path)) = call;
            let place = path.replace(&format!("/.evenkeel-new-{}", fleet_of(self.manifest)), "");
            let place = place.trim_end_matches(".evenkeel-new");
            if self.is_owned(place) || self.is_folder(place) || place.starts_with(parent(self.manifest)) {
                told.extend(call.to_string().chars().take(200).chain(['\n']));
            }
        }
        told
    }
}

/// strace on everything that a host's systemd starts. Dropping it lets go of the host.
struct Tracer {
    strace: Child,
    folder: TempDir,
}

impl Tracer {
    fn attach(host: &Host) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let said = folder.path().join("said");
        let strace = Command::new("strace")
            .args(["-f", "-yy", "-s", "65536", "-e", "signal=none", "-e"])
            .arg(format!("trace={}", trace::CALLS))
            // Then cp writes what it copies, and the trace shows it.
            .args(["-e", "inject=copy_file_range:error=EOPNOTSUPP"])
            .arg("-p")
            .arg(host.leader().expect("the host is up").to_string())
            .arg("-o")
            .arg(folder.path().join("trace"))
            .stdin(Stdio::null())
            .stderr(File::create(&said).expect("the file can be made"))
            .spawn()
            .expect("strace is installed");
        let tracer = Self { strace, folder };
        let says = || fs::read_to_string(&said).unwrap_or_default();
        wait_for("strace on the host's systemd", || says().contains("attached").then_some(()));
        tracer
    }

    /// What was traced.
    fn end(mut self) -> String {
        self.let_go();
        let path: PathBuf = self.folder.path().join("trace");
        String::from_utf8_lossy(&fs::read(path).expect("strace has written it")).into_owned()
    }

    fn let_go(&mut self) {
        // It may have ended by itself.
        let _ = kill_process(Pid::from_child(&self.strace), Signal::INT);
        let _ = self.strace.wait();
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.let_go();
    }
}
