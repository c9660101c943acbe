//! Waiting until a replica is healthy.
//!
//! Keeps true: a passed check counts once the main process has run for `settle`, longer where systemd had to start it again;
//! starts that fail one after the other are an answer at once, and what is not known is none.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{
    engine::Watch,
    host::{Checkup, Health, HealthCheck, HostRead},
    model::{
        event::{Detail, EventKind},
        fleet,
        name::InstanceName,
        outcome::Cause,
        plan::{Action, Step},
        run::{FAILED_STARTS, RESTART_PAUSE, Run, SETTLE},
    },
};

/// The first look comes soon, for most programs start fast; the pauses grow to the declared interval.
const FIRST_PAUSE: Duration = Duration::from_millis(30);

/// The longest pause while a process has to show that it stays up: systemd starts it again within two seconds.
const SETTLING_PAUSE: Duration = Duration::from_secs(1);

/// How long "cannot tell" may last before it counts as a failure to become healthy.
const UNKNOWN_LIMIT: Duration = Duration::from_secs(60);

/// What to ask about the replica a step waits for.
pub fn check_of(step: &Step) -> Option<(HealthCheck, fleet::Health)> {
    let Action::AwaitHealth { port, unit, user, directory, env_files, confined_by, health, held_by, .. } = &step.action
    else {
        return None;
    };
    let check = HealthCheck {
        check: health.check.clone(),
        body: health.body.clone(),
        port: *port,
        timeout: health.timeout.0,
        user: user.clone(),
        directory: directory.clone(),
        env_files: env_files.clone(),
        unit: unit.clone(),
        confined_by: confined_by.clone(),
        held_by: held_by.clone(),
    };
    Some((check, health.clone()))
}

/// The longest that a step waits; none for a step that does not wait.
pub fn longest_wait(step: &Step) -> Option<Duration> {
    let (_, declared) = check_of(step)?;
    // A check that fails in between makes all begin anew, and counts as one that may.
    let rounds =
        declared.successes.saturating_mul(declared.retries.saturating_add(1)).max(declared.retries.saturating_add(1));
    let checks = (declared.interval.0 + declared.timeout.0).saturating_mul(rounds);
    let starts = (declared.settle.0.max(SETTLE) + RESTART_PAUSE) * FAILED_STARTS;
    Some(declared.start_period.0 + UNKNOWN_LIMIT + checks + starts)
}

/// When the unit was started that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// Just now, by the deployment: all that systemd does again since says something of it.
    Now,
    /// Perhaps long ago: only what happens from now on counts.
    Before,
}

/// Why a replica was not seen to be healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotHealthy {
    /// What the last check said.
    pub why: String,
    /// [`Cause::Step`], or [`Cause::Host`] where the service itself was never heard of.
    pub cause: Cause,
}

/// Waits until healthy.
pub async fn await_healthy<H: HostRead>(
    host: &H,
    instance: &InstanceName,
    step: &Step,
    started: Started,
    watch: &Watch<'_>,
) -> Result<(), NotHealthy> {
    let Some((check, declared)) = check_of(step) else { return Ok(()) };
    let began = Instant::now();
    let service = step.resource.to_string();
    let mut pause = FIRST_PAUSE;
    let mut judge = HealthJudge::new(&declared, started);
    loop {
        let checkup = host.health(&check).await;
        let longest = match judge.judge(&checkup, began.elapsed()) {
            HealthVerdict::Healthy => {
                let after_ms = began.elapsed().as_millis() as u64;
                watch(EventKind::ServiceHealthy { instance: instance.clone(), service, after_ms });
                return Ok(());
            }
            HealthVerdict::Failed(NotHealthy { why, cause }) => {
                let why = format!("not healthy after {:.1} s: {why}", began.elapsed().as_secs_f64());
                watch(EventKind::ServiceUnhealthy { instance: instance.clone(), service, why: Detail::of(&why) });
                return Err(NotHealthy { why, cause });
            }
            HealthVerdict::NotYet => declared.interval.0,
            HealthVerdict::Settling(rest) => declared.interval.0.min(SETTLING_PAUSE).min(rest),
        };
        sleep(pause.min(longest.max(FIRST_PAUSE))).await;
        pause = (pause * 3 / 2).min(declared.interval.0.max(FIRST_PAUSE));
    }
}

/// What is made of the checks so far.
#[derive(Debug, Clone, PartialEq, Eq)]
enum HealthVerdict {
    Healthy,
    NotYet,
    /// The process has to show that it stays up, for so long yet.
    Settling(Duration),
    Failed(NotHealthy),
}

