use super::Style;
use crate::model::plan::Plan;
pub fn text(p: &Plan, _: Style) -> String { let mut t = String::new(); for s in &p.steps { t += &format!("{} {} {}\n", s.phase, s.id, s.reason); } for f in &p.findings { t += &format!("{f:?}\n"); } for (n,i) in &p.instances { t += &format!("{n} {:?}\n", i.state); } t + &headline(p) + "\n" }
pub fn json(_: &Plan) -> String { String::new() }
pub fn json_schema() -> String { String::new() }
pub fn headline(p: &Plan) -> String { format!("{:?}", p.summary()) }
pub fn change_lines(p: &Plan) -> Vec<String> { p.steps.iter().map(|s| s.id.clone()).collect() }
pub fn diff(_: &str, a: &str, b: &str, _: Style) -> String { similar::TextDiff::from_lines(a,b).unified_diff().to_string() }
