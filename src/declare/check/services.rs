//! Checks of services that do not depend on the environment: every name in them exists, every text can
//! be used as it is.

use crate::{
    declare::{
        Declaration, Declared,
        de::At,
        file::{File, Span},
        findings::{Draft, Findings},
        kinds::{HealthCheck, Kind, Place, Run, ServiceFile, UnitName},
        place::Placements,
        shell, similar,
    },
    model::{
        finding::Code,
        grants,
        name::ServiceName,
        text::{self, name as short},
    },
};

/// Says which units of a `replaces` nothing may stop.
pub fn replaced(declaration: &Declaration, file: &File, units: &[At<UnitName>], findings: &mut Findings) {
    let own = format!("{}-", *declaration.fleet.name);
    for unit in units {
        if grants::is_kept(unit) {
            let message = format!("`{}` keeps the host running or reachable, and nothing replaces it", **unit);
            let finding = Draft::error(Code::KeptUnit, message).at(file, unit.span);
            findings.say(finding.hint("take it out of `replaces`; no grant allows it"));
        }
        // Ours are FLEET-SERVICE@PORT.service; the at sign tells them from what ran before.
        if unit.strip_prefix(&own).is_some_and(|rest| rest.contains('@')) {
            let message = format!("`{}` is a unit of evenkeel's own", **unit);
            let hint = "`replaces` is for units that ran before evenkeel; what git no longer declares goes by itself";
            findings.say(Draft::error(Code::ReplacesOwnUnit, message).at(file, unit.span).hint(hint));
        }
    }
}

/// What evenkeel sets for every service.
const GIVEN: [&str; 5] = ["INSTANCE_NAME", "INSTANCE_IP", "SERVICE_NAME", "SERVICE_PORT", "EVENKEEL_RELEASE"];

pub fn check(declaration: &Declaration, placements: &Placements, findings: &mut Findings) {
    for (name, file) in &declaration.services {
        let known = findings.unknown();
        let mut service = CheckedService { declaration, name, file, findings };
        let python = file.run.python.is_some();
        service.layer(Some(&file.place), &file.after, &file.replaces);
        service.commands(Some(&file.run), file.health.as_ref(), python);
        service.description(file.description.as_ref());
        for (key, text) in &file.env {
            service.variable(key, Some(text.as_str()), text.span);
        }
        for (environment, overlay) in &file.overlays {
            service.environment(environment);
            service.layer(
                overlay.place.as_ref(),
                overlay.after.as_deref().unwrap_or_default(),
                overlay.replaces.as_deref().unwrap_or_default(),
            );
            let python_here = overlay.run.as_ref().unwrap_or(&file.run).python.is_some();
            // A command of the file itself may name a program that is not there without a virtual environment.
            let inherited = file.health.as_ref().filter(|_| python && !python_here);
            let length = inherited.and_then(|health| health.exec.as_ref()).map_or(0, |exec| exec.len());
            if !service.findings.spend(length, &file.file) {
                return;
            }
            service.commands(overlay.run.as_ref(), overlay.health.as_ref().or(inherited), python_here);
            service.description(overlay.description.as_ref());
            for (key, change) in &overlay.env {
                service.variable(key, change.0.as_deref(), change.span);
            }
        }
        // A name that does not exist is why nothing matches: saying both would be saying it twice.
        let names_unknown = findings.unknown() > known;
        if !names_unknown && !declaration.any_broken(Kind::Instance) && !findings.is_spent() {
            placement(declaration, placements, name, file, findings);
        }
    }
}

/// A service may well run in one environment only, but it has to run somewhere.
fn placement(
    declaration: &Declaration,
    placements: &Placements,
    name: &ServiceName,
    file: &Declared<ServiceFile>,
    findings: &mut Findings,
) {
    let some_want_replicas = std::iter::once(&file.place)
        .chain(file.overlays.values().filter_map(|overlay| overlay.place.as_ref()))
        .any(|place| place.replicas.is_some());
    for environment in declaration.environments.keys().filter(|_| some_want_replicas) {
        let Some(found) = placements.service(environment.as_str(), name) else { continue };
        let wanted = file.within(environment.as_str()).place();
        let Some(replicas) = &wanted.replicas else { continue };
        let replicas_wanted = replicas.get() as usize;
        if replicas_wanted > found.matching {
            let message =
                format!("{replicas_wanted} replicas need as many instances; {} match in {environment}", found.matching);
            let on = std::sync::Arc::clone(&found.on);
            let hint = move || {
                let names: Vec<&str> = on.iter().map(|name| name.as_str()).collect();
                format!("there is {}: an instance takes one replica", similar::list(&names))
            };
            findings.say(Draft::error(Code::TooFewInstances, message).at(&file.file, replicas.span).hint_of(hint));
        }
    }
    let is_placed = placements.has_service(name);
    if !is_placed && !declaration.environments.is_empty() && !declaration.any_broken(Kind::Environment) {
        let message = format!("`{name}` is placed on no instance of any environment");
        let hint = "name an instance in `on`, or labels that one instance has together in `where`";
        findings.say(Draft::error(Code::PlacedNowhere, message).at(&file.file, file.place.span).hint(hint));
    }
}

