//! What is kept from somebody who proposes something and is not trusted yet.
//!
//! Keeps true: hosts are reached as the base says, whatever the proposal says of them; nothing on them is run because a
//! proposal names it; no file on them is read because a proposal grants it to itself; what of a proposal is not looked
//! at for that is said.

use std::collections::BTreeSet;

use crate::{
    host::ProbeRequest,
    model::{
        finding::{Code, Finding},
        fleet::{Certificate, Fleet},
        grants::{Grants, Request},
        paths,
    },
};

/// What is asked of an instance for both plans, in one look.
pub fn question(
    base: ProbeRequest,
    proposed: ProbeRequest,
    base_fleet: &Fleet,
    proposed_fleet: &Fleet,
) -> ProbeRequest {
    let (env_files, certificates) = ungranted(base_fleet, proposed_fleet);
    ProbeRequest {
        paths: &base.paths | &(&proposed.paths - &env_files),
        secrets: &base.secrets | &(&proposed.secrets - &env_files),
        units: &base.units | &proposed.units,
        users: &base.users | &proposed.users,
        packages: &base.packages | &proposed.packages,
        releases: &base.releases | &proposed.releases,
        venvs: &base.venvs | &proposed.venvs,
        interpreters: interpreters(&base, &proposed),
        programs: programs(&base, &proposed),
        certificates: &base.certificates | &(&proposed.certificates - &certificates),
        executes: base.executes || proposed.executes,
        digest_port: base.digest_port.or(proposed.digest_port),
        // What nginx answers in evenkeel's own names.
        fronts: proposed.fronts.into_iter().chain(base.fronts).collect(),
        ..base
    }
}

/// The files of hosts that the proposal names and the base grants to nobody.
fn ungranted(base: &Fleet, proposed: &Fleet) -> (BTreeSet<String>, BTreeSet<Certificate>) {
    let granted = base.grants.ready();
    let env_files = proposed.services.values().filter_map(|service| {
        let (path, own) = (service.env_file.as_ref()?, paths::own_folder(&base.name, &service.name));
        (!granted.permits(Request::EnvFiles, path, Some(&own))).then(|| path.clone())
    });
    let permits = |path: &str| granted.permits(Request::Tls, path, None);
    let certificates = proposed.sites.values().filter_map(|site| site.tls.clone());
    let certificates = certificates.filter(|tls| !(permits(&tls.certificate) && permits(&tls.key)));
    (env_files.collect(), certificates.collect())
}

/// To find out what an interpreter is, a host runs it: those that the base names, and Debian's.
fn interpreters(base: &ProbeRequest, proposed: &ProbeRequest) -> BTreeSet<String> {
    let is_debians = |path: &String| {
        let version = path.strip_prefix("/usr/bin/python3");
        version.is_some_and(|version| version.chars().all(|c| c == '.' || c.is_ascii_digit()))
    };
    let trusted = proposed.interpreters.iter().filter(|path| base.interpreters.contains(*path) || is_debians(path));
    trusted.chain(&base.interpreters).cloned().collect()
}

/// Whether some path exists may be nobody's business: programs that the base names, and those where packages put theirs.
fn programs(base: &ProbeRequest, proposed: &ProbeRequest) -> BTreeSet<String> {
    const FOLDERS: [&str; 5] = ["/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/", "/usr/local/bin/"];
    let is_of_a_package = |program: &&String| {
        let name = FOLDERS.iter().find_map(|folder| program.strip_prefix(folder)).unwrap_or(program);
        !name.contains('/')
    };
    base.programs.iter().chain(proposed.programs.iter().filter(is_of_a_package)).cloned().collect()
}

