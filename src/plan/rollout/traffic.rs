//! Traffic: while a replica restarts, nginx leads its requests to the others.
//!
//! Before a wave in which replicas restart of a service that is changed a few replicas at a time, each nginx that leads to
//! them takes them out; the requests that are under way there are waited for; once they are healthy again, nginx leads to
//! them as before. One reload takes some out and lets others in.
//!
//! Keeps true: nginx leads to a replica again before another one is taken out, and never to none; what a site's file says
//! besides stays as it lies there, for a new one comes with its own wave. Only files are changed that are as evenkeel wrote
//! them, be it with replicas out: where a rollout was cut off, the next one goes on from there. Never does: standing in the way of a rollout: where traffic cannot be shifted, nginx finds out by itself who is
//! away.

use std::collections::{BTreeMap, BTreeSet};

use super::IsSteady;
use crate::model::{
    content::Content,
    desired::{Desired, Resource},
    digest::Digest,
    fleet::{Fleet, Service},
    name::{InstanceName, ServiceName},
    nginx::{UPSTREAM_END, upstream_server, without_requests},
    observation::{LiveFile, Observation},
    paths,
    plan::{Action, Before, InstancePlan, InstanceState, Phase, Rank, ReplicaPlace, ShiftedFile, Step, StepId},
    rollout::{ReplicaId, Rollout, Slot},
    seen::Seen,
};

/// What traffic is shifted by.
pub(in crate::plan) struct Traffic<'a> {
    pub fleet: &'a Fleet,
    pub desired: &'a BTreeMap<InstanceName, Desired>,
    pub instances: &'a BTreeMap<InstanceName, InstancePlan>,
    pub live: &'a dyn Fn(&InstanceName) -> Option<&'a Observation>,
    pub is_steady: IsSteady<'a>,
}

/// An nginx of ours, and what its files say now and will say as steps are planned.
struct Front<'a> {
    instance: &'a InstanceName,
    /// What lies at each path: the digest server's file and the sites'.
    files: BTreeMap<String, ShiftedText>,
    digest_path: String,
    /// What is served while no traffic is shifted.
    settled: Digest,
    /// What is served by now.
    serving: Digest,
    port: u16,
    away: BTreeSet<ReplicaPlace>,
    /// Whether any step shifts traffic here.
    is_shifted: bool,
}

struct ShiftedText {
    mode: u32,
    owner: String,
    text: String,
}

impl ShiftedText {
    fn before(&self) -> Before {
        Before::File {
            digest: Digest::of(&self.text),
            mode: self.mode,
            owner: self.owner.clone(),
            content: Some(Content::Public(self.text.clone().into_bytes())),
        }
    }
}

/// Stands at the end of the digest server's file while traffic is shifted: what it answers else.
const SETTLED: &str = "# Some replicas get no requests for a while; else it is ";

