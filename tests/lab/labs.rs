//! The lab itself, and the demo in one of its own: what is up is told, and what is interrupted leaves nothing.

use std::{
    fs::{self, File},
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use evenkeel::lab::Lab;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::{
    support::waiting::wait_for_or,
    world::{EVENKEEL, World, assert_is, wait_for},
};

/// A lab beside the one of all statements, and the program that boots it.
struct Beside {
    lab: Lab,
    program: Child,
    /// What the program says.
    log: PathBuf,
}

impl Beside {
    /// Starts a command in a process group of its own, as a shell does.
    fn start(name: &str, folder: &Path, arguments: &[&str]) -> Self {
        let lab = Lab::open(name).expect("it is a lab's name");
        let log = folder.join("log");
        let file = File::create(&log).expect("the log can be made");
        let mut command = Command::new(EVENKEEL);
        command.args(arguments).current_dir(folder).env("NO_COLOR", "1").process_group(0);
        command.stdin(Stdio::null()).stdout(file.try_clone().expect("it is open")).stderr(file);
        Self { lab, program: command.spawn().expect("evenkeel runs"), log }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).expect("the log can be read")
    }

    #[track_caller]
    fn says(&self, text: &str) {
        wait_for_or(text, || self.said().contains(text).then_some(()), || self.said());
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.program)
    }

    #[track_caller]
    fn ends(&mut self) -> ExitStatus {
        wait_for("the program's end", || self.program.try_wait().expect("it is ours"))
    }

    /// In which everything of the lab lies.
    fn folder(&self) -> PathBuf {
        self.lab.key_file().with_file_name("")
    }

    fn namespace(&self) -> PathBuf {
        Path::new("/run/netns").join(format!("ek-{}", self.lab.name()))
    }

    fn mounts(&self) -> Vec<String> {
        let (mounts, folder) = (read("/proc/self/mountinfo"), self.folder());
        let below = |line: &&str| line.split(' ').nth(4).is_some_and(|at| Path::new(at).starts_with(&folder));
        mounts.lines().filter(below).map(str::to_owned).collect()
    }

    /// Those that are named after it or see its disks, as everything on a host does.
    fn processes(&self) -> Vec<String> {
        let folder = self.folder().display().to_string();
        let entries = fs::read_dir("/proc").expect("/proc can be read");
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let of_it = |pid: &u32| {
            let line = read(&format!("/proc/{pid}/cmdline")).replace('\0', " ");
            let root = read(&format!("/proc/{pid}/mountinfo"));
            let root = root.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap_or_default();
            line.contains(&folder) || root.contains(&folder)
        };
        pids.filter(of_it).map(|pid| format!("{pid} {}", read(&format!("/proc/{pid}/cmdline")))).collect()
    }

    /// Whether a thread of the program that boots it is in another network than this one. Those that dial are for a moment.
    fn is_elsewhere(&self) -> bool {
        let network = |path: PathBuf| fs::metadata(path).map(|network| network.ino()).ok();
        let here = network("/proc/self/ns/net".into());
        let threads = fs::read_dir(format!("/proc/{}/task", self.program.id())).expect("the program runs");
        threads.flatten().filter_map(|thread| network(thread.path().join("ns/net"))).any(|there| Some(there) != here)
    }

    /// Everything of it that there is on this machine.
    fn traces(&self) -> Vec<String> {
        let name = self.lab.name();
        let found =
            Command::new("find").args(["/sys/fs/cgroup", "-type", "d", "-name", &format!("ek-{name}")]).output();
        let groups = String::from_utf8_lossy(&found.expect("find runs").stdout).into_owned();
        let paths = [self.folder(), self.namespace()].into_iter().filter(|path| path.symlink_metadata().is_ok());
        let paths = paths.map(|path| path.display().to_string());
        paths.chain(groups.lines().map(str::to_owned)).chain(self.mounts()).chain(self.processes()).collect()
    }
}

impl Drop for Beside {
    /// Also when the statement fails.
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.said());
        }
        if let Err(error) = self.lab.down(&|_: &str| ()) {
            eprintln!("the lab {} is still there: {error}", self.lab.name());
        }
    }
}

type HasCome = fn(&Beside) -> bool;

/// Nothing, where the process has ended.
fn read(path: &str) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

