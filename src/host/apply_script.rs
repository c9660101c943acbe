//! The steps of one phase on one instance, as the script that the host's systemd runs, with the bytes
//! it needs.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{
    apply::PhaseWork,
    apply_groups::{Group, group},
    payload::{self, Load},
    probe::{front_proofs, site_address, site_proofs},
    quote::{assign, word},
    scripts::script,
};
use crate::model::{
    grants,
    plan::{Action, Before, Leading, Rank, ShiftedFile, Step},
};

/// What is sent: a tar archive with the phase's directory, which holds `apply.sh`, `stop.sh`, `payload/`, and
/// `undo.sh` for the whole deployment.
pub(super) fn archive(work: &PhaseWork, steps: &[&Step]) -> std::io::Result<Vec<u8>> {
    let mut payload = Vec::new();
    let script = script(work, steps, &mut payload);
    let phase = work.phase;
    let file = |name: &str, text: String| (format!("{phase}/{name}"), Load::text(text));
    let payload = payload.into_iter().map(|(name, load)| (format!("{phase}/payload/{name}"), load));
    let loads = [file("undo.sh", undo_script(work)), file("stop.sh", stop_script(work))].into_iter();
    payload::archive(loads.chain(payload).chain([file("apply.sh", script)]))
}

fn variables(work: &PhaseWork) -> String {
    assign("base", &work.base()) + &assign("name", &work.name)
}

fn undo_script(work: &PhaseWork) -> String {
    variables(work) + &script!("drain.sh") + &script!("undo.sh")
}

fn stop_script(work: &PhaseWork) -> String {
    let undo = if work.undo_on_failure { "yes" } else { "" };
    let phase = work.phase.to_string();
    assign("deployment", &work.deployment())
        + &assign("phase", &phase)
        + &assign("events", &work.events())
        + &assign("undo", undo)
        + &script!("stop.sh")
}

type Payload = Vec<(String, Load)>;

fn script(work: &PhaseWork, steps: &[&Step], payload: &mut Payload) -> String {
    let mut script = variables(work)
        + &assign("directory", &work.directory())
        + &assign("events", &work.events())
        + &assign("generation", &work.generation.to_string());
    if steps.iter().any(|step| matches!(step.action, Action::StopUnit { foreign: true, .. })) {
        script += &assign("kept_units", &grants::kept_as_shell_patterns());
    }
    for part in [script!("collect.sh"), script!("apply.sh"), script!("apply_files.sh"), script!("apply_units.sh")] {
        script += &part;
    }
    if steps.iter().any(|step| matches!(step.action, Action::InstallPackages { .. })) {
        script += &script!("apply_packages.sh");
    }
    if steps.iter().any(|step| matches!(step.action.traits().rank, Rank::Serve | Rank::Switch)) {
        script += &script!("nginx.sh");
        script += &script!("apply_nginx.sh");
    }
    if steps.iter().any(|step| matches!(step.action, Action::Drain { .. })) {
        script += &script!("drain.sh");
        script += &script!("apply_drain.sh");
    }
    if steps.iter().any(|step| matches!(step.action, Action::BuildVenv { .. })) {
        script += &script!("venv.sh");
        script += &script!("build_venv.sh");
    }
    let expected = work.manifest_before.map_or("absent".to_owned(), |digest| digest.to_string());
    payload.push(("manifest".to_owned(), Load::text(work.manifest_during.clone())));
    payload.extend(work.new_key.as_ref().map(|key| ("key".to_owned(), Load::text(key.write()))));
    let folders: BTreeSet<String> = steps.iter().filter_map(|step| folder(&step.action)).map(word).collect();
    let folders = folders.into_iter().collect::<Vec<_>>().join(" ");
    let notes = steps.iter().flat_map(|step| notes(&step.action)).collect::<Vec<_>>().join(" ");
    // Writing to a String cannot fail.
    let _ = writeln!(script, "step begin begin {} {} {folders}", word(&expected), word(&notes));
    let after = (work.manifest_after != work.manifest_during).then(|| work.manifest_after.clone());
    payload.extend(after.iter().map(|text| ("manifest-after".to_owned(), Load::text(text.clone()))));
    let mut reload = Reload::default();
    for (number, group) in group(steps).into_iter().enumerate() {
        let members: &[&Step] = match &group {
            Group::Files(steps) | Group::Switches(steps) | Group::Units(_, steps) => steps,
            Group::Alone(step) => std::slice::from_ref(step),
        };
        let is_process = |step: &&Step| step.action.traits().rank >= Rank::Run;
        if members.iter().any(is_process) {
            script += &std::mem::take(&mut reload).step();
        }
        members.iter().for_each(|step| reload.note(&step.action));
        match &group {
            Group::Files(steps) => script += &files(number, steps, payload),
            Group::Switches(steps) => script += &switches(number, steps),
            Group::Units(function, steps) => script += &units(number, function, steps),
            Group::Alone(step) => {
                script += &shifted(number, step, payload);
                if let Some(command) = command(&step.action) {
                    let _ = writeln!(script, "step {} {command}", word(step.id.as_str()));
                }
            }
        }
    }
    script += &reload.step();
    if after.is_some() {
        script += "step disown disown manifest-after\n";
    }
    if work.last {
        let _ = writeln!(script, "step finish finish {}", work.keep_releases);
    }
    script
}

