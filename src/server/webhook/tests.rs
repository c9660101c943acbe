//! Deliveries as GitHub sends them, and as strangers do.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Instant,
};

use axum::{body::to_bytes, http::Method, response::Response};
use futures_util::stream;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use sha2::Sha256;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{github::event::InstallationEvent, server::door};

const SECRET: &str = "It's a Secret to Everybody";
const PUSH: &str = r#"{"ref":"refs/heads/main","before":"01","after":"0123456789","deleted":false}"#;
const INSTALLED: &str = r#"{"action":"created","installation":{"id":7}}"#;

/// A webhook with its secret files and the loop's end of the channel.
struct Hook {
    folder: TempDir,
    router: Router,
    triggers: mpsc::Receiver<()>,
    events: mpsc::Receiver<Event>,
}

impl Hook {
    /// With a file for each secret, `0`, `1` and so on.
    fn with(secrets: &[&str]) -> Self {
        Self::limited(secrets, WebhookLimits { body: LARGEST_BODY, time: LONGEST_BODY })
    }

    fn limited(secrets: &[&str], limits: WebhookLimits) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let files = write_all(folder.path(), secrets);
        let (poke, triggers) = mpsc::channel(1);
        let secrets = Secrets::open(files).expect("each file holds a secret");
        let (taker, events) = mpsc::channel(2);
        let router = Webhook { limits, ..Webhook::new(secrets, poke, Some(taker), Events::new(|_| {})) }.router();
        Self { folder, router, triggers, events }
    }

    fn write(&self, file: &str, secret: &str) {
        fs::write(self.folder.path().join(file), secret).expect("it can be written");
    }

    async fn answers(&self, request: Request) -> (u16, String) {
        let call = TowerToHyperService::new(self.router.clone()).call(request);
        let response: Response = call.await.expect("a router always answers");
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 16).await.expect("it is short");
        (status, String::from_utf8(body.to_vec()).expect("it is text"))
    }

    async fn status_of(&self, request: Request) -> u16 {
        self.answers(request).await.0
    }

    fn woke(&mut self) -> bool {
        self.triggers.try_recv().is_ok()
    }

    fn told(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }
}

fn write_all(folder: &Path, secrets: &[&str]) -> Vec<PathBuf> {
    let write = |(number, secret): (usize, &&str)| {
        let file = folder.join(number.to_string());
        fs::write(&file, secret).expect("it can be written");
        file
    };
    secrets.iter().enumerate().map(write).collect()
}

/// A delivery of an event, signed.
fn delivery(event: &str, id: &str, secret: &str, body: &'static str) -> Request {
    signed(event, id, &signature(secret, body.as_bytes()), Body::from(body))
}

fn signed(event: &str, id: &str, signature: &str, body: Body) -> Request {
    Request::post("/webhook/github")
        .header("X-GitHub-Event", event)
        .header("X-GitHub-Delivery", id)
        .header("X-Hub-Signature-256", signature)
        .body(body)
        .expect("it is a request")
}

fn signature(secret: &str, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length is taken");
    let digits =
        mac.chain_update(body).finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("sha256={digits}")
}

/// <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation>
#[test]
fn the_example_that_github_documents_is_vouched_for() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let secrets = Secrets::open(write_all(folder.path(), &[SECRET])).expect("it holds a secret");
    let text = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let vouched = |text: &str, body: &[u8]| {
        let signature = Signature::parse(text).expect("it is a signature");
        secrets.vouch_for(&signature, body, |_| {}).expect("the file can be read")
    };
    assert!(vouched(text, b"Hello, World!"));
    assert!(vouched(&text.to_uppercase().replace("SHA256", "sha256"), b"Hello, World!"));
    assert!(!vouched(text, b"Hello, World?"));
    assert!(!vouched(&text.replace("757107", "757108"), b"Hello, World!"));
    for malformed in ["", "sha256=", &text[..70], &text[7..], &text.replace("sha256", "sha1"), &format!("{text}0")] {
        assert_eq!(Signature::parse(malformed), None, "{malformed}");
    }
    assert_eq!(Signature::parse(&text.replace("757107", "+57107")), None);
}

#[tokio::test]
async fn a_push_wakes_the_loop() {
    let mut hook = Hook::with(&[SECRET]);
    assert_eq!(hook.status_of(delivery("push", "1", SECRET, PUSH)).await, 202);
    assert!(hook.woke());
    // Nobody has taken the first poke when the second one comes.
    assert_eq!(hook.status_of(delivery("push", "2", SECRET, PUSH)).await, 202);
    assert_eq!(hook.status_of(delivery("push", "3", SECRET, PUSH)).await, 202);
    assert!(hook.woke());
    assert!(!hook.woke(), "one waiting poke is enough");
}

