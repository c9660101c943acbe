//! Checks: what is said of a commit, as check runs of an App, or else as commit statuses; and what others said.
//! <https://docs.github.com/en/rest/checks/runs>

use std::collections::{BTreeMap, VecDeque};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{GitHub, GitHubError, rest::Ask};
use crate::{
    model::{
        commit::CommitId,
        finding::{Finding, Severity},
        pull::{Check, CheckState, Conclusion},
    },
    report::words::clip,
};

/// As many annotations are taken at once; each further request adds to them.
const ANNOTATIONS: usize = 50;
/// Of a summary or text, in characters.
const LONGEST_TEXT: usize = 65_535;
const LONGEST_ANNOTATION_TITLE: usize = 255;
/// As many check runs that have not ended are remembered.
const REMEMBERED: usize = 1000;

/// A check run as it is found at a commit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CheckRun {
    pub id: u64,
    pub name: String,
    /// `completed`, or how far it is.
    pub status: String,
    /// When it is completed.
    pub conclusion: Option<String>,
}

#[derive(Deserialize)]
struct FoundRuns {
    check_runs: Vec<CheckRun>,
}

impl From<FoundRuns> for Vec<CheckRun> {
    fn from(found: FoundRuns) -> Self {
        found.check_runs
    }
}

/// Our check runs that have not ended, the newest last: commit, name, number.
#[derive(Default)]
pub(super) struct Runs(VecDeque<(CommitId, String, u64)>);

impl Runs {
    fn find(&self, check: &Check) -> Option<u64> {
        self.0.iter().find(|(commit, name, _)| (commit, name) == (&check.commit, &check.name)).map(|(_, _, id)| *id)
    }

    fn forget(&mut self, check: &Check) {
        self.0.retain(|(commit, name, _)| (commit, name) != (&check.commit, &check.name));
    }

    fn remember(&mut self, check: &Check, id: u64) {
        self.forget(check);
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((check.commit.clone(), check.name.clone(), id));
    }
}

impl CheckRun {
    /// None while it has not ended.
    fn conclusion(&self) -> Option<Conclusion> {
        if self.status != "completed" {
            return None;
        }
        Some(match self.conclusion.as_deref() {
            Some("success") => Conclusion::Success,
            // GitHub lets both pass where they are required.
            // <https://docs.github.com/en/pull-requests/collaborating-with-pull-requests/collaborating-on-repositories-with-code-quality-features/troubleshooting-required-status-checks>
            Some("neutral" | "skipped") => Conclusion::Neutral,
            Some("failure" | "timed_out") => Conclusion::Failure,
            Some("action_required") => Conclusion::ActionRequired,
            Some("cancelled") => Conclusion::Cancelled,
            _ => Conclusion::Other,
        })
    }
}

fn conclusion(conclusion: Conclusion) -> &'static str {
    match conclusion {
        Conclusion::Success => "success",
        Conclusion::Failure => "failure",
        Conclusion::Neutral | Conclusion::Other => "neutral",
        Conclusion::ActionRequired => "action_required",
        Conclusion::Cancelled => "cancelled",
    }
}

/// What is sent of a check, with some of its annotations.
fn body(check: &Check, annotations: &[Value]) -> Value {
    let mut output = json!({
        "title": check.title,
        "summary": clip(&check.summary, LONGEST_TEXT),
        "annotations": annotations,
    });
    if let Some(text) = &check.text {
        output["text"] = clip(text, LONGEST_TEXT).into();
    }
    let mut body = json!({"name": check.name, "output": output});
    match check.state {
        CheckState::Queued => body["status"] = "queued".into(),
        CheckState::InProgress => body["status"] = "in_progress".into(),
        CheckState::Done(ended) => {
            body["status"] = "completed".into();
            body["conclusion"] = conclusion(ended).into();
        }
    }
    body
}

/// At the file and line of a finding, where it has one.
fn annotation(finding: &Finding) -> Option<Value> {
    let place = finding.place.as_ref()?;
    let message = match &finding.hint {
        Some(hint) => format!("{}\n{hint}", finding.message),
        None => finding.message.clone(),
    };
    Some(json!({
        "path": place.file,
        "start_line": place.line,
        "end_line": place.line,
        "start_column": place.column,
        // GitHub's last column is the last one that is meant.
        "end_column": place.end_column.saturating_sub(1).max(place.column),
        "annotation_level": match finding.severity {
            Severity::Error => "failure",
            Severity::Warning => "warning",
        },
        "title": clip(finding.code.as_str(), LONGEST_ANNOTATION_TITLE),
        "message": clip(&message, LONGEST_TEXT),
    }))
}

