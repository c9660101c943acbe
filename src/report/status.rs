use serde::{Deserialize, Serialize};
use super::Style;
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sync { Synced, OutOfSync, Unknown }
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Health { Healthy, Progressing, Degraded, Unknown }
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed { pub commit: Option<String>, pub generation: u64, pub when: String, pub outcome: String }
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceView { pub name: String, pub port: u16, pub unit: String, pub sync: Sync, pub health: Health, pub why: Option<String> }
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceView { pub name: String, pub address: String, pub sync: Sync, pub why: Option<String>, pub services: Vec<ServiceView> }
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusView { pub environment: String, pub branch: String, pub commit: Option<String>, pub deployed: Option<Deployed>, pub sync: Sync, pub health: Health, pub instances: Vec<InstanceView>, pub controller: Option<String>, pub last_error: Option<String>, pub observed_at: String }
pub fn text(v: &StatusView, _: Style) -> String { format!("{v:#?}\n") }
pub fn json(v: &StatusView) -> String { serde_json::to_string(v).unwrap_or_default() }
