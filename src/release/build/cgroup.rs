//! A cgroup for each build: the kernel itself counts and bounds what all processes of a build take together.
//!
//! Keeps true: only a cgroup that was delegated to this process is divided; a build's processes are in its cgroup before
//! they run anything; when a build has ended, nothing runs in its cgroup and the cgroup is gone. Where there is no
//! delegated cgroup, the reason is a value that people are told.
//! Source: cgroups(7), the kernel's admin-guide/cgroup-v2, systemd.resource-control(5) `Delegate=`.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::fd::{AsRawFd as _, RawFd},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use thiserror::Error;

use crate::model::build::Build;

/// Where evenkeel's own processes go: a cgroup that is divided holds no process itself.
const CONTROLLER: &str = "controller";
/// How the names of builds' cgroups begin; the number of the process that made it and a random one follow.
const BUILD: &str = "build-";
/// A build yields to the controller, which has 100, where both want the processor.
const WEIGHT: u32 = 20;
/// Microseconds; a share of the processors is a share of each such time.
const PERIOD: u64 = 100_000;
/// How long killed processes may take to be gone, and the time between two looks.
const GONE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(5);

/// Why builds have no cgroup of their own.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoCgroup {
    #[error("this machine has no cgroup v2")]
    NotUnified,
    #[error(
        "{} is not delegated to evenkeel; set `Delegate=memory pids cpu` in the unit, as packaging/README.md says under \
         \"Builds\"", .0.display()
    )]
    NotDelegated(PathBuf),
    #[error("{} has no {lacking} controller; name it in the unit's `Delegate=`", folder.display())]
    Lacking { folder: PathBuf, lacking: &'static str },
    #[error("{} holds other processes than evenkeel; run evenkeel in a unit of its own", .0.display())]
    Shared(PathBuf),
    #[error("{} is read-only here; set `ProtectControlGroups=no` in the unit", .0.display())]
    ReadOnly(PathBuf),
    #[error("cannot {doing} {}: {why}", path.display())]
    File { doing: &'static str, path: PathBuf, why: String },
    #[error("the kernel let no process of the build into it; Linux 5.16 does")]
    NotJoined,
}

impl NoCgroup {
    fn file(doing: &'static str, path: &Path, error: &io::Error) -> Self {
        let folder = || path.parent().unwrap_or(path).to_owned();
        match rustix::io::Errno::from_io_error(error) {
            Some(rustix::io::Errno::ROFS) => Self::ReadOnly(folder()),
            Some(rustix::io::Errno::BUSY) => Self::Shared(folder()),
            _ => Self::File { doing, path: path.to_owned(), why: error.to_string() },
        }
    }
}

/// The cgroup that was delegated to this process, in which each build gets its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroups {
    folder: PathBuf,
    /// Whether processors can be bounded.
    cpu: bool,
}

impl Cgroups {
    /// Takes this process's cgroup, if it was delegated, and moves the process into a part of it.
    pub fn open() -> Result<Self, NoCgroup> {
        let read =
            |path: &str| fs::read_to_string(path).map_err(|error| NoCgroup::file("read", Path::new(path), &error));
        let own =
            own_folder(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?).ok_or(NoCgroup::NotUnified)?;
        let folder = delegated(&own, is_delegated)?.to_owned();
        Self::divide(folder)
    }

