//! A replica's systemd unit.
//!
//! Sources: systemd.unit(5), systemd.service(5), systemd.exec(5). `%` is doubled against specifiers,
//! `ExecStart=:` switches `$` expansion off, words are quoted as systemd.syntax(7) reads them.

use std::fmt::Write as _;

use super::{RenderError, made_from};
use crate::model::{
    desired::{Replica, Resource},
    fleet::{Fleet, Service},
    paths,
    text::{is_noncharacter, unfit_program},
};

pub(super) fn render(fleet: &Fleet, service: &Service, replica: &Replica) -> Result<String, RenderError> {
    let mut text = made_from(&service.declared_in);
    let mut line = |text_line: String| {
        text += &text_line;
        text.push('\n');
    };
    line("[Unit]".into());
    line(format!("Description={}", plain(service, "description", &description(service))?));
    line("Wants=network-online.target".into());
    line("After=network-online.target".into());
    line(String::new());
    line("[Service]".into());
    line(if service.notify { "Type=notify" } else { "Type=exec" }.into());
    line(format!("User={}", service.user));
    line(format!("WorkingDirectory={}", replica.directory));
    line(format!("EnvironmentFile={}", replica.env_path));
    if let Some(env_file) = &service.env_file {
        line(format!("EnvironmentFile={}", plain(service, "env_file", env_file)?));
    }
    line(format!("ExecStart=:{}", exec_start(service, replica)?));
    line("Restart=always".into());
    line("RestartSec=2s".into());
    for state in &service.state {
        line(format!("StateDirectory={}/{}/{}", fleet.name, service.name, state));
    }
    line(format!("CacheDirectory={}/{}", fleet.name, service.name));
    if service.user == "root" {
        // Files of releases are shared by hard links; only root could write through them.
        line(format!("ReadOnlyPaths={}/releases", paths::base(&fleet.name)));
        if service.python.is_some() {
            line(format!("ReadOnlyPaths={}/venvs", paths::base(&fleet.name)));
        }
    }
    if let Some(memory) = &service.memory {
        line(format!("MemoryMax={memory}"));
    }
    if let Some(cpu) = &service.cpu {
        line(format!("CPUQuota={cpu}"));
    }
    for confinement in &replica.confined_by {
        line(confinement.line().into());
    }
    line(String::new());
    line("[Install]".into());
    line("WantedBy=multi-user.target".into());
    Ok(text)
}

fn description(service: &Service) -> String {
    let described = service.description.split_whitespace().collect::<Vec<_>>().join(" ");
    if described.is_empty() { service.name.to_string() } else { described }
}

fn exec_start(service: &Service, replica: &Replica) -> Result<String, RenderError> {
    let mut words = Vec::new();
    for (index, word) in service.exec.iter().enumerate() {
        let word = match word.strip_prefix("./") {
            // systemd wants the program by its absolute path.
            Some(rest) if index == 0 => format!("{}/{rest}", replica.directory),
            _ => word.clone(),
        };
        if let Some(why) = unfit_program(&word).filter(|_| index == 0) {
            return Err(unprintable(service, "the program's path in run.exec", why));
        }
        words.push(quote(service, &word)?);
    }
    Ok(words.join(" "))
}

/// One word of a command line, read back as the same bytes.
fn quote(service: &Service, word: &str) -> Result<String, RenderError> {
    refuse_nul(service, "run.exec", word)?;
    let bare = |c: char| c.is_ascii_alphanumeric() || "/._-=:,@+".contains(c);
    // A lone `;` would end the command, so everything unusual is quoted.
    if !word.is_empty() && word.chars().all(bare) {
        return Ok(word.to_owned());
    }
    let mut quoted = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            '%' => quoted += "%%",
            '\n' => quoted += "\\n",
            '\t' => quoted += "\\t",
            c if c.is_control() || is_noncharacter(c) => {
                for byte in c.to_string().bytes() {
                    // Writing to a String cannot fail.
                    let _ = write!(quoted, "\\x{byte:02x}");
                }
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    Ok(quoted)
}

/// A value that takes up the rest of a line.
fn plain(service: &Service, what: &str, value: &str) -> Result<String, RenderError> {
    refuse_nul(service, what, value)?;
    if value.contains(['\n', '\r']) || value.ends_with('\\') {
        return Err(unprintable(service, what, "a line break or a backslash at its end"));
    }
    if value.contains(is_noncharacter) {
        return Err(unprintable(service, what, "a Unicode noncharacter"));
    }
    Ok(value.replace('%', "%%"))
}

fn refuse_nul(service: &Service, what: &str, value: &str) -> Result<(), RenderError> {
    if value.contains('\0') { Err(unprintable(service, what, "a NUL")) } else { Ok(()) }
}

fn unprintable(service: &Service, what: &str, character: &'static str) -> RenderError {
    RenderError::Unprintable {
        resource: Resource::Service(service.name.clone()).to_string(),
        what: what.to_owned(),
        character,
        format: "a systemd unit",
    }
}
