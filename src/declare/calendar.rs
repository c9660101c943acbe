//! When deployments to an environment may begin, from what its file says.

use super::{
    Declared,
    de::At,
    findings::{Draft, Findings},
    kinds::{EnvironmentFile, FreezeKeys, WindowKeys},
};
use crate::model::{
    calendar::{Calendar, Freeze, HORIZON, SHORTEST, Window, Zone},
    finding::Code,
};

pub fn of(file: &EnvironmentFile) -> Calendar {
    let windows = file.windows.iter().flatten().map(window);
    let freezes = file.freezes.iter().flatten().map(freeze);
    Calendar { windows: windows.collect(), freezes: freezes.collect() }
}

fn window(keys: &WindowKeys) -> Window {
    Window { days: *keys.days, from: *keys.from, to: *keys.to, zone: zone(keys.tz.as_ref()) }
}

fn freeze(keys: &FreezeKeys) -> Freeze {
    Freeze { from: *keys.from, to: *keys.to, zone: zone(keys.tz.as_ref()), reason: keys.reason.clone() }
}

fn zone(written: Option<&At<Zone>>) -> Zone {
    written.map(|zone| (**zone).clone()).unwrap_or_default()
}

/// Says what never opens, or for too short a time to deploy in.
pub fn check(declared: &Declared<EnvironmentFile>, findings: &mut Findings) {
    let calendar = of(declared);
    for (keys, window) in declared.windows.iter().flatten().zip(&calendar.windows) {
        if window.length() < SHORTEST {
            let message =
                format!("it is open for {} minutes, too short for a deployment", window.length().num_minutes());
            let finding = Draft::error(Code::ShortWindow, message).at(&declared.file, keys.to.span);
            findings.say(
                finding.hint(format!("leave at least {} minutes between `from` and `to`", SHORTEST.num_minutes())),
            );
        }
    }
    let mut is_backwards = false;
    for (keys, freeze) in declared.freezes.iter().flatten().zip(&calendar.freezes) {
        let (from, to) = freeze.span();
        if from >= to {
            is_backwards = true;
            let finding = Draft::error(Code::InvalidValue, "it ends before it begins").at(&declared.file, keys.to.span);
            findings.say(finding.hint("write the later moment in `to`"));
        }
    }
    // No clock is read here: what is closed for so long from the beginning of a freeze on is meant for ever.
    for (keys, freeze) in declared.freezes.iter().flatten().zip(&calendar.freezes).filter(|_| !is_backwards) {
        if calendar.open(freeze.span().0, HORIZON).is_empty() {
            let message = format!("from {} on no deployment may begin for {HORIZON} days", *keys.from);
            let finding = Draft::error(Code::NeverOpen, message).at(&declared.file, keys.from.span);
            let hint = "end it earlier; to stop deployments until somebody says otherwise, `evenkeel hold`";
            findings.say(finding.hint(hint));
            return;
        }
    }
}
