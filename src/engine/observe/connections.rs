//! The hosts behind a fleet's instances, kept from sync to sync so that connections stay open; and the jump hosts before
//! them, kept with them.
//!
//! Keeps true: what an environment names no more is let go of, with its session and its root's shell, as soon as nothing
//! is under way there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use parking_lot::Mutex;

use super::probe::Hosts;
use crate::{
    host::Jumps,
    model::{
        fleet::{Fleet, Instance},
        name::{EnvironmentName, InstanceName},
    },
};

type Connect<H> = dyn Fn(&Instance, &Jumps) -> H + Send + Sync;

pub struct Connections<H> {
    connect: Box<Connect<H>>,
    kept: Mutex<KeptHosts<H>>,
}

struct KeptHosts<H> {
    hosts: BTreeMap<InstanceName, KeptHost<H>>,
    jumps: Jumps,
}

struct KeptHost<H> {
    /// The environment that asked for it last.
    environment: EnvironmentName,
    instance: Instance,
    host: Arc<H>,
}

impl<H> Default for KeptHosts<H> {
    fn default() -> Self {
        Self { hosts: BTreeMap::new(), jumps: Jumps::default() }
    }
}

impl<H> Connections<H> {
    /// `connect` makes a host; it connects when first asked something.
    pub fn new(connect: impl Fn(&Instance, &Jumps) -> H + Send + Sync + 'static) -> Self {
        Self { connect: Box::new(connect), kept: Mutex::default() }
    }

    /// Every connection is made anew, with the keys that there are then.
    pub fn forget(&self) {
        *self.kept.lock() = KeptHosts::default();
    }

    /// The hosts of the fleet. One whose address, key or login has changed is made anew; one that the fleet's
    /// environment had before, and has no more, is let go of.
    pub fn hosts(&self, fleet: &Fleet) -> Hosts<H> {
        let mut kept = self.kept.lock();
        let KeptHosts { hosts: known, jumps } = &mut *kept;
        let environment = &fleet.environment.name;
        let host = |(name, instance): (&InstanceName, &Instance)| {
            let same = known
                .get(name)
                .filter(|known| known.instance.address == instance.address && known.instance.ssh == instance.ssh);
            let host = same.map_or_else(|| Arc::new((self.connect)(instance, jumps)), |known| known.host.clone());
            let (environment, instance) = (environment.clone(), instance.clone());
            known.insert(name.clone(), KeptHost { environment, instance, host: host.clone() });
            (name.clone(), host)
        };
        let hosts: Hosts<H> = fleet.instances.iter().map(host).collect();
        known.retain(|name, known| known.environment != *environment || hosts.contains_key(name));
        hosts
    }

    /// Lets go of the hosts of all other environments.
    pub fn only(&self, environments: &BTreeSet<EnvironmentName>) {
        let mut kept = self.kept.lock();
        kept.hosts.retain(|_, known| environments.contains(&known.environment));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        declare::Overrides,
        engine::prepare::declared,
        model::tree::{Entry, Tree},
    };

    /// The fleet of an environment with these instances, each at an address of its own.
    fn fleet(environment: &str, instances: &[&str]) -> Arc<Fleet> {
        let mut tree = Tree::default();
        let mut write = |path: String, text: String| {
            tree.insert(&path, Entry::File { content: text.into_bytes().into(), executable: false }).expect("a path");
        };
        write("fleet.yaml".to_owned(), "name: demo\nssh: {user: root}\n".to_owned());
        write(format!("environments/{environment}.yaml"), "branch: main\n".to_owned());
        for instance in instances {
            let number = instance.trim_start_matches('h');
            let text = format!("environment: {environment}\naddress: 192.0.2.{number}\nports: 8000-8099\n");
            write(format!("instances/{instance}.yaml"), text);
        }
        let name = environment.parse().expect("a name");
        declared(&tree, "", &name, &Overrides::default()).map(|(fleet, _)| fleet).expect("it is declared well")
    }

    /// A host is its instance's name here.
    fn connections() -> Connections<String> {
        Connections::new(|instance, _| instance.name.to_string())
    }

    #[test]
    fn a_connection_is_kept_as_long_as_its_instance_is_declared() {
        let connections = connections();
        let first = connections.hosts(&fleet("test", &["h1", "h2"]));
        let [h1, h2] = ["h1", "h2"].map(|name| Arc::downgrade(&first[&name.parse::<InstanceName>().expect("a name")]));
        drop(first);
        let second = connections.hosts(&fleet("test", &["h1"]));
        assert!(h2.upgrade().is_none(), "h2 is declared no more, and is still connected");
        let kept = second.values().next().expect("h1 is there");
        assert!(h1.upgrade().is_some_and(|h1| Arc::ptr_eq(&h1, kept)), "h1 is connected anew");
    }

    #[test]
    fn an_environment_lets_go_of_none_of_anothers() {
        let connections = connections();
        let names = |hosts: Hosts<String>| hosts.into_values().map(|host| Arc::downgrade(&host)).collect::<Vec<_>>();
        let (of_test, of_live) =
            (names(connections.hosts(&fleet("test", &["h1"]))), names(connections.hosts(&fleet("live", &["h2"]))));
        names(connections.hosts(&fleet("test", &["h3"])));
        assert!(of_test[0].upgrade().is_none() && of_live[0].upgrade().is_some());
        // What moves to another environment goes with it.
        let moved = names(connections.hosts(&fleet("test", &["h2", "h3"])));
        names(connections.hosts(&fleet("live", &["h1"])));
        assert!(moved.iter().all(|host| host.upgrade().is_some()));
        connections.only(&["live".parse().expect("a name")].into());
        assert!(moved.iter().all(|host| host.upgrade().is_none()), "test is declared no more");
    }
}
