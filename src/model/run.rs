//! How systemd keeps a unit's process running: whether it stays up, since when, and how it ended last.
//!
//! Owns the rule of when a process is steady and when its failed starts are an answer. Keeps true: pure; a unit counts as
//! failing for what systemd says of it alone. Never does: asking whether the program serves, which is a health check's part.
//! Source: systemd.service(5), `Restart=`; org.freedesktop.systemd1(5), `NRestarts`, `Result`, `ExecMainStatus`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// For so long a main process has to run before it counts as steady, where nothing else tells.
pub const SETTLE: Duration = Duration::from_secs(10);
/// So many failed starts in a row are an answer: the next one would fail, too.
pub const FAILED_STARTS: u32 = 3;
/// `RestartSec=` of every unit that evenkeel writes.
pub const RESTART_PAUSE: Duration = Duration::from_secs(2);

/// A unit's process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// `ActiveState`: `active`, `activating`, `inactive`, `failed`, …
    pub active: String,
    /// `SubState`: `running`, `auto-restart`, `dead`, …
    pub sub: String,
    pub tries: Tries,
}

/// What became of the starts of a unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tries {
    /// How often systemd has started it again by itself since somebody started it.
    pub restarts: u32,
    /// How its last run ended (`Result`): `exit-code`, `signal`, `start-limit-hit`, …; `success` while it runs.
    pub result: String,
    /// The exit status or signal of its last run.
    pub status: String,
    /// How long its main process has run; None where none does, or where that was not asked.
    pub runs_for: Option<Duration>,
}

impl Run {
    pub fn is_active(&self) -> bool {
        self.active == "active"
    }

    /// Whether systemd waits before it starts the unit again.
    pub fn is_restarting(&self) -> bool {
        // `auto-restart-queued` since systemd 254.
        self.sub.starts_with("auto-restart")
    }

    /// Whether systemd has given the unit up.
    pub fn is_given_up(&self) -> bool {
        self.active == "failed"
    }

    /// Whether systemd could not set the process up, for something on the host. Source: systemd.exec(5), "Process Exit
    /// Codes": it keeps 200 to 245 for that; the program (203) and its user (217) are what the unit names.
    pub fn was_not_set_up(&self) -> bool {
        self.tries.result == "exit-code"
            && self.tries.status.parse().is_ok_and(|status| matches!(status, 200..=245) && !matches!(status, 203 | 217))
    }

    /// How many starts in a row ended too early, where `before` of systemd's restarts had been made earlier.
    pub fn failed_starts(&self, before: u32) -> u32 {
        self.tries.restarts.saturating_sub(before) + u32::from(self.is_restarting() || self.is_given_up())
    }

    /// Whether the unit is started again and again: between two starts, or shortly after one of many.
    pub fn is_failing(&self) -> bool {
        self.is_restarting() || self.tries.restarts >= FAILED_STARTS && self.is_young()
    }

    /// Whether its last start failed, or systemd had to start it again and it has not shown since that it stays up.
    pub fn is_unsteady(&self) -> bool {
        self.is_restarting() || self.tries.restarts > 0 && self.is_young()
    }

    fn is_young(&self) -> bool {
        self.tries.runs_for.is_some_and(|runs_for| runs_for < SETTLE)
    }

    /// For how long the main process has to run before a passed check counts: what systemd had to start again since
    /// has to show that it stays up.
    pub fn due(&self, settle: Duration, before: u32) -> Duration {
        if self.tries.restarts > before { settle.max(SETTLE) } else { settle }
    }

