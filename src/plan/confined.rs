//! Units that were written before units were confined by default. Each changes once, for no commit's sake: the plan
//! says so in one place, and not as one diff of the same lines for each service.

use std::collections::BTreeSet;

use crate::model::{
    confinement,
    finding::{Code, Finding},
    plan::{Action, Step},
};

pub(super) const REASON: &str = "evenkeel confines units by default now";

/// What the units get, and how many; none where no unit changes for this alone.
pub(super) fn told_once(steps: &[Step]) -> Option<Finding> {
    let mut units = 0;
    let mut names = BTreeSet::new();
    for action in steps.iter().map(|step| &step.action).filter(|action| action.only_confines().is_some()) {
        let Action::WriteFile { content, .. } = action else { continue };
        units += 1;
        names.extend(content.public().into_iter().flat_map(confinement::confining));
    }
    let lines: Vec<&str> = names.iter().map(|name| name.line()).collect();
    let units = if units == 1 { "1 unit is".to_owned() } else { format!("{units} units are") };
    let message = format!("{units} confined from now on, and restarted for it once: {}", lines.join(", "));
    let hint = "what a service really needs, `run.unconfined` lifts: `run: {unconfined: [ProtectSystem]}`";
    (!names.is_empty()).then(|| Finding::warning(Code::UnitsConfined, message).hint(hint))
}
