//! The sandbox: one command inside bubblewrap, watched until all of it has ended.
//!
//! Keeps true: the command sees the system's programs, to read; its source, a home and a place for temporary
//! files, to write; and nothing else: no other file, no variable, no process of this machine. It ends within its time,
//! its memory is bounded, and what it says is read to the end.
//! Source: bwrap(1), namespaces(7), user_namespaces(7).

use std::{
    ffi::OsString,
    fs,
    io::{self, Read as _},
    os::{
        fd::{AsRawFd as _, BorrowedFd, RawFd},
        unix::process::CommandExt as _,
    },
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::{
    BuildError, Fault,
    cgroup::{Cgroup, Events, NoCgroup},
    log::Log,
    network::{self, Network},
    seccomp,
    usage::{self, Usage},
    work::Work,
};
use crate::model::build::Build;

/// Where programs are looked for.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// The system, each as it is here: a folder, or a link into /usr.
const SYSTEM: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// What programs need of /etc: no file in there lets anybody in anywhere.
const CONFIGURATION: [&str; 18] = [
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/debian_version",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/pki/ca-trust/extracted",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/certs",
];

/// Folders below /usr that hold this machine's settings, npm's among them, which may let somebody in.
const SETTINGS: [&str; 2] = ["/usr/etc", "/usr/local/etc"];

/// Whom this machine trusts. Node has a list of its own, and does not know who looks into the traffic here.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// That it began, then the command with its limits: bytes, bytes, processes. The last counts all of the user's.
const START: &str =
    r#": >"$HOME/.started" && exec prlimit --core=0 --data="$1" --fsize="$2" --nproc="$3" /bin/sh -c "$4""#;

/// The largest file that it may write.
const LARGEST_FILE: u64 = 4 << 30;
/// Memory that is a file, and no process's own.
const SHARED_MEMORY: &str = "67108864";
/// In a cgroup threads count, too.
pub const MOST_PROCESSES: usize = 500;
/// Of all that a user runs, where a cgroup bounds the build: more, for there the controller's own threads may count.
const MOST_OF_USER: usize = 2 * MOST_PROCESSES;

/// Between two looks whether it has ended, and between two at what it takes.
const LOOK: Duration = Duration::from_millis(20);
const COUNT: Duration = Duration::from_millis(200);
/// Between two measurements of what lies in its folders.
const MEASURE: Duration = Duration::from_secs(1);
/// How long its processes may take to be gone once they are killed.
const GONE: Duration = Duration::from_secs(10);

/// How it ended, and what it said.
pub struct Ended {
    pub ending: Ending,
    pub log: Log,
    /// Whether it was refused one process or thread too many, as far as the kernel counts them for us.
    pub out_of_tasks: bool,
    /// Which limits were not kept as they are declared, as lines of the log.
    pub unkept: String,
}

pub enum Ending {
    Done,
    Fault(Fault),
    /// The command never began.
    NotStarted,
    /// So many bytes are left on the disk, and it was stopped.
    NoRoom(u64),
}

/// In the cgroup, where there is one.
pub fn run(
    bubblewrap: &Path,
    program: &Path,
    work: &Work,
    build: &Build,
    mut cgroup: Result<Cgroup, NoCgroup>,
) -> Result<Ended, BuildError> {
    let started = work.home().join(".started");
    let failed = |source| BuildError::File { doing: "run", path: bubblewrap.to_owned(), source };
    let no_more_namespaces = can_forbid_namespaces(bubblewrap)?;
    let filter = seccomp::filter().map_err(failed)?;
    let network = build.network.then(|| Network::open(program, work.folder()));
    let mut network = network.transpose().map_err(failed)?;
    let (mut reader, writer) = io::pipe().map_err(failed)?;
    let processes = if cgroup.is_ok() { MOST_OF_USER } else { MOST_PROCESSES };
    let mut command = Command::new(bubblewrap);
    if let Some(user) = work.user() {
        command.uid(user).gid(user);
    }
    // Cleared out here too: the sandbox's first process is bwrap itself, and may be looked at from inside.
    command
        .env_clear()
        .env("PATH", PATH)
        .args(filter.iter().flat_map(|filter| ["--seccomp".to_owned(), filter.as_raw_fd().to_string()]))
        .args(arguments(work, build, no_more_namespaces, network.as_ref(), processes))
        .current_dir("/")
        .process_group(0);
    command.stdin(Stdio::null()).stdout(writer.try_clone().map_err(failed)?).stderr(writer);
    if let Some(filter) = &filter {
        leave_open(&mut command, filter.as_raw_fd());
    }
    if let Some(socket) = network.as_ref().and_then(Network::socket) {
        leave_open(&mut command, socket);
    }
    if let Ok(cgroup) = &cgroup {
        join(&mut command, cgroup.door());
    }
    close_what_was_left_open();
    let mut child = command.spawn().map_err(failed)?;
    // It holds the pipe's other end, which would never be the last.
    drop(command);
    network.iter_mut().for_each(Network::handed_over);
    if cgroup.as_ref().is_ok_and(|cgroup| !cgroup.holds(child.id())) {
        cgroup = Err(NoCgroup::NotJoined);
    }
    let (sender, said) = mpsc::channel();
    thread::spawn(move || {
        let mut log = Log::default();
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = reader.read(&mut buffer) {
            log.take(&buffer[..read]);
        }
        // Nobody waits any more: then nobody wants it.
        let _ = sender.send(log);
    });
    let ended = watch(&child, work, build, cgroup.is_ok());
    // bwrap's first process in the sandbox ends with the one out here, and with it all that run there; but it would wait
    // for ever for one that failed while it made the sandbox.
    let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
    let waited = child.wait();
    let events = cgroup.as_ref().map_or(Events::default(), |cgroup| {
        cgroup.kill();
        cgroup.events()
    });
    let ending = match ended.and_then(|watched| waited.map(|status| (watched, status))).map_err(failed)? {
        // All of it was ended with the first that was one too many, so how it ended says nothing.
        _ if events.out_of_memory => Ending::Fault(Fault::Memory(build.memory)),
        _ if !started.exists() => Ending::NotStarted,
        (Watched::Fault(fault), _) => Ending::Fault(fault),
        (Watched::NoRoom(free), _) => Ending::NoRoom(free),
        (Watched::Ended, status) => by_status(status),
    };
    // The pipe ends when the last process has gone that could write to it.
    let mut log = said.recv_timeout(GONE).map_err(|_| failed(io::Error::other("its processes do not end")))?;
    for line in network.iter().flat_map(|network| network.unreached().lines()) {
        log.take(format!("{line}\n").as_bytes());
    }
    let unanswered = network.as_ref().is_some_and(|network| network.unreached().unanswered());
    let ending = match ending {
        Ending::Fault(Fault::Exit(status)) if unanswered => Ending::Fault(Fault::Unanswered(status)),
        ending => ending,
    };
    Ok(Ended { ending, log, out_of_tasks: events.out_of_tasks, unkept: unkept(build, &cgroup) })
}

fn unkept(build: &Build, cgroup: &Result<Cgroup, NoCgroup>) -> String {
    let mut lines = String::new();
    if let Err(why) = cgroup {
        lines +=
            &format!("it had no cgroup of its own, so its memory and processes were looked at now and then: {why}\n");
    }
    if build.cpu.is_some() && !cgroup.as_ref().is_ok_and(Cgroup::bounds_processors) {
        lines += "build.cpu was not kept: that takes a cgroup with the cpu controller\n";
    }
    lines
}

/// Whether this bubblewrap can keep a build from making namespaces of its own, in which it would be root again.
/// Those before 0.8 cannot; nothing that we know of is lost there, it is one wall less.
fn can_forbid_namespaces(bubblewrap: &Path) -> Result<bool, BuildError> {
    let help = Command::new(bubblewrap).arg("--help").env_clear().env("PATH", PATH).output();
    let help = help.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => BuildError::NoSandbox,
        _ => BuildError::File { doing: "run", path: bubblewrap.to_owned(), source },
    })?;
    let text = [help.stdout, help.stderr].concat();
    Ok(String::from_utf8_lossy(&text).contains("--disable-userns"))
}

