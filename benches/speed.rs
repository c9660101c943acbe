//! How fast it is, measured in one run against what OpenSSH needs on the same hosts.
//!
//! `cargo bench --bench speed`, as root: boots a lab of its own, deploys the example fleet, measures,
//! takes the lab down, and ends with 1 when a limit is missed. Ratios decide, for they hold on slow
//! machines too; where there is one, a figure in milliseconds is only told as over its limit.
//! No test depends on it.

#[path = "speed/fleets.rs"]
mod fleets;
#[path = "speed/lab.rs"]
mod lab;
#[path = "speed/many.rs"]
mod many;
#[path = "speed/moving.rs"]
mod moving;
#[path = "speed/pulls.rs"]
mod pulls;
#[path = "../tests/support/mod.rs"]
#[allow(dead_code)] // tests use more of it
mod support;
#[path = "speed/table.rs"]
mod table;

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    hint::black_box,
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use evenkeel::{
    declare::{self, Overrides},
    engine::{
        observe::{connections::Connections, probe::look},
        prepare::Prepared,
    },
    host::{self, Remembered, SshHost, Target},
    model::{digest::Digest, tree::Entry},
    plan::Leave,
    release::{self, Unfetched},
    render,
};
use lab::{Daemon, Floor, Scene};
use table::{Table, median, milliseconds};

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const BINARY: &str = env!("CARGO_BIN_EXE_evenkeel");
const MIB: f64 = 1024.0 * 1024.0;

/// The service whose environment is changed.
const SERVICE: (&str, &str, u16) = ("asana_mcp", "business-tools", 8103);

