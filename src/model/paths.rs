//! Where things lie on a host: every path and unit name, in one place.
//!
//! - `/etc/systemd/system/<fleet>-<service>@<port>.service`: a replica's unit; it names its release outright
//! - `/etc/evenkeel/<fleet>/<service>@<port>.env`: its environment, mode 0600
//!   of a service that runs as one of two copies, `<fleet>-<service>@<port>-blue.service` or `-green`, and so its `.env`
//! - `/etc/nginx/conf.d/evenkeel-<fleet>-<site>.conf`: a site
//! - `/etc/nginx/conf.d/evenkeel-<fleet>-<service>@<port>.conf`: nginx at the port of a service, leading to one of two copies
//! - `/etc/nginx/conf.d/evenkeel-<fleet>-00.conf`: the loopback server that answers the digest
//! - `/var/lib/evenkeel/<fleet>/manifest`: what evenkeel made here, one entry a line; mode 0600
//! - `/var/lib/evenkeel/<fleet>/key`: 256 random bits, with which the digests in the manifest of what is not ours are sealed; mode 0600
//! - `/var/lib/evenkeel/<fleet>/generation`: the newest generation begun here
//! - `/var/lib/evenkeel/<fleet>/releases/<digest>/`: releases: owned by root, files 0444 or 0555
//! - `/var/lib/evenkeel/<fleet>/listings/<digest>`: what is in one, and its `.signature` once every byte was checked
//! - `/var/lib/evenkeel/<fleet>/venvs/<key>/`: virtual environments: owned by root; `made` in each says with what, and how it was then
//! - `/var/lib/evenkeel/<fleet>/sites/<site>/current`: the link a site serves from
//! - `/var/lib/evenkeel/<fleet>/sites/<site>/previous-1` to `-3`: links to what it served before, for hashed files that open pages still ask for
//! - `/var/log/nginx/<fleet>-<site>.access.log`: its log; rotated by the rule that Debian's nginx brings
//! - `/var/lib/evenkeel/<fleet>/open`: the deployment that is neither finished nor undone here
//! - `/var/lib/evenkeel/<fleet>/last`: the newest deployment that finished here
//! - `/var/lib/evenkeel/<fleet>/deployments/<generation>/<phase>/`: script, journal, events, and what was replaced
//! - `/var/lib/<fleet>/<service>/<name>`: a service's `state`, made by systemd, never touched by evenkeel
//! - `/var/cache/<fleet>/<service>/`: a service's cache, made by systemd, never touched by evenkeel
//!
//! `model::paths` is in row 1, not in `render`: the planner has to tell what a path belongs to.

use super::{
    desired::Resource,
    digest::Digest,
    name::{FleetName, ServiceName, SiteName},
    rollout::{ReplicaId, Slot},
};

/// Where a person's browser-facing default site is linked on Debian; what `replaces_default` unlinks.
pub const NGINX_DEFAULT: &str = "/etc/nginx/sites-enabled/default";

pub fn unit(fleet: &FleetName, replica: &ReplicaId) -> String {
    format!("{fleet}-{}.service", named(replica))
}

pub fn unit_file(fleet: &FleetName, replica: &ReplicaId) -> String {
    format!("/etc/systemd/system/{}", unit(fleet, replica))
}

pub fn env_file(fleet: &FleetName, replica: &ReplicaId) -> String {
    format!("/etc/evenkeel/{fleet}/{}.env", named(replica))
}

fn named(ReplicaId { service, port, slot }: &ReplicaId) -> String {
    format!("{service}@{port}{}", slot.suffix())
}

/// The folders that systemd makes for a service and leaves to it: each of its states, and its cache.
pub fn made_for(fleet: &FleetName, service: &ServiceName, states: &[String]) -> Vec<String> {
    let states = states.iter().map(|state| format!("/var/lib/{fleet}/{service}/{state}"));
    states.chain([format!("/var/cache/{fleet}/{service}")]).collect()
}

/// The folder whose files a service may name without a grant. Its administrator makes it; evenkeel never writes there.
pub fn own_folder(fleet: &FleetName, service: &ServiceName) -> String {
    format!("/etc/evenkeel.d/{fleet}/{service}/")
}