/// Judges one check after the other.
struct HealthJudge<'a> {
    declared: &'a fleet::Health,
    /// Restarts of systemd that say nothing of this start; None: nobody has told yet.
    earlier: Option<u32>,
    failures: u32,
    /// Since when every check has passed.
    passed_at: Option<Duration>,
    /// How many have passed since then.
    passes: u32,
}

impl<'a> HealthJudge<'a> {
    fn new(declared: &'a fleet::Health, started: Started) -> Self {
        // A start that a person or a script asks for sets systemd's count to 0.
        let earlier = (started == Started::Now).then_some(0);
        Self { declared, earlier, failures: 0, passed_at: None, passes: 0 }
    }

    /// `elapsed`: since the wait began.
    fn judge(&mut self, checkup: &Checkup, elapsed: Duration) -> HealthVerdict {
        let run = checkup.run.as_ref();
        let earlier = run.map(|run| *self.earlier.get_or_insert(run.tries.restarts)).unwrap_or_default();
        if let Some(failed) = run.and_then(|run| gave_out(run, earlier, &checkup.health)) {
            return HealthVerdict::Failed(failed);
        }
        let mut cause = Cause::Step;
        let declared = self.declared;
        let why = match &checkup.health {
            Health::Healthy => {
                let passed_at = *self.passed_at.get_or_insert(elapsed);
                self.passes += 1;
                let due = run.map_or(declared.settle.0, |run| run.due(declared.settle.0, earlier));
                let runs_for = run.and_then(|run| run.tries.runs_for).unwrap_or(elapsed.saturating_sub(passed_at));
                return match due.saturating_sub(runs_for) {
                    Duration::ZERO if self.passes < declared.successes => HealthVerdict::NotYet,
                    Duration::ZERO => HealthVerdict::Healthy,
                    rest => HealthVerdict::Settling(rest),
                };
            }
            Health::Unhealthy(why) => {
                if elapsed >= declared.start_period.0 {
                    self.failures += 1;
                }
                why.clone()
            }
            // Not known is not unhealthy, but nobody waits for ever either.
            Health::Unknown(why) if elapsed < declared.start_period.0 + UNKNOWN_LIMIT => why.clone(),
            Health::Unknown(why) => {
                self.failures = declared.retries + 1;
                cause = Cause::Host;
                format!("its health cannot be told: {why}")
            }
        };
        (self.passed_at, self.passes) = (None, 0);
        match run {
            _ if self.failures > declared.retries => HealthVerdict::Failed(NotHealthy { why, cause }),
            Some(run) if run.failed_starts(earlier) > 0 => HealthVerdict::Settling(SETTLING_PAUSE),
            _ => HealthVerdict::NotYet,
        }
    }
}

