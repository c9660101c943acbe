//! Where events go: to one listener at once, and to whoever subscribes.
//!
//! Keeps true: the listener (the daemon's log, a command's progress) is called where the event happens, before anything
//! else does, so that no record is lost, records keep their order, and a span's fields are theirs; a subscriber never
//! holds up who emits, and one that was too slow is told how much it missed. Never does: wording.

use std::sync::Arc;

use chrono::{SecondsFormat, Utc};
use tokio::sync::broadcast::{
    self,
    error::{RecvError, TryRecvError},
};

use crate::model::{
    budget::Budget,
    event::{Event, EventKind},
    name::EnvironmentName,
};

/// Who hears of each event as it happens. Called from several tasks.
pub type Listener = dyn Fn(&Event) + Send + Sync;

/// One broadcast for all that happens in a controller, or in a command that carries something out.
#[derive(Clone)]
pub struct Events {
    listener: Arc<Listener>,
    sender: broadcast::Sender<Arc<Event>>,
}

impl Events {
    pub fn new(listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self { listener: Arc::new(listener), sender: broadcast::Sender::new(Budget::STANDARD.events) }
    }

    /// Tells of what is about no environment, or about one that the listener's span names.
    pub fn emit(&self, kind: EventKind) {
        self.tell(None, None, kind);
    }

    /// What is told there is about the environment.
    pub fn of<'a>(&'a self, environment: &'a EnvironmentName) -> EventScope<'a> {
        EventScope { events: self, environment, deployment: None }
    }

    /// Everything that is emitted from now on.
    pub fn subscribe(&self) -> Subscription {
        Subscription(self.sender.subscribe())
    }

    fn tell(&self, environment: Option<&EnvironmentName>, deployment: Option<u64>, kind: EventKind) {
        let at = now();
        let event = Event { at, environment: environment.cloned(), deployment, kind };
        (self.listener)(&event);
        // Nobody may have subscribed.
        let _ = self.sender.send(Arc::new(event));
    }
}

/// Events about one environment, or about one deployment there.
#[derive(Clone, Copy)]
pub struct EventScope<'a> {
    events: &'a Events,
    environment: &'a EnvironmentName,
    deployment: Option<u64>,
}

impl EventScope<'_> {
    pub fn deployment(self, generation: u64) -> Self {
        Self { deployment: Some(generation), ..self }
    }

    pub fn emit(&self, kind: EventKind) {
        self.events.tell(Some(self.environment), self.deployment, kind);
    }
}

/// What one subscriber has not heard yet.
pub struct Subscription(broadcast::Receiver<Arc<Event>>);

impl Subscription {
    /// The next event; where some were missed, how many. None once nobody emits any more. Cancel-safe.
    pub async fn next(&mut self) -> Option<Arc<Event>> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Closed) => None,
            Err(RecvError::Lagged(missed)) => Some(those_missed(missed)),
        }
    }

    /// As [`Self::next`], of what has happened already.
    pub fn next_now(&mut self) -> Option<Arc<Event>> {
        match self.0.try_recv() {
            Ok(event) => Some(event),
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
            Err(TryRecvError::Lagged(missed)) => Some(those_missed(missed)),
        }
    }
}

fn those_missed(missed: u64) -> Arc<Event> {
    Arc::new(Event { at: now(), environment: None, deployment: None, kind: EventKind::EventsMissed { missed } })
}

fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::model::event::EventName;

    #[tokio::test]
    async fn the_listener_hears_all_and_a_slow_subscriber_how_much_it_missed() {
        let heard = Arc::new(Mutex::new(0));
        let count = heard.clone();
        let events = Events::new(move |_| *count.lock() += 1);
        let (mut slow, kept) = (events.subscribe(), Budget::STANDARD.events);
        for _ in 0..kept + 3 {
            events.emit(EventKind::ControllerStopping {});
        }
        assert_eq!(*heard.lock(), kept + 3);
        let first = slow.next().await.expect("events go on");
        assert_eq!(first.kind, EventKind::EventsMissed { missed: 3 });
        let environment: EnvironmentName = "production".parse().expect("a name");
        // Whoever emits waits for nobody: the slow one reads what is left, and then the newest.
        for _ in 0..kept {
            assert_eq!(slow.next().await.expect("it is kept").kind.name(), EventName::ControllerStopping);
        }
        assert!(slow.next_now().is_none());
        events.of(&environment).deployment(7).emit(EventKind::DeploymentReported {});
        let last = slow.next().await.expect("events go on");
        assert_eq!((last.environment.as_ref(), last.deployment), (Some(&environment), Some(7)));
        drop(events);
        assert!(slow.next().await.is_none());
    }
}