/// What a proposal says of how hosts are reached, and what that means for its plan.
pub fn findings(base: &Fleet, proposed: &Fleet) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, instance) in &proposed.instances {
        let Some(before) = base.instances.get(name) else {
            let message = format!("{name} is new: it is looked at once this is merged");
            findings.push(Finding::warning(Code::NewInstance, message).on(name));
            continue;
        };
        let mut changes = Vec::new();
        if before.address != instance.address {
            changes.push(format!("its address from {} to {}", before.address, instance.address));
        }
        if before.ssh.host_key != instance.ssh.host_key {
            changes.push("its host key".to_owned());
        }
        if (&before.ssh.user, before.ssh.port) != (&instance.ssh.user, instance.ssh.port) {
            changes.push("how to log in".to_owned());
        }
        if before.ssh.jump != instance.ssh.jump {
            changes.push("its jump host".to_owned());
        }
        if !changes.is_empty() {
            let message = format!("this changes {}", changes.join(" and "));
            let hint = "what is planned here was looked at where the base says that it is, and with its key";
            findings.push(Finding::warning(Code::InstanceReachedOtherwise, message).on(name).hint(hint));
        }
    }
    findings.extend(grants_changed("what services may ask of root", &base.grants, &proposed.grants));
    for (name, instance) in &proposed.instances {
        let Some(before) = base.instances.get(name) else { continue };
        let changed = grants_changed("what services may ask of root there", &before.grants, &instance.grants);
        findings.extend(changed.map(|finding| finding.on(name)));
    }
    for name in base.instances.keys().filter(|name| !proposed.instances.contains_key(*name)) {
        let message = format!("{name} is declared no more: what runs there stays, and is looked after no more");
        findings.push(Finding::warning(Code::InstanceLetGo, message).on(name));
    }
    findings
}

