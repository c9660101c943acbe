//! The steps of one phase on one instance, as the script that the host's systemd runs, with the bytes
//! it needs.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{
    apply::PhaseWork,
    probe::{site_address, site_proofs},
    quote::{assign, word},
    scripts::script,
};
use crate::model::{
    grants,
    plan::{Action, Before, Step},
};

/// What is sent: a tar archive with the phase's directory, which holds `apply.sh`, `stop.sh`, `payload/N`,
/// and `undo.sh` for the whole deployment.
pub(super) fn archive(work: &PhaseWork, steps: &[&Step]) -> std::io::Result<Vec<u8>> {
    let mut payload = Vec::new();
    let script = script(work, steps, &mut payload);
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |path: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, content)
    };
    let phase = work.phase;
    add(&format!("{phase}/undo.sh"), undo_script(work).as_bytes())?;
    add(&format!("{phase}/stop.sh"), stop_script(work).as_bytes())?;
    for (number, content) in payload.iter().enumerate() {
        add(&format!("{phase}/payload/{number}"), content)?;
    }
    add(&format!("{phase}/apply.sh"), script.as_bytes())?;
    archive.into_inner()
}

fn variables(work: &PhaseWork) -> String {
    assign("base", &work.base()) + &assign("name", &work.name)
}

fn variables_of_phase(work: &PhaseWork) -> String {
    variables(work) + &assign("directory", &work.directory()) + &assign("events", &work.events())
}

fn undo_script(work: &PhaseWork) -> String {
    variables(work) + &script!("undo.sh")
}

/// Run by systemd whenever the script ends, also when it was killed or ran out of time. Source of
/// `SERVICE_RESULT`: systemd.exec(5). A script that is told to stop, by a fence or by a host that goes down,
/// has ended well for systemd (`SuccessExitStatus=` in systemd.service(5)); for us it was cut off.
fn stop_script(work: &PhaseWork) -> String {
    let undo = format!("sh {} {}", word(&format!("{}/undo.sh", work.deployment())), work.phase);
    let undo = if work.undo_on_failure { undo } else { "false".to_owned() };
    variables_of_phase(work)
        + &format!(
            "undone=-\nresult=$SERVICE_RESULT\n\
             [ \"$result-$EXIT_CODE\" != success-killed ] || result=stopped\n\
             if [ \"$result\" != success ]; then\n  \
               if {undo}; then undone=yes; else undone=no; fi\n\
             fi\n\
             printf 'end\\t%s\\t%s\\n' \"$result\" \"$undone\" >>\"$events\"\n"
        )
}

fn script(work: &PhaseWork, steps: &[&Step], payload: &mut Vec<Vec<u8>>) -> String {
    let mut script = variables_of_phase(work);
    // Writing to a String cannot fail.
    let _ = writeln!(script, "generation={}", work.generation);
    if steps.iter().any(|step| matches!(step.action, Action::StopUnit { foreign: true, .. })) {
        script += &assign("kept_units", &grants::kept_as_shell_patterns());
    }
    script += &script!("collect.sh");
    script += &script!("apply.sh");
    if steps.iter().any(|step| matches!(step.action, Action::ReloadNginx { .. })) {
        script += &script!("nginx.sh");
    }
    if steps.iter().any(|step| matches!(step.action, Action::BuildVenv { .. })) {
        script += &script!("venv.sh");
        script += &script!("build_venv.sh");
    }
    let mut store = |content: &[u8]| {
        payload.push(content.to_vec());
        payload.len() - 1
    };
    let expected = work.manifest_before.map_or("absent".to_owned(), |digest| digest.to_string());
    let union = store(work.manifest_during.as_bytes());
    let folders: BTreeSet<String> = steps.iter().filter_map(|step| folder(&step.action)).map(word).collect();
    let folders = folders.into_iter().collect::<Vec<_>>().join(" ");
    let _ = writeln!(script, "step begin begin {} {folders}", word(&expected));
    if let Some(key) = &work.new_key {
        let key = store(key.write().as_bytes());
        let _ = writeln!(script, "step key take_key {key}");
    }
    let _ = writeln!(script, "step own own {union}");
    let units: Vec<String> = steps.iter().filter_map(|step| process(&step.action)).map(word).collect();
    if !units.is_empty() {
        let _ = writeln!(script, "step note note_running {}", units.join(" "));
    }
    let mut reload = false;
    for step in steps {
        let is_process =
            matches!(step.action, Action::StartUnit { .. } | Action::RestartUnit { .. } | Action::ReloadNginx { .. });
        if reload && is_process {
            script += "step daemon-reload daemon_reload\n";
            reload = false;
        }
        reload |= touches_units(&step.action);
        if let Some(command) = command(&step.action, &mut store) {
            let _ = writeln!(script, "step {} {command}", word(&step.id));
        }
    }
    if reload {
        script += "step daemon-reload daemon_reload\n";
    }
    if work.manifest_after != work.manifest_during {
        let manifest = store(work.manifest_after.as_bytes());
        let _ = writeln!(script, "step disown own {manifest}");
    }
    if work.last {
        let _ = writeln!(script, "step finish finish {}", work.keep_releases);
    }
    script
}

