//! Deployments, as GitHub shows them on a repository's page and in pull requests.
//! <https://docs.github.com/en/rest/deployments>

use crate::model::commit::CommitId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{GitHub, GitHubError, rest::Ask, statuses::LONGEST_DESCRIPTION};
use crate::report::words::clip;

#[derive(Debug, Clone, PartialEq)]
pub struct NewDeployment {
    pub commit: CommitId,
    pub environment: String,
    pub description: String,
    /// What we want to find again in it.
    pub payload: Value,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Deployment {
    pub id: u64,
    #[serde(rename = "sha")]
    pub commit: CommitId,
    pub environment: String,
    /// GitHub takes one that is called `production` for it.
    #[serde(default, rename = "production_environment")]
    pub is_production: bool,
    #[serde(default)]
    pub payload: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentState {
    Queued,
    Pending,
    InProgress,
    Success,
    Failure,
    /// Something else has taken its place.
    Inactive,
    /// It could not be begun, or nobody knows how it ended.
    Error,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDeploymentStatus {
    pub state: DeploymentState,
    /// Where more is said: the history's commit.
    pub log_url: Option<String>,
    pub description: String,
    /// Whether a success makes the environment's earlier deployments inactive. Those of production GitHub leaves alone.
    pub auto_inactive: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DeploymentStatus {
    pub id: u64,
    pub state: DeploymentState,
}

impl GitHub {
    /// GitHub is told to look at no checks and to merge nothing: what may be deployed is decided here.
    pub async fn create_deployment(&self, new: &NewDeployment) -> Result<Deployment, GitHubError> {
        let body = json!({
            "ref": new.commit,
            "task": "deploy",
            "auto_merge": false,
            "required_contexts": [],
            "environment": new.environment,
            "description": clip(&new.description, LONGEST_DESCRIPTION),
            "payload": new.payload,
        });
        self.rest.read(&Ask::post(self.url(&["deployments"])?, body)).await
    }

    /// Those of an environment, the newest first; of one commit, when it is named.
    pub async fn deployments(&self, environment: &str, commit: Option<&str>) -> Result<Vec<Deployment>, GitHubError> {
        let mut ask = Ask::get(self.url(&["deployments"])?).query("environment", environment);
        if let Some(commit) = commit {
            ask = ask.query("sha", commit);
        }
        self.rest.list::<Vec<Deployment>, _>(ask).await
    }

    pub async fn set_deployment_status(&self, deployment: u64, new: &NewDeploymentStatus) -> Result<(), GitHubError> {
        let mut body = json!({
            "state": new.state,
            "description": clip(&new.description, LONGEST_DESCRIPTION),
            "auto_inactive": new.auto_inactive,
        });
        if let Some(url) = &new.log_url {
            body["log_url"] = url.clone().into();
        }
        // The newest one counts.
        let ask = Ask::post(self.url(&["deployments", &deployment.to_string(), "statuses"])?, body).safe_to_repeat();
        self.rest.read::<Value>(&ask).await.map(drop)
    }

    /// The newest first.
    pub async fn deployment_statuses(&self, deployment: u64) -> Result<Vec<DeploymentStatus>, GitHubError> {
        let ask = Ask::get(self.url(&["deployments", &deployment.to_string(), "statuses"])?);
        self.rest.list::<Vec<DeploymentStatus>, _>(ask).await
    }
}
