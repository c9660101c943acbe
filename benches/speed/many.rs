//! Many services at once: fifty on one host beside a script that does the same there, a first deployment on twenty
//! hosts beside pyinfra's, and the processor time that a look takes on a host.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use evenkeel::{
    declare,
    engine::prepare::Prepared,
    host::{self, Remembered},
    lab::Lab,
};
use tempfile::TempDir;

use super::{
    BINARY, Result,
    lab::{Floor, Scene},
    read,
    table::{Table, median},
    timed,
};

const SERVICES: usize = 50;
const HOSTS: usize = 20;
const SERVICES_EACH: usize = 3;
/// The fleet whose files pyinfra puts in place: beside ours, so with a name and ports of its own.
const PYINFRAS: &str = "others";
const LOOKS: usize = 40;

/// The least that has a port.
const PROGRAM: &str = "import os, socket\n\
                       listener = socket.create_server((\"\", int(os.environ[\"SERVICE_PORT\"])))\n\
                       while True:\n    listener.accept()[0].close()\n";

/// A fleet in a repository of its own, deployed by hand.
struct Fleet {
    name: &'static str,
    folder: TempDir,
    overrides: PathBuf,
    instances: Vec<String>,
    /// How many services each of the first instances has.
    counts: Vec<usize>,
    first_port: usize,
}

impl Fleet {
    fn new(name: &'static str, overrides: PathBuf, instances: Vec<String>, counts: Vec<usize>) -> Result<Self> {
        let first_port = if name == PYINFRAS { 13_000 } else { 12_000 };
        let fleet = Self { name, folder: tempfile::tempdir()?, overrides, instances, counts, first_port };
        fs::create_dir(fleet.repository())?;
        fleet.git(&["init", "--quiet", "--initial-branch=main"])?;
        fleet.write(
            "fleet.yaml",
            &format!("name: {name}\nssh: {{user: ubuntu}}\ndefaults: {{user: ubuntu, health: {{interval: 200ms, settle: 0s}}}}\n"),
        )?;
        fleet.write("environments/bench.yaml", "branch: main\n")?;
        fleet.write("program/server.py", PROGRAM)?;
        for (number, instance) in fleet.instances.iter().enumerate() {
            let text = format!("environment: bench\naddress: 10.9.0.{}\nports: 12000-13999\n", number + 1);
            fleet.write(&format!("instances/{instance}.yaml"), &text)?;
        }
        Ok(fleet)
    }

