//! A real host behind SSH.
//!
//! Keeps true: one connection, opened when first needed and kept; a root shell that was silent too
//! long is dropped with its connection, and the next call opens a new one.

use std::{
    collections::BTreeSet,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{sync::Mutex, time::Instant};

use super::{
    Checkup, Health, HealthCheck, HostError, HostRead, HostWrite, PhaseWork, ProbeRequest, ReleaseTransfer, Remembered,
    StepEvent, Trace,
    apply::{HostProgress, PHASE_LIMIT, transient},
    apply_script, contents, health,
    jump::Jumps,
    login_audit,
    loss_timer::LossTimer,
    opening::Stage,
    parse,
    progress::Progress,
    proof::{self, Asked, Replica},
    proof_queue::ProofQueue,
    quote::assign,
    releases,
    scripts::script,
    shell::{Answer, OpeningError, Shell, ShellLost},
    ssh::{self, Session, Target},
    waits,
};
use crate::model::{
    budget::Budget,
    digest::Digest,
    event::logged,
    fleet::Check,
    name::FleetName,
    observation::Observation,
    paths,
    plan::Step,
    release::{HeldRelease, Holdings, Placed},
    seal::Key,
    text,
};

const PROBE_LIMIT: Duration = Duration::from_secs(20);
const PROBING: &str = "probing";
const APPLYING: &str = "applying a phase";
const UNDOING: &str = "undoing a deployment";
/// For a release on its way to a host.
pub const STAGE_LIMIT: Duration = Duration::from_secs(600);

pub struct SshHost {
    target: Target,
    jumps: Jumps,
    connection: Mutex<Option<Connection>>,
    /// Of the connection that is open, for what goes beside its shell.
    session: parking_lot::Mutex<Weak<Session>>,
    proofs: ProofQueue,
    remembered: Mutex<Remembered>,
    /// What is waited for there, and since when.
    waits_for: parking_lot::Mutex<Option<(String, Instant)>>,
}

/// The session is shared with health checks, which go beside the shell.
struct Connection {
    session: Arc<Session>,
    shell: Shell,
}

impl SshHost {
    /// `jumps` are shared by all hosts that are reached through jump hosts.
    pub fn new(target: Target, jumps: &Jumps) -> Self {
        Self {
            target,
            jumps: jumps.clone(),
            connection: Mutex::new(None),
            session: Default::default(),
            proofs: Default::default(),
            remembered: Default::default(),
            waits_for: Default::default(),
        }
    }

    fn lost(&self, doing: &'static str, why: String) -> HostError {
        HostError::Lost { doing, why, heard: None }
    }

    async fn run(
        &self,
        doing: &'static str,
        script: &str,
        input: &[u8],
        limit: Duration,
        line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Answer, HostError> {
        let mut slot = self.connection.lock().await;
        self.connected(&mut slot).await?;
        // Put back only once it has answered: an answer that comes late, or that nobody waits for any more,
        // would be taken for the next one's.
        let Some(mut connection) = slot.take() else { return Err(self.lost(doing, "not connected".to_owned())) };
        let waits_for = |what: String| *self.waits_for.lock() = Some((what, Instant::now()));
        waits_for(doing.to_owned());
        let asks = |what: &str| waits_for(format!("{doing}: {}", text::of_host(what)));
        let answer = connection.shell.run(script, input, limit, line, &asks);
        // Whoever applies or undoes says for what it waits, across connections that are cut.
        let answer = match doing {
            APPLYING | UNDOING => answer.await,
            _ => waits::said_since(self.target.name(), || self.waits_for.lock().clone(), answer).await,
        };
        let asked = self.waits_for.lock().take();
        match answer {
            Ok(answer) => {
                *slot = Some(connection);
                Ok(answer)
            }
            Err(ShellLost { why, late, heard }) => {
                // The login and sudo have answered by then.
                let hint = match asked.filter(|_| late && doing == PROBING) {
                    Some((asked, _)) => format!("; it hangs at {asked}: log in and see why"),
                    None => String::new(),
                };
                Err(HostError::Lost { doing, why: why + &hint, heard })
            }
        }
    }

    async fn connected<'a>(&self, slot: &'a mut Option<Connection>) -> Result<&'a mut Connection, HostError> {
        if slot.as_ref().is_some_and(|connection| connection.session.is_closed()) {
            *slot = None;
        }
        match slot {
            Some(connection) => Ok(connection),
            None => {
                let (place, user) = (self.target.name(), self.target.user());
                let waits_for = |what: String| *self.waits_for.lock() = Some((what, Instant::now()));
                let now = || self.waits_for.lock().clone();
                waits_for(format!("the login as {user}"));
                let session = waits::said_since(place, now, Box::pin(ssh::connect(&self.target, &self.jumps))).await?;
                waits_for(Stage::LoginShell.to_string());
                let note = |next: Stage| waits_for(next.to_string());
                let opened = waits::said_since(place, now, Box::pin(Shell::open(&session, user, &note))).await;
                let shell = opened.map_err(|error| match error {
                    OpeningError::Lost(why) => self.lost("opening a root shell", why),
                    OpeningError::Late(why) => HostError::Slow { why },
                    OpeningError::Refused(why) => HostError::NoRoot { why },
                })?;
                let session = Arc::new(session);
                *self.session.lock() = Arc::downgrade(&session);
                Ok(slot.insert(Connection { session, shell }))
            }
        }
    }

    /// Beside what came of asking a service: how its unit runs, and whether it is its process that answered.
    async fn proven(&self, check: &HealthCheck, asked: Asked) -> Checkup {
        let said = self.proofs.ask(Replica::of(check), async |replicas| {
            let said = self.must("asking whose answer it is", &proof::script(&replicas), b"", PROBE_LIMIT).await;
            said.map(|answer| String::from_utf8_lossy(&answer.output).into()).map_err(|error| error.to_string().into())
        });
        match (said.await, asked) {
            (Ok(said), asked) => proof::judge(check, asked, &said),
            (Err(why), Asked::Answer(Health::Healthy)) => Health::Unknown(why.to_string()).into(),
            (Err(_), Asked::Answer(health)) => health.into(),
            (Err(_), Asked::Deaf) => health::deaf(check.port, None).into(),
        }
    }

    /// As [`Self::run`], for scripts that must end with 0.
    async fn must(
        &self,
        doing: &'static str,
        script: &str,
        input: &[u8],
        limit: Duration,
    ) -> Result<Answer, HostError> {
        let answer = self.run(doing, script, input, limit, &mut |_| {}).await?;
        if answer.status == 0 {
            return Ok(answer);
        }
        let output = format!("{}\n{}", String::from_utf8_lossy(&answer.output), answer.errors);
        Err(HostError::Status { doing, status: answer.status, output: text::of_host(output.trim()) })
    }

    /// Undoes a phase, or all where it is empty; `goal` is for the script. Empty lines tell that the host is there.
    async fn put_back(&self, fleet: &FleetName, deployment: &str, phase: &str, goal: &str) -> Result<(), HostError> {
        let (unit, directory) = (paths::apply_unit(fleet), format!("{}/deployments/{deployment}", paths::base(fleet)));
        let variables = [("unit", unit.as_str()), ("deployment", &directory), ("phase", phase), ("goal", goal)];
        let script =
            variables.map(|(name, value)| assign(name, value)).concat() + &transient() + &script!("put_back.sh");
        self.must(UNDOING, &script, b"", PHASE_LIMIT + PROBE_LIMIT).await.map(|_| ())
    }

    /// The releases that lie there.
    pub async fn held(&self, fleet: &FleetName) -> Result<Vec<HeldRelease>, HostError> {
        let doing = "listing releases";
        let answer = self.must(doing, &releases::held_script(fleet), b"", PROBE_LIMIT).await?;
        let text = String::from_utf8_lossy(&answer.output);
        releases::held(&text).ok_or_else(|| HostError::Garbled { doing, why: text.chars().take(200).collect() })
    }

    /// Removes the releases there that nothing uses, but for the `keep` newest; answers which.
    pub async fn collect(&self, fleet: &FleetName, keep: u32) -> Result<Vec<Digest>, HostError> {
        let script = releases::collect_script(fleet, &paths::apply_unit(fleet), keep);
        let answer = self.must("collecting releases", &script, b"", PHASE_LIMIT).await?;
        let text = String::from_utf8_lossy(&answer.output).into_owned();
        Ok(text.split_whitespace().filter_map(|digest| digest.parse().ok()).collect())
    }

    /// Reads every byte of releases there; answers which are not as they were placed. A look finds them changed.
    pub async fn verify(&self, fleet: &FleetName, releases: &BTreeSet<Digest>) -> Result<Vec<Digest>, HostError> {
        let script = releases::verify_script(fleet, releases);
        let answer = self.must("reading releases", &script, b"", STAGE_LIMIT).await?;
        let text = String::from_utf8_lossy(&answer.output).into_owned();
        Ok(text.split_whitespace().filter_map(|digest| digest.parse().ok()).collect())
    }

    async fn session(&self) -> Result<Arc<Session>, HostError> {
        let open = self.session.lock().upgrade().filter(|session| !session.is_closed());
        if let Some(session) = open {
            return Ok(session);
        }
        let mut slot = self.connection.lock().await;
        Ok(self.connected(&mut slot).await?.session.clone())
    }
}

