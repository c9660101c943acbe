//! Who may have caused a drift: who was logged in, or used sudo, shortly before a file changed.
//!
//! Keeps true: it is a hint for people. That it cannot be had is no error of the sync.

use std::collections::{BTreeMap, BTreeSet};

use super::{bounded, probe::Hosts};
use crate::{
    host::HostRead,
    model::{name::InstanceName, plan::Plan, text},
    report,
};

/// More lines help nobody.
const MOST: usize = 6;

/// In words, for each instance whose files have drifted.
pub async fn of<H: HostRead>(plan: &Plan, hosts: &Hosts<H>) -> Vec<String> {
    let mut paths: BTreeMap<&InstanceName, Vec<String>> = BTreeMap::new();
    for step in &plan.steps {
        if let Some((path, _)) = step.action.file() {
            paths.entry(&step.instance).or_default().push(path.to_owned());
        }
    }
    let asked = paths.iter().filter_map(|(name, paths)| {
        let host = hosts.get(*name)?;
        Some(async move {
            let traces = host.traces(paths).await.unwrap_or_default();
            // Each said once, the latest last.
            let said: BTreeSet<(i64, String)> = traces
                .into_iter()
                .map(|trace| (trace.at, report::control::trace(name, trace.at, &text::of_host(&trace.what))))
                .collect();
            said.into_iter().map(|(_, line)| line).rev().take(MOST).collect::<Vec<_>>()
        })
    });
    bounded::each(asked.collect()).await.into_iter().flatten().collect()
}
