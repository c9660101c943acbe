//! What a story tells: a readable log with virtual time, how often what happened, and what was wrong.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

/// How often what happened.
pub type Tally = BTreeMap<&'static str, u64>;

pub struct Tale {
    began: Instant,
    /// Whether the log is printed as it comes.
    aloud: bool,
    tally: Mutex<Tally>,
    wrongs: Mutex<Vec<String>>,
}

impl Tale {
    pub fn new(aloud: bool) -> Self {
        Self { began: Instant::now(), aloud, tally: Mutex::default(), wrongs: Mutex::default() }
    }

    /// A line of the log. It is made only where somebody reads it.
    pub fn tell(&self, line: impl FnOnce() -> String) {
        if self.aloud {
            println!("{} {}", self.time(), line());
        }
    }

    pub fn time(&self) -> String {
        format!("{:10.3}", self.began.elapsed().as_secs_f64())
    }

    pub fn count(&self, what: &'static str) {
        *lock(&self.tally).entry(what).or_default() += 1;
    }

    pub fn counted(&self, what: &'static str) -> u64 {
        lock(&self.tally).get(what).copied().unwrap_or(0)
    }

    /// A promise is broken.
    pub fn wrong(&self, what: impl Into<String>) {
        let what = what.into();
        self.tell(|| format!("WRONG: {what}"));
        lock(&self.wrongs).push(format!("{}: {what}", self.time().trim()));
    }

    pub fn wrongs(&self) -> Vec<String> {
        lock(&self.wrongs).clone()
    }

    pub fn tally(&self) -> Tally {
        lock(&self.tally).clone()
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