impl GitHub {
    /// Says what a stage found: as a check run when signed in as an App, which GitHub allows to nobody else, and with
    /// a token as a commit status.
    pub async fn put_check(&self, check: &Check) -> Result<(), GitHubError> {
        if self.is_app() { self.put_check_run(check).await } else { self.put_status(check).await }
    }

    /// A run that has ended is left as it is; what is said then is a new run, which takes its place.
    async fn put_check_run(&self, check: &Check) -> Result<(), GitHubError> {
        // Annotations add up, so they are sent once, at the end.
        let ended = matches!(check.state, CheckState::Done(_));
        let annotations: Vec<Value> =
            if ended { check.findings.iter().filter_map(annotation).collect() } else { Vec::new() };
        let mut batches = annotations.chunks(ANNOTATIONS);
        let first = body(check, batches.next().unwrap_or_default());
        let known = self.runs().find(check);
        let known = match known {
            Some(id) => Some(id),
            None => self.unended_run(check).await?,
        };
        let id = match known {
            Some(id) => self.update_run(id, first).await?,
            None => self.create_run(check, first).await?,
        };
        if ended {
            self.runs().forget(check);
        } else {
            self.runs().remember(check, id);
        }
        for batch in batches {
            self.update_run(id, body(check, batch)).await?;
        }
        Ok(())
    }

    async fn create_run(&self, check: &Check, mut body: Value) -> Result<u64, GitHubError> {
        body["head_sha"] = check.commit.as_str().into();
        // A second one takes the first one's place.
        let ask = Ask::post(self.url(&["check-runs"])?, body).safe_to_repeat();
        Ok(self.rest.read::<CheckRun>(&ask).await?.id)
    }

    async fn update_run(&self, id: u64, body: Value) -> Result<u64, GitHubError> {
        let ask = Ask::patch(self.url(&["check-runs", &id.to_string()])?, body);
        Ok(self.rest.read::<CheckRun>(&ask).await?.id)
    }

    /// One that was begun before we were started.
    async fn unended_run(&self, check: &Check) -> Result<Option<u64>, GitHubError> {
        let super::SignIn::App { id: app, .. } = self.rest.session.sign_in else { return Ok(None) };
        let ask = Ask::get(self.url(&["commits", &check.commit, "check-runs"])?)
            .query("check_name", &check.name)
            .query("app_id", &app.to_string())
            .query("filter", "latest");
        let runs = self.rest.list::<FoundRuns, _>(ask).await?;
        Ok(runs.iter().find(|run| run.name == check.name && run.status != "completed").map(|run| run.id))
    }

    fn runs(&self) -> parking_lot::MutexGuard<'_, Runs> {
        self.runs.lock()
    }

    /// The newest run of each check at a commit.
    pub async fn check_runs(&self, commit: &CommitId) -> Result<Vec<CheckRun>, GitHubError> {
        let ask = Ask::get(self.url(&["commits", commit, "check-runs"])?).query("filter", "latest");
        self.rest.list::<FoundRuns, _>(ask).await
    }

    /// How the checks and statuses of a commit ended, by name. What has not ended is not among them; of several with
    /// one name the worst counts.
    pub async fn conclusions(&self, commit: &CommitId) -> Result<BTreeMap<String, Conclusion>, GitHubError> {
        let runs = self.check_runs(commit).await?.into_iter().map(|run| (run.conclusion(), run.name));
        let statuses = self.statuses(commit).await?.into_iter().map(|status| (status.conclusion(), status.context));
        let mut all: BTreeMap<String, Option<Conclusion>> = BTreeMap::new();
        for (conclusion, name) in runs.chain(statuses) {
            let both = match all.get(&name) {
                Some(known) => known.and_then(|known| Some(known.worse(conclusion?))),
                None => conclusion,
            };
            all.insert(name, both);
        }
        Ok(all.into_iter().filter_map(|(name, conclusion)| Some((name, conclusion?))).collect())
    }
}
