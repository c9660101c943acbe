//! A real host behind SSH.
//!
//! Keeps true: one connection, opened when first needed and kept; a root shell that was silent too
//! long is dropped with its connection, and the next call opens a new one.

use std::{sync::Arc, time::Duration};

use tokio::sync::Mutex;

use super::{
    Health, HealthCheck, Host, HostError, PhaseWork, Question, StepEvent,
    apply::{Line, PHASE_LIMIT, run_unit},
    apply_script, health, parse,
    quote::word,
    shell::{Answer, Shell},
    ssh::{self, Session, Target},
};
use crate::model::{fleet::Check, observation::Observation, plan::Step, release::Packed};

const PROBE_LIMIT: Duration = Duration::from_secs(20);
const STAGE_LIMIT: Duration = Duration::from_secs(600);

pub struct SshHost {
    target: Target,
    connection: Mutex<Option<Connection>>,
}

/// The session is shared with health checks, which go beside the shell.
struct Connection {
    session: Arc<Session>,
    shell: Shell,
}

impl SshHost {
    pub fn new(target: Target) -> Self {
        Self { target, connection: Mutex::new(None) }
    }

    fn lost(&self, doing: &'static str, why: String) -> HostError {
        HostError::Lost { doing, why }
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
        let connection = self.connected(&mut slot).await?;
        match connection.shell.run(script, input, limit, line).await {
            Ok(answer) => Ok(answer),
            Err(why) => {
                // Its answer may still come, and would be taken for the next one's.
                *slot = None;
                Err(self.lost(doing, why))
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
                let session = ssh::connect(&self.target).await?;
                let shell = Shell::open(&session).await.map_err(|why| self.lost("opening a root shell", why))?;
                Ok(slot.insert(Connection { session: Arc::new(session), shell }))
            }
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
        let output = format!("{}\n{}", String::from_utf8_lossy(&answer.output), answer.errors).trim().to_owned();
        Err(HostError::Status { doing, status: answer.status, output })
    }

    async fn session(&self) -> Result<Arc<Session>, HostError> {
        let mut slot = self.connection.lock().await;
        Ok(self.connected(&mut slot).await?.session.clone())
    }
}

impl Host for SshHost {
    async fn probe(&self, question: &Question) -> Result<Observation, HostError> {
        let doing = "the probe";
        let answer = self.run(doing, &question.script(), b"", PROBE_LIMIT, &mut |_| {}).await?;
        parse::observation(question, &answer.output).map_err(|why| HostError::Garbled {
            doing,
            why: if answer.errors.is_empty() { why } else { format!("{why} ({})", answer.errors) },
        })
    }

    async fn read(&self, paths: &[String]) -> Result<Vec<(String, Vec<u8>)>, HostError> {
        let mut script = String::new();
        for path in paths {
            let path = word(path);
            // Larger files are not worth a diff.
            script += &format!(
                "size=$(stat -c %s -- {path}) && [ \"$size\" -le 65536 ] && echo \"$size\" && head -c \"$size\" -- {path} || echo -\n"
            );
        }
        let output = self.must("reading files", &script, b"", PROBE_LIMIT).await?.output;
        let mut rest = &output[..];
        let mut files = Vec::new();
        for path in paths {
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { break };
            let size = std::str::from_utf8(&rest[..end]).ok().and_then(|size| size.parse::<usize>().ok());
            rest = &rest[end + 1..];
            let Some(content) = size.and_then(|size| rest.get(..size)) else { continue };
            files.push((path.clone(), content.to_vec()));
            rest = &rest[content.len()..];
        }
        Ok(files)
    }

    async fn stage(&self, fleet: &str, release: &Packed) -> Result<(), HostError> {
        let script = format!(
            "set -e\nreleases={}\ndigest={}\nsums={}\n{}",
            word(&format!("/var/lib/evenkeel/{fleet}/releases")),
            release.digest,
            word(&release.sums),
            include_str!("scripts/stage.sh"),
        );
        self.must("staging a release", &script, &release.archive, STAGE_LIMIT).await.map(|_| ())
    }