pub fn site_file(fleet: &FleetName, site: &SiteName) -> String {
    format!("/etc/nginx/conf.d/evenkeel-{fleet}-{site}.conf")
}

/// The server that answers the digest, shared by the fleet's sites. The `00` keeps it from being
/// taken for a site: no site's name begins with a digit.
pub fn digest_file(fleet: &FleetName) -> String {
    format!("/etc/nginx/conf.d/evenkeel-{fleet}-00.conf")
}

/// nginx at the port of a service that runs as one of two copies. The `@` keeps it from being taken for a site.
pub fn front_file(fleet: &FleetName, service: &ServiceName, port: u16) -> String {
    format!("/etc/nginx/conf.d/evenkeel-{fleet}-{service}@{port}.conf")
}

/// The service whose port an nginx file is at, and that port.
pub fn front_of(fleet: &FleetName, path: &str) -> Option<(ServiceName, u16)> {
    let name = path.strip_prefix(&format!("/etc/nginx/conf.d/evenkeel-{fleet}-"))?.strip_suffix(".conf")?;
    let (service, port) = name.split_once('@')?;
    Some((service.parse().ok()?, port.parse().ok()?))
}

/// Everything evenkeel keeps for itself on a host.
pub fn base(fleet: &FleetName) -> String {
    format!("/var/lib/evenkeel/{fleet}")
}

pub fn manifest(fleet: &FleetName) -> String {
    format!("{}/manifest", base(fleet))
}

/// Holds the newest generation begun on a host.
pub fn generation(fleet: &FleetName) -> String {
    format!("{}/generation", base(fleet))
}

/// What undoes a deployment on a host, run by root there: evenkeel's own hand, and a person's where evenkeel has none.
pub fn undo_script(fleet: &FleetName, deployment: &str) -> String {
    format!("{}/deployments/{deployment}/undo.sh", base(fleet))
}

pub fn release(fleet: &FleetName, digest: &Digest) -> String {
    format!("{}/releases/{digest}", base(fleet))
}

/// The release that a path is the directory of.
pub fn release_at(fleet: &FleetName, path: &str) -> Option<Digest> {
    path.strip_prefix(&format!("{}/releases/", base(fleet)))?.parse().ok()
}

/// A virtual environment, by its key.
pub fn venv(fleet: &FleetName, key: &Digest) -> String {
    format!("{}/venvs/{key}", base(fleet))
}

/// A program of a virtual environment, by its name.
pub fn venv_program(fleet: &FleetName, key: &Digest, name: &str) -> String {
    format!("{}/bin/{name}", venv(fleet, key))
}

/// Stands in a plan for a virtual environment whose key a build has to tell first. Nothing is ever made there.
pub fn unknown_venv(fleet: &FleetName) -> String {
    format!("{}/venvs/known-after-the-build", base(fleet))
}

/// The symlink that a site serves from; a switch renames it.
pub fn site_current(fleet: &FleetName, site: &SiteName) -> String {
    format!("{}/sites/{site}/current", base(fleet))
}

/// How many releases a site goes on having at hand for pages that were opened before a switch.
pub const PREVIOUS: usize = 3;

/// The symlink to what a site served before: 1 is the release before `current`.
pub fn site_previous(fleet: &FleetName, site: &SiteName, number: usize) -> String {
    format!("{}/sites/{site}/previous-{number}", base(fleet))
}

/// Rotated by the rule that Debian's nginx brings, which is for all of `/var/log/nginx/*.log`.
pub fn access_log(fleet: &FleetName, site: &SiteName) -> String {
    format!("/var/log/nginx/{fleet}-{site}.access.log")
}

/// The transient unit that carries a phase out; its name excludes a second one.
pub fn apply_unit(fleet: &FleetName) -> String {
    format!("evenkeel-{fleet}.service")
}

/// The folder of all fleets of a host.
pub const ALL_FLEETS: &str = "/var/lib/evenkeel";

/// The folder of a site's links.
pub fn site_folder(fleet: &FleetName, site: &SiteName) -> String {
    format!("{}/sites/{site}", base(fleet))
}

