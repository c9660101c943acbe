//! What failed of a deployment and how far the failure reaches, and why one is refused.
//!
//! Owns: the failure of a record, in today's form and in that of records before version 3; what makes two refusals the
//! same. Keeps true: a failure names an instance only where that instance failed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{digest::Digest, finding::Finding, name::InstanceName, outcome::Cause, plan::StepId};

/// What failed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenFailure", into = "WrittenFailure")]
pub struct Failure {
    pub scope: FaultScope,
    /// None where no step failed: the instance was lost between two, or nothing was begun.
    pub step: Option<StepId>,
    pub message: String,
    pub cause: Cause,
    /// The last log lines of the unit, of nginx, or of the build.
    pub log: Vec<String>,
}

/// What a failure is one of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultScope {
    /// No instance is the cause: the deployment was refused, cancelled, interrupted or too late.
    Deployment,
    Instance(InstanceName),
}

impl Failure {
    /// A failure of the deployment as a whole.
    pub fn of_deployment(cause: Cause, message: impl Into<String>) -> Self {
        Self { scope: FaultScope::Deployment, step: None, message: message.into(), cause, log: Vec::new() }
    }

    /// A failure of one instance.
    pub fn of_instance(instance: &InstanceName, cause: Cause, message: impl Into<String>) -> Self {
        let scope = FaultScope::Instance(instance.clone());
        Self { scope, step: None, message: message.into(), cause, log: Vec::new() }
    }

    pub fn at(self, step: StepId) -> Self {
        Self { step: Some(step), ..self }
    }

    /// The instance that failed.
    pub fn instance(&self) -> Option<&InstanceName> {
        match &self.scope {
            FaultScope::Deployment => None,
            FaultScope::Instance(name) => Some(name),
        }
    }
}

/// A failure in a record.
#[derive(Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Failure")]
struct WrittenFailure {
    /// The instance that failed. Left out where the deployment failed as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance: Option<InstanceName>,
    /// The step that failed. Left out where no step did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    message: String,
    #[serde(default)]
    cause: Cause,
    /// The last log lines of the unit, of nginx, or of the build.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    log: Vec<String>,
}

/// What a record before version 3 called the step of an instance that was not undone.
const UNDO: &str = "undo";

impl From<WrittenFailure> for Failure {
    fn from(written: WrittenFailure) -> Self {
        let WrittenFailure { instance, step, message, cause, log } = written;
        // A step that is not understood is not told; what failed still is.
        let step: Option<StepId> = step.filter(|step| step != UNDO).and_then(|step| step.parse().ok());
        // A record before version 3 names some instance here.
        let whole = step.is_none() && matches!(cause, Cause::Refused | Cause::Build | Cause::Cancelled);
        let scope = instance.filter(|_| !whole).map_or(FaultScope::Deployment, FaultScope::Instance);
        Self { scope, step, message, cause, log }
    }
}

impl From<Failure> for WrittenFailure {
    fn from(failure: Failure) -> Self {
        let Failure { scope, step, message, cause, log } = failure;
        let instance = match scope {
            FaultScope::Deployment => None,
            FaultScope::Instance(name) => Some(name),
        };
        Self { instance, step: step.map(|step| step.to_string()), message, cause, log }
    }
}

impl schemars::JsonSchema for Failure {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Failure".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        WrittenFailure::json_schema(generator)
    }
}

/// Why no deployment was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub why: String,
    pub cause: Cause,
    /// Over what it is refused for, without the wording.
    pub grounds: Digest,
    /// The last lines of what failed.
    pub log: Vec<String>,
    /// Who or what asked for it, in words.
    pub triggered_by: String,
}

impl Refused {
    /// For the errors among a plan's findings.
    pub fn for_findings(findings: &[Finding], triggered_by: &str) -> Self {
        let errors = || findings.iter().filter(|finding| finding.is_error());
        let messages: Vec<&str> = errors().map(|finding| finding.message.as_str()).collect();
        let grounds: BTreeSet<String> = errors().map(grounds).collect();
        Self {
            why: messages.join("; "),
            cause: Cause::Refused,
            grounds: Digest::of_fields(&grounds),
            log: Vec::new(),
            triggered_by: triggered_by.to_owned(),
        }
    }
}

