//! A replica's environment file.
//!
//! Source: systemd.exec(5), `EnvironmentFile=`: within double quotes a backslash keeps `"`, `\`, `$`
//! and a backtick as they are, and line breaks stand for themselves.

use super::RenderError;
use crate::model::{
    desired::{Replica, Resource},
    fleet::{Instance, Service},
    text::{is_noncharacter, unfit_for_variable},
};

pub(super) fn render(
    instance: &Instance,
    service: &Service,
    replica: &Replica,
    programs: Option<&str>,
) -> Result<String, RenderError> {
    let mut given = vec![
        ("INSTANCE_NAME", instance.name.to_string()),
        ("INSTANCE_IP", instance.address.to_string()),
        ("SERVICE_NAME", service.name.to_string()),
        ("SERVICE_PORT", replica.port.to_string()),
        ("EVENKEEL_RELEASE", replica.release.to_string()),
        // No PYTHONPYCACHEPREFIX: it would hide what the distribution and pip have compiled. No service can write into a
        // release, and Python leaves uncached what it cannot write.
    ];
    if let Some(programs) = programs.filter(|_| !service.env.contains_key("PATH")) {
        // What it starts itself finds the virtual environment's programs first. The rest is systemd's own.
        given.push(("PATH", format!("{programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")));
    }
    given.extend(service.env.iter().map(|(key, value)| (key.as_str(), value.clone())));
    given.sort();
    given.into_iter().map(|(key, value)| line(service, key, &value)).collect()
}

fn line(service: &Service, key: &str, value: &str) -> Result<String, RenderError> {
    if let Some(bad) = unfit_for_variable(value) {
        return Err(RenderError::Unprintable {
            resource: Resource::Service(service.name.clone()).to_string(),
            what: format!("env.{key}"),
            character: match bad {
                '\0' => "a NUL",
                bad if is_noncharacter(bad) => "a Unicode noncharacter",
                _ => "a control character",
            },
            format: "an environment file",
        });
    }
    let mut text = String::with_capacity(key.len() + value.len() + 4);
    text.extend([key, "=\""]);
    for c in value.chars() {
        if matches!(c, '\\' | '"' | '$' | '`') {
            text.push('\\');
        }
        text.push(c);
    }
    text += "\"\n";
    Ok(text)
}
