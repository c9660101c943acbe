//! Findings: everything there is to say against a declared fleet or a plan.

mod code;

use serde::{Deserialize, Serialize};

pub use code::{Code, UnknownCode};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is deployed while it stands.
    Error,
    /// Said, and no more.
    Warning,
}

/// A place in a file of the repository. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Place {
    /// Path from the repository's root.
    pub file: String,
    pub line: u32,
    pub column: u32,
    /// One past the last column of what is meant, on the same line.
    pub end_column: u32,
    /// The line's text, to be shown with a caret. Of a long line it is the part around the column.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub text: String,
    /// How many characters of the line stand before `text`; none if not given.
    #[serde(skip_serializing_if = "is_none", default)]
    pub text_offset: u32,
}

fn is_none(offset: &u32) -> bool {
    *offset == 0
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Finding {
    pub severity: Severity,
    /// For example `port-taken`.
    pub code: Code,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<Place>,
    /// Other places that matter, each with a word on why.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub related: Vec<(Place, String)>,
    /// The next move.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
    /// The instance it is about, for findings of a plan.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub instance: Option<String>,
}

impl Finding {
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    fn new(severity: Severity, code: Code, message: impl Into<String>) -> Self {
        Self { severity, code, message: message.into(), place: None, related: Vec::new(), hint: None, instance: None }
    }

    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    pub fn also(mut self, place: Place, why: impl Into<String>) -> Self {
        self.related.push((place, why.into()));
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn on(mut self, instance: &super::name::InstanceName) -> Self {
        self.instance = Some(instance.to_string());
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Whether anything forbids going on.
pub fn any_error(findings: &[Finding]) -> bool {
    findings.iter().any(Finding::is_error)
}
