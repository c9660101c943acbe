//! GitHub's webhook: a push wakes the loop, and every event that is used is handed on as a value.
//!
//! Keeps true: nothing of a delivery is parsed, told or acted on before a secret vouches for its body as it
//! came; one whom no secret vouches for learns only that; each delivery counts once; GitHub never waits for what
//! comes of one; a slow stranger keeps no delivery out. Never does: acting on a payload's content. Whoever takes the event asks GitHub what is so. What is
//! told in the log is bounded and has its control characters visible.

mod secrets;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody as _},
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tokio::{sync::mpsc, time::timeout};
use tracing::debug;

use secrets::Signature;
pub use secrets::{SecretError, Secrets};

use super::room::{Room, Sender};
use crate::{
    engine::events::Events,
    git,
    github::event::Event,
    model::event::{Detail, EventKind},
    report::{self, words::visible},
};

/// GitHub sends no payload that is larger:
/// <https://docs.github.com/en/webhooks/webhook-events-and-payloads#payload-cap>.
const LARGEST_BODY: usize = 25 << 20;

/// GitHub waits as long for an answer:
/// <https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks>.
const LONGEST_BODY: Duration = Duration::from_secs(10);

/// Anybody can send a body, and it is held until its signature is known to be wrong. Of those that say at once that
/// they are small there are as many as there are connections (`door.rs`); nearly all of GitHub's are.
const SMALL_BODY: usize = 1 << 20;
const LARGE_BODIES_AT_ONCE: usize = 4;

const REMEMBERED: usize = 1000;

/// GitHub's are 36 characters long.
const LONGEST_DELIVERY: usize = 100;

/// As much of a text from outside is told of what there is no use for.
const TOLD: usize = 200;

/// Strangers must not fill the log.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);

/// What an unknown sender may make us hold.
#[derive(Debug, Clone, Copy)]
struct WebhookLimits {
    body: usize,
    time: Duration,
}

pub struct Webhook {
    secrets: Secrets,
    poke: mpsc::Sender<()>,
    /// None where nobody wants to know more than that a branch moved.
    deliveries: Option<mpsc::Sender<Event>>,
    events: Events,
    limits: WebhookLimits,
    /// For bodies that are large or do not say how large they are.
    room: Arc<Room>,
    /// The newest deliveries that were used, the newest last.
    seen: Mutex<VecDeque<String>>,
    warned: Mutex<Option<Instant>>,
}