/// The replica that a unit of ours runs, told by its name.
pub fn replica_of_unit(fleet: &FleetName, unit: &str) -> Option<ReplicaId> {
    let name = unit.strip_suffix(".service")?.strip_prefix(fleet.as_str())?.strip_prefix('-')?;
    let (service, place) = name.split_once('@')?;
    let (port, slot) = port_and_slot(place)?;
    Some(ReplicaId { service: service.parse().ok()?, port, slot })
}

/// The port at which callers find a unit's replica, where that is one of two copies, each of which binds another port.
pub fn public_port(unit: &str) -> Option<u16> {
    let (_, place) = unit.strip_suffix(".service")?.split_once('@')?;
    port_and_slot(place).filter(|(_, slot)| *slot != Slot::Sole).map(|(port, _)| port)
}

/// Of `8100-blue`.
fn port_and_slot(place: &str) -> Option<(u16, Slot)> {
    let (port, suffix) = place.split_at(place.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(place.len()));
    Some((port.parse().ok()?, Slot::of_suffix(suffix)?))
}

/// The replica whose environment lies at a path.
pub fn replica_of_env_file(fleet: &FleetName, path: &str) -> Option<ReplicaId> {
    let name = path.strip_prefix(&format!("/etc/evenkeel/{fleet}/"))?.strip_suffix(".env")?;
    replica_of_unit(fleet, &format!("{fleet}-{name}.service"))
}

/// What a path of ours belongs to, told by its name.
pub fn resource_of(fleet: &FleetName, path: &str) -> Resource {
    let unit = || replica_of_unit(fleet, path.strip_prefix("/etc/systemd/system/")?);
    let environment = || replica_of_env_file(fleet, path);
    let site = || {
        let nginx = path.strip_prefix(&format!("/etc/nginx/conf.d/evenkeel-{fleet}-"));
        let links = path.strip_prefix(&format!("{}/sites/", base(fleet)));
        let link = links.and_then(|name| name.split_once('/'));
        let link = link.filter(|(_, link)| *link == "current" || link.starts_with("previous-"));
        nginx.and_then(|name| name.strip_suffix(".conf")).or(link.map(|(site, _)| site))
    };
    if path == digest_file(fleet) {
        return Resource::Nginx;
    }
    let front = || front_of(fleet, path).map(|(service, _)| service);
    if let Some(service) = unit().or_else(environment).map(|replica| replica.service).or_else(front) {
        return Resource::Service(service);
    }
    match site().and_then(|name| name.parse().ok()) {
        Some(name) => Resource::Site(name),
        None => Resource::Leftover(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_told_by_its_unit_in_every_slot() {
        let fleet: FleetName = "sophia".parse().expect("a name");
        for slot in Slot::ALL {
            let replica = ReplicaId { service: "gong_mcp".parse().expect("a name"), port: 8100, slot };
            assert_eq!(replica_of_unit(&fleet, &unit(&fleet, &replica)), Some(replica.clone()));
            let service = Resource::Service(replica.service.clone());
            let public = (slot != Slot::Sole).then_some(8100);
            assert_eq!(public_port(&unit(&fleet, &replica)), public);
            assert_eq!(resource_of(&fleet, &unit_file(&fleet, &replica)), service);
            assert_eq!(resource_of(&fleet, &env_file(&fleet, &replica)), service);
            let front = front_file(&fleet, &replica.service, replica.port);
            assert_eq!(front_of(&fleet, &front), Some((replica.service, replica.port)));
            assert_eq!(resource_of(&fleet, &front), service);
        }
    }

    #[test]
    fn a_unit_of_before_there_were_slots_is_the_sole_copy() {
        let fleet = "sophia".parse().expect("a name");
        let slot = |unit| replica_of_unit(&fleet, unit).map(|replica| replica.slot);
        assert_eq!(slot("sophia-gong_mcp@8100.service"), Some(Slot::Sole));
        for unit in ["sophia-gong_mcp@8100-pink.service", "sophia-gong_mcp@.service", "sophia-gong_mcp@+1.service"] {
            assert_eq!(slot(unit), None, "{unit}");
        }
    }
}
