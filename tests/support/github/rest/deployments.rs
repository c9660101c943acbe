//! Deployments and their statuses. <https://docs.github.com/en/rest/deployments>

use serde_json::{Value, json};

use super::{
    super::{
        REPOSITORY,
        forge::{Forge, State, now, user},
        sign_in::login,
    },
    Answer, Answered, Asked, number,
    shape::{Kind, Shape},
};

const NEW: Shape = Shape {
    required: &[("ref", Kind::Text)],
    optional: &[
        ("task", Kind::Text),
        ("auto_merge", Kind::Flag),
        ("required_contexts", Kind::List(100, &Kind::Text)),
        ("payload", Kind::Payload),
        ("environment", Kind::Text),
        ("description", DESCRIPTION),
        ("transient_environment", Kind::Flag),
        ("production_environment", Kind::Flag),
    ],
};
const STATUS: Shape = Shape {
    required: &[("state", Kind::OneOf(STATES))],
    optional: &[
        ("target_url", Kind::Text),
        ("log_url", Kind::Text),
        ("description", DESCRIPTION),
        ("environment", Kind::Text),
        ("environment_url", Kind::Text),
        ("auto_inactive", Kind::Flag),
    ],
};
const STATES: &[&str] = &["error", "failure", "inactive", "in_progress", "queued", "pending", "success"];
const DESCRIPTION: Kind = Kind::Short(140);

pub fn create(forge: &Forge, state: &mut State, asked: &Asked) -> Answered {
    asked.has(&NEW)?;
    let name = asked.text("ref");
    let commit = forge.commit(name).ok_or_else(|| Answer::invalid(&format!("No ref found for: {name}")))?;
    // Else it merges the default branch into what is to be deployed, and waits for every check, our own too.
    if asked.body["auto_merge"] != false || asked.body["required_contexts"] != json!([]) {
        return Err(Answer::refused(409, "Conflict: Commit status checks failed for the deployment."));
    }
    let id = state.id();
    let body = &asked.body;
    let environment = body["environment"].as_str().unwrap_or("production");
    let api = format!("{}/api/v3/repos/{REPOSITORY}", forge.address);
    let deployment = json!({
        "id": id, "sha": commit, "ref": name, "task": body["task"].as_str().unwrap_or("deploy"),
        "payload": if body["payload"].is_null() { json!("") } else { body["payload"].clone() },
        "environment": environment, "original_environment": environment, "description": body["description"],
        "transient_environment": body["transient_environment"] == true,
        "production_environment": body["production_environment"].as_bool().unwrap_or(environment == "production"),
        "creator": user(&login(asked.who)), "created_at": now(), "updated_at": now(), "repository_url": api,
        "url": format!("{api}/deployments/{id}"), "statuses_url": format!("{api}/deployments/{id}/statuses"),
    });
    state.deployments.insert(id, deployment.clone());
    Ok(Answer::created(deployment))
}

/// The newest first.
pub fn list(forge: &Forge, state: &State, asked: &Asked) -> Answered {
    let commit = asked.query("sha").map(|sha| forge.commit(sha).unwrap_or_default());
    let is_wanted = |deployment: &&Value| {
        asked.query("environment").is_none_or(|name| deployment["environment"] == name)
            && asked.query("task").is_none_or(|task| deployment["task"] == task)
            && asked.query("ref").is_none_or(|name| deployment["ref"] == name)
            && commit.as_ref().is_none_or(|commit| deployment["sha"] == commit.as_str())
    };
    Ok(Answer::ok(state.deployments.values().rev().filter(is_wanted).cloned().collect::<Vec<_>>()))
}

pub fn statuses(state: &State, id: &str) -> Answered {
    let id = number(id)?;
    state.deployments.get(&id).ok_or_else(Answer::missing)?;
    let of = state.deployment_statuses.values().rev().filter(|status| status["_deployment"] == id);
    Ok(Answer::ok(of.cloned().collect::<Vec<_>>()))
}

/// <https://docs.github.com/en/rest/deployments/statuses#create-a-deployment-status>
pub fn set_status(forge: &Forge, state: &mut State, asked: &Asked, id: &str) -> Answered {
    asked.has(&STATUS)?;
    let id = number(id)?;
    let deployment = state.deployments.get(&id).ok_or_else(Answer::missing)?;
    let environment = deployment["environment"].clone();
    if asked.body["state"] == "success" && asked.body["auto_inactive"] != false {
        // Those of production stay as they are, as GitHub says.
        let is_before = |other: u64, of: &Value| {
            other < id
                && of["environment"] == environment
                && of["transient_environment"] == false
                && of["production_environment"] == false
        };
        let others = state.deployments.iter().filter(|(other, of)| is_before(**other, of)).map(|(other, _)| *other);
        let others: Vec<u64> = others.filter(|other| newest(state, *other) == "success").collect();
        others.into_iter().for_each(|other| add(forge, state, other, &json!({"state": "inactive"}), asked));
    }
    add(forge, state, id, &asked.body, asked);
    let added = state.deployment_statuses.values().next_back().cloned().unwrap_or_default();
    Ok(Answer::created(added))
}

/// The state that a deployment is in.
pub fn newest(state: &State, deployment: u64) -> String {
    let mut of = state.deployment_statuses.values().rev().filter(|status| status["_deployment"] == deployment);
    of.next().and_then(|status| status["state"].as_str()).unwrap_or("none").to_owned()
}

fn add(forge: &Forge, state: &mut State, deployment: u64, body: &Value, asked: &Asked) {
    let id = state.id();
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    let api = format!("{}/api/v3/repos/{REPOSITORY}", forge.address);
    let mut status = json!({
        "id": id, "_deployment": deployment, "state": body["state"], "description": text("description"),
        "environment": state.deployments[&deployment]["environment"], "creator": user(&login(asked.who)),
        "created_at": now(), "updated_at": now(), "repository_url": api,
        "deployment_url": format!("{api}/deployments/{deployment}"),
        "url": format!("{api}/deployments/{deployment}/statuses/{id}"),
    });
    for name in ["log_url", "environment_url", "target_url"] {
        if !text(name).is_empty() {
            status[name] = text(name).into();
        }
    }
    state.deployment_statuses.insert(id, status);
}
