//! What a probe says of a simulated machine.

use evenkeel::{
    host::ProbeRequest,
    model::{
        digest::Digest,
        nginx::{Answer, LiveNginx, Proof},
        observation::{Listener, LiveFile, LiveProgram, LiveRelease, LiveUnit, LiveVenv, Observation},
        seen::Seen,
    },
};

use crate::{
    machine::{Lies, Machine, State},
    systemd,
};

const PYTHON: &str = "cpython-311";
const APPLY_UNIT: &str = "evenkeel-sim.service";

/// The error is what cannot be understood of the answer.
pub fn look(machine: &Machine, question: &ProbeRequest) -> Result<Observation, String> {
    machine.tale.count("probes");
    let mut state = machine.state();
    state.retry();
    let garbled = state.garbled > 0;
    if garbled {
        state.garbled -= 1;
        machine.tale.count("garbled probes");
        if state.garbled.is_multiple_of(2) {
            return Err("it ends in the middle".to_owned());
        }
    }
    let mut observation = observe(&state, question);
    if garbled {
        observation.listeners = Seen::Unknown("ss: killed".to_owned());
        if let Some(first) = question.paths.first() {
            observation.files.insert(first.clone(), Seen::Unknown("stat: input/output error".to_owned()));
        }
    }
    Ok(observation)
}

fn observe(state: &State, question: &ProbeRequest) -> Observation {
    let owned = state.manifest();
    let of_manifest = owned.iter().flat_map(|manifest| manifest.files.keys().chain(manifest.links.keys()));
    let units = question.units.iter().chain(owned.iter().flat_map(|manifest| manifest.units.keys()));
    Observation {
        manifest: owned.clone().map_or(Seen::Absent, Seen::Known),
        seal: evenkeel::model::seal::Seal::default(),
        manifest_digest: state.manifest_text().map(Digest::of),
        generation: Seen::Known(state.generation.unwrap_or(0)),
        unfinished: state.open.clone(),
        files: question.paths.iter().chain(of_manifest).map(|path| (path.clone(), live_file(state, path))).collect(),
        units: units.map(|name| (name.clone(), live_unit(state, name))).collect(),
        listeners: if question.listeners {
            Seen::Known(listeners(state, question.digest_port))
        } else {
            Seen::Unknown("nobody asked".to_owned())
        },
        strangers: Default::default(),
        way_in: Default::default(),
        drop_ins: Default::default(),
        own_drop_ins: Vec::new(),
        folders: Default::default(),
        nginx: Seen::Known(LiveNginx {
            running: state.systemd.is_active("nginx.service"),
            digest: state.serving.map_or(Seen::Absent, Seen::Known),
            answers: question.sites.iter().map(|(site, proof)| (site.clone(), own(proof))).collect(),
            fronts: question
                .fronts
                .keys()
                .map(|port| (*port, state.fronts.get(port).map_or(Seen::Absent, |digest| Seen::Known(*digest))))
                .collect(),
            has_log_folder: true,
            files: None,
        }),
        packages: question
            .packages
            .iter()
            .map(|name| (name.clone(), seen(state.packages.contains(name), "1".to_owned())))
            .collect(),
        installing: Default::default(),
        users: question.users.iter().map(|name| (name.clone(), Seen::Known(()))).collect(),
        releases: question
            .releases
            .iter()
            .map(|digest| (*digest, seen(state.held.releases.contains(digest), LiveRelease::Whole)))
            .collect(),
        venvs: question.venvs.iter().map(|key| (*key, seen(state.held.venvs.contains(key), whole()))).collect(),
        interpreters: question.interpreters.iter().map(|path| (path.clone(), Seen::Known(PYTHON.to_owned()))).collect(),
        programs: question.programs.iter().map(|name| (name.clone(), Seen::Known(LiveProgram::Executable))).collect(),
        noexec: Default::default(),
        certificates: std::collections::BTreeMap::new(),
    }
}

fn whole() -> LiveVenv {
    LiveVenv::Whole { made_with: PYTHON.to_owned() }
}

fn live_file(state: &State, path: &str) -> Seen<LiveFile> {
    Seen::Known(match state.files.get(path) {
        None => return Seen::Absent,
        Some(Lies::Link(target)) => LiveFile::Symlink { target: target.clone() },
        Some(Lies::File { digest, mode, .. }) => {
            LiveFile::Regular { digest: *digest, mode: *mode, owner: "root:root".to_owned(), content: None }
        }
    })
}

fn live_unit(state: &State, name: &str) -> Seen<LiveUnit> {
    if name == APPLY_UNIT {
        let Some(transient) = &state.transient else { return Seen::Absent };
        let active = if transient.active { "active" } else { "deactivating" };
        return Seen::Known(LiveUnit {
            active: active.to_owned(),
            sub: String::new(),
            enabled: "transient".to_owned(),
            main_pid: 1,
            ..LiveUnit::default()
        });
    }
    state.systemd.show(&state.files, name).map_or(Seen::Absent, Seen::Known)
}

fn own(proof: &Proof) -> std::collections::BTreeMap<u16, Answer> {
    proof.ports.iter().map(|port| (*port, Answer::Own)).collect()
}

fn listeners(state: &State, digest_port: Option<u16>) -> Vec<Listener> {
    let listener =
        |port, unit: &str| Listener { port, pid: 4242, process: "some".to_owned(), unit: Some(unit.to_owned()) };
    let units = state.systemd.running().filter_map(|(unit, _)| Some(listener(port(state, unit)?, unit)));
    let nginx = state.systemd.is_active("nginx.service");
    let ports = [Some(80), digest_port.filter(|_| state.serving.is_some())].into_iter().flatten().filter(|_| nginx);
    let fronts = state.fronts.keys().copied().filter(|_| nginx);
    units.chain(ports.chain(fronts).map(|port| listener(port, "nginx.service"))).collect()
}

/// The port that a unit's process was told to bind; a unit of somebody else has it in its name.
pub fn port(state: &State, unit: &str) -> Option<u16> {
    let name = unit.trim_start_matches("sim-").trim_end_matches(".service");
    let Some(Lies::File { content, .. }) = state.files.get(&format!("/etc/evenkeel/sim/{name}.env")) else {
        return systemd::port(unit);
    };
    let text = std::str::from_utf8(content).ok()?;
    text.lines().find_map(|line| line.strip_prefix("SERVICE_PORT=\"")?.strip_suffix('"'))?.parse().ok()
}

fn seen<T>(is: bool, value: T) -> Seen<T> {
    if is { Seen::Known(value) } else { Seen::Absent }
}
