//! The hosts, the controller that deploys to them, and OpenSSH beside it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use chrono::Utc;
use evenkeel::{
    declare::{self, Overrides},
    engine::prepare::{Prepared, prepare},
    git,
    lab::Lab,
    model::plan::Commits,
    release::Unfetched,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{
    BINARY, Result, fleets, read,
    support::github::{APP, GitHub},
};

const ENVIRONMENT: &str = "production";
const BRANCH: &str = "main";

/// Much more than a deployment takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// After an outcome the controller looks once more; what is measured next must not meet that.
const SETTLING: Duration = Duration::from_millis(800);

fn say(message: &str) {
    eprintln!("{message}");
}

/// A lab with a host for each instance of the example fleet. It goes down when this is dropped.
pub struct Scene {
    lab: Lab,
    overrides: Overrides,
    folder: TempDir,
}

impl Scene {
    pub fn boot() -> Result<Self> {
        let lab = Lab::open("bench")?;
        if let Some(missing) = lab.missing().first() {
            return Err(format!("{} is missing; install it with `{}`", missing.what, missing.install).into());
        }
        let tree = git::work_tree(&fleets::example())?;
        let (declaration, findings) = declare::read(&tree.tree, &tree.fleet);
        let declaration = declaration.ok_or_else(|| format!("{findings:?}"))?;
        let instances: Vec<String> = declaration.instances().into_iter().map(ToString::to_string).collect();
        // What a run that was killed has left.
        lab.down(&say)?;
        // From here on dropping takes it down, also half-booted.
        let mut scene = Self { lab, overrides: Overrides::default(), folder: tempfile::tempdir()? };
        scene.lab.up(&instances, &say)?;
        let file = scene.lab.override_file();
        scene.overrides = declare::read_overrides(&read(&file)?, &file.display().to_string())
            .map_err(|findings| format!("{findings:?}"))?;
        Ok(scene)
    }

    /// Does something inside the lab's network, on a thread of its own.
    pub fn inside(&self, work: impl FnOnce() -> Result + Send) -> Result {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.lab.enter()?;
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    pub fn override_file(&self) -> PathBuf {
        self.lab.override_file()
    }

    pub fn instances(&self) -> usize {
        self.overrides.instances.len()
    }

    /// Bytes that went to an instance's network so far, with all that packets take.
    pub fn sent_to(&self, instance: &str) -> Result<u64> {
        let to = self.overrides.instances.iter().find(|(name, _)| name.as_str() == instance);
        let address = to.and_then(|(_, to)| to.address).ok_or("an override without an address")?;
        let route = Command::new("ip").args(["-o", "route", "get", &address.to_string()]).output()?;
        let route = String::from_utf8_lossy(&route.stdout).into_owned();
        let device = route.split_whitespace().skip_while(|word| *word != "dev").nth(1).ok_or("no way there")?;
        // As this thread's network namespace has it: interface, eight columns received, eight sent.
        let counted = read(Path::new("/proc/thread-self/net/dev"))?;
        let line = counted.lines().find_map(|line| line.trim().strip_prefix(&format!("{device}:")));
        let sent = line.and_then(|line| line.split_whitespace().nth(8)).ok_or("the interface is not counted")?;
        Ok(sent.parse()?)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The example fleet as declared, with the lab's addresses.
    pub fn prepared(&self) -> Result<Prepared> {
        let tree = git::work_tree(&fleets::example())?;
        let environment = ENVIRONMENT.parse()?;
        Ok(prepare(&tree.tree, &tree.fleet, &environment, &self.overrides, Commits::default(), &Unfetched)?)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Err(error) = self.lab.down(&say) {
            eprintln!("the lab is not down: {error}; use `evenkeel lab --name bench down`");
        }
    }
}

/// `evenkeel run` on a repository made of the example fleet. It ends when this is dropped.
pub struct Daemon<'a> {
    scene: &'a Scene,
    child: Child,
    commit: String,
}

impl<'a> Daemon<'a> {
    pub fn start(scene: &'a Scene) -> Result<Self> {
        let bare = scene.path("config.git");
        let folders = [(&*fleets::example(), "fleet")];
        let commit = git::create_bare_from_folder(&bare, &folders, BRANCH, "The fleet", Utc::now())?;
        let child = Self::run(scene, &bare.to_string_lossy()).spawn()?;
        Ok(Self { scene, child, commit })
    }

    /// As [`Self::start`], of the same repository on a GitHub, whose webhook it takes.
    pub fn of_github(scene: &'a Scene, github: &GitHub) -> Result<Self> {
        let mut run = Self::run(scene, &github.repository());
        run.args(["--listen", "127.0.0.1:0", "--webhook-secret-file"]).arg(github.secret_file());
        run.args(["--github-app-id", &APP.to_string(), "--github-key-file"]).arg(github.key_file());
        run.arg("--ca-file").arg(github.authority());
        Ok(Self { scene, child: run.spawn()?, commit: String::new() })
    }

    fn run(scene: &Scene, repository: &str) -> Command {
        let mut run = Command::new(BINARY);
        run.args(["run", "--poll", "1h", "--repo", repository, "--state"]).arg(scene.path("state"));
        run.arg("--override").arg(scene.override_file());
        run.stdin(Stdio::null()).stdout(Stdio::null());
        if let Ok(log) = File::create(scene.path("log")) {
            run.stderr(log);
        }
        run
    }

    /// Waits until the log says this; answers the word that follows.
    pub fn says(&self, text: &str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let log = read(&self.scene.path("log"))?;
            if let Some((_, rest)) = log.split_once(text) {
                return Ok(rest.split_whitespace().next().unwrap_or_default().to_owned());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(format!("`{text}` is not in the log:\n{}", read(&self.scene.path("log"))?).into())
    }

    pub fn first_deployment(&mut self) -> Result {
        self.applied()?;
        thread::sleep(SETTLING);
        Ok(())
    }

    /// Commits another environment for a service, or its file as it was, and waits until that is live.
    /// Tells how long that took.
    pub fn change(&mut self, service: &str, number: Option<u32>) -> Result<Duration> {
        let path = format!("services/{service}.yaml");
        let original = read(&fleets::example().join(&path))?;
        let text = match number {
            Some(number) => original.replacen("env: {", &format!("env: {{BENCH: \"{number}\", "), 1),
            None => original,
        };
        let changes = BTreeMap::from([(format!("fleet/{path}"), Some(text.into_bytes()))]);
        let began = Instant::now();
        self.commit =
            git::commit_to_bare(&self.scene.path("config.git"), BRANCH, &changes, "Another environment", Utc::now())?;
        self.applied()?;
        let took = began.elapsed();
        thread::sleep(SETTLING);
        Ok(took)
    }

    /// Waits until the outcome of the newest commit is in the history.
    fn applied(&mut self) -> Result {
        let repository = git2::Repository::open_bare(self.scene.path("config.git"))?;
        let reference = format!("refs/heads/evenkeel/history/{ENVIRONMENT}");
        let deadline = Instant::now() + PATIENCE;
        let mut seen = None;
        while Instant::now() < deadline {
            let newest = repository.refname_to_id(&reference).ok();
            if newest != seen
                && let Some(id) = newest
            {
                seen = newest;
                let commit = repository.find_commit(id)?;
                let message = String::from_utf8_lossy(commit.message_bytes()).into_owned();
                if message.contains(&self.commit) && message.contains("Outcome: ") {
                    return if message.contains("Outcome: applied") { Ok(()) } else { Err(message.into()) };
                }
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("`evenkeel run` ended, {status}:\n{}", read(&self.scene.path("log"))?).into());
            }
            thread::sleep(Duration::from_millis(2));
        }
        Err(format!("not live after {} s:\n{}", PATIENCE.as_secs(), read(&self.scene.path("log"))?).into())
    }

    /// In MiB.
    pub fn resident(&self) -> Result<f64> {
        self.status("VmRSS:")
    }

    /// In MiB.
    pub fn peak(&self) -> Result<f64> {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> Result<f64> {
        let status = read(&Path::new("/proc").join(self.child.id().to_string()).join("status"))?;
        let kib = status.lines().find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB"));
        Ok(kib.ok_or("no memory in /proc")?.trim().parse::<f64>()? / 1024.0)
    }

    pub fn stop(mut self) -> Result {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM)?;
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("`evenkeel run` ended with {status} on SIGTERM").into()),
                None => thread::sleep(Duration::from_millis(10)),
            }
        }
        Err("`evenkeel run` does not end on SIGTERM".into())
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        // Both do nothing to one that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// OpenSSH with a master connection to each host: what anyone has without evenkeel.
pub struct Floor<'a> {
    scene: &'a Scene,
    masters: Vec<Child>,
}