/// Why no later check can pass: starts that failed one after the other, or systemd does not try again.
fn gave_out(run: &Run, earlier: u32, health: &Health) -> Option<NotHealthy> {
    let failed = run.failed_starts(earlier);
    if failed < FAILED_STARTS && !run.is_given_up() {
        return None;
    }
    let why = match health {
        Health::Unhealthy(why) => why.clone(),
        Health::Healthy | Health::Unknown(_) => format!("the unit is {}", run.told()),
    };
    let starts = if failed == 1 { "its start failed".to_owned() } else { format!("{failed} starts in a row failed") };
    let cause = if run.was_not_set_up() { Cause::Host } else { Cause::Step };
    Some(NotHealthy { why: format!("{starts}: {why}"), cause })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{fleet::Check, quantity::Span, run::Tries};

    fn failed(why: &str) -> HealthVerdict {
        HealthVerdict::Failed(NotHealthy { why: why.to_owned(), cause: Cause::Step })
    }

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    fn declared(check: Check, settle: u64) -> fleet::Health {
        let span = |number| Span(seconds(number));
        fleet::Health {
            check,
            body: None,
            interval: span(5),
            timeout: span(2),
            retries: 3,
            start_period: span(30),
            settle: span(settle),
            successes: 1,
            failures: 1,
            repair_after: None,
            repair_limit: 3,
        }
    }

    fn run(active: &str, sub: &str, restarts: u32, runs_for: Option<u64>) -> Run {
        let tries = Tries { restarts, runs_for: runs_for.map(seconds), ..Tries::default() };
        Run { active: active.to_owned(), sub: sub.to_owned(), tries }
    }

    fn passed(restarts: u32, runs_for: u64) -> Checkup {
        Checkup { health: Health::Healthy, run: Some(run("active", "running", restarts, Some(runs_for))) }
    }

    fn ended(restarts: u32) -> Checkup {
        let health = Health::Unhealthy("it is activating (auto-restart)".to_owned());
        Checkup { health, run: Some(run("activating", "auto-restart", restarts, None)) }
    }

    /// What is made of checks, each after so many seconds.
    fn judged(settle: u64, started: Started, checks: impl IntoIterator<Item = (u64, Checkup)>) -> Vec<HealthVerdict> {
        let declared = declared(Check::Tcp, settle);
        let mut judge = HealthJudge::new(&declared, started);
        checks.into_iter().map(|(after, checkup)| judge.judge(&checkup, seconds(after))).collect()
    }

    #[test]
    fn as_many_checks_in_a_row_have_to_pass_as_are_declared() {
        let declared = fleet::Health { successes: 2, ..declared(Check::Tcp, 0) };
        let mut judge = HealthJudge::new(&declared, Started::Now);
        let failing = Checkup { health: Health::Unhealthy("no".to_owned()), ..passed(0, 1) };
        let checks = [passed(0, 1), failing, passed(0, 3), passed(0, 4)];
        let verdicts: Vec<HealthVerdict> =
            (1..).zip(&checks).map(|(second, check)| judge.judge(check, seconds(second))).collect();
        use HealthVerdict::{Healthy, NotYet};
        assert_eq!(verdicts, [NotYet, NotYet, NotYet, Healthy]);
    }

    #[test]
    fn a_passed_check_counts_once_the_process_has_run_for_long_enough() {
        assert_eq!(judged(0, Started::Now, [(0, passed(0, 0))]), [HealthVerdict::Healthy]);
        let checks = [(0, passed(0, 0)), (4, passed(0, 4)), (10, passed(0, 10))];
        assert_eq!(
            judged(10, Started::Now, checks),
            [HealthVerdict::Settling(seconds(10)), HealthVerdict::Settling(seconds(6)), HealthVerdict::Healthy]
        );
        // One that has run for a week is not waited for.
        assert_eq!(judged(10, Started::Before, [(0, passed(7, 600_000))]), [HealthVerdict::Healthy]);
    }

    #[test]
    fn what_systemd_had_to_start_again_has_to_stay_up_although_it_answers() {
        let checks = [(1, ended(0)), (4, passed(1, 1)), (13, passed(1, 10))];
        let verdicts = judged(0, Started::Now, checks);
        assert_eq!(verdicts[1..], [HealthVerdict::Settling(seconds(9)), HealthVerdict::Healthy]);
    }

    #[test]
    fn three_failed_starts_in_a_row_are_an_answer_at_once() {
        let verdicts = judged(10, Started::Now, [(1, ended(0)), (4, ended(1)), (5, passed(2, 0)), (7, ended(2))]);
        let Some((HealthVerdict::Failed(NotHealthy { why, .. }), before)) = verdicts.split_last() else {
            panic!("{verdicts:?}")
        };
        assert!(before.iter().all(|verdict| matches!(verdict, HealthVerdict::Settling(_))), "{before:?}");
        assert!(why.starts_with("3 starts in a row failed: it is activating"), "{why}");
        // Also where all of them were over before anybody looked.
        let verdicts = judged(10, Started::Now, [(0, passed(0, 0)), (20, passed(3, 1))]);
        assert!(matches!(&verdicts[1], HealthVerdict::Failed(_)), "{verdicts:?}");
    }

    #[test]
    fn restarts_of_last_month_say_nothing_of_this_start() {
        let verdicts = judged(0, Started::Before, [(0, ended(57)), (3, passed(58, 1)), (13, passed(58, 11))]);
        assert_eq!(
            verdicts,
            [HealthVerdict::Settling(seconds(1)), HealthVerdict::Settling(seconds(9)), HealthVerdict::Healthy]
        );
    }

    #[test]
    fn what_systemd_gives_up_is_an_answer_at_once() {
        let health = Health::Unhealthy("it is failed".to_owned());
        let checkup = Checkup { health, run: Some(run("failed", "failed", 0, None)) };
        assert_eq!(judged(0, Started::Now, [(1, checkup)]), [failed("its start failed: it is failed")]);
    }

    #[test]
    fn failures_count_after_the_start_period_and_what_is_not_known_counts_last() {
        let sick =
            || Checkup { health: Health::Unhealthy("500".to_owned()), run: Some(run("active", "running", 0, Some(1))) };
        let verdicts = judged(0, Started::Now, [5, 30, 31, 32, 33].map(|after| (after, sick())));
        assert_eq!(verdicts[..4], [const { HealthVerdict::NotYet }; 4]);
        assert_eq!(verdicts[4], failed("500"));
        let unknown = || Checkup::from(Health::Unknown("no tunnel".to_owned()));
        let verdicts = judged(0, Started::Now, [(33, unknown()), (89, unknown()), (90, unknown())]);
        assert_eq!(verdicts[..2], [HealthVerdict::NotYet, HealthVerdict::NotYet]);
        assert!(matches!(&verdicts[2], HealthVerdict::Failed(NotHealthy { cause: Cause::Host, .. })), "{verdicts:?}");
    }
}