fn main() -> ExitCode {
    // `cargo test --all-targets` starts benches as well, without this word.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("not a test: use `cargo bench --bench speed`");
        return ExitCode::SUCCESS;
    }
    let mut table = Table::default();
    let measured = measure(&mut table);
    table.summary();
    match measured {
        Ok(()) if table.all_held() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(table: &mut Table) -> Result {
    binary_size(table)?;
    many_services(table)?;
    let scene = Scene::boot()?;
    scene.inside(|| {
        let mut daemon = Daemon::start(&scene)?;
        let floor = Floor::open(&scene)?;
        daemon.first_deployment()?;
        let at_first = daemon.resident()?;
        one_change(table, &mut daemon, &floor)?;
        memory(table, at_first, daemon.resident()?, daemon.peak()?);
        daemon.stop()?;
        let prepared = scene.prepared()?;
        warm_pass(table, &scene, &prepared, &floor)?;
        many::processor(table, &prepared, &floor)?;
        cold_plan(table, &scene, &floor)?;
        moving::measure(table, &scene, &floor)?;
        many::on_one_host(table, &scene, &floor)?;
        pulls::measure(table, &scene)
    })?;
    drop(scene);
    many::on_many_hosts(table)
}

fn binary_size(table: &mut Table) -> Result {
    let size = fs::metadata(BINARY)?.len() as f64 / MIB;
    // Of these the time zones of windows are 0.4.
    table.row("size of the binary", format!("{size:.1} MiB"), "(bench profile)", ("26 MiB", size < 26.0));
    Ok(())
}

/// Validating and rendering, without reading files or hosts; and the least that anything has to do which reads these
/// files: their YAML, by the crate that Rust programs read it with.
fn many_services(table: &mut Table) -> Result {
    let tree = fleets::thousand_services();
    let environment = "production".parse()?;
    let fleet_of = || -> Result<_> {
        let (declaration, findings) = declare::read(&tree, "fleet");
        let declaration = declaration.ok_or_else(|| format!("{findings:?}"))?;
        declaration.resolve(&environment, &Overrides::default()).map_err(|found| format!("{found:?}").into())
    };
    let fleet = fleet_of()?;
    let gathered = release::gather(&fleet, &tree, &Default::default(), &Unfetched, Default::default())?;
    let requirements = release::requirements(&fleet, &gathered)?;
    let releases: BTreeMap<_, Digest> =
        gathered.into_iter().map(|(source, release)| (source, release.digest)).collect();
    let made = render::Made { releases: &releases, requirements: &requirements };
    let ours = || {
        let fleet = fleet_of()?;
        let desired = render::render(&fleet, &made)?;
        let replicas: usize = desired.values().map(|desired| desired.replicas.len()).sum();
        if (desired.len(), replicas) == (100, 1000) { Ok(()) } else { Err("not the fleet that was meant".into()) }
    };
    let theirs = || {
        for (path, entry) in tree.iter().filter(|(path, _)| path.ends_with(".yaml")) {
            let Entry::File { content, .. } = entry else { return Err(format!("{path} is no file").into()) };
            #[expect(clippy::disallowed_methods, reason = "files of our own, to compare with; none is strange")]
            black_box(serde_yaml::from_slice::<serde_yaml::Value>(content)?);
        }
        Ok(())
    };
    let name = "validate and render 1000 services on 100 instances";
    let took = in_turns(15, ours, theirs)?;
    table.compare(name, took, "their YAML alone, serde_yaml", 3.5, Some(Duration::from_millis(100)));
    Ok(())
}

/// From a commit in the local repository to its outcome, which is recorded when the service is healthy.
fn one_change(table: &mut Table, daemon: &mut Daemon<'_>, floor: &Floor<'_>) -> Result {
    let (service, instance, port) = SERVICE;
    let mut changes = (1..=5).map(|number| daemon.change(service, Some(number))).collect::<Result<Vec<_>>>()?;
    let took = median(&mut changes);
    // Back to what the work tree says, for `plan`.
    daemon.change(service, None)?;
    let unit = format!("sophia-{service}@{port}.service");
    let restart = format!(
        "begin=$(date +%s%N); systemctl reset-failed {unit}; systemctl restart {unit}
         until curl -fs -o /dev/null http://127.0.0.1:{port}/health; do :; done
         end=$(date +%s%N); echo $(((end - begin) / 1000))"
    );
    let mut restarts = Vec::new();
    for _ in 0..5 {
        let micros = floor.run(instance, &restart)?;
        restarts.push(Duration::from_micros(micros.trim().parse()?));
    }
    let beside = format!("restart alone {}", milliseconds(median(&mut restarts)));
    let holds = took < Duration::from_secs(2);
    table.row("one change, commit to healthy", milliseconds(took), &beside, ("2 s", holds));
    Ok(())
}

fn memory(table: &mut Table, first: f64, later: f64, peak: f64) {
    let beside = format!("{first:.1} after the first deployment, peak {peak:.1}");
    let holds = first.max(later) < 40.0;
    table.row("resident memory of `evenkeel run`", format!("{later:.1} MiB"), &beside, ("40 MiB", holds));
}

/// A pass that changes nothing on open connections, and OpenSSH with the very same scripts, with what is remembered of
/// an earlier answer, in turns.
fn warm_pass(table: &mut Table, scene: &Scene, prepared: &Prepared, floor: &Floor<'_>) -> Result {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let connections = Connections::new(|instance, jumps| SshHost::new(Target::new(instance, None, None), jumps));
    let hosts = connections.hosts(&prepared.fleet);
    let mut scripts: Vec<(&str, String)> = Vec::new();
    for (name, desired) in &prepared.desired {
        let question = host::question(&prepared.fleet, desired);
        let first = floor.run(name.as_str(), &question.script(&Remembered::default()))?;
        scripts.push((name.as_str(), question.script(&Remembered::of(&question, first.as_bytes()))));
    }
    let pass = || -> Result {
        let plan = runtime.block_on(look(prepared, &hosts, None, &Leave::default(), &|_| {}));
        let unreached: Vec<&str> = plan.unknown_instances().map(|(_, why)| why).collect();
        if !unreached.is_empty() || plan.has_changes() || plan.instances.len() != scene.instances() {
            return Err(format!("a pass was to change nothing: {unreached:?} {:?}", plan.steps).into());
        }
        Ok(())
    };
    let took = in_turns(21, pass, || floor.run_all(&scripts))?;
    table.compare("a pass that changes nothing, warm", took, "OpenSSH, warm", 0.75, Some(Duration::from_millis(100)));
    Ok(())
}

/// `evenkeel plan` from its start to its end, and a login on each host by OpenSSH.
fn cold_plan(table: &mut Table, scene: &Scene, floor: &Floor<'_>) -> Result {
    let plan = || -> Result {
        let mut command = Command::new(BINARY);
        command.args(["plan", "--fleet"]).arg(fleets::example()).arg("--override").arg(scene.override_file());
        let output = command.stdin(Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        if output.status.success() && text.contains("No changes.") {
            return Ok(());
        }
        Err(format!("`evenkeel plan`: {text}{}", String::from_utf8_lossy(&output.stderr)).into())
    };
    let took = in_turns(11, plan, || floor.log_in_to_all())?;
    table.compare("`evenkeel plan`, cold", took, "`ssh true`, cold", 2.5, None);
    Ok(())
}

/// The median of so many runs, after one that does not count.
fn samples(number: usize, mut run: impl FnMut() -> Result) -> Result<Duration> {
    run()?;
    let mut took = Vec::new();
    for _ in 0..number {
        took.push(timed(&mut run)?);
    }
    Ok(median(&mut took))
}

/// Two medians, measured in turns: whatever else the machine does meets both.
fn in_turns(
    number: usize,
    mut ours: impl FnMut() -> Result,
    mut theirs: impl FnMut() -> Result,
) -> Result<(Duration, Duration)> {
    ours()?;
    theirs()?;
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..number {
        a.push(timed(&mut ours)?);
        b.push(timed(&mut theirs)?);
    }
    Ok((median(&mut a), median(&mut b)))
}

fn timed(run: &mut impl FnMut() -> Result) -> Result<Duration> {
    let began = Instant::now();
    run()?;
    Ok(began.elapsed())
}

/// A file's text, with its name in the error.
fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()).into())
}
