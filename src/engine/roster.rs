//! The hosts behind a fleet's instances, kept from pass to pass so that connections stay open.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::look::Hosts;
use crate::model::{
    fleet::{Fleet, Instance},
    name::InstanceName,
};

type Connect<H> = dyn Fn(&Instance) -> H + Send + Sync;

pub struct Roster<H> {
    connect: Box<Connect<H>>,
    known: Mutex<BTreeMap<InstanceName, (Instance, Arc<H>)>>,
}

impl<H> Roster<H> {
    /// `connect` makes a host; it connects when first asked something.
    pub fn new(connect: impl Fn(&Instance) -> H + Send + Sync + 'static) -> Self {
        Self { connect: Box::new(connect), known: Mutex::new(BTreeMap::new()) }
    }

    /// Every connection is made anew, with the keys that there are then.
    pub fn forget(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The hosts of the fleet. One whose address, key or login has changed is made anew.
    pub fn hosts(&self, fleet: &Fleet) -> Hosts<H> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let host = |(name, instance): (&InstanceName, &Instance)| {
            let same =
                known.get(name).filter(|(before, _)| before.address == instance.address && before.ssh == instance.ssh);
            let host = match same {
                Some((_, host)) => host.clone(),
                None => {
                    let host = Arc::new((self.connect)(instance));
                    known.insert(name.clone(), (instance.clone(), host.clone()));
                    host
                }
            };
            (name.clone(), host)
        };
        fleet.instances.iter().map(host).collect()
    }
}