    /// Makes room for builds in a delegated folder.
    fn divide(folder: PathBuf) -> Result<Self, NoCgroup> {
        let path = folder.join("cgroup.controllers");
        let controllers = fs::read_to_string(&path).map_err(|error| NoCgroup::file("read", &path, &error))?;
        let has = |name: &str| controllers.split_whitespace().any(|controller| controller == name);
        if let Some(lacking) = ["memory", "pids"].into_iter().find(|name| !has(name)) {
            return Err(NoCgroup::Lacking { folder, lacking });
        }
        let controller = folder.join(CONTROLLER);
        match fs::create_dir(&controller) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(NoCgroup::file("make", &controller, &error));
            }
            _ => {}
        }
        // Zero is whoever writes it, with all its threads.
        set(&controller, "cgroup.procs", "0")?;
        let cpu = has("cpu");
        set(&folder, "cgroup.subtree_control", if cpu { "+memory +pids +cpu" } else { "+memory +pids" })?;
        Ok(Self { folder, cpu })
    }

    /// A cgroup with the limits of a build, and nobody in it yet. Those of other processes are leftovers: no two
    /// divide a cgroup at once.
    pub fn make(&self, build: &Build, tasks: usize) -> Result<Cgroup, NoCgroup> {
        let own = format!("{BUILD}{}-", std::process::id());
        for left in builds_in(&self.folder).into_iter().filter(|path| !is_named(path, &own)) {
            // What cannot be removed now bounds nobody else, and is removed another time.
            let _ = end(&left);
        }
        let folder = self.folder.join(format!("{own}{:016x}", rand::random::<u64>()));
        fs::create_dir(&folder).map_err(|error| NoCgroup::file("make", &folder, &error))?;
        let limited = limits(build, tasks, self.cpu).into_iter().try_for_each(|limit| {
            match set(&folder, limit.file, &limit.value) {
                Err(error) if limit.is_needed => Err(error),
                _ => Ok(()),
            }
        });
        let path = folder.join("cgroup.procs");
        let opened = limited.and_then(|()| {
            let opened = OpenOptions::new().write(true).open(&path);
            opened.map_err(|error| NoCgroup::file("open", &path, &error))
        });
        match opened {
            Ok(door) => Ok(Cgroup { folder, door, cpu: self.cpu }),
            Err(error) => {
                let _ = fs::remove_dir(&folder);
                Err(error)
            }
        }
    }
}

/// The cgroup of one build. Dropped, it is gone, with all that runs in it.
#[derive(Debug)]
pub struct Cgroup {
    folder: PathBuf,
    /// Opened by this process: who may join is decided by who opened it.
    door: File,
    cpu: bool,
}

impl Cgroup {
    /// A process that writes a zero here joins.
    pub fn door(&self) -> RawFd {
        self.door.as_raw_fd()
    }

    /// Whether a process is in it, also one that has ended and was not waited for.
    pub fn holds(&self, process: u32) -> bool {
        let text = fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap_or_default();
        let name = self.folder.file_name().and_then(|name| name.to_str());
        own_path(&text).and_then(|path| path.rsplit('/').next()) == name
    }

    /// Whether the kernel bounds its processors.
    pub fn bounds_processors(&self) -> bool {
        self.cpu
    }

    /// What has happened in it so far.
    pub fn events(&self) -> Events {
        let read = |file: &str| fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        Events::from(&read("memory.events"), &read("pids.events"))
    }

    /// Ends all that runs in it, without waiting.
    pub fn kill(&self) {
        // A kernel before 5.14 has no such file; the sandbox ends with its process group there.
        let _ = set(&self.folder, "cgroup.kill", "1");
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // What is left is empty or about to be, and is removed before the next build.
        let _ = end(&self.folder);
    }
}

/// What the kernel kept a build from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Events {
    /// It was ended for it.
    pub out_of_memory: bool,
    /// It asked for one process or thread too many, and was refused.
    pub out_of_tasks: bool,
}

impl Events {
    fn from(memory: &str, pids: &str) -> Self {
        Self { out_of_memory: count(memory, "oom_kill") > 0, out_of_tasks: count(pids, "max") > 0 }
    }
}

/// The number of a line `NAME NUMBER`.
fn count(text: &str, name: &str) -> u64 {
    let number = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
    text.lines().find_map(number).unwrap_or(0)
}

#[derive(Debug, PartialEq, Eq)]
struct Limit {
    file: &'static str,
    value: String,
    /// Whether it is no cgroup for a build without.
    is_needed: bool,
}

fn limits(build: &Build, tasks: usize, cpu: bool) -> Vec<Limit> {
    let needed = |file, value: String| Limit { file, value, is_needed: true };
    let wished = |file, value: String| Limit { file, value, is_needed: false };
    let mut limits = vec![
        needed("memory.max", build.memory.to_string()),
        needed("pids.max", tasks.to_string()),
        // A kernel without swap has no such file.
        wished("memory.swap.max", "0".to_owned()),
        // Half a build is of no use, and nobody would be told that a part of it is missing.
        wished("memory.oom.group", "1".to_owned()),
    ];
    if cpu {
        limits.push(wished("cpu.weight", WEIGHT.to_string()));
        if let Some(share) = build.cpu {
            limits.push(needed("cpu.max", format!("{} {PERIOD}", u64::from(share.0) * PERIOD / 100)));
        }
    }
    limits
}

/// The path of a process in cgroup v2's tree, by its `/proc/PID/cgroup`.
fn own_path(cgroup: &str) -> Option<&str> {
    cgroup.lines().find_map(|line| line.strip_prefix("0::"))
}