type Answer = (StatusCode, &'static str);

const TOO_LARGE: Answer = (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large\n");
const NOT_VOUCHED_FOR: Answer = (StatusCode::UNAUTHORIZED, "no valid signature\n");

impl Webhook {
    /// `poke` wakes the loop, `deliveries` takes what it is to know.
    pub fn new(
        secrets: Secrets,
        poke: mpsc::Sender<()>,
        deliveries: Option<mpsc::Sender<Event>>,
        events: Events,
    ) -> Self {
        Self {
            secrets,
            poke,
            deliveries,
            events,
            limits: WebhookLimits { body: LARGEST_BODY, time: LONGEST_BODY },
            room: Room::of(LARGE_BODIES_AT_ONCE),
            seen: Mutex::default(),
            warned: Mutex::default(),
        }
    }

    /// `POST /webhook/github` and `GET /healthz`.
    pub fn router(self) -> Router {
        Router::new()
            .route("/webhook/github", post(receive))
            .route("/healthz", get(async || "ok\n"))
            .with_state(Arc::new(self))
    }

    /// The body, when a secret vouches for it.
    async fn vouched_for(&self, headers: &HeaderMap, body: Body, sender: Option<Sender>) -> Result<Bytes, Answer> {
        let Some(signature) = header(headers, "x-hub-signature-256").and_then(Signature::parse) else {
            return Err(self.turned_away());
        };
        // What is announced too large is not waited for.
        if body.size_hint().lower() > self.limits.body as u64 {
            return Err(TOO_LARGE);
        }
        let is_small = body.size_hint().exact().is_some_and(|size| size <= SMALL_BODY as u64);
        let place = (!is_small).then(|| self.room.enter(sender));
        let body = match &place {
            None => self.read(body).await?,
            Some(place) => tokio::select! {
                body = self.read(body) => body?,
                () = place.is_taken() => {
                    return Err((StatusCode::SERVICE_UNAVAILABLE, "too many large deliveries at once\n"));
                }
            },
        };
        let (secrets, signed, events) = (self.secrets.clone(), body.clone(), self.events.clone());
        let unread = move |error: &SecretError| {
            events.emit(EventKind::WebhookSecretUnread { why: Detail::of(report::chain(error)) });
        };
        // Reading files and hashing megabytes is not for a thread that drives async tasks.
        let vouched = tokio::task::spawn_blocking(move || secrets.vouch_for(&signature, &signed, unread)).await;
        match vouched {
            Ok(Ok(true)) => Ok(body),
            Ok(Ok(false)) => Err(self.turned_away()),
            Ok(Err(error)) => {
                self.events.emit(EventKind::WebhookUnchecked { why: Detail::of(report::chain(&error)) });
                Err((StatusCode::SERVICE_UNAVAILABLE, "deliveries cannot be checked now\n"))
            }
            Err(panicked) => {
                self.panicked("checking a delivery", &panicked);
                Err((StatusCode::INTERNAL_SERVER_ERROR, "deliveries cannot be checked now\n"))
            }
        }
    }

    async fn read(&self, mut body: Body) -> Result<Bytes, Answer> {
        // Copied together: who sends byte by byte would have each of them held with a buffer of its own.
        let whole = async {
            let mut read = Vec::new();
            while let Some(frame) = body.frame().await {
                let Ok(frame) = frame else { return Err((StatusCode::BAD_REQUEST, "the body breaks off\n")) };
                let Ok(data) = frame.into_data() else { continue };
                if data.len() > self.limits.body - read.len() {
                    return Err(TOO_LARGE);
                }
                read.extend_from_slice(&data);
            }
            Ok(Bytes::from(read))
        };
        let too_long = (StatusCode::REQUEST_TIMEOUT, "the body takes too long\n");
        timeout(self.limits.time, whole).await.unwrap_or(Err(too_long))
    }

    fn turned_away(&self) -> Answer {
        let mut warned = self.warned.lock();
        if warned.is_none_or(|last| last.elapsed() >= BETWEEN_WARNINGS) {
            *warned = Some(Instant::now());
            self.events.emit(EventKind::WebhookRefused {});
        }
        NOT_VOUCHED_FOR
    }

    fn take(&self, event: Event, name: &str, delivery: &str) -> Answer {
        let (delivered, kind) = (Detail::of(delivery), Detail::of(name));
        let push = match &event {
            Event::Ping => {
                self.events.emit(EventKind::WebhookPinged { delivery: delivered });
                return (StatusCode::OK, "pong\n");
            }
            // A controller's own; whoever else writes there is found by polling. One that is gone is put back at once.
            Event::Push(push) if git::is_of_history(&push.reference) && !push.deleted => {
                debug!(
                    github_event = name,
                    delivery = told(delivery),
                    "the webhook has no use for pushes to the history"
                );
                return (StatusCode::OK, "there is no use for this event\n");
            }
            Event::Push(push) => Some(Detail::of(&push.reference)),
            event if *event == Event::Unused || self.deliveries.is_none() => {
                debug!(github_event = told(name), delivery = told(delivery), "the webhook has no use for this event");
                return (StatusCode::OK, "there is no use for this event\n");
            }
            _ => None,
        };
        if !self.is_new(delivery) {
            self.events.emit(EventKind::WebhookRepeated { delivery: delivered, github_event: kind });
            return (StatusCode::OK, "known already\n");
        }
        match push {
            Some(reference) => {
                self.events.emit(EventKind::WebhookPushed { delivery: delivered.clone(), reference });
                self.wake();
            }
            None => {
                let (delivery, github_event) = (delivered.clone(), kind.clone());
                self.events.emit(EventKind::WebhookDelivered { delivery, github_event });
            }
        }
        if let Some(deliveries) = &self.deliveries
            && let Err(error) = deliveries.try_send(event)
        {
            // Nothing is lost by it: whoever is woken asks GitHub what has changed.
            let why = Detail::of(error);
            self.events.emit(EventKind::WebhookDropped { delivery: delivered, github_event: kind, why });
            self.wake();
        }
        (StatusCode::ACCEPTED, "it will be looked at\n")
    }

    fn panicked(&self, task: &str, why: &tokio::task::JoinError) {
        self.events.emit(EventKind::TaskPanicked { task: Detail::of(task), why: Detail::of(why) });
    }

    fn wake(&self) {
        // A full channel holds a poke already; a closed one belongs to a loop that has ended.
        let _ = self.poke.try_send(());
    }

    /// Whether a delivery was not seen before. From now on it was.
    fn is_new(&self, delivery: &str) -> bool {
        let mut seen = self.seen.lock();
        if seen.iter().any(|known| known == delivery) {
            return false;
        }
        if seen.len() == REMEMBERED {
            seen.pop_front();
        }
        seen.push_back(delivery.to_owned());
        true
    }
}

async fn receive(State(webhook): State<Arc<Webhook>>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let sender = parts.extensions.get::<Sender>().copied();
    let body = match webhook.vouched_for(&parts.headers, body, sender).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let Some(name) = header(&parts.headers, "x-github-event") else {
        return (StatusCode::BAD_REQUEST, "there is no X-GitHub-Event\n");
    };
    let delivery = header(&parts.headers, "x-github-delivery").filter(|delivery| delivery.len() <= LONGEST_DELIVERY);
    let Some(delivery) = delivery else {
        return (StatusCode::BAD_REQUEST, "there is no X-GitHub-Delivery that could be one of GitHub's\n");
    };
    let kind = name.to_owned();
    // Strangers' words are megabytes at most, and not for a thread that drives async tasks.
    match tokio::task::spawn_blocking(move || Event::read(&kind, &body)).await {
        Ok(Ok(event)) => webhook.take(event, name, delivery),
        Err(panicked) => {
            webhook.panicked("reading a delivery", &panicked);
            (StatusCode::INTERNAL_SERVER_ERROR, "it cannot be read\n")
        }
        Ok(Err(error)) => {
            debug!(github_event = told(name), delivery = told(delivery), "{}", report::chain(&error));
            (StatusCode::BAD_REQUEST, "this is not such an event in JSON; set the content type application/json\n")
        }
    }
}

/// A header that stands once.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn told(text: &str) -> String {
    visible(&text.chars().take(TOLD).collect::<String>())
}

#[cfg(test)]
mod tests;