    fn repository(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    fn services(&self) -> impl Iterator<Item = (String, &str, usize)> {
        let each = self.instances.iter().zip(&self.counts).enumerate();
        each.flat_map(move |(host, (instance, count))| {
            (0..*count).map(move |k| (format!("s{host}-{k}"), instance.as_str(), self.first_port + k))
        })
    }

    /// Commits all services with a value in their environment.
    fn declare(&self, greeting: usize) -> Result {
        for (service, instance, port) in self.services() {
            let text = format!(
                "source: {{path: program}}\nrun: {{exec: /usr/bin/python3 server.py}}\nplace: {{on: [{instance}]}}\n\
                 port: {port}\nenv: {{GREETING: \"{greeting}\"}}\n"
            );
            self.write(&format!("services/{service}.yaml"), &text)?;
        }
        self.git(&["add", "fleet"])?;
        self.git(&["-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "--quiet", "-m", "change"])
    }

    fn apply(&self) -> Result {
        let mut command = Command::new(BINARY);
        command.args(["apply", "--yes", "--fleet"]).arg(self.repository().join("fleet"));
        command.arg("--override").arg(&self.overrides).arg("--state").arg(self.folder.path().join("state"));
        succeeds(&mut command)
    }

    fn write(&self, path: &str, content: &str) -> Result {
        let path = self.repository().join("fleet").join(path);
        fs::create_dir_all(path.parent().ok_or("no folder")?)?;
        Ok(fs::write(path, content)?)
    }

    fn git(&self, arguments: &[&str]) -> Result {
        succeeds(Command::new("git").arg("-C").arg(self.repository()).args(arguments))
    }
}

fn succeeds(command: &mut Command) -> Result {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(format!("{command:?}: {said}").into())
}

/// A first deployment and one change, from the command to everything healthy; and a script on the host that writes the
/// same units, and restarts them, without asking whether they work. Beside the first one it does so on units that do not
/// run.
pub fn on_one_host(table: &mut Table, scene: &Scene, floor: &Floor<'_>) -> Result {
    let instance = floor.instances().into_iter().next().ok_or("no instance")?;
    let mut instances = floor.instances();
    instances.sort_by_key(|name| *name != instance);
    let fleet = Fleet::new("fifty", scene.override_file(), instances, vec![SERVICES])?;
    fleet.declare(0)?;
    let first = timed(&mut || fleet.apply())?;
    let script =
        units_anew(&floor.run(&instance, &format!("cd /etc/systemd/system && head -n -0 -v {}-*", fleet.name))?);
    let by_script = || timed(&mut || floor.run(&instance, &script).map(drop));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for number in 1..=3 {
        fleet.declare(number)?;
        ours.push(timed(&mut || fleet.apply())?);
        theirs.push(by_script()?);
    }
    let (change, restart) = (median(&mut ours), median(&mut theirs));
    let stop = format!("systemctl stop '{}-*'", fleet.name);
    floor.run(&instance, &stop)?;
    let start = by_script()?;
    let beside = "units, reload, restart by a script";
    table.compare("a first deployment of 50 services on one host", (first, start), beside, 1.5, None);
    table.compare("one change to 50 services on one host", (change, restart), beside, 1.5, None);
    floor.run(&instance, &stop).map(drop)
}

/// Of `==> NAME <==` and its lines, for each unit.
fn units_anew(units: &str) -> String {
    let mut script = String::from("cd /etc/systemd/system\n");
    let mut names = String::new();
    for unit in units.split("==> ").skip(1) {
        let Some((name, content)) = unit.split_once(" <==\n") else { continue };
        script += &format!("cat >{name} <<'END_OF_UNIT'\n{}\nEND_OF_UNIT\n", content.trim_end());
        names = names + " " + name;
    }
    script + &format!("systemctl daemon-reload && systemctl restart{names}\n")
}

/// A first deployment on twenty hosts of their own. pyinfra puts the same files in place, as `evenkeel render` has them, and
/// starts the same units; whether they work it does not ask.
pub fn on_many_hosts(table: &mut Table) -> Result {
    let what = "a first deployment on 20 hosts";
    if Command::new("pyinfra").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("{what} is not measured: pyinfra is missing; install it with `pip install pyinfra`");
        return Ok(());
    }
    let say = |message: &str| eprintln!("{message}");
    let lab = Lab::open("bench20")?;
    lab.down(&say)?;
    let names: Vec<String> = (1..=HOSTS).map(|number| format!("h{number}")).collect();
    let measured = lab.up(&names, &say).map_err(Into::into).and_then(|_| {
        thread::scope(|scope| {
            let inside = scope.spawn(|| -> Result<_> {
                lab.enter()?;
                let fleet = Fleet::new("many", lab.override_file(), names.clone(), vec![SERVICES_EACH; HOSTS])?;
                fleet.declare(0)?;
                let same = Fleet::new(PYINFRAS, lab.override_file(), names.clone(), fleet.counts.clone())?;
                same.declare(0)?;
                let mut pyinfra = pyinfra(&lab, &same)?;
                Ok((timed(&mut || fleet.apply())?, timed(&mut || succeeds(&mut pyinfra))?))
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    });
    lab.down(&say)?;
    table.compare(what, measured?, "pyinfra", 0.4, None);
    Ok(())
}

fn pyinfra(lab: &Lab, fleet: &Fleet) -> Result<Command> {
    let file = lab.override_file();
    let overrides = declare::read_overrides(&read(&file)?, &file.display().to_string())
        .map_err(|findings| format!("{findings:?}"))?;
    let hosts =
        overrides.instances.iter().filter_map(|(name, to)| Some(format!("('{}', {{'n': '{name}'}}),", to.address?)));
    let folder = fleet.folder.path();
    fs::write(folder.join("inventory.py"), format!("hosts = [{}]\n", hosts.collect::<String>()))?;
    fs::write(folder.join("deploy.py"), DEPLOY)?;
    let mut render = Command::new(BINARY);
    render.args(["render", "--fleet"]).arg(fleet.repository().join("fleet"));
    succeeds(render.arg("--override").arg(&file).arg("--output").arg(folder.join("rendered")))?;
    let mut command = Command::new("pyinfra");
    command.current_dir(folder).args(["-y", "--user", "ubuntu", "--key"]).arg(lab.key_file());
    command.args(["--data", "ssh_strict_host_key_checking=off", "inventory.py", "deploy.py"]);
    Ok(command)
}

const DEPLOY: &str = r#"
import pathlib
from pyinfra import host
from pyinfra.operations import files, systemd

root = pathlib.Path("rendered", host.data.n)
units = []
for path in sorted(path for path in root.rglob("*") if path.is_file()):
    mode = "0600" if path.suffix == ".env" else "0644"
    files.put(src=str(path), dest=f"/{path.relative_to(root)}", mode=mode, _sudo=True)
    if path.suffix == ".service":
        units.append(path)
release = next(line.split("=", 1)[1] for line in units[0].read_text().splitlines() if line.startswith("WorkingDirectory="))
files.put(src="repository/fleet/program/server.py", dest=f"{release}/server.py", mode="0444", _sudo=True)
systemd.daemon_reload(_sudo=True)
for unit in units:
    systemd.service(service=unit.name, running=True, enabled=True, _sudo=True)
"#;

/// What a look that changes nothing takes of a host's processor, systemd's part in it too; and what anything takes that asks
/// systemd about the same units by their names.
pub fn processor(table: &mut Table, prepared: &Prepared, floor: &Floor<'_>) -> Result {
    let most = prepared.desired.iter().max_by_key(|(_, desired)| desired.replicas.len()).ok_or("no instance")?;
    let (instance, question) = (most.0.as_str(), host::question(&prepared.fleet, most.1));
    let first = floor.run(instance, &question.script(&Remembered::default()))?;
    let look = question.script(&Remembered::of(&question, first.as_bytes()));
    let units: Vec<&str> = question.units.iter().map(String::as_str).collect();
    let show = format!("systemctl show -p LoadState,ActiveState,SubState -- {}", units.join(" "));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        ours.push(spent(floor, instance, &look)?);
        theirs.push(spent(floor, instance, &show)?);
    }
    let took = (median(&mut ours), median(&mut theirs));
    table.compare("processor time on a host for a look", took, "systemctl show of its units", LOOK_LIMIT, None);
    Ok(())
}

/// See proc(5): what the script's programs took, and systemd, in hundredths of a second.
fn spent(floor: &Floor<'_>, instance: &str, script: &str) -> Result<Duration> {
    let quoted = script.replace('\'', r"'\''");
    let counted = format!(
        "look='{quoted}'\n\
         ticks() {{ own=$(cat /proc/$$/stat); set -- ${{own##*) }}; ours=$((${{14}} + ${{15}}))
           own=$(cat /proc/1/stat); set -- ${{own##*) }}; echo $((ours + ${{12}} + ${{13}})); }}\n\
         before=$(ticks)\ni=0\n\
         while [ $i -lt {LOOKS} ]; do (eval \"$look\") >/dev/null 2>&1 </dev/null; i=$((i + 1)); done\n\
         after=$(ticks)\necho $((after - before))"
    );
    let ticks: u32 = floor.run(instance, &counted)?.trim().parse()?;
    Ok(Duration::from_millis(10) * ticks / LOOKS as u32)
}

/// Measured 1.2, where it was 2.0 to 2.2 before systemd was asked by patterns, and who listens only where it matters.
const LOOK_LIMIT: f64 = 1.5;
