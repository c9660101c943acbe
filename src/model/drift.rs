//! What is done about drift: a difference between what was deployed and what is live that no commit
//! asked for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What to do about one kind of difference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DriftRule {
    /// Neither repaired nor told.
    Ignore,
    /// Told, and left as it is.
    Report,
    /// Repaired, and recorded.
    #[default]
    Repair,
}

/// What can differ on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Difference {
    /// What a file or link holds, or that it is there at all.
    Files,
    /// A file's mode or owner.
    Modes,
    /// Whether a process runs, and from which files it was started.
    Processes,
    /// Whether a unit starts after a reboot.
    Enabled,
    Packages,
    Releases,
    /// What nginx serves.
    Nginx,
    /// What changes a unit besides its file: drop-ins, and files that stand in its file's place. It is reported unless
    /// it is ignored: evenkeel did not make it, so it removes none of it.
    Units,
}

/// What an environment does about drift.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftPolicy {
    pub default: DriftRule,
    pub by_difference: BTreeMap<Difference, DriftRule>,
}

impl DriftPolicy {
    pub fn rule(&self, difference: Difference) -> DriftRule {
        let rule = self.by_difference.get(&difference).copied().unwrap_or(self.default);
        match (difference, rule) {
            (Difference::Units, DriftRule::Repair) => DriftRule::Report,
            (_, rule) => rule,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_evenkeel_did_not_make_is_reported_unless_it_is_ignored() {
        let rule = |default, of: Option<DriftRule>| {
            let by_difference = of.map(|rule| (Difference::Units, rule)).into_iter().collect();
            DriftPolicy { default, by_difference }.rule(Difference::Units)
        };
        assert_eq!(rule(DriftRule::Repair, None), DriftRule::Report);
        assert_eq!(rule(DriftRule::Repair, Some(DriftRule::Ignore)), DriftRule::Ignore);
        assert_eq!(rule(DriftRule::Ignore, None), DriftRule::Ignore);
        assert_eq!(rule(DriftRule::Ignore, Some(DriftRule::Report)), DriftRule::Report);
    }
}
