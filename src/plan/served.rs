//! Whether nginx can serve what is declared, and whether it is the sites' own servers that answer.
//!
//! Keeps true: what is in the way is an error where nginx would be reloaded, so that nothing is touched in vain; else it
//! is told and left, for it is not evenkeel's.

use super::{instance::Differ, rollout::Tier};
use crate::model::{
    desired::{DesiredNginx, Resource},
    finding::{Code, Finding},
    fleet::Site,
    name::SiteName,
    nginx::{Answer, LiveNginx, NginxFiles, Proof, Server},
    observation::LiveUnit,
    paths,
    plan::Action,
    seen::Seen,
};

/// Findings about sites that are not served as declared, although everything on the instance is.
const UNIT: &str = "nginx.service";
/// How many servers of others a message names.
const NAMED: usize = 3;

impl Differ<'_> {
    /// Before the reload, which it precedes in the plan.
    pub(super) fn nginx_enabled(&mut self) {
        let Some(unit) = self.unit(UNIT) else { return };
        // What is `static` or made by a generator starts in another way.
        if matches!(unit.enabled.as_str(), "disabled" | "enabled-runtime") {
            let action = Action::EnableUnit { unit: UNIT.to_owned() };
            self.change(Tier::Traffic, &Resource::Nginx, action, "it must start after a reboot");
        }
    }

    pub(super) fn served(&mut self, nginx: &DesiredNginx, live: &LiveNginx) {
        let name = self.name().clone();
        if self.live.unit(UNIT).is_some_and(LiveUnit::is_masked) {
            let message = "nginx.service is masked, so systemd neither starts nor reloads it".to_owned();
            self.in_the_way(Code::NginxMasked, message, format!("sudo systemctl unmask nginx.service # on {name}"));
        }
        if !live.has_log_folder {
            let message = "/var/log/nginx does not exist, and nginx does not start without the logs of sites in it";
            let hint = format!("sudo install -d -o root -g adm -m 755 /var/log/nginx # on {name}");
            self.in_the_way(Code::NoLogFolder, message.to_owned(), hint);
        }
        if let Some(files) = &live.files {
            self.files_read(files, live.has_log_folder);
        }
        // What answers before nginx has read the files that are declared says nothing of them.
        let is_read = live.digest == Seen::Known(nginx.digest);
        for (site, proof) in &nginx.sites {
            for port in proof.ports.iter().copied() {
                let answer = live.answers.get(site).and_then(|answers| answers.get(&port)).copied();
                let answer = match &live.files {
                    _ if is_read => answer.unwrap_or(Answer::Unasked),
                    Some(files) if self.is_foreseen(site, proof, port, files) => Answer::Other,
                    _ => Answer::Unasked,
                };
                if !matches!(answer, Answer::Own | Answer::Unasked) {
                    self.not_served(site, proof, port, answer, live.files.as_ref());
                }
            }
        }
    }

    /// Whether another server will answer once nginx has read the site's file: one that listens on the instance's
    /// address alone, or one with the same name that is read before.
    fn is_foreseen(&self, site: &SiteName, proof: &Proof, port: u16, files: &NginxFiles) -> bool {
        let (address, own) = (self.address(), paths::site_file(&self.inputs.fleet.name, site));
        let Some(server) = files.answering(&proof.host, &address, port).filter(|server| server.file != own) else {
            return false;
        };
        let is_read_before = files.servers.iter().any(|other| other.file == own)
            || server.file.starts_with("/etc/nginx/conf.d/") && server.file < own;
        server.listens_on(&address, port) || is_read_before && server.names.contains(&proof.host)
    }

    /// Where the instance is asked.
    fn address(&self) -> String {
        let instance = self.inputs.fleet.instances.get(self.name());
        instance.map(|instance| instance.address.to_string()).unwrap_or_default()
    }

    /// Whether nginx would take its files, ours among them.
    fn files_read(&mut self, files: &NginxFiles, has_log_folder: bool) {
        let own = format!("/etc/nginx/conf.d/evenkeel-{}-", self.inputs.fleet.name);
        match &files.broken {
            // What is wrong with ours is put right by this very plan.
            Some(why) if why.contains(&own) || !has_log_folder && why.contains("/var/log/nginx") => {}
            Some(why) => {
                let message = format!("nginx does not take its files as they are: {why}");
                let hint = "put that right first (`sudo nginx -t` on the instance); evenkeel did not write it";
                self.in_the_way(Code::NginxBroken, message, hint.to_owned());
            }
            None if !files.reads(&paths::digest_file(&self.inputs.fleet.name)) => {
                let message = "nginx does not read /etc/nginx/conf.d/*.conf, where evenkeel writes its sites";
                let hint = "add `include /etc/nginx/conf.d/*.conf;` within `http { … }` of /etc/nginx/nginx.conf";
                self.in_the_way(Code::ConfDNotIncluded, message.to_owned(), hint.to_owned());
            }
            None => {}
        }
        for site in self.inputs.fleet.sites_on(self.name()).collect::<Vec<&Site>>() {
            // A pattern, as all such names are: nginx takes the first pattern that it reads.
            let is_any = site.domain == "_";
            let foreign = |server: &&Server| !server.file.starts_with(&own);
            let same_name = |server: &&Server| {
                let on_port = server.listens_on("*", 80) || site.tls.is_some() && server.listens_on("*", 443);
                let is_same = |name: &String| if is_any { name.starts_with('~') } else { *name == site.domain };
                on_port && server.names.iter().any(is_same)
            };
            let others: Vec<String> =
                files.servers.iter().filter(foreign).filter(same_name).take(NAMED).map(described).collect();
            if !others.is_empty() {
                let (name, domain, others) = (&site.name, &site.domain, others.join(" and "));
                let (message, hint) = if is_any {
                    let message =
                        format!("site/{name} answers for any name, also for those of the patterns of {others}");
                    (message, "give the site a `domain` of its own, or write the names of those servers out")
                } else {
                    let message = format!(
                        "{domain} of site/{name} is also the name of {others}; nginx answers with the server that it \
                         reads first and ignores the other"
                    );
                    (message, "remove the server block that is not needed")
                };
                self.findings.push(Finding::warning(Code::SameName, message).on(self.name()).hint(hint));
            }
        }
    }

    fn not_served(&mut self, site: &SiteName, proof: &Proof, port: u16, answer: Answer, files: Option<&NginxFiles>) {
        let address = self.address();
        let own = paths::site_file(&self.inputs.fleet.name, site);
        let answering = files.and_then(|files| files.answering(&proof.host, &address, port));
        let who = match answer {
            Answer::Refused => format!("nobody listens on port {port}"),
            Answer::Silent => format!("nothing answers on port {port} in time"),
            Answer::Other | Answer::Own | Answer::Unasked => match answering.filter(|server| server.file != own) {
                Some(server) => format!("{} answers on port {port}", described(server)),
                None => format!("something else answers on port {port}"),
            },
        };
        let name = self.inputs.fleet.sites.get(site).map_or(proof.host.as_str(), |site| site.domain.as_str());
        let message = format!("site/{site} is not what nginx serves for {name}: {who}");
        let hint = match (answer, answering) {
            (Answer::Refused | Answer::Silent, _) => {
                "see what keeps nginx from it: `journalctl -u nginx` and /var/log/nginx/error.log on the instance"
            }
            (_, Some(server)) if server.file == paths::NGINX_DEFAULT => {
                "declare `replaces_default: true`, or remove that server block"
            }
            _ => "remove that server block, or give it another name or address; `sudo nginx -T` shows all of them",
        };
        self.drift.push((Resource::Site(site.clone()), message.clone()));
        self.in_the_way(Code::SiteNotServed, message, hint.to_owned());
    }

    fn in_the_way(&mut self, code: Code, message: String, hint: String) {
        let reloads = self.changes.iter().any(|step| matches!(step.action, Action::ReloadNginx { .. }));
        let finding = if reloads { Finding::error(code, message) } else { Finding::warning(code, message) };
        self.findings.push(finding.on(self.name()).hint(hint));
    }
}

/// `FILE:LINE (listen 80; server_name a.test)`.
fn described(server: &Server) -> String {
    let mut said: Vec<String> = server.listens.iter().map(|listen| format!("listen {listen}")).collect();
    if !server.names.is_empty() {
        said.push(format!("server_name {}", server.names.join(" ")));
    }
    let said = if said.is_empty() { String::new() } else { format!(" ({})", said.join("; ")) };
    format!("{}:{}{said}", server.file, server.line)
}
