//! `windows` and `freezes` in `environments/NAME.yaml`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    declare::de::At,
    model::calendar::{Moment, TimeOfDay, WeekDays, Zone},
};

/// A span of some days of the week in which deployments may begin.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Window")]
pub struct WindowKeys {
    /// As in `mon-fri`, or `mon,wed`.
    pub days: At<WeekDays>,
    /// When it begins.
    pub from: At<TimeOfDay>,
    /// When it ends; before `from`, on the next day.
    pub to: At<TimeOfDay>,
    /// The time zone; UTC if not given.
    pub tz: Option<At<Zone>>,
}

/// A span of time in which no deployment begins.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Freeze")]
pub struct FreezeKeys {
    /// As in `2026-12-24`, or `2026-12-24 18:00`.
    pub from: At<Moment>,
    /// When it ends; a day without a time ends with that day.
    pub to: At<Moment>,
    /// The time zone; UTC if not given.
    pub tz: Option<At<Zone>>,
    /// For people.
    pub reason: Option<String>,
}
