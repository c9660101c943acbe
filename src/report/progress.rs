use super::Style;
use crate::model::name::InstanceName;
#[derive(Debug, Clone)]
pub enum StepState { Started, Done, Failed(String) }
#[derive(Debug, Clone)]
pub enum Event { Connecting{instances: usize}, Observed{instance: InstanceName, ms: u64}, NotReached{instance: InstanceName, why: String}, Phase{number: u32, of: u32, title: String}, Step{instance: InstanceName, id: String, verb: String, subject: String, state: StepState}, Healthy{instance: InstanceName, service: String, after_ms: u64}, Unhealthy{instance: InstanceName, service: String, why: String}, Undoing{instance: InstanceName}, Undone{instance: InstanceName}, Warning(String) }
pub fn line(e: &Event, _: Style) -> String { format!("{e:?}") }