#[tokio::test]
async fn a_push_to_the_history_wakes_nothing_unless_it_takes_it_away() {
    let mut hook = Hook::with(&[SECRET]);
    let ours = r#"{"ref":"refs/heads/evenkeel/history/production","before":"1","after":"2","deleted":false}"#;
    let gone = r#"{"ref":"refs/heads/evenkeel/history/production","before":"1","after":"0","deleted":true}"#;
    assert_eq!(hook.status_of(delivery("push", "1", SECRET, ours)).await, 200);
    assert!(!hook.woke() && hook.told().is_none());
    assert_eq!(hook.status_of(delivery("push", "2", SECRET, gone)).await, 202);
    assert!(hook.woke());
}

#[tokio::test]
async fn a_push_that_comes_twice_wakes_the_loop_once() {
    let mut hook = Hook::with(&[SECRET]);
    assert_eq!(hook.status_of(delivery("push", "1", SECRET, PUSH)).await, 202);
    assert!(hook.woke());
    assert_eq!(hook.status_of(delivery("push", "1", SECRET, PUSH)).await, 200);
    assert!(!hook.woke());
    for number in 0..REMEMBERED {
        assert_eq!(hook.status_of(delivery("push", &format!("n{number}"), SECRET, PUSH)).await, 202);
    }
    assert_eq!(hook.status_of(delivery("push", "n1", SECRET, PUSH)).await, 200, "it is among the last thousand");
    assert_eq!(hook.status_of(delivery("push", "1", SECRET, PUSH)).await, 202, "it is forgotten");
}

#[tokio::test]
async fn what_is_used_is_handed_on_once() {
    let mut hook = Hook::with(&[SECRET]);
    assert_eq!(hook.status_of(delivery("installation", "1", SECRET, INSTALLED)).await, 202);
    assert_eq!(hook.status_of(delivery("installation", "1", SECRET, INSTALLED)).await, 200);
    let created = InstallationEvent { action: "created".to_owned(), id: 7, account: None };
    assert_eq!(hook.told(), Some(Event::Installation(created)));
    assert_eq!(hook.told(), None);
    assert!(!hook.woke(), "the loop has nothing to fetch");
    assert_eq!(hook.status_of(delivery("push", "2", SECRET, PUSH)).await, 202);
    assert!(matches!(hook.told(), Some(Event::Push(push)) if push.reference == "refs/heads/main"));
    assert!(hook.woke());
}

#[tokio::test]
async fn where_there_is_no_room_for_an_event_the_loop_is_woken_to_ask_itself() {
    let mut hook = Hook::with(&[SECRET]);
    for number in 0..3 {
        assert_eq!(hook.status_of(delivery("installation", &number.to_string(), SECRET, INSTALLED)).await, 202);
    }
    assert!(hook.woke());
    assert!(hook.told().is_some() && hook.told().is_some() && hook.told().is_none());
}

#[tokio::test]
async fn without_anybody_who_takes_events_only_a_push_counts() {
    let mut hook = Hook::with(&[SECRET]);
    let (poke, triggers) = mpsc::channel(1);
    let secrets = Secrets::open(vec![hook.folder.path().join("0")]).expect("it holds a secret");
    (hook.router, hook.triggers) = (Webhook::new(secrets, poke, None, Events::new(|_| {})).router(), triggers);
    assert_eq!(hook.status_of(delivery("installation", "1", SECRET, INSTALLED)).await, 200);
    assert!(!hook.woke());
    assert_eq!(hook.status_of(delivery("push", "2", SECRET, PUSH)).await, 202);
    assert!(hook.woke());
}

#[tokio::test]
async fn a_ping_and_what_is_not_used_is_answered_and_wakes_nothing() {
    let mut hook = Hook::with(&[SECRET]);
    for event in ["ping", "issues", "star", "no event of theirs"] {
        assert_eq!(hook.status_of(delivery(event, "1", SECRET, "whatever it holds")).await, 200, "{event}");
    }
    assert!(!hook.woke());
    assert_eq!(hook.told(), None);
}