impl HostRead for SshHost {
    fn waits_for(&self) -> Option<String> {
        self.waits_for.lock().as_ref().map(|(what, _)| what.clone())
    }

    async fn probe(&self, question: &ProbeRequest) -> Result<Observation, HostError> {
        let doing = PROBING;
        let mut remembered = self.remembered.lock().await;
        let answer = self.run(doing, &question.script(&remembered), b"", PROBE_LIMIT, &mut |_| {}).await?;
        *remembered = Remembered::of(question, &answer.output);
        let fresh = Key::from_bytes(rand::random());
        parse::observation(question, &answer.output, &fresh).map_err(|why| HostError::Garbled {
            doing,
            why: if answer.errors.is_empty() { why } else { format!("{why} ({})", answer.errors) },
        })
    }

    async fn read(&self, paths: &[String]) -> Result<Vec<(String, Vec<u8>)>, HostError> {
        let output = self.must("reading files", &contents::script(paths), b"", PROBE_LIMIT).await?.output;
        Ok(contents::parse(paths, &output))
    }

    async fn holdings(&self, fleet: &FleetName, release: &Digest) -> Result<Holdings, HostError> {
        let doing = "asking which releases are held";
        let answer = self.must(doing, &releases::question(fleet, release), b"", STAGE_LIMIT).await?;
        releases::holdings(&answer.output).map_err(|why| HostError::Garbled { doing, why })
    }

