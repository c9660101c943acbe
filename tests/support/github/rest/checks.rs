//! Check runs, for Apps only, and commit statuses. <https://docs.github.com/en/rest/checks/runs>,
//! <https://docs.github.com/en/rest/commits/statuses>

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    super::{
        REPOSITORY,
        forge::{Forge, State, Who, now, user},
        sign_in::login,
    },
    Answer, Answered, Asked, number,
    shape::{Field, Kind, Shape},
};

pub const PROGRESS: &[&str] = &["queued", "in_progress", "completed"];
const CONCLUSIONS: &[&str] = &["action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out"];
const LONGEST_TEXT: usize = 65_535;

const NEW: Shape = Shape { required: &[("name", Kind::Text), ("head_sha", Kind::Text)], optional: FIELDS };
const UPDATE: Shape = Shape { required: &[], optional: FIELDS };
const FIELDS: &[Field] = &[
    ("name", Kind::Text),
    ("details_url", Kind::Text),
    ("external_id", Kind::Text),
    ("status", Kind::OneOf(PROGRESS)),
    ("started_at", Kind::Time),
    ("conclusion", Kind::OneOf(CONCLUSIONS)),
    ("completed_at", Kind::Time),
    ("output", Kind::Holds(&OUTPUT)),
];
/// An update could do without a title, a new run could not.
const OUTPUT: Shape = Shape {
    required: &[("title", Kind::Text), ("summary", Kind::Short(LONGEST_TEXT))],
    optional: &[("text", Kind::Short(LONGEST_TEXT)), ("annotations", Kind::List(50, &Kind::Holds(&ANNOTATION)))],
};
const ANNOTATION: Shape = Shape {
    required: &[
        ("path", Kind::Text),
        ("start_line", Kind::Counted),
        ("end_line", Kind::Counted),
        ("annotation_level", Kind::OneOf(&["notice", "warning", "failure"])),
        ("message", Kind::Short(65_536)),
    ],
    optional: &[
        ("start_column", Kind::Counted),
        ("end_column", Kind::Counted),
        ("title", Kind::Short(255)),
        ("raw_details", Kind::Short(65_536)),
    ],
};
const STATUS: Shape = Shape {
    required: &[("state", Kind::OneOf(&["error", "failure", "pending", "success"]))],
    optional: &[("target_url", Kind::Text), ("description", Kind::Short(140)), ("context", Kind::Text)],
};

fn commit(forge: &Forge, name: &str) -> Result<String, Answer> {
    forge.commit(name).ok_or_else(|| Answer::invalid(&format!("No commit found for SHA: {name}")))
}

/// What is said is said of a commit, and not of a branch.
fn in_full<'a>(forge: &Forge, name: &'a str) -> Result<&'a str, Answer> {
    if commit(forge, name)? == name { Ok(name) } else { Err(Answer::invalid(&format!("{name} is no SHA in full"))) }
}

fn by_an_app(asked: &Asked) -> Result<(), Answer> {
    match asked.who {
        Who::Installation => Ok(()),
        _ => Err(Answer::refused(403, "You must authenticate via a GitHub App.")),
    }
}

/// What holds for a run that is created and for one that is updated, besides its shape.
fn is_run(body: &Value) -> Result<(), Answer> {
    if body["conclusion"].is_null() && (body["status"] == "completed" || !body["completed_at"].is_null()) {
        return Err(Answer::invalid("conclusion is missing"));
    }
    let annotations = body["output"]["annotations"].as_array().map_or(&[][..], Vec::as_slice);
    let is_wrong = |it: &Value| !it["start_column"].is_null() && it["start_line"] != it["end_line"];
    if annotations.iter().any(is_wrong) {
        return Err(Answer::invalid("columns are for annotations of one line"));
    }
    Ok(())
}

