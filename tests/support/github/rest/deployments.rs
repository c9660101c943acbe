//! Deployments and their statuses. <https://docs.github.com/en/rest/deployments>

use serde_json::{Value, json};

use super::{
    super::{
        forge::{Forge, State, now, user},
        sign_in::login,
    },
    Answer, Answered, Asked, number, one_of,
};

const STATES: &[&str] = &["error", "failure", "inactive", "in_progress", "queued", "pending", "success"];
const LONGEST_DESCRIPTION: usize = 140;

pub fn create(forge: &Forge, state: &mut State, asked: &Asked) -> Answered {
    let known = [
        "task",
        "auto_merge",
        "required_contexts",
        "payload",
        "environment",
        "description",
        "transient_environment",
        "production_environment",
    ];
    asked.has(&["ref"], &known)?;
    let description = asked.text("description", LONGEST_DESCRIPTION)?;
    let name = asked.text("ref", 256)?;
    let commit = forge.commit(name).ok_or_else(|| Answer::invalid(&format!("No ref found for: {name}")))?;
    // Else it merges the default branch into what is to be deployed, and waits for every check, our own too.
    if asked.body["auto_merge"] != false || asked.body["required_contexts"] != json!([]) {
        return Err(Answer::refused(409, "Conflict: Commit status checks failed for the deployment."));
    }
    let id = state.id();
    let deployment = json!({
        "id": id, "sha": commit, "ref": name, "task": asked.body["task"], "payload": asked.body["payload"],
        "environment": asked.body["environment"].as_str().unwrap_or("production"), "description": description,
        "creator": user(&login(asked.who)), "created_at": now(), "updated_at": now(),
    });
    state.deployments.insert(id, deployment.clone());
    Ok(Answer::created(deployment))
}

/// The newest first.
pub fn list(forge: &Forge, state: &State, asked: &Asked) -> Answered {
    let commit = asked.query("sha").map(|sha| forge.commit(sha).unwrap_or_default());
    let is_wanted = |deployment: &&Value| {
        asked.query("environment").is_none_or(|name| deployment["environment"] == name)
            && commit.as_ref().is_none_or(|commit| deployment["sha"] == commit.as_str())
    };
    Ok(Answer::ok(state.deployments.values().rev().filter(is_wanted).cloned().collect::<Vec<_>>()))
}

pub fn statuses(state: &State, id: &str) -> Answered {
    let id = number(id)?;
    state.deployments.get(&id).ok_or_else(Answer::missing)?;
    let of = state.deployment_statuses.values().rev().filter(|status| status["deployment_id"] == id);
    Ok(Answer::ok(of.cloned().collect::<Vec<_>>()))
}

pub fn set_status(state: &mut State, asked: &Asked, id: &str) -> Answered {
    let known = ["target_url", "log_url", "description", "environment", "environment_url", "auto_inactive"];
    asked.has(&["state"], &known)?;
    one_of(&asked.body["state"], "state", STATES)?;
    asked.text("description", LONGEST_DESCRIPTION)?;
    let id = number(id)?;
    let deployment = state.deployments.get(&id).ok_or_else(Answer::missing)?;
    let environment = deployment["environment"].clone();
    if asked.body["state"] == "success" && asked.body["auto_inactive"] != false {
        let others = state.deployments.iter().filter(|(other, of)| **other != id && of["environment"] == environment);
        let others: Vec<u64> =
            others.map(|(other, _)| *other).filter(|other| newest(state, *other) == "success").collect();
        others.into_iter().for_each(|other| add(state, other, &json!({"state": "inactive"}), asked));
    }
    add(state, id, &asked.body, asked);
    let added = state.deployment_statuses.values().next_back().cloned().unwrap_or_default();
    Ok(Answer::created(added))
}

/// The state that a deployment is in.
pub fn newest(state: &State, deployment: u64) -> String {
    let mut of = state.deployment_statuses.values().rev().filter(|status| status["deployment_id"] == deployment);
    of.next().and_then(|status| status["state"].as_str()).unwrap_or("none").to_owned()
}

fn add(state: &mut State, deployment: u64, body: &Value, asked: &Asked) {
    let id = state.id();
    let status = json!({
        "id": id, "deployment_id": deployment, "state": body["state"], "description": body["description"],
        "log_url": body["log_url"], "creator": user(&login(asked.who)), "created_at": now(),
    });
    state.deployment_statuses.insert(id, status);
}