impl<'a> Floor<'a> {
    pub fn open(scene: &'a Scene) -> Result<Self> {
        let lines = scene.lab.hosts()?.into_iter().map(|host| format!("{} {}\n", host.address, host.host_key));
        fs::write(scene.path("known_hosts"), lines.collect::<String>())?;
        let mut floor = Self { scene, masters: Vec::new() };
        for instance in floor.instances() {
            let mut command = floor.ssh(&instance, &floor.control(&instance))?;
            command.args(["-o", "ControlMaster=yes", "-N"]).stdin(Stdio::null()).stdout(Stdio::null());
            floor.masters.push(command.spawn()?);
        }
        for instance in floor.instances() {
            let deadline = Instant::now() + Duration::from_secs(20);
            while !floor.control(&instance).exists() {
                if Instant::now() > deadline {
                    return Err(format!("no master connection to {instance}").into());
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(floor)
    }

    pub fn instances(&self) -> Vec<String> {
        self.scene.overrides.instances.keys().map(ToString::to_string).collect()
    }

    pub fn control(&self, instance: &str) -> PathBuf {
        self.scene.path(instance)
    }

    /// `ssh` to an instance by the master connection at `control`. What it is to run is yet to come.
    pub fn ssh(&self, instance: &str, control: &Path) -> Result<Command> {
        let to = self.scene.overrides.instances.get(instance).ok_or("an instance without an override")?;
        let address = to.address.ok_or("an override without an address")?;
        let mut command = Command::new("ssh");
        command.args(["-F", "none", "-i"]).arg(self.scene.lab.key_file());
        for option in ["BatchMode=yes", "IdentitiesOnly=yes", "IdentityAgent=none", "StrictHostKeyChecking=yes"] {
            command.args(["-o", option]);
        }
        command.args(["-o", &format!("UserKnownHostsFile={}", self.scene.path("known_hosts").display())]);
        command.args(["-o", &format!("ControlPath={}", control.display())]);
        command.arg(format!("{}@{address}", to.ssh.user.as_deref().unwrap_or("root")));
        Ok(command)
    }

    /// Runs a script as root on each instance, all at the same time.
    pub fn run_all(&self, scripts: &[(&str, String)]) -> Result {
        let started = scripts.iter().map(|(instance, script)| self.start(instance, script));
        let started: Vec<Child> = started.collect::<Result<_>>()?;
        started.into_iter().try_for_each(|child| ended(child).map(drop))
    }

    pub fn run(&self, instance: &str, script: &str) -> Result<String> {
        ended(self.start(instance, script)?)
    }

    fn start(&self, instance: &str, script: &str) -> Result<Child> {
        let mut command = self.ssh(instance, &self.control(instance))?;
        command.arg("sudo -n sh").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        // A script fits into the pipe; dropping our end closes it.
        child.stdin.take().ok_or("no standard input")?.write_all(script.as_bytes())?;
        Ok(child)
    }

    /// A new connection to each instance, all at the same time.
    pub fn log_in_to_all(&self) -> Result {
        let start = |instance: String| -> Result<Child> {
            let mut command = self.ssh(&instance, Path::new("none"))?;
            command.arg("true").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            Ok(command.spawn()?)
        };
        let started: Vec<Child> = self.instances().into_iter().map(start).collect::<Result<_>>()?;
        started.into_iter().try_for_each(|child| ended(child).map(drop))
    }
}

impl Drop for Floor<'_> {
    fn drop(&mut self) {
        for master in &mut self.masters {
            // Both do nothing to one that has ended.
            let _ = master.kill();
            let _ = master.wait();
        }
    }
}

pub fn ended(child: Child) -> Result<String> {
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("ssh: {} {}", output.status, String::from_utf8_lossy(&output.stderr)).into())
}
