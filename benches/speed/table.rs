//! What was measured, one line each.

use std::time::Duration;

#[derive(Default)]
pub struct Table {
    missed: Vec<&'static str>,
    rows: usize,
}

impl Table {
    /// Prints a line. `limits` are all "less than".
    pub fn row(
        &mut self,
        what: &'static str,
        measured: String,
        beside: &str,
        ratio: Option<f64>,
        limits: &[(&str, bool)],
    ) {
        if self.rows == 0 {
            println!("\n        {:52} {:>10}  {:44} {:>5}  limit", "what", "measured", "beside", "ratio");
        }
        self.rows += 1;
        let held = limits.iter().all(|(_, holds)| *holds);
        if !held {
            self.missed.push(what);
        }
        let word = if held { "ok" } else { "MISSED" };
        let ratio = ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        let limits: Vec<String> = limits.iter().map(|(limit, _)| format!("< {limit}")).collect();
        println!("{word:7} {what:52} {measured:>10}  {beside:44} {ratio:>5}  {}", limits.join(", "));
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
    }
}

pub fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

pub fn median(took: &mut [Duration]) -> Duration {
    took.sort_unstable();
    took.get(took.len() / 2).copied().unwrap_or_default()
}
