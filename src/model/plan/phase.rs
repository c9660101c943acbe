//! When a step is carried out: in which wave, and in which stage of it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Waves are barriers: a wave begins when the one before it is done and healthy everywhere. The stages of a wave come one
/// after the other on each instance, which waits for no other one between them. What an instance does in a phase it does,
/// and undoes, as one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Phase {
    /// Counts from 1.
    pub wave: u32,
    /// Counts from 0.
    pub stage: u32,
}

/// A wave of one stage is its number.
impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stage {
            0 => write!(f, "{}", self.wave),
            stage => write!(f, "{}.{stage}", self.wave),
        }
    }
}