/// Where that path is on the disk, by `/proc/self/mountinfo`.
fn own_folder(cgroup: &str, mountinfo: &str) -> Option<PathBuf> {
    let path = own_path(cgroup)?;
    mountinfo.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        // A name with a space is written with a backslash; nobody mounts it there, and nothing is guessed.
        if !after.starts_with("cgroup2 ") || point.contains('\\') {
            return None;
        }
        let below = Path::new(path).strip_prefix(root).ok()?;
        Some(Path::new(point).join(below))
    })
}

/// Which folder may be divided: a process's own, or the one above, where systemd (`DelegateSubgroup=`) or this process
/// itself has put the process into a part of it. No other: a user's service manager has all of the user's services in its own.
fn delegated(own: &Path, is_delegated: impl Fn(&Path) -> bool) -> Result<&Path, NoCgroup> {
    let above = own.parent().filter(|_| own.ends_with(CONTROLLER));
    let found = [Some(own), above].into_iter().flatten().find(|folder| is_delegated(folder));
    found.ok_or_else(|| NoCgroup::NotDelegated(own.to_owned()))
}

/// As systemd says it. Who may write to a folder says nothing: root may everywhere.
fn is_delegated(folder: &Path) -> bool {
    ["user.delegate", "trusted.delegate"].into_iter().any(|name| {
        let mut value = [0; 8];
        matches!(rustix::fs::getxattr(folder, name, &mut value), Ok(1) if value[0] == b'1')
    })
}

fn builds_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| is_named(path, BUILD)).collect()
}

fn is_named(path: &Path, begin: &str) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(begin))
}

/// Ends what runs in a cgroup, and removes it.
fn end(folder: &Path) -> io::Result<()> {
    let began = Instant::now();
    loop {
        // Nobody is in it: then there is nothing to end, and it goes at once.
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && began.elapsed() < GONE => {}
            removed => return removed,
        }
        let _ = set(folder, "cgroup.kill", "1");
        thread::sleep(LOOK);
    }
}

