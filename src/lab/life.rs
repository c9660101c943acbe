//! Bringing a lab up, down, and its hosts' power on and off.
//!
//! Keeps true: everything here holds the lab's lock. `up` makes, in this order: the base, the tmpfs, the
//! network, the disks, the hosts; `down` removes in the opposite order. So wherever one of them is
//! killed, what is left is what the other knows how to meet.

use std::{fs, io, sync::mpsc, thread};

use super::{
    LONGEST_NAME, Lab, LabHost, Progress, base, cgroup,
    error::{Doing, LabError},
    hosts,
    lock::Lock,
    login, machine,
    machine::Machine,
    mounts, needs, network, process,
};

impl Lab {
    /// Boots one host per instance and waits until each lets its user in. Instances that have a host
    /// keep it, and it is booted if it is off; others get h1, h2, … in order.
    ///
    /// On error the lab stays as far as it got, to be looked at; `up` again continues, `down` clears up.
    pub fn up(&self, instances: &[String], progress: &dyn Progress) -> Result<Vec<LabHost>, LabError> {
        needs::root("booting a lab")?;
        needs::require(&self.more)?;
        let lock = self.lock(progress)?;
        if !self.is_up()? {
            self.refuse_foreign()?;
        }
        let existing = self.instances()?;
        let assigned = hosts::assign(&self.name, &existing, instances, self.most_hosts())?;
        let machines: Vec<Machine<'_>> = assigned.iter().map(|(number, _)| Machine::new(self, *number)).collect();
        let off = machines.iter().filter(|machine| !machine.is_running()).count();
        needs::memory_for(off)?;
        needs::raise_limits(progress);

        // Held until all overlays are mounted: from then on the base is seen to be in use.
        let base = base::ensure(&self.root, self.suite, progress)?;
        if !self.is_up()? {
            mounts::tmpfs(&self.dir)?;
        }
        self.network.up(&lock)?;
        self.make_key(&lock)?;
        for (machine, (number, instance)) in machines.iter().zip(&assigned) {
            if !existing.contains_key(number) {
                machine.prepare(instance, &base.path, &lock)?;
            }
        }
        drop(base);
        if off > 0 {
            progress.say(&format!("booting {off} host{}", if off == 1 { "" } else { "s" }));
        }
        self.power_on(&machines, &lock, progress)?;
        let hosts = self.hosts()?;
        hosts::write_override(&self.override_file(), self.network.namespace(), &self.key_file(), &hosts)?;
        // In the order asked for.
        let host =
            |(number, _): &(u8, String)| hosts.iter().find(|host| host.lab_name == format!("h{number}")).cloned();
        Ok(assigned.iter().filter_map(host).collect())
    }

    /// Takes the power from all hosts and removes every process, mount, control group and network of
    /// this lab, be it whole or half-made. The base stays, for the next time.
    pub fn down(&self, progress: &dyn Progress) -> Result<(), LabError> {
        needs::root("taking a lab down")?;
        let lock = self.lock(progress)?;
        self.take_down(&lock, progress)
    }

    /// `down`, and removes the base too, unless another lab uses it.
    pub fn purge(&self) -> Result<(), LabError> {
        needs::root("purging a lab")?;
        let quiet = |_: &str| ();
        let lock = self.lock(&quiet)?;
        self.take_down(&lock, &quiet)?;
        base::purge(&self.root, &quiet)
    }

    /// Takes a host's power. Its disk stays. Nothing to do for a host that is off.
    pub fn kill(&self, host: &str) -> Result<(), LabError> {
        needs::root("powering a host off")?;
        let _lock = self.lock(&|_: &str| ())?;
        self.machine(host)?.power_off()
    }

    /// Gives a host power and waits until it lets its user in. For one that has power: waits only.
    pub fn boot(&self, host: &str, progress: &dyn Progress) -> Result<(), LabError> {
        needs::root("booting a host")?;
        let lock = self.lock(progress)?;
        self.power_on(&[self.machine(host)?], &lock, progress)
    }

    fn refuse_foreign(&self) -> Result<(), LabError> {
        if !self.network.exists() {
            return Ok(());
        }
        Err(LabError::ForeignNamespace { namespace: self.network.namespace(), root: self.root.clone() })
    }

    /// How many hosts have an interface name that fits, and an address.
    fn most_hosts(&self) -> u8 {
        let digits = 2 + LONGEST_NAME.saturating_sub(self.name.len());
        if digits == 2 { 99 } else { network::MOST_HOSTS }
    }

    fn make_key(&self, lock: &Lock) -> Result<(), LabError> {
        let (key, public) = (self.key_file(), self.key_file().with_extension("pub"));
        if public.exists() {
            return Ok(());
        }
        // ssh-keygen writes the public half last, and asks before it overwrites the private one.
        if key.exists() {
            fs::remove_file(&key).doing(|| format!("removing {}", key.display()))?;
        }
        machine::keygen(&key, &self.network.namespace(), lock)
    }

    /// Boots those that are off, all at once, and waits for all.
    fn power_on(&self, machines: &[Machine<'_>], lock: &Lock, progress: &dyn Progress) -> Result<(), LabError> {
        let (report, reports) = mpsc::channel();
        self.network.ask_again_after(network::IMPATIENT);
        let outcome = thread::scope(|scope| {
            for machine in machines {
                let report = report.clone();
                let boot = || {
                    let was_off = !machine.is_running();
                    if was_off {
                        machine.power_on()?;
                    }
                    login::wait(self, machine, lock)?;
                    Ok(was_off)
                };
                scope.spawn(move || report.send((machine, self.network.enter().and_then(|()| boot()))));
            }
            drop(report);
            let mut outcome = Ok(());
            for (machine, booted) in reports {
                match booted {
                    Ok(true) => progress.say(&self.is_up_line(machine)),
                    Ok(false) => {}
                    // The first error speaks; the others mostly have the same cause.
                    Err(error) => outcome = outcome.and(Err(error)),
                }
            }
            outcome
        });
        self.network.ask_again_after(network::PATIENT);
        outcome
    }

    fn is_up_line(&self, machine: &Machine<'_>) -> String {
        let (name, address) = (machine.lab_name(), self.network.address(machine.number));
        match machine.instance() {
            Ok(instance) if instance != name => format!("{name} ({instance}) is up at {address}"),
            _ => format!("{name} is up at {address}"),
        }
    }

    fn take_down(&self, lock: &Lock, progress: &dyn Progress) -> Result<(), LabError> {
        if !self.is_up()? {
            self.refuse_foreign()?;
        }
        process::power_off(&format!("lab {}", self.name), &self.dir)?;
        let inhabitants = self.network.inhabitants();
        self.network.down(lock)?;
        cgroup::remove(&self.cgroup())?;
        mounts::release(&self.dir)?;
        match fs::remove_dir(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
        .doing(|| format!("removing {}", self.dir.display()))?;
        // Not ours to end, and one of them may be the shell that called us.
        let pids: Vec<String> = inhabitants.iter().map(u32::to_string).collect();
        if !pids.is_empty() {
            progress.say(&format!("still inside the lab's network, now without any host: process {}", pids.join(", ")));
        }
        Ok(())
    }
}