    async fn trail(&self, fleet: &FleetName, deployment: &str) -> Result<HostProgress, HostError> {
        let doing = "asking what became of a deployment";
        let directory = format!("{}/deployments/{deployment}", paths::base(fleet));
        let script = assign("unit", &paths::apply_unit(fleet))
            + &assign("deployment", &directory)
            + &transient()
            + &script!("trail.sh");
        let answer = self.must(doing, &script, b"", PROBE_LIMIT).await?;
        let output = String::from_utf8_lossy(&answer.output);
        HostProgress::parse(&output).ok_or_else(|| HostError::Garbled { doing, why: format!("`{}`", output.trim()) })
    }

    async fn traces(&self, paths: &[String]) -> Result<Vec<Trace>, HostError> {
        let answer = self.must("reading who logged in", &login_audit::script(paths), b"", PROBE_LIMIT).await?;
        Ok(login_audit::parse(&String::from_utf8_lossy(&answer.output)))
    }

    async fn health(&self, check: &HealthCheck) -> Checkup {
        let session = match self.session().await {
            Ok(session) => session,
            Err(error) => return Health::Unknown(error.to_string()).into(),
        };
        let dialled = match check.check {
            Check::Http(_) | Check::Tcp => health::dial(&session, check).await,
            Check::Exec(_) => health::Dialled::Forbidden,
        };
        let asked = match dialled {
            health::Dialled::Asked(asked) => asked,
            health::Dialled::Forbidden => {
                let limit = check.timeout + PROBE_LIMIT;
                match self.run("checking health", &health::script(check), b"", limit, &mut |_| {}).await {
                    Ok(answer) => {
                        let output = String::from_utf8_lossy(&answer.output);
                        Asked::Answer(health::script_verdict(check, answer.status, &output))
                    }
                    Err(error) => return Health::Unknown(error.to_string()).into(),
                }
            }
        };
        match asked {
            // Whoever cannot be asked cannot be asked about either.
            Asked::Answer(health @ Health::Unknown(_)) => health.into(),
            asked => self.proven(check, asked).await,
        }
    }