/// The folder in which a step changes a file.
fn folder(action: &Action) -> Option<&str> {
    let path = match action {
        Action::ShiftTraffic { files, .. } => files.first()?.path.as_str(),
        _ => action.file()?.0,
    };
    path.rsplit_once('/').map(|(folder, _)| folder)
}

/// The function of a group, which calls what it is given with each of its lines, until one says no.
fn visited(name: &str, lines: impl Iterator<Item = String>) -> String {
    let mut function = format!("{name}() {{\n");
    for line in lines {
        let _ = writeln!(function, "  \"$@\" {line} || return");
    }
    function + "}\n"
}

/// Files and links that change as one. What is to lie in a folder is sent as one.
fn files(number: usize, steps: &[&Step], payload: &mut Payload) -> String {
    let mut folders: Vec<&str> = Vec::new();
    let mut lines = Vec::new();
    for step in steps {
        let Some((path, before)) = step.action.file() else { continue };
        let load = match &step.action {
            Action::WriteFile { content, mode, .. } => Some(Load::File(content.clone(), *mode)),
            Action::WriteLink { target, .. } => Some(Load::Link(target.clone())),
            _ => None,
        };
        let (folder, name) = path.rsplit_once('/').unwrap_or_default();
        let at = folders.iter().position(|known| *known == folder).unwrap_or_else(|| {
            folders.push(folder);
            folders.len() - 1
        });
        let place = format!("{number}-{at}");
        let verb = if load.is_some() { "write" } else { "remove" };
        lines.push(format!("{} {verb} {place} {} {}", word(step.id.as_str()), word(path), before_word(before)));
        if let Some(load) = load {
            if payload.iter().all(|(name, _)| *name != place) {
                payload.push((place.clone(), Load::Folder));
            }
            payload.push((format!("{place}/{name}"), load));
        }
    }
    let group = format!("group_{number}");
    let folders = folders.iter().enumerate().map(|(at, folder)| format!("{number}-{at} {}", word(folder)));
    visited(&group, lines.into_iter())
        + &visited(&format!("{group}_folders"), folders)
        + &format!("together {group} change_files\n")
}

/// The files of a step that shifts traffic, and the reload that brings them into force.
fn shifted(number: usize, step: &Step, payload: &mut Payload) -> String {
    let Action::ShiftTraffic { files: shifted, digest, port, .. } = &step.action else { return String::new() };
    let write = |file: &ShiftedFile| {
        let ShiftedFile { path, before, content, mode } = file.clone();
        Step { action: Action::WriteFile { path, before, content, mode }, ..step.clone() }
    };
    let steps: Vec<Step> = shifted.iter().map(write).collect();
    // Of the sites' files nothing changes that tells them from those of others.
    let reload = format!("step {} reload_nginx {digest} {port} '' ''\n", word(step.id.as_str()));
    files(number, &steps.iter().collect::<Vec<_>>(), payload) + &reload
}

