//! `recreate`: what runs is stopped, then what is declared is started.
//!
//! Keeps true: all copies of a service change at once, in one wave: whoever asks it is answered by none of them until one
//! is healthy again.

use super::PlannedChange;
use crate::model::plan::Phase;

pub(super) fn waves(changes: Vec<PlannedChange>) -> impl Iterator<Item = (Phase, PlannedChange)> {
    changes.into_iter().map(|change| (Phase::default(), change))
}
