//! A small fleet with one odd value somewhere, taken all the way: to what systemd and nginx read.

use std::sync::LazyLock;

use evenkeel::{
    engine::prepare::{PrepareError, Prepared},
    model::finding::Finding,
};
use proptest::{prelude::*, test_runner::TestCaseResult};

use crate::{
    declared::{Declared, desired, of},
    nginx::{self, Directive},
    systemd,
};

pub const ALPHA: &str = "source: {path: code}\nplace: {on: [h1]}\nport: 8100\n";
pub const APP: &str = "on: [h1]\n";
pub const RUN: &str = "run: {exec: /usr/bin/python3 server.py}\n";
pub const H1: &str = "environment: production\naddress: 10.0.0.1\nports: 8100-8199\n";

pub fn small() -> Declared {
    of(&[
        (
            "fleet.yaml",
            "name: small\ndefaults: {user: ubuntu}\n\
             allow: {users: [_x-1], env_files: [/**], tls: [/**], acme: [/**]}\n",
        ),
        ("environments/production.yaml", "branch: main\n"),
        ("instances/h1.yaml", H1),
        ("services/alpha.yaml", &format!("{ALPHA}{RUN}")),
        ("sites/app.yaml", &format!("{APP}domain: app.test\nroutes: {{/api/: {{service: alpha}}}}\n")),
        ("code/server.py", "print()\n"),
        ("code/bin/run", "#!/bin/sh\n"),
    ])
}

/// What systemd and nginx read of what is rendered for h1.
#[derive(Clone, PartialEq)]
pub struct Read {
    pub unit: Vec<(String, String)>,
    pub environment: Vec<(String, String)>,
    pub site: Vec<Directive>,
}

impl Read {
    pub fn of(prepared: &Prepared) -> Result<Self, TestCaseError> {
        let desired = desired(prepared, "h1");
        let text = |path: &str| str::from_utf8(&desired.files[path].content).expect("text");
        let not_taken = |path: &str| TestCaseError::fail(format!("not taken:\n{}", text(path)));
        let unit = "/etc/systemd/system/small-alpha@8100.service";
        let environment = "/etc/evenkeel/small/alpha@8100.env";
        let site = "/etc/nginx/conf.d/evenkeel-small-app.conf";
        let proofs = desired.nginx.iter().flat_map(|nginx| nginx.sites.values());
        // A digest of all the rest, which is what is compared.
        let rest = proofs.fold(text(site).to_owned(), |text, proof| text.replace(&proof.answer.to_string(), ""));
        Ok(Self {
            unit: systemd::unit(text(unit)).ok_or_else(|| not_taken(unit))?,
            environment: systemd::environment(text(environment)).ok_or_else(|| not_taken(environment))?,
            site: nginx::file(&rest).ok_or_else(|| not_taken(site))?,
        })
    }

    /// The values of a setting of the unit.
    pub fn setting(&self, key: &str) -> Vec<&str> {
        self.unit.iter().filter(|(other, _)| other == key).map(|(_, value)| value.as_str()).collect()
    }

    /// The one value of a setting, in which only `%` has a meaning.
    pub fn plain(&self, key: &str) -> Option<String> {
        match self.setting(key)[..] {
            [value] => systemd::plain(value),
            _ => None,
        }
    }

    pub fn command(&self) -> Option<Vec<Vec<u8>>> {
        let [line] = self.setting("Service.ExecStart")[..] else { return None };
        systemd::exec_start(&format!("ExecStart={line}")).filter(|words| systemd::is_program(&words[0]))
    }

    pub fn without_setting(mut self, key: &str) -> Self {
        self.unit.retain(|(other, _)| other != key);
        self
    }

    pub fn server(&self, directive: &str) -> Vec<&Directive> {
        let servers = self.site.iter().filter(|directive| directive.name() == "server");
        servers.flat_map(|server| &server.block).filter(|inner| inner.name() == directive).collect()
    }

    pub fn without_directive(mut self, directive: &str) -> Self {
        for server in &mut self.site {
            server.block.retain(|inner| inner.name() != directive);
        }
        self
    }
}

pub static EVER: LazyLock<Read> = LazyLock::new(|| Read::of(&small().prepare()).expect("taken"));

/// The fleet with lines in a file, or None where it is refused: then at one of those lines.
pub fn declare(path: &str, base: &str, lines: &str) -> Result<Option<Prepared>, TestCaseError> {
    match small().write(path, &format!("{base}{lines}\n")).try_prepare() {
        Ok(prepared) => Ok(Some(prepared)),
        Err(PrepareError::Invalid { findings }) => {
            let (file, first) = (format!("fleet/{path}"), base.lines().count() + 1);
            let names = |finding: &Finding| {
                finding.place.as_ref().is_some_and(|place| place.file == file && place.line as usize >= first)
            };
            let is_named = findings.iter().any(|finding| finding.is_error() && names(finding));
            prop_assert!(is_named, "{}: {:#?}", lines, findings);
            Ok(None)
        }
        Err(other) => Err(TestCaseError::fail(format!("`validate` takes {lines}, and then: {other}"))),
    }
}

pub fn service(lines: &str) -> Result<Option<(Prepared, Read)>, TestCaseError> {
    let Some(prepared) = declare("services/alpha.yaml", ALPHA, lines)? else { return Ok(None) };
    let read = Read::of(&prepared)?;
    Ok(Some((prepared, read)))
}

pub fn site(lines: &str) -> Result<Option<Read>, TestCaseError> {
    declare("sites/app.yaml", APP, lines)?.map(|prepared| Read::of(&prepared)).transpose()
}

/// Whether these variables are as declared, and nothing else is otherwise than ever.
pub fn arrives(read: &Read, environment: &[(&str, &str)]) -> TestCaseResult {
    for (key, value) in environment {
        let found = read.environment.iter().filter(|(other, _)| other == key).map(|(_, value)| value.as_str());
        prop_assert_eq!(found.collect::<Vec<_>>(), [*value]);
    }
    let mut ever = read.clone();
    ever.environment.retain(|(key, _)| !environment.iter().any(|(odd, _)| odd == key));
    prop_assert!(ever == *EVER, "something else has changed");
    Ok(())
}