/// Ports that one reload has nginx lead elsewhere.
fn switches(number: usize, steps: &[&Step]) -> String {
    let to = steps.iter().filter_map(|step| match &step.action {
        Action::SwitchPort { to, .. } => to.as_ref(),
        _ => None,
    });
    let to: Vec<&Leading> = to.collect();
    let (group, reload) = (format!("group_{number}"), format!("switch_{number}"));
    let address = word(&site_address(to.iter().find_map(|to| to.address)));
    let proofs = word(&front_proofs(to.iter().filter_map(|to| to.proof.as_ref())));
    let led = to.iter().map(|Leading { at, instead_of, drain_timeout, .. }| {
        let instead_of = instead_of.map_or("-".to_owned(), |port| port.to_string());
        format!("{} {instead_of} {at}", drain_timeout.0.as_secs())
    });
    let led = led.map(|line| format!(" {}", word(&line))).collect::<String>();
    visited(&group, steps.iter().map(|step| word(step.id.as_str())))
        + &format!("{reload}() {{ switch_ports {address} {proofs}{led}; }}\n")
        + &format!("together {group} {reload}\n")
}

/// Units that one call deals with.
fn units(number: usize, function: &str, steps: &[&Step]) -> String {
    let lines = steps.iter().filter_map(|step| {
        let (unit, verb) = match &step.action {
            Action::StopUnit { unit, .. } => (unit, "stop"),
            Action::EnableUnit { unit } => (unit, "enable"),
            Action::StartUnit { unit } => (unit, "start"),
            Action::RestartUnit { unit } => (unit, "restart"),
            _ => return None,
        };
        Some(format!("{} {} {verb}", word(step.id.as_str()), word(unit)))
    });
    visited(&format!("group_{number}"), lines) + &format!("together group_{number} {function}\n")
}

/// What undoing has to know of the unit that a step starts, stops or enables.
fn notes(action: &Action) -> Vec<String> {
    match action {
        Action::StopUnit { unit, .. } => vec![format!("active/{unit}"), format!("enabled/{unit}")],
        Action::StartUnit { unit } | Action::RestartUnit { unit } => vec![format!("active/{unit}")],
        Action::EnableUnit { unit } => vec![format!("enabled/{unit}")],
        _ => Vec::new(),
    }
}

/// What systemd reads anew only when told. Whether a unit is enabled it remembers, too.
#[derive(Default)]
struct Reload<'a> {
    is_due: bool,
    /// Units that are written where there was none.
    new: BTreeSet<&'a str>,
    enabled: BTreeSet<&'a str>,
    /// Anything else.
    other: bool,
}

impl<'a> Reload<'a> {
    fn note(&mut self, action: &'a Action) {
        match action {
            Action::EnableUnit { unit } => {
                self.enabled.insert(unit);
            }
            Action::WriteFile { path, before, .. } => match (path.strip_prefix("/etc/systemd/system/"), before) {
                (Some(unit), Before::Absent) => {
                    self.new.insert(unit);
                }
                (Some(_), _) => self.other = true,
                (None, _) => return,
            },
            Action::RemoveFile { path, .. } if path.starts_with("/etc/systemd/system/") => self.other = true,
            Action::ReadUnits { .. } => self.other = true,
            _ => return,
        }
        self.is_due = true;
    }

    fn step(self) -> String {
        if !self.is_due {
            return String::new();
        }
        let mut step = "step daemon-reload daemon_reload".to_owned();
        if !self.other && self.new == self.enabled {
            self.new.iter().for_each(|unit| step = format!("{step} {}", word(unit)));
        }
        step + "\n"
    }
}