/// What a finding is, wherever its words have a number that another observation changes.
fn grounds(finding: &Finding) -> String {
    let place = finding.place.as_ref().map(|place| format!("{}:{}:{}", place.file, place.line, place.column));
    format!("{}\n{}\n{}", finding.code, finding.instance.as_deref().unwrap_or_default(), place.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(record: Value) -> Failure {
        serde_json::from_value(record).expect("a failure")
    }

    #[test]
    fn a_failure_of_the_whole_deployment_names_no_instance() {
        for cause in [Cause::Refused, Cause::Build, Cause::Cancelled, Cause::Interrupted, Cause::Step] {
            let failure = Failure::of_deployment(cause, "no");
            let written = serde_json::to_value(&failure).expect("JSON");
            assert_eq!((&written["instance"], &written["step"]), (&Value::Null, &Value::Null), "{written}");
            assert_eq!(read(written), failure);
        }
    }

    #[test]
    fn a_failure_of_an_instance_is_read_as_it_was_written() {
        let h1 = "h1".parse().expect("a name");
        let step = "h1/nginx/reload/nginx".parse().expect("an id");
        for failure in
            [Failure::of_instance(&h1, Cause::Lost, "no answer"), Failure::of_instance(&h1, Cause::Step, "no").at(step)]
        {
            assert_eq!(read(serde_json::to_value(&failure).expect("JSON")), failure);
        }
    }

    #[test]
    fn failures_of_records_before_version_3_are_read() {
        let before = |step: &str, cause: &str| {
            read(json!({ "instance": "h1", "step": step, "message": "no", "cause": cause, "log": ["a line"] }))
        };
        let instance = |failure: &Failure| failure.instance().map(|name| name.as_str().to_owned());
        for cause in ["refused", "build", "cancelled"] {
            assert_eq!(instance(&before("", cause)), None, "{cause}: the instance was the first in the alphabet");
        }
        for (step, cause) in [("", "lost"), ("undo", "interrupted"), ("what is no step", "step")] {
            let failure = before(step, cause);
            assert_eq!((instance(&failure), &failure.step), (Some("h1".to_owned()), &None), "{step}");
        }
        let failure = before("h1/service/a/start/f-a@1.service", "step");
        assert_eq!(failure.step.as_ref().map(StepId::resource), Some("service/a"));
        assert_eq!((failure.message.as_str(), &*failure.log), ("no", &["a line".to_owned()][..]));
        let without = read(json!({ "instance": "h1", "step": "settle", "message": "no" }));
        assert_eq!((without.cause, without.log.is_empty()), (Cause::Step, true));
    }

    #[test]
    fn a_refusal_is_the_same_whatever_its_words_and_another_for_another_reason() {
        let h1 = "h1".parse().expect("a name");
        let grounds = |findings: &[Finding]| Refused::for_findings(findings, "somebody").grounds;
        let full = |free: u32| {
            Finding::error(crate::model::finding::Code::DeploymentRunning, format!("{free} MiB are free")).on(&h1)
        };
        assert_eq!(grounds(&[full(3)]), grounds(&[full(2)]));
        let drift = Finding::warning(crate::model::finding::Code::NoEnvFile, "something differs").on(&h1);
        assert_eq!(grounds(&[full(3)]), grounds(&[full(3), drift]), "a warning refuses nothing");
        let elsewhere = full(3).on(&"h2".parse().expect("a name"));
        let taken = Finding::error(crate::model::finding::Code::PortTaken, "3 MiB are free").on(&h1);
        for others in [vec![elsewhere.clone()], vec![taken], vec![full(3), elsewhere], Vec::new()] {
            assert_ne!(grounds(&[full(3)]), grounds(&others), "{others:?}");
        }
    }
}
