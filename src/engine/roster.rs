//! The hosts behind a fleet's instances, kept from pass to pass so that connections stay open; and the jump hosts before
//! them, kept with them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::look::Hosts;
use crate::{
    host::Jumps,
    model::{
        fleet::{Fleet, Instance},
        name::InstanceName,
    },
};

type Connect<H> = dyn Fn(&Instance, &Jumps) -> H + Send + Sync;

pub struct Roster<H> {
    connect: Box<Connect<H>>,
    kept: Mutex<Kept<H>>,
}

struct Kept<H> {
    hosts: BTreeMap<InstanceName, (Instance, Arc<H>)>,
    jumps: Jumps,
}

impl<H> Default for Kept<H> {
    fn default() -> Self {
        Self { hosts: BTreeMap::new(), jumps: Jumps::default() }
    }
}

impl<H> Roster<H> {
    /// `connect` makes a host; it connects when first asked something.
    pub fn new(connect: impl Fn(&Instance, &Jumps) -> H + Send + Sync + 'static) -> Self {
        Self { connect: Box::new(connect), kept: Mutex::default() }
    }

    /// Every connection is made anew, with the keys that there are then.
    pub fn forget(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Kept::default();
    }

    /// The hosts of the fleet. One whose address, key or login has changed is made anew.
    pub fn hosts(&self, fleet: &Fleet) -> Hosts<H> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept { hosts: known, jumps } = &mut *kept;
        let host = |(name, instance): (&InstanceName, &Instance)| {
            let same =
                known.get(name).filter(|(before, _)| before.address == instance.address && before.ssh == instance.ssh);
            let host = match same {
                Some((_, host)) => host.clone(),
                None => {
                    let host = Arc::new((self.connect)(instance, jumps));
                    known.insert(name.clone(), (instance.clone(), host.clone()));
                    host
                }
            };
            (name.clone(), host)
        };
        fleet.instances.iter().map(host).collect()
    }
}
