//! Steps carried out on a host in memory, as the script on a real host does.
//!
//! Keeps true: a step that a real host would refuse panics.

use evenkeel::model::{
    digest::Digest,
    manifest::Manifest,
    nginx::Proof,
    observation::{LiveFolder, LiveVenv},
    plan::{Action, Before, ShiftedFile, Step},
    run::Tries,
};

use crate::host::{Host, Lies, Nginx, UNITS, Unit, file, stopped};

impl Host {
    /// Carries the steps out in their order, as the script on a real host does.
    pub fn apply(&mut self, steps: &[&Step], after: &Manifest, generation: u64) {
        self.manifest = Some(self.owned().union(after).write());
        self.generation = generation;
        for step in steps {
            self.step(step);
        }
        self.manifest = Some(after.write());
    }

    fn step(&mut self, step: &Step) {
        let id = step.id.as_str();
        match &step.action {
            Action::InstallPackages { names } => {
                self.packages.extend(names.iter().cloned());
                if names.iter().any(|name| name.starts_with("nginx")) && self.nginx.is_none() {
                    self.nginx = Some(Nginx { running: true, ..Nginx::default() });
                }
            }
            Action::SealManifest { .. } | Action::ReadUnits { .. } => {}
            Action::MendFolder { path, before, mode } => {
                assert_eq!(self.folders.get(path), Some(before), "{id}: {path} is not as the plan says it is");
                self.folders.insert(path.clone(), LiveFolder { mode: *mode, owner: "root:root".to_owned() });
            }
            Action::StageRelease { release, .. } => _ = self.releases.insert(*release),
            Action::BuildVenv { key, requirements, .. } => {
                let is_staged = self.releases.iter().any(|release| requirements.contains(&format!("/{release}/")));
                assert!(is_staged, "{id}: there is no {requirements}");
                let made_with = self.python.clone().unwrap_or_else(|| panic!("{id}: there is no interpreter"));
                self.venvs.insert(*key, LiveVenv::Whole { made_with });
            }
            Action::WriteFile { path, before, content, mode } => {
                self.still(id, path, before);
                self.files.insert(path.clone(), file(content.public().expect("public"), *mode));
            }
            Action::WriteLink { path, before, target } => {
                self.still(id, path, before);
                self.files.insert(path.clone(), Lies::Link(target.clone()));
            }
            Action::RemoveFile { path, before } => {
                self.still(id, path, before);
                self.files.remove(path);
                if let Some(unit) = path.strip_prefix(UNITS) {
                    let unit = self.units.remove(unit);
                    assert!(unit.is_none_or(|unit| unit.active != "active"), "{id}: it still runs");
                }
            }
            Action::StopUnit { unit, .. } => {
                let unit = self.unit(unit);
                *unit = stopped(unit.port);
            }
            Action::EnableUnit { unit } if unit == "nginx.service" => self.odd.unit_file = Some("enabled".to_owned()),
            Action::EnableUnit { unit } => {
                assert!(self.files.contains_key(&format!("{UNITS}{unit}")), "{id}: there is no unit file");
                self.units.entry(unit.clone()).or_insert_with(|| stopped(0)).enabled = true;
            }
            Action::StartUnit { unit } | Action::RestartUnit { unit } => self.start(id, unit),
            Action::ReloadNginx { digest, port, .. } => self.reload(id, *digest, *port),
            Action::ShiftTraffic { files, digest, port, .. } => {
                for ShiftedFile { path, before, content, mode } in files {
                    self.still(id, path, before);
                    self.files.insert(path.clone(), file(content.public().expect("public"), *mode));
                }
                self.reload(id, *digest, *port);
            }
            Action::SwitchPort { path, port, to } => {
                self.switch(id, path, *port, to.as_ref().and_then(|to| to.proof.as_ref()));
            }
            Action::Drain { unit, .. } => assert_eq!(self.unit(unit).active, "active", "{id}"),
            Action::ReleaseNginx => {
                if let Some(nginx) = &mut self.nginx {
                    nginx.serving = None;
                }
            }
            Action::AwaitHealth { unit, .. } | Action::Pause { unit, .. } => {
                assert_eq!(self.unit(unit).active, "active", "{id}")
            }
        }
    }