pub fn a_lab_that_is_up_is_listed_and_entered(world: &World) {
    let lab = |arguments: &[&str]| {
        let output = Command::new(EVENKEEL).args(["lab", "--name", world.lab.name()]).args(arguments).output();
        let output = output.expect("evenkeel runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let listed = || {
        let (code, said) = lab(&["status"]);
        assert_is("its exit code", code, Some(0));
        said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    let with = |off: &str| {
        let line = |host: &crate::world::Host| {
            let state = if host.name == off { "off" } else { "up" };
            format!("{0} {0} {1} {state}", host.name, host.address)
        };
        world.hosts.iter().map(line).collect::<Vec<_>>()
    };
    assert_is("the list", listed(), with("no host"));
    let off = world.off("h5");
    assert_is("the list", listed(), with("h5"));
    drop(off);

    let h2 = world.host("h2");
    let key = world.lab.key_file();
    let known = format!("UserKnownHostsFile={}", key.with_file_name("h2/known_hosts").display());
    let login = format!("ubuntu@{}", h2.address);
    let ssh = ["exec", "--", "ssh", "-i", key.to_str().expect("it is UTF-8"), "-o", &known, &login, "hostname; exit 7"];
    assert_is("what a host says inside", lab(&ssh), (Some(7), "h2\n".to_owned()));
    // Outside there is no way there.
    let here = fs::metadata("/proc/self/ns/net").expect("it is there").ino();
    let (code, inside) = lab(&["exec", "stat", "-L", "-c", "%i", "/proc/self/ns/net"]);
    assert_is("its exit code", code, Some(0));
    assert!(inside.trim() != here.to_string(), "the command runs in this network");
}

pub fn a_lab_whose_boot_was_killed_is_taken_down_whole(_: &World) {
    let moments: [(&str, HasCome); 3] = [
        ("its first mount", |lab| !lab.mounts().is_empty()),
        ("its network", |lab| lab.namespace().exists()),
        ("a host of it", |lab| !lab.processes().is_empty()),
    ];
    for (moment, has_come) in moments {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut beside = Beside::start("itkilled", folder.path(), &["lab", "--name", "itkilled", "up", "--hosts", "2"]);
        wait_for_or(moment, || has_come(&beside).then_some(()), || beside.said());
        kill_process_group(beside.pid(), Signal::KILL).expect("it runs");
        assert!(!beside.ends().success(), "it was up before it was killed");
        assert!(!beside.traces().is_empty(), "{moment}: nothing is left to take down");
        let down = Command::new(EVENKEEL).args(["lab", "--name", "itkilled", "down"]).output().expect("evenkeel runs");
        assert!(down.status.success(), "{moment}: {}", String::from_utf8_lossy(&down.stderr));
        assert_is(&format!("what is left of one killed at {moment}"), beside.traces(), Vec::<String>::new());
    }
}

pub fn a_demo_that_is_interrupted_takes_its_lab_down(_: &World) {
    let cases = [
        (Signal::TERM, "booting 1 host", &[][..], 1),
        (Signal::HUP, "The first deployment", &[], 1),
        (Signal::INT, "A commit:", &["--once"], 1),
        (Signal::INT, "Ctrl-C ends the demo", &[], 0),
    ];
    for (signal, moment, more, code) in cases {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let made = Command::new(EVENKEEL).args(["init", "--name", "web"]).current_dir(folder.path()).output();
        assert!(made.expect("evenkeel runs").status.success());
        let arguments = [&["demo", "--yes", "--name", "itdemo"], more].concat();
        let mut demo = Beside::start("itdemo", folder.path(), &arguments);
        demo.says(moment);
        if code == 0 {
            wait_for("the demo to be in this network alone", || (!demo.is_elsewhere()).then_some(()));
        }
        kill_process(demo.pid(), signal).expect("it runs");
        demo.says("Interrupted: tearing the lab down");
        assert_is(&format!("the exit code at `{moment}`"), demo.ends().code(), Some(code));
        assert_is(&format!("what is left at `{moment}`"), demo.traces(), Vec::<String>::new());
        let said = demo.said();
        assert!(!said.contains("panicked"), "{said}");
        if code == 0 {
            let real = |path: &Path| path.canonicalize().expect("it is there").display().to_string();
            let (program, fleet) = (real(Path::new(EVENKEEL)), real(&folder.path().join("fleet")));
            assert!(said.contains(&format!("{program} plan --fleet {fleet} --override /")), "{said}");
        }
    }
}