    /// `activating (auto-restart): its last run ended with status 1; systemd has started it again 4 times`.
    pub fn told(&self) -> String {
        let Tries { restarts, result, status, runs_for } = &self.tries;
        let age = runs_for.map(|runs_for| format!(" for {} s", runs_for.as_secs())).unwrap_or_default();
        let ended = match result.as_str() {
            "" => String::new(),
            // That of a unit which runs, or never ran.
            "success" if !self.is_restarting() => String::new(),
            "success" | "exit-code" => format!(": its last run ended with status {status}"),
            "signal" | "core-dump" => format!(": its last run was killed by signal {status}"),
            "start-limit-hit" => ": systemd has given up starting it (start-limit-hit)".to_owned(),
            result => format!(": its last run ended with {result}"),
        };
        let again = match restarts {
            0 => String::new(),
            1 => "; systemd has started it again once".to_owned(),
            times => format!("; systemd has started it again {times} times"),
        };
        format!("{} ({}){age}{ended}{again}", self.active, self.sub)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(active: &str, sub: &str, restarts: u32, runs_for: Option<u64>) -> Run {
        let runs_for = runs_for.map(Duration::from_secs);
        let (result, status) = ("exit-code".to_owned(), "1".to_owned());
        Run { active: active.to_owned(), sub: sub.to_owned(), tries: Tries { restarts, result, status, runs_for } }
    }

    #[test]
    fn a_unit_that_is_started_again_and_again_is_failing_also_while_it_runs_for_a_moment() {
        assert!(run("activating", "auto-restart", 0, None).is_failing());
        assert!(run("activating", "auto-restart-queued", 0, None).is_failing());
        assert!(run("active", "running", 3, Some(1)).is_failing());
        assert!(!run("active", "running", 3, Some(3600)).is_failing(), "it had a bad day once");
        assert!(!run("active", "running", 1, Some(1)).is_failing());
        assert!(!run("active", "running", 3, None).is_failing(), "nobody asked since when");
        assert!(!run("activating", "start", 0, None).is_failing());
        assert!(
            run("active", "running", 1, Some(1)).is_unsteady() && !run("active", "running", 1, Some(60)).is_unsteady()
        );
        assert!(!run("active", "running", 0, Some(1)).is_unsteady(), "somebody has just started it");
    }

    #[test]
    fn what_systemd_cannot_set_up_is_told_from_what_a_program_ends_with() {
        let ended = |result: &str, status: &str| {
            let run = run("activating", "auto-restart", 1, None);
            let tries = Tries { result: result.to_owned(), status: status.to_owned(), ..run.tries };
            Run { tries, ..run }.was_not_set_up()
        };
        assert!(ended("exit-code", "200") && ended("exit-code", "226"));
        assert!(!ended("exit-code", "203") && !ended("exit-code", "217"), "the unit names the program and its user");
        assert!(!ended("exit-code", "1") && !ended("signal", "11") && !ended("exit-code", "246") && !ended("", ""));
    }

    #[test]
    fn a_start_has_failed_when_its_run_is_over() {
        assert_eq!(run("active", "running", 0, Some(1)).failed_starts(0), 0);
        assert_eq!(run("activating", "auto-restart", 0, None).failed_starts(0), 1);
        assert_eq!(run("active", "running", 2, Some(1)).failed_starts(0), 2);
        assert_eq!(run("activating", "auto-restart", 2, None).failed_starts(0), FAILED_STARTS);
        assert_eq!(run("activating", "auto-restart", 57, None).failed_starts(57), 1, "the others are of last month");
    }

    #[test]
    fn what_had_to_be_started_again_has_to_show_that_it_stays_up() {
        assert_eq!(run("active", "running", 0, Some(1)).due(Duration::ZERO, 0), Duration::ZERO);
        assert_eq!(run("active", "running", 1, Some(1)).due(Duration::ZERO, 0), SETTLE);
        assert_eq!(run("active", "running", 1, Some(1)).due(Duration::from_secs(60), 0), Duration::from_secs(60));
        assert_eq!(run("active", "running", 57, Some(1)).due(Duration::ZERO, 57), Duration::ZERO);
    }

    #[test]
    fn how_it_ended_is_told_with_its_status() {
        let told = |result: &str, status: &str| {
            let run = run("activating", "auto-restart", 4, None);
            let tries = Tries { result: result.to_owned(), status: status.to_owned(), ..run.tries };
            Run { tries, ..run }.told()
        };
        let again = "; systemd has started it again 4 times";
        let begins = "activating (auto-restart)";
        assert_eq!(told("exit-code", "203"), format!("{begins}: its last run ended with status 203{again}"));
        assert_eq!(told("success", "0"), format!("{begins}: its last run ended with status 0{again}"));
        assert_eq!(told("signal", "9"), format!("{begins}: its last run was killed by signal 9{again}"));
        assert_eq!(told("oom-kill", "9"), format!("{begins}: its last run ended with oom-kill{again}"));
        assert_eq!(told("", ""), format!("{begins}{again}"));
        let never = Tries { result: "success".to_owned(), status: "0".to_owned(), ..Tries::default() };
        let never = Run { active: "inactive".to_owned(), sub: "dead".to_owned(), tries: never };
        assert_eq!(never.told(), "inactive (dead)");
    }
}