    fn reload(&mut self, id: &str, digest: Digest, port: u16) {
        let answers = self.digest_server();
        let nginx = self.nginx.as_mut().unwrap_or_else(|| panic!("{id}: nginx is not installed"));
        assert_eq!(answers, Some((digest, port)), "{id}: nginx would never answer this digest");
        (nginx.running, nginx.serving) = (true, Some(digest));
    }

    fn switch(&mut self, id: &str, path: &str, port: u16, proof: Option<&Proof>) {
        let lies = self.files.get(path);
        let taken = self
            .listeners()
            .into_iter()
            .find(|listener| listener.port == port && listener.unit.as_deref() != Some("nginx.service"));
        let nginx = self.nginx.as_mut().unwrap_or_else(|| panic!("{id}: nginx is not installed"));
        let Some(proof) = proof else {
            assert_eq!(lies, None, "{id}: its file is there still");
            nginx.fronts.remove(&port);
            return;
        };
        assert_eq!(taken, None, "{id}: the port is taken");
        let Some(Lies::File { content, .. }) = lies else { panic!("{id}: there is no file at {path}") };
        let text = String::from_utf8(content.clone()).expect("text");
        assert!(text.contains(&format!("return 200 \"{}", proof.answer)), "{id}: nginx would never answer so");
        nginx.running = true;
        nginx.fronts.insert(port, proof.answer);
    }

    /// As systemd would: the unit file says where, the directory and the files it names must be there.
    fn start(&mut self, id: &str, name: &str) {
        let Some(Lies::File { content, .. }) = self.files.get(&format!("{UNITS}{name}")) else {
            panic!("{id}: there is no unit file");
        };
        let text = String::from_utf8(content.clone()).expect("text");
        let values = |key: &str| text.lines().filter_map(move |line| line.strip_prefix(key)).collect::<Vec<_>>();
        let directory = values("WorkingDirectory=")[0].to_owned();
        let release = directory.rsplit('/').next().expect("a name").parse().expect("a digest");
        assert!(self.releases.contains(&release), "{id}: its release was not staged");
        for path in values("EnvironmentFile=") {
            assert!(self.files.contains_key(path), "{id}: {path} is not there");
        }
        assert!(self.users.contains(values("User=")[0]), "{id}: its user is not there");
        let port = self.told_port(values("EnvironmentFile=")[0]);
        let taken = self.listeners().into_iter().find(|l| l.port == port && l.unit.as_deref() != Some(name));
        assert_eq!(taken, None, "{id}: its port is taken");
        let unit = self.units.entry(name.to_owned()).or_insert_with(|| stopped(port));
        *unit = Unit {
            active: "active".to_owned(),
            port,
            directory: Some(directory),
            tries: Tries::default(),
            ..unit.clone()
        };
    }

    /// The port that a program is told to bind.
    fn told_port(&self, environment: &str) -> u16 {
        let Some(Lies::File { content, .. }) = self.files.get(environment) else { panic!("no file at {environment}") };
        let text = String::from_utf8(content.clone()).expect("text");
        let port = text.lines().find_map(|line| line.strip_prefix("SERVICE_PORT=\"")?.strip_suffix('"'));
        port.and_then(|port| port.parse().ok()).expect("a port")
    }

    fn still(&self, id: &str, path: &str, before: &Before) {
        let is = match (self.files.get(path), before) {
            (None, Before::Absent) => true,
            (Some(Lies::Link(live)), Before::Link { target }) => live == target,
            (Some(Lies::File { content, .. }), Before::File { digest, .. }) => Digest::of(content) == *digest,
            _ => false,
        };
        assert!(is, "{id}: {path} is not as the plan says it is");
    }
}
