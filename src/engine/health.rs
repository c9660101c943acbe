//! Waiting until a replica is healthy.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Watch;
use crate::{
    host::{Health, HealthCheck, Host},
    model::{
        fleet,
        name::InstanceName,
        plan::{Action, Step},
    },
    report::progress::Event,
};

/// The first look comes soon, for most programs start fast; the pauses grow to the declared interval.
const FIRST_PAUSE: Duration = Duration::from_millis(30);

/// How long "cannot tell" may last before it counts as a failure to become healthy.
const UNKNOWN_LIMIT: Duration = Duration::from_secs(60);

/// What to ask about the replica a step waits for.
pub fn check_of(step: &Step) -> Option<(HealthCheck, fleet::Health)> {
    let Action::AwaitHealth { port, unit, user, directory, env_files, confined_by, health, .. } = &step.action else {
        return None;
    };
    let check = HealthCheck {
        check: health.check.clone(),
        port: *port,
        timeout: health.timeout.0,
        user: user.clone(),
        directory: directory.clone(),
        env_files: env_files.clone(),
        unit: unit.clone(),
        confined_by: confined_by.clone(),
    };
    Some((check, health.clone()))
}

/// The longest that a step waits; none for a step that does not wait.
pub fn longest_wait(step: &Step) -> Option<Duration> {
    let (_, declared) = check_of(step)?;
    let checks = (declared.interval.0 + declared.timeout.0) * (declared.retries + 1);
    Some(declared.start_period.0 + UNKNOWN_LIMIT + checks)
}

/// Waits until healthy. The error says what the last check said.
pub async fn await_healthy<H: Host>(
    host: &H,
    instance: &InstanceName,
    step: &Step,
    watch: &Watch,
) -> Result<(), String> {
    let Some((check, declared)) = check_of(step) else { return Ok(()) };
    let began = Instant::now();
    let service = step.resource.to_string();
    let mut pause = FIRST_PAUSE;
    let mut failures = 0;
    loop {
        let why = match host.health(&check).await {
            Health::Healthy => {
                let after_ms = began.elapsed().as_millis() as u64;
                watch(Event::Healthy { instance: instance.clone(), service, after_ms });
                return Ok(());
            }
            Health::Unhealthy(why) => {
                if began.elapsed() >= declared.start_period.0 {
                    failures += 1;
                }
                why
            }
            // Not known is not unhealthy, but nobody waits for ever either.
            Health::Unknown(why) if began.elapsed() < declared.start_period.0 + UNKNOWN_LIMIT => why,
            Health::Unknown(why) => {
                failures = declared.retries + 1;
                format!("its health cannot be told: {why}")
            }
        };
        if failures > declared.retries {
            let why = format!("not healthy after {:.1} s: {why}", began.elapsed().as_secs_f64());
            watch(Event::Unhealthy { instance: instance.clone(), service, why: why.clone() });
            return Err(why);
        }
        sleep(pause).await;
        pause = (pause * 3 / 2).min(declared.interval.0.max(FIRST_PAUSE));
    }
}