/// The shell function of a step that is carried out alone. None for what the controller does (staging and waiting for
/// health), and for what has its group.
fn command(action: &Action) -> Option<String> {
    Some(match action {
        Action::InstallPackages { names } => {
            format!("install_packages {}", names.iter().map(|name| word(name)).collect::<Vec<_>>().join(" "))
        }
        Action::BuildVenv { service, key, interpreter, requirements, index, netrc, programs } => {
            let optional = |value: &Option<String>| word(value.as_deref().unwrap_or_default());
            let (index, netrc) = (optional(index), optional(netrc));
            let programs: String = programs.iter().map(|name| format!(" {}", word(name))).collect();
            let (interpreter, requirements) = (word(interpreter), word(requirements));
            format!("build_venv {service} {key} {interpreter} {requirements} {index} {netrc}{programs}")
        }
        Action::SealManifest { .. } => "seal".to_owned(),
        Action::MendFolder { path, mode, .. } => format!("mend_folder {} {mode:05o}", word(path)),
        // As for every unit that is written: once, before the first process of the phase.
        Action::ReadUnits { .. } => ":".to_owned(),
        Action::StopUnit { unit, .. } => format!("stop_foreign {}", word(unit)),
        Action::ReloadNginx { digest, port, address, sites } => {
            let (address, proofs) = (word(&site_address(*address)), word(&site_proofs(sites)));
            format!("reload_nginx {digest} {port} {address} {proofs}")
        }
        Action::ReleaseNginx => "release_nginx".to_owned(),
        Action::Drain { port, from, timeout, .. } => {
            let from: Vec<String> = from.iter().map(ToString::to_string).collect();
            format!("drain {port} {} {}", timeout.0.as_secs(), from.join(" "))
        }
        Action::StageRelease { .. }
        | Action::AwaitHealth { .. }
        | Action::Pause { .. }
        | Action::ShiftTraffic { .. }
        | Action::SwitchPort { .. }
        | Action::WriteFile { .. }
        | Action::WriteLink { .. }
        | Action::RemoveFile { .. }
        | Action::EnableUnit { .. }
        | Action::StartUnit { .. }
        | Action::RestartUnit { .. } => return None,
    })
}

fn before_word(before: &Before) -> String {
    word(&match before {
        Before::Absent => "absent".to_owned(),
        Before::File { digest, .. } => digest.to_string(),
        Before::Link { target } => format!("-> {target}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::content::Content;

    fn write(unit: &str, before: Before) -> Action {
        Action::WriteFile {
            path: format!("/etc/systemd/system/{unit}"),
            before,
            content: Content::Public(Vec::new()),
            mode: 0o644,
        }
    }

    fn enable(unit: &str) -> Action {
        Action::EnableUnit { unit: unit.to_owned() }
    }

    fn step(actions: &[Action]) -> String {
        let mut reload = Reload::default();
        actions.iter().for_each(|action| reload.note(action));
        reload.step()
    }

    #[test]
    fn systemd_reads_all_its_files_again_unless_every_unit_is_new() {
        let new = [write("a@1.service", Before::Absent), write("b@2.service", Before::Absent)];
        let enabled = [enable("a@1.service"), enable("b@2.service")];
        assert_eq!(
            step(&[new.clone(), enabled.clone()].concat()),
            "step daemon-reload daemon_reload 'a@1.service' 'b@2.service'\n"
        );
        let link = Before::Link { target: "/dev/null".to_owned() };
        let replaced = write("c@3.service", link);
        for other in
            [replaced, Action::RemoveFile { path: "/etc/systemd/system/c@3.service".into(), before: Before::Absent }]
        {
            let actions = [&new[..], &enabled[..], &[other]].concat();
            assert_eq!(step(&actions), "step daemon-reload daemon_reload\n");
        }
        assert_eq!(step(&enabled), "step daemon-reload daemon_reload\n", "units that are there and were disabled");
        assert_eq!(
            step(&[Action::WriteFile {
                path: "/etc/a".into(),
                before: Before::Absent,
                content: Content::Public(Vec::new()),
                mode: 0o600
            }]),
            ""
        );
    }
}