impl Traffic<'_> {
    /// The steps with those that shift traffic, in waves of their own before and after what they make room for.
    pub fn shifted(&self, steps: Vec<Step>) -> Vec<Step> {
        let mut waves: Vec<Vec<Step>> = Vec::new();
        for step in steps {
            match waves.last_mut().filter(|wave| wave.last().is_some_and(|last| last.phase.wave == step.phase.wave)) {
                Some(wave) => wave.push(step),
                None => waves.push(vec![step]),
            }
        }
        let mut fronts: Vec<Front<'_>> = self.fleet.instances.keys().filter_map(|name| self.front(name)).collect();
        let mut shifted: Vec<Vec<Step>> = Vec::new();
        let mut up = BTreeSet::new();
        for mut wave in waves {
            let away = self.away(&wave, &up);
            let shift = |front: &mut Front<'_>| {
                // Whom a cut left out before it was up again, nothing is led to until it is.
                let down = front.away.iter().filter(|(service, instance)| !self.answers(service, instance, &up));
                let wanted = away.iter().chain(down).cloned().collect();
                front.lead(self.fleet, &wanted)
            };
            let shifts: Vec<Step> = fronts.iter_mut().filter_map(shift).collect();
            for place in &away {
                let from = fronts.iter().filter(|front| front.away.contains(place)).map(|front| front.instance);
                self.drain(&mut wave, place, from.collect());
            }
            up.extend(wave.iter().filter(|step| step.action.started().is_some()).filter_map(place_of));
            shifted.extend([shifts, wave].into_iter().filter(|wave| !wave.is_empty()));
        }
        // Where nothing was shifted, what a cut left behind is put right with the sites.
        let used = fronts.iter_mut().filter(|front| front.is_shifted);
        let back: Vec<Step> = used.filter_map(|front| front.lead(self.fleet, &BTreeSet::new())).collect();
        // Before what is the sites' own changes: those are planned for how the files lie there.
        let at = shifted.iter().rposition(|wave| wave.iter().any(|step| step.action.started().is_some()));
        shifted.insert(at.map_or(shifted.len(), |at| at + 1), back);
        shifted.retain(|wave| !wave.is_empty());
        fronts.iter().filter(|front| front.is_shifted).for_each(|front| front.goes_on(&mut shifted));
        numbered(shifted)
    }

    /// The replicas that go away in a wave, while another one of their service answers. `up`: those that were started
    /// before.
    fn away(&self, wave: &[Step], up: &BTreeSet<ReplicaPlace>) -> BTreeSet<ReplicaPlace> {
        let stops = |step: &&Step| step.action.stopped().is_some_and(|unit| (self.is_steady)(&step.instance, unit));
        let away: BTreeSet<ReplicaPlace> = wave.iter().filter(stops).filter_map(place_of).collect();
        let is_led_around = |(name, instance): &&ReplicaPlace| {
            let Some(service) = self.fleet.services.get(name) else { return false };
            let goes = |other: &InstanceName| away.contains(&(name.clone(), other.clone()));
            matches!(service.rollout, Rollout::Rolling(_))
                && service.on.contains(instance)
                && service.on.iter().any(|other| !goes(other) && self.answers(name, other, up))
        };
        away.iter().filter(is_led_around).cloned().collect()
    }

    /// Whether a replica answers by now: it did when it was observed, or was started since.
    fn answers(&self, service: &ServiceName, instance: &InstanceName, up: &BTreeSet<ReplicaPlace>) -> bool {
        let Some(service) = self.fleet.services.get(service) else { return false };
        let id = ReplicaId { service: service.name.clone(), port: service.port, slot: Slot::Sole };
        let is_steady = (self.is_steady)(instance, &paths::unit(&self.fleet.name, &id));
        is_steady || up.contains(&(service.name.clone(), instance.clone()))
    }

    /// Has a replica's wave wait for the requests that these have led to it.
    fn drain(&self, wave: &mut Vec<Step>, (service, instance): &ReplicaPlace, fronts: BTreeSet<&InstanceName>) {
        let Some(service) = self.fleet.services.get(service).filter(|_| !fronts.is_empty()) else { return };
        let Rollout::Rolling(rolling) = &service.rollout else { return };
        let resource = Resource::Service(service.name.clone());
        let mut of_replica = wave.iter().filter(|step| step.instance == *instance && step.resource == resource);
        let stopped = of_replica.find_map(|step| Some((step.phase, step.action.stopped()?.to_owned())));
        let Some((phase, unit)) = stopped else { return };
        let address = |front: &InstanceName| match front == instance {
            true => Some([127, 0, 0, 1].into()),
            false => self.fleet.instances.get(front).map(|front| front.address),
        };
        let from = fronts.into_iter().filter_map(address).collect();
        let action = Action::Drain { unit, port: service.port, from, timeout: rolling.drain_timeout };
        let id = StepId::new(instance, &resource, action.verb(), &action.subject());
        let reason = "what is under way is answered before it stops".to_owned();
        let step = Step { id, instance: instance.clone(), phase, resource, action, reason };
        let is_later = |other: &Step| other.phase == phase && other.instance == *instance && rank(other) > rank(&step);
        let at = wave.iter().position(is_later).unwrap_or(wave.len());
        wave.insert(at, step);
    }

    /// An nginx that serves what evenkeel wrote. None where its files cannot be told, or nothing is to change there.
    fn front(&self, instance: &InstanceName) -> Option<Front<'_>> {
        let (instance, desired) = self.desired.get_key_value(instance)?;
        let changes = matches!(self.instances.get(instance)?.state, InstanceState::Changes | InstanceState::AsDeclared);
        let live = (self.live)(instance).filter(|_| changes)?;
        let (port, owned) = (desired.nginx.as_ref()?.digest_port, live.owned()?);
        let nginx = live.nginx.known().filter(|nginx| nginx.running)?;
        let serving = *nginx.digest.known()?;
        let ours = owned.files.iter().filter(|(path, _)| {
            matches!(paths::resource_of(&self.fleet.name, path), Resource::Site(_) | Resource::Nginx)
        });
        let text = |(path, digest): (&String, &Digest)| {
            let Seen::Known(LiveFile::Regular { digest: lies, mode, owner, content }) = live.files.get(path)? else {
                return None;
            };
            let declared =
                desired.files.get(path).map(|file| &file.content).filter(|content| content.digest() == *lies);
            let text = std::str::from_utf8(content.as_ref().or(declared)?.public()?).ok()?.to_owned();
            let is_ours = lies == digest || Digest::of(settled_text(&text, serving)) == *digest;
            is_ours.then(|| (path.clone(), ShiftedText { mode: *mode, owner: owner.clone(), text }))
        };
        let files: Option<BTreeMap<String, ShiftedText>> = ours.map(text).collect();
        let (files, digest_path) = (files?, paths::digest_file(&self.fleet.name));
        let digest_text = &files.get(&digest_path).filter(|file| file.text.contains(&serving.to_string()))?.text;
        let settled = settled_digest(digest_text).unwrap_or(serving);
        let mut front =
            Front { instance, files, digest_path, settled, serving, port, away: BTreeSet::new(), is_shifted: false };
        front.away = front.found_away(self.fleet);
        Some(front)
    }
}