    async fn drop_ins(&self, unit: &str) -> Result<Vec<String>, HostError> {
        let script = assign("unit", unit) + &script!("drop_in_paths.sh");
        let answer = self.must("asking what changes a unit", &script, b"", PROBE_LIMIT).await?;
        Ok(parse::drop_in_words(String::from_utf8_lossy(&answer.output).trim()))
    }

    async fn log(&self, unit: &str, lines: u32) -> Result<Vec<String>, HostError> {
        let script = assign("unit", unit) + &assign("lines", &lines.to_string()) + &script!("log.sh");
        let answer = self.must("reading a log", &script, b"", PROBE_LIMIT).await?;
        let lines = String::from_utf8_lossy(&answer.output);
        Ok(lines.lines().take(Budget::STANDARD.host_lines).map(text::of_host).collect())
    }
}

impl HostWrite for SshHost {
    async fn stage(&self, fleet: &FleetName, transfer: &ReleaseTransfer<'_>) -> Result<Placed, HostError> {
        let (doing, script) = ("staging a release", releases::script(fleet, transfer));
        let answer = self.run(doing, &script, transfer.stream, STAGE_LIMIT, &mut |_| {}).await?;
        let output = String::from_utf8_lossy(&answer.output).trim().to_owned();
        let status = answer.status;
        let failed = |output: &str| HostError::Status { doing, status, output: text::of_host(output) };
        releases::placed(status, &output).ok_or_else(|| failed(&output))
    }

    async fn reread(&self, fleet: &FleetName, releases: &BTreeSet<Digest>) -> Result<(), HostError> {
        let script = releases::reread_script(fleet, releases);
        self.must("having releases read again", &script, b"", PROBE_LIMIT).await.map(|_| ())
    }

    async fn apply(
        &self,
        work: &PhaseWork,
        steps: &[&Step],
        events: &mut (dyn FnMut(StepEvent) + Send),
    ) -> Result<(), HostError> {
        let archive = apply_script::archive(work, steps)
            .map_err(|source| HostError::Pack { release: format!("of phase {}", work.phase), source })?;
        let unit = paths::apply_unit(&work.fleet);
        let mut progress = Progress::default();
        let doing = APPLYING;
        let mut loss_timer = LossTimer::new(work.lost_after, PHASE_LIMIT + PROBE_LIMIT);
        let mut told = String::new();
        // The host goes on without us; its events are a file, so a connection that was cut is made again
        // and the file is read again.
        let answer = loop {
            progress.again();
            let mut on_line = |line: &str| progress.line(line, events);
            match self.run(doing, &work.launch(&unit), &archive, PHASE_LIMIT + PROBE_LIMIT, &mut on_line).await {
                Ok(answer) => break answer,
                Err(error) if loss_timer.outlasts(&error).await => {
                    // Said once, however often it is asked again; that it is waited for is said all the time.
                    let why = error.to_string();
                    if told != why {
                        tracing::warn!(
                            event = logged::HOST_CUT_OFF,
                            instance = self.target.name(),
                            "{why}; it goes on by itself, and is asked again"
                        );
                        told = why;
                    }
                }
                Err(error) => return Err(error),
            }
        };
        progress.verdict(doing, work, unit, answer)
    }

    async fn undo(&self, fleet: &FleetName, deployment: &str, phase: Option<u32>) -> Result<(), HostError> {
        let phase = phase.map(|phase| phase.to_string()).unwrap_or_default();
        self.put_back(fleet, deployment, &phase, &phase).await
    }

    async fn heal(&self, fleet: &FleetName, deployment: &str) -> Result<(), HostError> {
        self.put_back(fleet, deployment, "", "open").await
    }

    async fn fence(&self, fleet: &FleetName, generation: u64) -> Result<(), HostError> {
        let script = assign("unit", &paths::apply_unit(fleet))
            + &assign("base", &paths::base(fleet))
            + &assign("generation", &generation.to_string())
            + &script!("fence.sh");
        self.must("fencing off an older deployment", &script, b"", PHASE_LIMIT).await.map(|_| ())
    }
}