/// The folder in which a step changes a file.
fn folder(action: &Action) -> Option<&str> {
    match action {
        Action::WriteFile { path, .. } | Action::WriteLink { path, .. } | Action::RemoveFile { path, .. } => {
            path.rsplit_once('/').map(|(folder, _)| folder)
        }
        _ => None,
    }
}

/// The unit whose process a step starts or stops.
fn process(action: &Action) -> Option<&str> {
    match action {
        Action::StopUnit { unit, .. } | Action::StartUnit { unit } | Action::RestartUnit { unit } => Some(unit),
        _ => None,
    }
}

/// What systemd reads anew only when told. Whether a unit is enabled it remembers, too.
fn touches_units(action: &Action) -> bool {
    match action {
        Action::EnableUnit { .. } | Action::ReadUnits { .. } => true,
        Action::WriteFile { path, .. } | Action::RemoveFile { path, .. } => path.starts_with("/etc/systemd/system/"),
        _ => false,
    }
}

/// The shell function of a step. None for what the controller does: staging and waiting for health.
fn command(action: &Action, store: &mut impl FnMut(&[u8]) -> usize) -> Option<String> {
    Some(match action {
        Action::InstallPackages { names } => {
            format!("install_packages {}", names.iter().map(|name| word(name)).collect::<Vec<_>>().join(" "))
        }
        Action::StageRelease { .. } | Action::AwaitHealth { .. } => return None,
        Action::BuildVenv { service, key, interpreter, requirements, index, netrc } => {
            let optional = |value: &Option<String>| word(value.as_deref().unwrap_or_default());
            let (index, netrc) = (optional(index), optional(netrc));
            format!("build_venv {service} {key} {} {} {index} {netrc}", word(interpreter), word(requirements))
        }
        Action::WriteFile { path, before, content, mode } => {
            format!("write_file {} {mode:04o} {} {}", word(path), store(content), before_word(before))
        }
        Action::WriteLink { path, before, target } => {
            format!("write_link {} {} {}", word(path), word(target), before_word(before))
        }
        Action::RemoveFile { path, before } => format!("remove_file {} {}", word(path), before_word(before)),
        Action::SealManifest { .. } => "seal".to_owned(),
        Action::MendFolder { path, mode, .. } => format!("mend_folder {} {mode:05o}", word(path)),
        // As for every unit that is written: once, before the first process of the phase.
        Action::ReadUnits { .. } => ":".to_owned(),
        Action::StopUnit { unit, foreign: true } => format!("stop_foreign {}", word(unit)),
        Action::StopUnit { unit, foreign: false } => format!("stop_unit {}", word(unit)),
        Action::EnableUnit { unit } => format!("enable_unit {}", word(unit)),
        Action::StartUnit { unit } => format!("start_unit {}", word(unit)),
        Action::RestartUnit { unit } => format!("restart_unit {}", word(unit)),
        Action::ReloadNginx { digest, port, address, sites } => {
            let (address, proofs) = (word(&site_address(*address)), word(&site_proofs(sites)));
            format!("reload_nginx {digest} {port} {address} {proofs}")
        }
        Action::ReleaseNginx => "release_nginx".to_owned(),
    })
}

fn before_word(before: &Before) -> String {
    word(&match before {
        Before::Absent => "absent".to_owned(),
        Before::File { digest, .. } => digest.to_string(),
        Before::Link { target } => format!("-> {target}"),
    })
}
