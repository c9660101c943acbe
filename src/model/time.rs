//! How a moment is written in records.

use chrono::{DateTime, SecondsFormat, Utc};

/// RFC 3339 in UTC, to the second.
pub fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
