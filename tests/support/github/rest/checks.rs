//! Check runs, for Apps only, and commit statuses. <https://docs.github.com/en/rest/checks/runs>,
//! <https://docs.github.com/en/rest/commits/statuses>

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    super::{
        APP, SLUG,
        forge::{Forge, State, Who, now, user},
        sign_in::login,
    },
    Answer, Answered, Asked, bounded, number, one_of,
};

const KNOWN: &[&str] =
    &["details_url", "external_id", "status", "started_at", "conclusion", "completed_at", "output", "actions"];
const CONCLUSIONS: &[&str] = &["action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out"];
const MOST_ANNOTATIONS: usize = 50;
const LONGEST_TEXT: usize = 65_535;
const LONGEST_DESCRIPTION: usize = 140;

fn commit(forge: &Forge, name: &str) -> Result<String, Answer> {
    forge.commit(name).ok_or_else(|| Answer::invalid(&format!("No commit found for SHA: {name}")))
}

fn by_an_app(asked: &Asked) -> Result<(), Answer> {
    match asked.who {
        Who::Installation => Ok(()),
        _ => Err(Answer::refused(403, "You must authenticate via a GitHub App.")),
    }
}

/// What holds for a run that is created and for one that is updated.
fn is_run(body: &Value) -> Result<(), Answer> {
    if !body["status"].is_null() {
        one_of(&body["status"], "status", &["queued", "in_progress", "completed"])?;
    }
    if !body["conclusion"].is_null() {
        one_of(&body["conclusion"], "conclusion", CONCLUSIONS)?;
    } else if body["status"] == "completed" {
        return Err(Answer::invalid("conclusion is missing"));
    }
    let output = &body["output"];
    if output.is_null() {
        return Ok(());
    }
    for required in ["title", "summary"] {
        if !output[required].is_string() {
            return Err(Answer::invalid(&format!("output.{required} is missing")));
        }
    }
    bounded(output, "summary", LONGEST_TEXT)?;
    bounded(output, "text", LONGEST_TEXT)?;
    let annotations = output["annotations"].as_array().map_or(&[][..], Vec::as_slice);
    if annotations.len() > MOST_ANNOTATIONS {
        return Err(Answer::invalid("output.annotations: no more than 50 at a time"));
    }
    annotations.iter().try_for_each(is_annotation)
}

fn is_annotation(annotation: &Value) -> Result<(), Answer> {
    let is_number = |name: &str| annotation[name].as_u64().is_some_and(|number| number > 0);
    if !annotation["path"].is_string() || !annotation["message"].is_string() {
        return Err(Answer::invalid("an annotation lacks path or message"));
    }
    if !is_number("start_line") || !is_number("end_line") {
        return Err(Answer::invalid("an annotation lacks its lines"));
    }
    if !annotation["start_column"].is_null() && annotation["start_line"] != annotation["end_line"] {
        return Err(Answer::invalid("columns are for annotations of one line"));
    }
    one_of(&annotation["annotation_level"], "annotation_level", &["notice", "warning", "failure"])?;
    bounded(annotation, "title", 255)?;
    bounded(annotation, "message", 65_536).map(drop)
}

pub fn create(forge: &Forge, state: &mut State, asked: &Asked) -> Answered {
    by_an_app(asked)?;
    asked.has(&["name", "head_sha"], KNOWN)?;
    is_run(&asked.body)?;
    let head = commit(forge, asked.text("head_sha", 64)?)?;
    let id = state.id();
    let mut run = json!({
        "id": id, "head_sha": head, "status": "queued", "conclusion": null, "started_at": now(), "completed_at": null,
        "external_id": "", "app": {"id": APP, "slug": SLUG}, "pull_requests": [], "annotations": [],
        "html_url": format!("{}/{}/runs/{id}", forge.address, super::REPOSITORY),
    });
    change(&mut run, &asked.body);
    state.check_runs.insert(id, run.clone());
    Ok(Answer::created(run))
}

pub fn update(state: &mut State, asked: &Asked, id: &str) -> Answered {
    by_an_app(asked)?;
    asked.has(&[], &[KNOWN, &["name"]].concat())?;
    is_run(&asked.body)?;
    let run = state.check_runs.get_mut(&number(id)?).ok_or_else(Answer::missing)?;
    change(run, &asked.body);
    Ok(Answer::ok(run.clone()))
}

/// Annotations add up; everything else is replaced.
fn change(run: &mut Value, body: &Value) {
    for name in [&["name"], KNOWN].concat() {
        if !body[name].is_null() {
            run[name] = body[name].clone();
        }
    }
    let more = run["output"]["annotations"].as_array().cloned().unwrap_or_default();
    if let Some(annotations) = run["annotations"].as_array_mut() {
        annotations.extend(more);
    }
    if !run["conclusion"].is_null() {
        run["status"] = "completed".into();
    }
}

pub fn runs(forge: &Forge, state: &State, asked: &Asked, name: &str) -> Answered {
    let commit = commit(forge, name)?;
    let is_wanted = |run: &&Value| {
        run["head_sha"] == commit.as_str()
            && asked.query("check_name").is_none_or(|name| run["name"] == name)
            && asked.query("app_id").is_none_or(|app| app.parse().is_ok_and(|app: u64| run["app"]["id"] == app))
    };
    let mut found: Vec<&Value> = state.check_runs.values().filter(is_wanted).rev().collect();
    if asked.query("filter") != Some("all") {
        let mut seen = Vec::new();
        found.retain(|run| {
            let is_new = !seen.contains(&&run["name"]);
            seen.push(&run["name"]);
            is_new
        });
    }
    Ok(Answer::ok(json!({"total_count": found.len(), "check_runs": found})))
}

pub fn status(forge: &Forge, state: &mut State, asked: &Asked, name: &str) -> Answered {
    asked.has(&["state"], &["target_url", "description", "context"])?;
    one_of(&asked.body["state"], "state", &["error", "failure", "pending", "success"])?;
    let description = asked.text("description", LONGEST_DESCRIPTION)?;
    let commit = commit(forge, name)?;
    let id = state.id();
    let context = asked.body["context"].as_str().unwrap_or("default");
    let status = json!({
        "id": id, "sha": commit, "context": context, "state": asked.body["state"], "description": description,
        "target_url": asked.body["target_url"], "creator": user(&login(asked.who)), "created_at": now(),
    });
    state.statuses.insert(id, status.clone());
    Ok(Answer::created(status))
}

/// The newest status of each context, and what they come to.
pub fn combined(forge: &Forge, state: &State, name: &str) -> Answered {
    let commit = commit(forge, name)?;
    let of_commit = state.statuses.values().filter(|status| status["sha"] == commit.as_str());
    let newest: BTreeMap<String, &Value> =
        of_commit.map(|status| (status["context"].to_string().to_lowercase(), status)).collect();
    let is_any = |states: &[&str]| newest.values().any(|status| states.iter().any(|state| status["state"] == *state));
    let all = match () {
        () if is_any(&["failure", "error"]) => "failure",
        () if newest.is_empty() || is_any(&["pending"]) => "pending",
        () => "success",
    };
    let statuses: Vec<&Value> = newest.into_values().collect();
    Ok(Answer::ok(json!({"state": all, "sha": commit, "total_count": statuses.len(), "statuses": statuses})))
}