/// What whoever started us left open would be open in the sandbox too. What we open ourselves never is.
fn close_what_was_left_open() {
    // SAFETY: it only marks descriptors to be closed when another program is run; none becomes invalid here. On a
    // kernel before 5.11 it does nothing.
    unsafe { libc::close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int) };
}

/// Leaves one descriptor open for the command, and for no other that is started meanwhile.
fn leave_open(command: &mut Command, descriptor: RawFd) {
    let open = move || {
        // SAFETY: it is borrowed for one call, and whoever calls this keeps it open until the command has started.
        let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
        Ok(rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::empty())?)
    };
    // SAFETY: between fork and exec it makes one system call, and allocates nothing.
    unsafe { command.pre_exec(open) };
}

/// Has the command begin in a cgroup, by a descriptor of its `cgroup.procs`. Where the kernel refuses, it begins outside.
fn join(command: &mut Command, door: RawFd) {
    let join = move || {
        // SAFETY: it is borrowed for one call, and whoever calls this keeps it open until the command has started.
        let door = unsafe { BorrowedFd::borrow_raw(door) };
        let _ = rustix::io::write(door, b"0");
        Ok(())
    };
    // SAFETY: between fork and exec it makes one system call, and allocates nothing.
    unsafe { command.pre_exec(join) };
}

fn by_status(status: ExitStatus) -> Ending {
    if status.success() { Ending::Done } else { Ending::Fault(Fault::Exit(status)) }
}

/// Why it is watched no more.
enum Watched {
    /// It ended by itself.
    Ended,
    Fault(Fault),
    NoRoom(u64),
}