#[tokio::test]
async fn one_whom_no_secret_vouches_for_learns_only_that() {
    let mut hook = Hook::with(&[SECRET]);
    let mut requests = vec![
        delivery("push", "1", "another secret", PUSH),
        delivery("push", "1", "", PUSH),
        delivery("ping", "1", "another secret", "no JSON"),
        delivery("no event", "1", "another secret", "no JSON"),
        signed("push", "1", "sha256=", PUSH.into()),
        signed("push", "1", &signature(SECRET, b"another body"), PUSH.into()),
        signed("push", "1", &signature(SECRET, PUSH.as_bytes()).replace("sha256", "sha1"), PUSH.into()),
    ];
    let mut none = delivery("push", "1", SECRET, PUSH);
    none.headers_mut().remove("X-Hub-Signature-256");
    let mut two = delivery("push", "1", SECRET, PUSH);
    two.headers_mut().append("X-Hub-Signature-256", "sha256=".parse().expect("it is a header"));
    requests.extend([none, two]);
    for request in requests {
        let shown = format!("{request:?}");
        assert_eq!(hook.answers(request).await, (401, "no valid signature\n".to_owned()), "{shown}");
    }
    assert!(!hook.woke());
}

#[tokio::test]
async fn a_used_event_that_is_no_json_is_a_bad_request() {
    let mut hook = Hook::with(&[SECRET]);
    for body in ["", "Hello, World!", "{}", "[1]", r#"{"ref":1}"#, "payload=%7B%22ref%22%3A%22x%22%7D"] {
        let (status, text) = hook.answers(delivery("push", "1", SECRET, body)).await;
        assert_eq!(status, 400, "{body}");
        assert!(text.contains("application/json"), "{text}");
    }
    for header in ["X-GitHub-Event", "X-GitHub-Delivery"] {
        let mut request = delivery("push", "1", SECRET, PUSH);
        request.headers_mut().remove(header);
        assert_eq!(hook.status_of(request).await, 400, "without {header}");
    }
    assert_eq!(hook.status_of(delivery("push", &"1".repeat(LONGEST_DELIVERY + 1), SECRET, PUSH)).await, 400);
    assert!(!hook.woke());
    assert_eq!(hook.status_of(delivery("push", "1", SECRET, PUSH)).await, 202, "what was refused was not used");
}

#[tokio::test]
async fn a_secret_is_rotated_without_a_restart() {
    let hook = Hook::with(&["old\n", "new\r\n"]);
    assert_eq!(hook.status_of(delivery("push", "1", "old", PUSH)).await, 202);
    assert_eq!(hook.status_of(delivery("push", "2", "new", PUSH)).await, 202);
    hook.write("0", "newer");
    assert_eq!(hook.status_of(delivery("push", "3", "old", PUSH)).await, 401);
    assert_eq!(hook.status_of(delivery("push", "4", "newer", PUSH)).await, 202);
    fs::remove_file(hook.folder.path().join("1")).expect("it is there");
    assert_eq!(hook.status_of(delivery("push", "5", "newer", PUSH)).await, 202, "one of the two is enough");
}

#[tokio::test]
async fn an_empty_secret_vouches_for_nothing() {
    let hook = Hook::with(&["secret"]);
    for empty in ["", "\n"] {
        hook.write("0", empty);
        assert_eq!(hook.status_of(delivery("push", "1", "", PUSH)).await, 503);
        assert_eq!(hook.status_of(delivery("push", "1", "secret", PUSH)).await, 503);
    }
    let mut told = Vec::new();
    for files in [vec![], vec![hook.folder.path().join("0")], vec![hook.folder.path().join("missing")]] {
        told.push(Secrets::open(files).expect_err("it holds no secret").to_string());
    }
    assert!(told[1].ends_with("/0 is empty") && told[2].ends_with("/missing"), "{told:?}");
}

#[tokio::test]
async fn a_large_body_is_refused_announced_or_not() {
    let hook = Hook::limited(&[SECRET], WebhookLimits { body: PUSH.len(), time: LONGEST_BODY });
    let large = format!("{PUSH} ");
    let signature = signature(SECRET, large.as_bytes());
    assert_eq!(hook.status_of(signed("push", "1", &signature, Body::from(large.clone()))).await, 413);
    let unannounced =
        Body::from_stream(stream::iter(large.into_bytes().into_iter().map(|byte| Ok::<_, axum::Error>(vec![byte]))));
    assert_eq!(hook.status_of(signed("push", "1", &signature, unannounced)).await, 413);
    assert_eq!(hook.status_of(delivery("push", "1", SECRET, PUSH)).await, 202);
}