fn set(folder: &Path, file: &str, value: &str) -> Result<(), NoCgroup> {
    let path = folder.join(file);
    // In one call: the kernel takes each write for a whole.
    let written = OpenOptions::new().write(true).open(&path).and_then(|mut file| {
        use io::Write as _;
        file.write_all(value.as_bytes())
    });
    written.map_err(|error| NoCgroup::file("write", &path, &error))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use super::*;
    use crate::model::quantity::{CpuShare, Span};

    const MOUNTED: &str = "\
        24 1 253:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n\
        26 24 0:23 / /sys/fs/cgroup rw,nosuid,nodev,noexec shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    fn build() -> Build {
        Build {
            run: "make".to_owned(),
            output: "out".to_owned(),
            env: BTreeMap::new(),
            network: false,
            timeout: Span(Duration::from_secs(60)),
            memory: 64 << 20,
            cpu: None,
        }
    }

    #[test]
    fn a_process_finds_its_own_cgroup() {
        let unit = Path::new("/sys/fs/cgroup/system.slice/evenkeel.service");
        assert_eq!(own_folder("0::/system.slice/evenkeel.service\n", MOUNTED).as_deref(), Some(unit));
        // With version 1 beside it.
        let both = "5:pids:/x\n1:name=systemd:/y\n0::/\n";
        assert_eq!(own_folder(both, MOUNTED).as_deref(), Some(Path::new("/sys/fs/cgroup/")));
        assert_eq!(own_folder("5:pids:/x\n", MOUNTED), None, "version 1 alone");
        let first = "30 24 0:27 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";
        assert_eq!(own_folder("0::/x\n", first), None, "version 2 is not mounted");
        // A part of the tree alone is mounted, and the process may be outside of it.
        let part = MOUNTED.replace("0:23 / ", "0:23 /machine ");
        assert_eq!(own_folder("0::/machine/a\n", &part).as_deref(), Some(Path::new("/sys/fs/cgroup/a")));
        assert_eq!(own_folder("0::/system.slice\n", &part), None);
        for text in ["", "0", "0::", "\n\n - cgroup2 ", "0::/\u{0}"] {
            own_folder(text, MOUNTED);
            own_folder("0::/x\n", text);
        }
    }

    #[test]
    fn only_what_is_delegated_is_divided() {
        let unit = Path::new("/sys/fs/cgroup/system.slice/evenkeel.service");
        assert_eq!(delegated(unit, |folder| folder == unit), Ok(unit));
        let part = unit.join("controller");
        assert_eq!(delegated(&part, |folder| folder == unit), Ok(unit), "it has moved there already");
        assert_eq!(delegated(unit, |_| false), Err(NoCgroup::NotDelegated(unit.to_owned())));
        // Whatever else lies below a user's service manager, that manager divides.
        let manager = Path::new("/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service");
        let scope = manager.join("shell.scope");
        assert!(delegated(&scope, |folder| folder == manager).is_err());
        let folder = tempfile::tempdir().expect("a folder");
        assert!(!is_delegated(folder.path()) && !is_delegated(Path::new("/nonexistent")));
        // A file system without such attributes has nothing to show.
        let flags = rustix::fs::XattrFlags::empty();
        if rustix::fs::setxattr(folder.path(), "user.delegate", b"1", flags).is_ok() {
            assert!(is_delegated(folder.path()));
        }
    }

    #[test]
    fn limits_of_a_cgroup_are_those_of_the_build() {
        let told = |build: &Build, cpu| {
            let limits = limits(build, 500, cpu).into_iter();
            limits.map(|limit| format!("{}={}", limit.file, limit.value)).collect::<Vec<_>>()
        };
        let bounded = ["memory.max=67108864", "pids.max=500", "memory.swap.max=0", "memory.oom.group=1"];
        assert_eq!(told(&build(), false), bounded);
        assert_eq!(told(&build(), true), [&bounded[..], &["cpu.weight=20"]].concat());
        let some = Build { cpu: Some(CpuShare(150)), ..build() };
        assert_eq!(told(&some, true).last().map(String::as_str), Some("cpu.max=150000 100000"));
        assert_eq!(told(&some, false), bounded);
        let most = Build { cpu: Some(CpuShare(u32::MAX)), ..build() };
        assert_eq!(told(&most, true).last().map(String::as_str), Some("cpu.max=4294967295000 100000"));
    }

    #[test]
    fn what_the_kernel_counted_says_what_a_build_was_kept_from() {
        let memory = "low 0\nhigh 0\nmax 31\noom 1\noom_kill 1\noom_group_kill 1\n";
        let none = Events::default();
        assert_eq!(Events::from(memory, "max 0\n"), Events { out_of_memory: true, ..none });
        assert_eq!(Events::from(&memory.replace("kill 1", "kill 0"), "max 7\n"), Events { out_of_tasks: true, ..none });
        // Reclaimed, but nothing was ended.
        assert_eq!(Events::from("max 31\noom 0\noom_kill 0\n", ""), none);
        assert_eq!(Events::from("oom_kill\noom_kill x\noom_killer 3\n", "maximum 3\n"), none);
    }

    #[test]
    fn what_cannot_be_divided_says_why() {
        let folder = tempfile::tempdir().expect("a folder");
        let (folder, at) = (folder.path(), folder.path().to_owned());
        let divided = || Cgroups::divide(folder.to_owned());
        assert!(matches!(divided(), Err(NoCgroup::File { doing: "read", .. })));
        fs::write(folder.join("cgroup.controllers"), "cpu pids\n").expect("written");
        assert_eq!(divided(), Err(NoCgroup::Lacking { folder: at.clone(), lacking: "memory" }));
        fs::write(folder.join("cgroup.controllers"), "cpuset cpu memory pids\n").expect("written");
        assert!(matches!(divided(), Err(NoCgroup::File { doing: "write", .. })), "it is no cgroup");
        let path = at.join("cgroup.subtree_control");
        let told = |errno: rustix::io::Errno| NoCgroup::file("write", &path, &errno.into());
        assert_eq!(told(rustix::io::Errno::BUSY), NoCgroup::Shared(at.clone()));
        assert_eq!(told(rustix::io::Errno::ROFS), NoCgroup::ReadOnly(at.clone()));
    }

    #[test]
    fn what_a_killed_controller_left_is_removed_before_the_next_build() {
        let folder = tempfile::tempdir().expect("a folder");
        let left = folder.path().join("build-1-0123456789abcdef");
        for path in [&left, &folder.path().join(CONTROLLER)] {
            fs::create_dir(path).expect("made");
        }
        let cgroups = Cgroups { folder: folder.path().to_owned(), cpu: true };
        // No kernel makes files in it, so there are no limits; and then no build runs in it.
        assert!(matches!(cgroups.make(&build(), 500), Err(NoCgroup::File { doing: "write", .. })));
        assert!(builds_in(folder.path()).is_empty() && folder.path().join(CONTROLLER).exists());
    }
}