/// What a proposal adds to `allow` and takes away, list by list.
fn grants_changed(what: &str, base: &Grants, proposed: &Grants) -> Option<Finding> {
    let requests: BTreeSet<Request> = base.0.keys().chain(proposed.0.keys()).copied().collect();
    let mut changes = Vec::new();
    for request in requests {
        let (key, before, after) = (request.key(), base.0.get(&request), proposed.0.get(&request));
        let listed = |list: Option<&Vec<String>>| list.into_iter().flatten().cloned().collect::<BTreeSet<_>>();
        let named = |entries: BTreeSet<String>| entries.iter().map(|entry| format!("`{entry}`")).collect::<Vec<_>>();
        let (was, is) = (listed(before), listed(after));
        let (added, removed) = (named(&is - &was), named(&was - &is));
        match (before.is_some(), after.is_some()) {
            (false, true) => changes.push(format!("`{key}` becomes [{}]", added.join(", "))),
            (true, false) => changes.push(format!("the list `{key}` goes")),
            _ if !added.is_empty() => changes.push(format!("`{key}` gains {}", added.join(", "))),
            _ => {}
        }
        if before.is_some() && after.is_some() && !removed.is_empty() {
            changes.push(format!("`{key}` loses {}", removed.join(", ")));
        }
    }
    let message = format!("this changes {what} (`allow`): {}", changes.join("; "));
    let hint = "files that the base does not grant are looked at once this is merged";
    (!changes.is_empty()).then(|| Finding::warning(Code::GrantsChanged, message).hint(hint))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        declare::{self, Overrides},
        model::tree::{Entry, Tree},
    };

    /// A fleet of one service and one site that name files of their hosts, with these grants.
    fn fleet(grants: Grants) -> Fleet {
        let mut tree = Tree::default();
        for (path, text) in [
            ("fleet.yaml", "name: f\ndefaults: {user: a}\nallow: {env_files: [/**], tls: [/**]}\n"),
            ("environments/production.yaml", "branch: main\n"),
            ("instances/h1.yaml", "environment: production\naddress: 10.0.0.1\nports: 1-9\n"),
            (
                "services/a.yaml",
                "source: {git: \"https://example.org/a.git\"}\nrun: {exec: /bin/a}\nplace: {on: [h1]}\nport: 1\n\
                 env_file: /etc/shadow\n",
            ),
            (
                "sites/s.yaml",
                "domain: example.org\non: [h1]\nroutes: {/: {service: a}}\ntls: {certificate: /etc/shadow, key: /etc/ssl/k}\n",
            ),
        ] {
            let entry = Entry::File { content: text.as_bytes().into(), executable: false };
            tree.insert(path, entry).expect("a plain path");
        }
        let (declaration, found) = declare::read(&tree, "");
        let declaration = declaration.unwrap_or_else(|| panic!("{found:#?}"));
        let production = "production".parse().expect("a name");
        let resolved = declaration.resolve(&production, &Overrides::default()).expect("it resolves");
        Fleet { grants, ..(*resolved).clone() }
    }

    fn granting(request: Request, entries: &[&str]) -> Grants {
        Grants(BTreeMap::from([(request, entries.iter().map(|entry| (*entry).to_owned()).collect())]))
    }

    #[test]
    fn a_proposal_has_no_file_looked_at_that_it_grants_to_itself() {
        let everything = || Grants([Request::EnvFiles, Request::Tls].map(|all| (all, vec!["/**".to_owned()])).into());
        let proposed = fleet(everything());
        let tls = proposed.sites.values().find_map(|site| site.tls.clone()).expect("one");
        let asks = || ProbeRequest {
            paths: ["/etc/shadow", "/etc/nginx/a.conf"].map(str::to_owned).into(),
            certificates: [tls.clone()].into(),
            ..ProbeRequest::default()
        };
        let asked = |base: &Fleet| question(ProbeRequest::default(), asks(), base, &proposed);
        let granted = asked(&fleet(everything()));
        assert!(granted.paths.len() == 2 && granted.certificates.len() == 1);
        let refused = asked(&fleet(Grants::default()));
        assert_eq!(refused.paths, ["/etc/nginx/a.conf".to_owned()].into());
        assert!(refused.certificates.is_empty());
    }

    #[test]
    fn a_proposal_has_no_path_looked_for_but_those_of_packages_and_of_the_base() {
        let asks = |programs: &[&str]| ProbeRequest {
            programs: programs.iter().map(|program| (*program).to_owned()).collect(),
            ..ProbeRequest::default()
        };
        let none = fleet(Grants::default());
        let proposed =
            asks(&["/usr/bin/java", "node", "/root/.ssh/id_ed25519", "/usr/bin/../../root/x", "/opt/app/run"]);
        let asked = question(asks(&["/opt/app/run"]), proposed, &none, &none).programs;
        assert_eq!(asked, asks(&["/usr/bin/java", "node", "/opt/app/run"]).programs);
    }

    #[test]
    fn a_proposal_that_changes_grants_says_which() {
        let (none, root) = (Grants::default(), granting(Request::Users, &["root"]));
        let said = |base: &Grants, proposed: &Grants| {
            let found = findings(&fleet(base.clone()), &fleet(proposed.clone()));
            found.into_iter().map(|finding| (finding.code, finding.message)).collect::<Vec<_>>()
        };
        assert_eq!(said(&root, &root), []);
        for (base, proposed) in [(&none, &root), (&root, &none), (&granting(Request::Users, &["b"]), &root)] {
            let [(code, message)] = &said(base, proposed)[..] else { panic!("one finding") };
            assert!(*code == Code::GrantsChanged && message.contains("`users`"), "{message}");
        }
    }

    #[test]
    fn a_proposal_makes_hosts_run_no_interpreter_of_its_choice() {
        let asks = |paths: &[&str]| ProbeRequest {
            interpreters: paths.iter().map(|path| (*path).to_owned()).collect(),
            ..ProbeRequest::default()
        };
        let proposed = asks(&["/opt/ours/python", "/tmp/theirs", "/usr/bin/python3.12", "/usr/bin/python3; id"]);
        let fleet = fleet(Grants::default());
        let asked = question(asks(&["/opt/ours/python"]), proposed, &fleet, &fleet).interpreters;
        assert_eq!(asked, asks(&["/opt/ours/python", "/usr/bin/python3.12"]).interpreters);
    }
}
