//! What was measured, one line each.

use std::time::Duration;

#[derive(Default)]
pub struct Table {
    missed: Vec<&'static str>,
    slow: Vec<&'static str>,
    rows: usize,
}

impl Table {
    /// A figure by itself, which has to be less than its limit.
    pub fn row(&mut self, what: &'static str, measured: String, beside: &str, (limit, holds): (&str, bool)) {
        let word = if holds { "ok" } else { "MISSED" };
        if !holds {
            self.missed.push(what);
        }
        self.print(word, [what, &measured, beside, "", &format!("< {limit}")]);
    }

    /// A figure beside another one, of what does the least of the same: their ratio decides. More than `at_most`
    /// with a ratio that holds is what a slow machine makes of it, which is said.
    pub fn compare(
        &mut self,
        what: &'static str,
        (ours, theirs): (Duration, Duration),
        of_theirs: &str,
        limit: f64,
        at_most: Option<Duration>,
    ) {
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        let word = if ratio >= limit {
            self.missed.push(what);
            "MISSED"
        } else if at_most.is_some_and(|at_most| ours >= at_most) {
            self.slow.push(what);
            "slow"
        } else {
            "ok"
        };
        let beside = format!("{of_theirs} {}", milliseconds(theirs));
        let at_most = at_most.map(|at_most| format!(", < {} ms", at_most.as_millis())).unwrap_or_default();
        self.print(word, [what, &milliseconds(ours), &beside, &format!("{ratio:.2}"), &format!("< {limit}{at_most}")]);
    }

    fn print(&mut self, word: &str, [what, measured, beside, ratio, limits]: [&str; 5]) {
        if self.rows == 0 {
            println!("\n        {:52} {:>10}  {:44} {:>5}  limit", "what", "measured", "beside", "ratio");
        }
        self.rows += 1;
        println!("{word:7} {what:52} {measured:>10}  {beside:44} {ratio:>5}  {limits}");
    }

    pub fn all_held(&self) -> bool {
        self.missed.is_empty()
    }

    pub fn summary(&self) {
        if self.all_held() {
            println!("\n{} lines, every limit holds", self.rows);
        } else {
            println!("\n{} of {} lines miss their limit: {}", self.missed.len(), self.rows, self.missed.join("; "));
        }
        if !self.slow.is_empty() {
            println!("over their figure where the ratio holds, on this machine: {}", self.slow.join("; "));
        }
    }
}

pub fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

pub fn median(took: &mut [Duration]) -> Duration {
    took.sort_unstable();
    took.get(took.len() / 2).copied().unwrap_or_default()
}