    async fn apply(
        &self,
        work: &PhaseWork,
        steps: &[&Step],
        events: &mut (dyn FnMut(StepEvent) + Send),
    ) -> Result<(), HostError> {
        let archive = apply_script::archive(work, steps)
            .map_err(|source| HostError::Pack { release: format!("of phase {}", work.phase), source })?;
        let unit = format!("evenkeel-{}.service", work.fleet);
        let mut failed = None;
        let mut end = None;
        let mut on_line = |line: &str| match Line::parse(line) {
            Some(Line::Event(event)) => {
                if let StepEvent::Failed { step, message } = &event {
                    failed = Some((step.clone(), message.clone()));
                }
                events(event);
            }
            Some(Line::End(result)) => end = Some(result),
            None => {}
        };
        let doing = "applying a phase";
        let answer = self.run(doing, &work.launch(&unit), &archive, PHASE_LIMIT + PROBE_LIMIT, &mut on_line).await?;
        match (answer.status, end) {
            (0, Some(result)) if result == "success" => Ok(()),
            (75, _) => Err(HostError::Busy { unit }),
            (_, Some(result)) => {
                let (step, message) = failed.unwrap_or_else(|| {
                    (String::new(), format!("the script ended by {result} in phase {}", work.phase))
                });
                Err(HostError::Step { step, message, log: Vec::new() })
            }
            (status, None) => Err(HostError::Status { doing, status, output: answer.errors }),
        }
    }

    async fn undo(&self, fleet: &str, directory: &str) -> Result<(), HostError> {
        let directory = format!("/var/lib/evenkeel/{fleet}/deployments/{directory}");
        // The deployment's own scripts undo it, run as the unit that excludes every other change.
        let script = format!(
            "[ -e {journal} ] || exit 0\n[ -e {undone} ] && exit 0\nset -e\n\
             printf '' >{stop}\n{run}\
             while systemctl is-active --quiet {unit} || [ \"$(systemctl show --value -p ActiveState {unit})\" = activating ]; do sleep 0.02; done\n\
             [ -e {undone} ] || {{ cat {directory}/events-* | grep '^undo-failed' | tail -n 5; exit 1; }}",
            journal = word(&format!("{directory}/journal")),
            undone = word(&format!("{directory}/undone")),
            stop = word(&format!("{directory}/stop.sh")),
            run = run_unit(&format!("evenkeel-{fleet}.service"), &directory, "undo.sh"),
            unit = word(&format!("evenkeel-{fleet}.service")),
            directory = word(&directory),
        );
        self.must("undoing a deployment", &script, b"", PHASE_LIMIT + PROBE_LIMIT).await.map(|_| ())
    }

    async fn health(&self, check: &HealthCheck) -> Health {
        let session = match self.session().await {
            Ok(session) => session,
            Err(error) => return Health::Unknown(error.to_string()),
        };
        if matches!(check.check, Check::Http(_) | Check::Tcp)
            && let health::Dialled::Answer(health) = health::dial(&session, check).await
        {
            return health;
        }
        let limit = check.timeout + PROBE_LIMIT;
        match self.run("a health check", &health::script(check), b"", limit, &mut |_| {}).await {
            Ok(answer) => health::script_verdict(check, answer.status, &String::from_utf8_lossy(&answer.output)),
            Err(error) => Health::Unknown(error.to_string()),
        }
    }

    async fn log(&self, unit: &str, lines: u32) -> Result<Vec<String>, HostError> {
        let script = format!("journalctl --no-pager -o cat -n {lines} -u {} 2>&1", word(unit));
        let answer = self.must("reading a log", &script, b"", PROBE_LIMIT).await?;
        Ok(String::from_utf8_lossy(&answer.output).lines().map(str::to_owned).collect())
    }
}