pub fn create(forge: &Forge, state: &mut State, asked: &Asked) -> Answered {
    by_an_app(asked)?;
    asked.has(&NEW)?;
    is_run(&asked.body)?;
    let head = in_full(forge, asked.text("head_sha"))?;
    let id = state.id();
    let mut run = json!({
        "id": id, "head_sha": head, "status": "queued", "conclusion": null, "started_at": now(), "completed_at": null,
        "external_id": "", "details_url": super::app(forge)["html_url"], "check_suite": {"id": 1}, "pull_requests": [], "_annotations": [],
        "app": super::app(forge), "html_url": format!("{}/{REPOSITORY}/runs/{id}", forge.address),
        "output": {"title": null, "summary": null, "text": null, "annotations_count": 0, "annotations_url":
            format!("{}/api/v3/repos/{REPOSITORY}/check-runs/{id}/annotations", forge.address)},
    });
    change(&mut run, &asked.body);
    state.check_runs.insert(id, run.clone());
    Ok(Answer::created(run))
}

pub fn update(state: &mut State, asked: &Asked, id: &str) -> Answered {
    by_an_app(asked)?;
    asked.has(&UPDATE)?;
    is_run(&asked.body)?;
    let run = state.check_runs.get_mut(&number(id)?).ok_or_else(Answer::missing)?;
    change(run, &asked.body);
    Ok(Answer::ok(run.clone()))
}

/// Annotations add up, and only their number is shown; everything else is replaced.
fn change(run: &mut Value, body: &Value) {
    for (name, _) in FIELDS.iter().filter(|(name, _)| *name != "output" && !body[*name].is_null()) {
        run[*name] = body[*name].clone();
    }
    for name in ["title", "summary", "text"] {
        if !body["output"][name].is_null() {
            run["output"][name] = body["output"][name].clone();
        }
    }
    let more = body["output"]["annotations"].as_array().cloned().unwrap_or_default();
    if let Some(annotations) = run["_annotations"].as_array_mut() {
        annotations.extend(more);
        let count = annotations.len();
        run["output"]["annotations_count"] = count.into();
    }
    if !run["conclusion"].is_null() {
        run["status"] = "completed".into();
        run["completed_at"] = now().into();
    }
}

pub fn runs(forge: &Forge, state: &State, asked: &Asked, name: &str) -> Answered {
    let commit = commit(forge, name)?;
    let is_wanted = |run: &&Value| {
        run["head_sha"] == commit.as_str()
            && asked.query("check_name").is_none_or(|name| run["name"] == name)
            && asked.query("status").is_none_or(|status| run["status"] == status)
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
    asked.has(&STATUS)?;
    let commit = in_full(forge, name)?;
    let id = state.id();
    let status = json!({
        "id": id, "_sha": commit, "context": asked.body["context"].as_str().unwrap_or("default"),
        "state": asked.body["state"], "description": asked.body["description"], "target_url": asked.body["target_url"],
        "url": format!("{}/api/v3/repos/{REPOSITORY}/statuses/{commit}", forge.address),
        "creator": user(&login(asked.who)), "created_at": now(), "updated_at": now(),
    });
    state.statuses.insert(id, status.clone());
    Ok(Answer::created(status))
}

/// The newest status of each context, and what they come to.
pub fn combined(forge: &Forge, state: &State, name: &str) -> Answered {
    let commit = commit(forge, name)?;
    let of_commit = state.statuses.values().filter(|status| status["_sha"] == commit.as_str());
    let newest: BTreeMap<String, &Value> =
        of_commit.map(|status| (status["context"].to_string().to_lowercase(), status)).collect();
    let is_any = |states: &[&str]| newest.values().any(|status| states.iter().any(|state| status["state"] == *state));
    let all = match () {
        () if is_any(&["failure", "error"]) => "failure",
        () if newest.is_empty() || is_any(&["pending"]) => "pending",
        () => "success",
    };
    let mut statuses: Vec<Value> = newest.into_values().cloned().collect();
    // Who said it is not told in this list.
    statuses.iter_mut().filter_map(Value::as_object_mut).for_each(|status| _ = status.remove("creator"));
    let url = format!("{}/api/v3/repos/{REPOSITORY}/commits/{commit}", forge.address);
    Ok(Answer::ok(json!({
        "state": all, "sha": commit, "total_count": statuses.len(), "statuses": statuses, "commit_url": url,
        "url": format!("{url}/status"), "repository": super::small_repository(forge),
    })))
}
