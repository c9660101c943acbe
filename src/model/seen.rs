//! What a look at the world can yield.

use serde::{Deserialize, Serialize};

/// Known, absent, or unknown with the reason. Unknown is never taken for absent: nothing is ever
/// planned from the lack of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Seen<T> {
    Known(T),
    Absent,
    Unknown(String),
}

impl<T> Seen<T> {
    pub fn known(&self) -> Option<&T> {
        match self {
            Seen::Known(value) => Some(value),
            Seen::Absent | Seen::Unknown(_) => None,
        }
    }

    pub fn is_absent(&self) -> bool {
        matches!(self, Seen::Absent)
    }

    /// Why nothing is known, when nothing is.
    pub fn unknown(&self) -> Option<&str> {
        match self {
            Seen::Unknown(why) => Some(why),
            Seen::Known(_) | Seen::Absent => None,
        }
    }

    pub fn as_ref(&self) -> Seen<&T> {
        match self {
            Seen::Known(value) => Seen::Known(value),
            Seen::Absent => Seen::Absent,
            Seen::Unknown(why) => Seen::Unknown(why.clone()),
        }
    }
}