/// The digest that is answered while no traffic is shifted, as the file says it that shifts.
fn settled_digest(text: &str) -> Option<Digest> {
    text.lines().next_back()?.strip_prefix(SETTLED)?.parse().ok()
}

/// A file as it is while no traffic is shifted.
fn settled_text(text: &str, serving: Digest) -> String {
    let text = text.replace(&without_requests(UPSTREAM_END), UPSTREAM_END);
    let Some(settled) = settled_digest(&text) else { return text };
    text.replace(&format!("{SETTLED}{settled}\n"), "").replace(&serving.to_string(), &settled.to_string())
}

impl Front<'_> {
    /// The step after which nothing is led to these replicas, and to all others again. None where it is so already.
    fn lead(&mut self, fleet: &Fleet, away: &BTreeSet<ReplicaPlace>) -> Option<Step> {
        let lines = |(service, replica): &ReplicaPlace| {
            let (service, replica) = (fleet.services.get(service)?, fleet.instances.get(replica)?);
            let line = upstream_server(self.instance, replica, service.port);
            Some((without_requests(&line), line))
        };
        let is_led_to = |place: &&ReplicaPlace| {
            lines(place).is_some_and(|(out, within)| {
                self.files.values().any(|file| file.text.contains(&within) || file.text.contains(&out))
            })
        };
        let wanted: BTreeSet<ReplicaPlace> = away.iter().filter(is_led_to).cloned().collect();
        if wanted == self.away {
            return None;
        }
        let back: BTreeSet<ReplicaPlace> = self.away.difference(&wanted).cloned().collect();
        let gone: BTreeSet<ReplicaPlace> = wanted.difference(&self.away).cloned().collect();
        let replaced =
            back.iter().filter_map(lines).chain(gone.iter().filter_map(lines).map(|(out, within)| (within, out)));
        let replaced: Vec<(String, String)> = replaced.collect();
        let serving = self.digest(&wanted);
        let mut files = Vec::new();
        for (path, file) in &mut self.files {
            let text = match *path == self.digest_path {
                true => digest_text(&file.text, self.serving, serving, self.settled),
                false => replaced.iter().fold(file.text.clone(), |text, (from, to)| text.replace(from, to)),
            };
            if text != file.text {
                let before = file.before();
                (file.text, file.owner) = (text, "root:root".to_owned());
                let content = Content::Public(file.text.clone().into_bytes());
                files.push(ShiftedFile { path: path.clone(), before, content, mode: file.mode });
            }
        }
        self.is_shifted = true;
        (self.serving, self.away) = (serving, wanted);
        let action = Action::ShiftTraffic { away: gone, back, files, digest: serving, port: self.port };
        let id = StepId::new(self.instance, &Resource::Nginx, action.verb(), &action.subject());
        Some(Step {
            id,
            instance: self.instance.clone(),
            phase: Phase::default(),
            resource: Resource::Nginx,
            action,
            reason: "replicas restart while the others answer".to_owned(),
        })
    }

    /// Whom nothing is led to as the files lie there.
    fn found_away(&self, fleet: &Fleet) -> BTreeSet<ReplicaPlace> {
        let places =
            fleet.services.values().flat_map(|service| service.on.iter().map(move |replica| (service, replica)));
        let is_away = |(service, replica): &(&Service, &InstanceName)| {
            fleet.instances.get(*replica).is_some_and(|replica| {
                let line = without_requests(&upstream_server(self.instance, replica, service.port));
                self.files.values().any(|file| file.text.contains(&line))
            })
        };
        places.filter(is_away).map(|(service, replica)| (service.name.clone(), replica.clone())).collect()
    }

    /// What changes these files later finds them as traffic was left; what would write the same is done.
    fn goes_on(&self, waves: &mut [Vec<Step>]) {
        let last = waves.iter().rposition(|wave| {
            wave.iter()
                .any(|step| step.instance == *self.instance && matches!(step.action, Action::ShiftTraffic { .. }))
        });
        for wave in waves.iter_mut().skip(last.unwrap_or_default()) {
            wave.retain_mut(|step| {
                let Action::WriteFile { path, before, content, mode } = &mut step.action else { return true };
                let Some(file) = self.files.get(path).filter(|_| step.instance == *self.instance) else { return true };
                *before = file.before();
                content.digest() != Digest::of(&file.text) || *mode != file.mode
            });
        }
    }

    /// What the digest server answers while nothing is led to these.
    fn digest(&self, away: &BTreeSet<ReplicaPlace>) -> Digest {
        if away.is_empty() {
            return self.settled;
        }
        let names = away.iter().flat_map(|(service, instance)| [service.as_str(), instance.as_str()]);
        Digest::of_fields(std::iter::once(self.settled.to_string()).chain(names.map(str::to_owned)))
    }
}

/// The digest server's file with another answer.
fn digest_text(text: &str, serving: Digest, next: Digest, settled: Digest) -> String {
    let text = settled_text(text, serving);
    if next == settled {
        return text;
    }
    format!("{}{SETTLED}{settled}\n", text.replace(&settled.to_string(), &next.to_string()))
}

fn place_of(step: &Step) -> Option<ReplicaPlace> {
    match &step.resource {
        Resource::Service(service) => Some((service.clone(), step.instance.clone())),
        _ => None,
    }
}

fn rank(step: &Step) -> Rank {
    step.action.traits().rank
}

/// Counts the waves from 1. What shifts traffic does so more than once.
fn numbered(waves: Vec<Vec<Step>>) -> Vec<Step> {
    let number = |(wave, steps): (u32, Vec<Step>)| {
        steps.into_iter().map(move |mut step| {
            step.phase.wave = wave;
            if matches!(step.action, Action::ShiftTraffic { .. }) {
                step.id = step.id.in_wave(wave);
            }
            step
        })
    };
    (1..).zip(waves).flat_map(number).collect()
}