/// What a command is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Run,
    Check,
}

struct CheckedService<'a> {
    declaration: &'a Declaration,
    name: &'a ServiceName,
    file: &'a Declared<ServiceFile>,
    findings: &'a mut Findings,
}

impl CheckedService<'_> {
    fn error(&mut self, code: Code, message: impl Into<String>, span: Span, hint: impl Into<String>) {
        self.findings.say(Draft::error(code, message).at(&self.file.file, span).hint(hint));
    }

    /// As [`Self::error`], with a hint that takes some working out.
    fn unknown(&mut self, code: Code, message: String, span: Span, hint: impl FnOnce() -> String + 'static) {
        self.findings.say(Draft::error(code, message).at(&self.file.file, span).hint_of(hint));
    }

    fn environment(&mut self, name: &At<String>) {
        if !self.declaration.knows(Kind::Environment, name) {
            let hint = self.declaration.names.hint_for(Kind::Environment, name);
            let message = format!("there is no environment `{}`", short(name));
            self.unknown(Code::UnknownEnvironment, message, name.span, hint);
        }
    }

    /// The file itself, or one of its overlays.
    fn layer(&mut self, place: Option<&At<Place>>, after: &[At<String>], replaces: &[At<UnitName>]) {
        if let Some(place) = place {
            self.place(place);
        }
        for other in after {
            if !self.declaration.knows(Kind::Service, other) {
                let hint = self.declaration.names.hint_for(Kind::Service, other);
                let message = format!("there is no service `{}`", short(other));
                self.unknown(Code::UnknownService, message, other.span, hint);
            }
        }
        replaced(self.declaration, &self.file.file, replaces, self.findings);
    }

    /// `python`: whether there is a virtual environment, whose programs are called by their names alone.
    fn commands(&mut self, run: Option<&Run>, health: Option<&At<HealthCheck>>, python: bool) {
        if let Some(run) = run {
            self.command(&run.exec, Use::Run, python);
        }
        if let Some(health) = health {
            if let Some(exec) = &health.exec {
                self.command(exec, Use::Check, python);
            }
            if let (Some(body), None) = (&health.body, &health.http) {
                let message = "`body` goes with `http`: only an answer to a request has a body";
                let hint = "add `http: /health`, or take `body` out";
                self.error(Code::InvalidValue, message, body.span, hint);
            }
            super::instances::positive(health.interval.as_ref(), "interval", &self.file.file, self.findings);
            super::instances::positive(health.timeout.as_ref(), "timeout", &self.file.file, self.findings);
            super::instances::positive(health.repair_after.as_ref(), "repair_after", &self.file.file, self.findings);
        }
    }

    fn place(&mut self, place: &At<Place>) {
        if let (Some(_), Some(replicas)) = (&place.on, &place.replicas) {
            let message = "`replicas` goes with `where`; with `on` there is one on each instance named";
            self.error(Code::InvalidValue, message, replicas.span, "remove `replicas`");
        }
        for instance in place.on.iter().flatten() {
            super::sites::known_instance(self.declaration, &self.file.file, instance, self.findings);
        }
        super::sites::named_twice(&self.file.file, place.on.as_deref().unwrap_or_default(), self.findings);
        if self.declaration.any_broken(Kind::Instance) {
            return;
        }
        for (key, value) in place.labels.iter().flatten() {
            let names = &self.declaration.names;
            match names.label(key) {
                None => {
                    let message = format!("no instance has a label `{}`", short(key));
                    let hint = names.hint_for_label(key);
                    self.unknown(Code::UnknownLabel, message, key.span, hint);
                }
                Some(values) if !values.contains(value.as_str()) => {
                    let message = format!("no instance has the label `{}: {}`", short(key), short(value));
                    let hint = names.hint_for_value(key, value);
                    self.unknown(Code::UnknownLabel, message, value.span, hint);
                }
                Some(_) => {}
            }
        }
    }

    fn variable(&mut self, key: &At<String>, value: Option<&str>, span: Span) {
        if GIVEN.contains(&key.as_str()) {
            let message = format!("`{}` is set by evenkeel for every service", short(key));
            self.error(Code::ReservedVariable, message, key.span, "give your variable another name");
        }
        if value.is_some_and(|value| value.contains('\0')) {
            let message = format!("the value of `{}` contains a NUL, which no environment can hold", short(key));
            self.error(Code::ControlCharacter, message, span, "remove it");
        } else if let Some(unfit) = value.and_then(text::unfit_for_variable) {
            let message = format!(
                "the value of `{}` contains U+{:04X}, and systemd drops a variable that does",
                short(key),
                u32::from(unfit)
            );
            self.error(Code::ControlCharacter, message, span, "remove it");
        }
    }

    fn description(&mut self, description: Option<&At<String>>) {
        let Some(description) = description else { return };
        if let Some(unfit) = description.chars().find(|c| text::is_noncharacter(*c)) {
            let message = format!("the description contains U+{:04X}, which is no character", u32::from(unfit));
            self.error(Code::ControlCharacter, message, description.span, "remove it");
        }
        if description.trim_end_matches(|c: char| c.is_whitespace() || c.is_control()).ends_with('\\') {
            let message = "the description ends with a backslash, which to systemd means that the line goes on";
            self.error(Code::InvalidValue, message, description.span, "remove it");
        }
    }

    fn command(&mut self, exec: &At<String>, of: Use, python: bool) {
        let name = self.name;
        let unfit = |c: &char| text::is_noncharacter(*c) || c.is_control() && !matches!(c, '\n' | '\t');
        if let Some(control) = exec.chars().find(unfit) {
            let message = format!("the command contains the control character U+{:04X}", u32::from(control));
            return self.error(Code::ControlCharacter, message, exec.span, "remove it");
        }
        let Some(words) = shlex::split(exec) else {
            let message = "the command ends within quotes or after a backslash";
            return self.error(Code::InvalidCommand, message, exec.span, "close the quotes");
        };
        let is_for_a_shell = words.iter().take(2).any(|word| shell::is_shell(word))
            || words.first().is_some_and(|word| shell::is_builtin(word));
        let key = if of == Use::Run { "run.exec" } else { "health.exec" };
        if let Some(found) = shell::unquoted(exec)
            // Of a program's own path it is said by name.
            .filter(|found| !is_for_a_shell && words.first().is_some_and(|program| !program.contains(found.part())))
        {
            let message = format!("no shell reads this command: {found} reaches the program as it is");
            let finding =
                Draft::warning(Code::InvalidCommand, message).at_part(&self.file.file, exec.span, found.part());
            let (exec, port) = (exec.value.clone(), *self.file.port);
            self.findings.say(finding.hint_of(move || found.hint(key, &exec, port)));
        }
        match words.first() {
            None => {
                self.error(Code::InvalidCommand, format!("`{name}` has an empty command"), exec.span, "write a program")
            }
            Some(program)
                if program.starts_with('/') || program.starts_with("./") || python && is_program_of_venv(program) =>
            {
                // systemd-run reads `$$` as a `$`, but for the program's path.
                let dollar = (of == Use::Check && program.contains('$')).then_some("a `$`");
                if let Some(why) = text::unfit_program(program).or(dollar) {
                    let message = format!("`{}` has {why}, and systemd does not start such a program", short(program));
                    self.error(Code::InvalidCommand, message, exec.span, "give the program another name");
                }
            }
            Some(program) if is_assignment(program) => {
                let message = format!("`{}` is no program: no shell reads this command", short(program));
                let hint = "variables of a service are in its `env`, as in `env: {NAME: value}`";
                self.error(Code::InvalidCommand, message, exec.span, hint);
            }
            Some(program) if shell::is_builtin(program) => {
                let message = format!("`{program}` is a word of a shell, and no shell reads this command");
                // As sh knows it.
                let line = exec
                    .trim()
                    .strip_prefix("source ")
                    .map_or_else(|| exec.trim().to_owned(), |rest| format!(". {rest}"));
                let hint = format!(
                    "{}, or start a script of the source, `./NAME.sh`; a service starts in the folder of its files",
                    shell::through_shell(key, &line)
                );
                self.error(Code::InvalidCommand, message, exec.span, hint);
            }
            Some(program) => {
                let program = short(program);
                let message = format!("`{program}` is neither an absolute path nor begins with `./`");
                let hint = format!(
                    "write /usr/bin/{program}, or ./{program} for a file of the source; a name alone is a \
                     program of the virtual environment that `python` declares"
                );
                self.error(Code::InvalidCommand, message, exec.span, hint);
            }
        }
    }
}

/// A variable that a shell would set for the program after it.
fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// A name as pip makes one in the folder of a virtual environment's programs.
fn is_program_of_venv(program: &str) -> bool {
    program.starts_with(|c: char| c.is_ascii_alphanumeric())
        && program.chars().all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c))
}
