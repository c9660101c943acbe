use super::Style;
use crate::model::outcome::*;
pub fn commit_message(d: &Deployment, _: Option<&str>) -> String { format!("{:?}", d.outcome) }
pub fn history(r: &[Record], _: Style) -> String { r.iter().map(|r| format!("{} {:?} {:?}\n", r.deployment.generation, r.deployment.outcome, r.deployment.kind)).collect() }
pub fn show(r: &Record, _: Style) -> String { format!("{r:#?}\n") }
pub fn outcome(d: &Deployment, _: Style) -> String { format!("{d:#?}") }
