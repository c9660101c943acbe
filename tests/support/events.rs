//! Events, as the JSON log of a daemon has them.

use evenkeel::model::event::EventName;
use serde_json::Value;

/// The records of the log that tell the event, the oldest first. A line that is not complete is none yet; what ends the
/// program is told in plain words.
pub fn told(log: &str, event: EventName) -> impl Iterator<Item = Value> {
    let lines = log.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let records = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    records.filter(move |record| record["event"] == event.as_str())
}