/// Until it has ended, or has to. What a cgroup bounds is not looked at.
fn watch(child: &Child, work: &Work, build: &Build, in_cgroup: bool) -> io::Result<Watched> {
    let began = Instant::now();
    let (mut counted, mut measured) = (began, began);
    let mut measure_every = MEASURE;
    loop {
        if has_ended(child)? {
            return Ok(Watched::Ended);
        }
        if began.elapsed() >= build.timeout.0 {
            return Ok(Watched::Fault(Fault::Timeout(build.timeout)));
        }
        if counted.elapsed() >= COUNT {
            let usage = if in_cgroup { Usage::default() } else { usage::of(child.id()) };
            if usage.memory > build.memory {
                return Ok(Watched::Fault(Fault::Memory(build.memory)));
            }
            if usage.processes > MOST_PROCESSES {
                return Ok(Watched::Fault(Fault::Processes(MOST_PROCESSES)));
            }
            let free = usage::free(&work.source())?;
            if free < work.budget().disk_reserve {
                return Ok(Watched::NoRoom(free));
            }
            counted = Instant::now();
        }
        if measured.elapsed() >= measure_every {
            let begun = Instant::now();
            let (stored, budget) = (usage::stored(work.folder()), work.budget());
            if stored.bytes > budget.build_bytes || stored.entries > budget.build_entries {
                return Ok(Watched::Fault(Fault::Disk { bytes: budget.build_bytes, entries: budget.build_entries }));
            }
            measured = Instant::now();
            // Of many files the measuring is not to take more than a tenth of the time.
            measure_every = MEASURE.max(begun.elapsed() * 10);
        }
        thread::sleep(LOOK);
    }
}

/// Without waiting for it: so long its number, and that of its process group, is nobody else's.
fn has_ended(child: &Child) -> io::Result<bool> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Ok(waitid(WaitId::Pid(Pid::from_child(child)), options)?.is_some())
}

fn arguments(
    work: &Work,
    build: &Build,
    no_more_namespaces: bool,
    network: Option<&Network>,
    processes: usize,
) -> Vec<OsString> {
    let mut words = Words::default();
    if no_more_namespaces {
        words.add(&["--disable-userns"]);
    }
    words.add(&["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]);
    // Also with a network: what leads out is a proxy.
    words.add(&["--unshare-net"]);
    words.add(&["--uid", "1000", "--gid", "1000", "--hostname", "build"]);
    words.add(&["--die-with-parent", "--new-session", "--clearenv"]);
    for folder in SYSTEM {
        match (fs::read_link(folder), Path::new(folder).is_dir()) {
            (Ok(target), _) => words.add(&["--symlink", &target.display().to_string(), folder]),
            (Err(_), true) => words.add(&["--ro-bind", folder, folder]),
            (Err(_), false) => {}
        }
    }
    for folder in SETTINGS.into_iter().filter(|folder| Path::new(folder).is_dir()) {
        words.add(&["--tmpfs", folder, "--remount-ro", folder]);
    }
    CONFIGURATION.iter().for_each(|path| words.add(&["--ro-bind-try", path, path]));
    words.bind("--ro-bind", &work.users(), "/etc/passwd");
    words.bind("--ro-bind", &work.groups(), "/etc/group");
    words.add(&["--proc", "/proc", "--dev", "/dev", "--size", SHARED_MEMORY, "--tmpfs", "/dev/shm"]);
    words.bind("--bind", &work.temporary(), "/tmp");
    words.add(&["--dir", "/var", "--symlink", "../tmp", "/var/tmp", "--dir", "/run"]);
    words.bind("--bind", &work.home(), "/home/build");
    words.bind("--bind", &work.source(), "/build");
    if let Some(network) = network {
        words.bind("--ro-bind", network.program(), network::PROGRAM);
    }
    // What is mounted in them stays as it is. The first two are memory, and by /proc/sys whoever is root out here
    // sets what holds for the whole machine.
    words.add(&["--remount-ro", "/dev", "--remount-ro", "/", "--remount-ro", "/proc", "--chdir", "/build"]);
    for (name, value) in [("PATH", PATH), ("HOME", "/home/build"), ("USER", "build"), ("TMPDIR", "/tmp")] {
        words.add(&["--setenv", name, value]);
    }
    for (name, value) in [("LANG", "C.UTF-8"), ("CI", "true")] {
        words.add(&["--setenv", name, value]);
    }
    if Path::new(AUTHORITIES).is_file() {
        words.add(&["--setenv", "NODE_EXTRA_CA_CERTS", AUTHORITIES]);
    }
    build.env.iter().for_each(|(name, value)| words.add(&["--setenv", name, value]));
    // No other proxy is reached from in there.
    let variables = network.map(|_| network::variables()).unwrap_or_default();
    variables.iter().for_each(|(name, value)| words.add(&["--setenv", name, value]));
    words.add(&["--"]);
    if let Some(socket) = network.and_then(Network::socket) {
        words.add(&[network::PROGRAM, network::ENTER_BUILD, &socket.to_string(), "--"]);
    }
    let [data, largest, processes] = [build.memory, LARGEST_FILE, processes as u64].map(|limit| limit.to_string());
    words.add(&["/bin/sh", "-c", START, "build", &data, &largest, &processes, &build.run]);
    words.0
}

#[derive(Default)]
struct Words(Vec<OsString>);

impl Words {
    fn add(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(OsString::from));
    }

    fn bind(&mut self, how: &str, from: &Path, to: &str) {
        self.0.extend([how.into(), from.as_os_str().to_owned(), to.into()]);
    }
}