#[tokio::test]
async fn a_body_that_takes_too_long_is_not_waited_for() {
    let hook = Hook::limited(&[SECRET], WebhookLimits { body: LARGEST_BODY, time: Duration::from_millis(50) });
    let began = Instant::now();
    let never = Body::from_stream(stream::pending::<Result<Vec<u8>, axum::Error>>());
    assert_eq!(hook.status_of(signed("push", "1", &signature(SECRET, b""), never)).await, 408);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn of_large_bodies_so_many_are_held_and_the_oldest_makes_room() {
    let hook = Arc::new(Hook::with(&[SECRET]));
    let mut slow = Vec::new();
    for _ in 0..=LARGE_BODIES_AT_ONCE {
        let hook = Arc::clone(&hook);
        let never = Body::from_stream(stream::pending::<Result<Vec<u8>, axum::Error>>());
        slow.push(tokio::spawn(async move { hook.status_of(signed("push", "1", &signature("", b""), never)).await }));
    }
    assert_eq!(slow.remove(0).await.expect("it does not panic"), 503);
    assert!(slow.iter().all(|one| !one.is_finished()), "there is room for the others");
    let large = format!("{PUSH}{}", " ".repeat(SMALL_BODY));
    let genuine = signed("push", "1", &signature(SECRET, large.as_bytes()), Body::from(large.clone()));
    assert_eq!(hook.status_of(genuine).await, 202);
    slow.iter().for_each(tokio::task::JoinHandle::abort);
}

/// A webhook behind its door, on loopback.
async fn opened(hook: &Hook) -> (SocketAddr, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a port");
    let (address, stop) = (listener.local_addr().expect("it is bound"), CancellationToken::new());
    tokio::spawn(door::serve(Events::new(|_| {}), listener, hook.router.clone(), stop.clone()));
    (address, stop)
}

async fn connects(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("there is room for it");
    socket.bind((from, 0).into()).expect("all of 127.0.0.0/8 is this machine");
    socket.connect(to).await.expect("the door is open")
}

fn head(signature: &str, size: &str) -> String {
    format!(
        "POST /webhook/github HTTP/1.1\r\nHost: x\r\nX-GitHub-Event: push\r\nX-GitHub-Delivery: 1\r\n\
         X-Hub-Signature-256: {signature}\r\n{size}\r\n\r\n"
    )
}

/// Strangers who send the beginning of a body and then nothing, each in a way of its own.
async fn dribble(strangers: usize, to: SocketAddr) -> Vec<TcpStream> {
    let forged = signature("guessed", b"");
    let mut all = Vec::new();
    for number in 0..strangers {
        let mut stream = connects([127, 0, 0, 2], to).await;
        let text = match number % 4 {
            0 => head(&forged, "Content-Length: 1000"),
            1 => head(&forged, "Content-Length: 20000000"),
            2 => head(&forged, "Transfer-Encoding: chunked"),
            _ => "POST /webhook/github HTTP/1.1\r\nHo".to_owned(),
        };
        // One that was put out already does not take it.
        let _ = stream.write_all(text.as_bytes()).await;
        all.push(stream);
    }
    all
}

async fn heard(mut stream: TcpStream) -> String {
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await.expect("it is answered");
    heard
}

#[tokio::test]
async fn strangers_who_dribble_keep_no_delivery_out() {
    let mut hook = Hook::with(&[SECRET]);
    let (address, _stop) = opened(&hook).await;
    let signature = signature(SECRET, PUSH.as_bytes());
    // As GitHub sends it, of which the end is still on its way.
    let mut begun = connects([127, 0, 0, 1], address).await;
    let (size, (first, rest)) = (format!("Content-Length: {}", PUSH.len()), PUSH.split_at(7));
    begun.write_all(format!("{}{first}", head(&signature, &size)).as_bytes()).await.expect("it is taken");

    let _strangers = dribble(200, address).await;
    let came = Instant::now();
    let mut genuine = connects([127, 0, 0, 1], address).await;
    genuine.write_all(format!("{}{PUSH}", head(&signature, &size)).as_bytes()).await.expect("it is taken");
    let answer = heard(genuine).await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert!(came.elapsed() < LONGEST_BODY / 2, "it waited for strangers");
    assert!(hook.woke());

    begun.write_all(rest.as_bytes()).await.expect("strangers have not put it out");
    let answer = heard(begun).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "it is the same delivery: {answer}");
}

#[tokio::test]
async fn other_methods_and_paths_are_refused_and_health_is_answered() {
    let hook = Hook::with(&[SECRET]);
    let ask = |method: Method, path: &str| {
        hook.status_of(Request::builder().method(method).uri(path).body(Body::empty()).expect("it is a request"))
    };
    assert_eq!(ask(Method::GET, "/webhook/github").await, 405);
    assert_eq!(ask(Method::PUT, "/webhook/github").await, 405);
    assert_eq!(ask(Method::POST, "/healthz").await, 405);
    assert_eq!(ask(Method::POST, "/webhook").await, 404);
    assert_eq!(ask(Method::GET, "/healthz").await, 200);
}
