//! Rules of branches. <https://docs.github.com/en/rest/repos/rules>

use serde_json::{Value, json};

use super::{
    super::{
        APP, OWNER, REPOSITORY, TOKEN_OWNER,
        forge::{State, Who, user},
    },
    Answer, Answered, Asked, number,
};

/// The ruleset that `evenkeel github setup` says to register, for both ways to sign in.
pub fn usual() -> Value {
    let mut ruleset = evenkeel::github::rules::ruleset(Some(APP));
    let owner = json!({"actor_id": user(TOKEN_OWNER)["id"], "actor_type": "User", "bypass_mode": "always"});
    ruleset["bypass_actors"].as_array_mut().expect("it is a list").push(owner);
    ruleset
}

/// Those that are active and whose patterns match, rule by rule.
pub fn of_branch(state: &State, branch: &str) -> Answered {
    let branch = branch.replace("%2F", "/");
    let reference = format!("refs/heads/{branch}");
    let matches = |patterns: &Value| {
        let mut patterns = patterns.as_array().into_iter().flatten().filter_map(Value::as_str);
        patterns.any(|pattern| pattern == "~ALL" || fits(pattern, &reference))
    };
    let holds = |ruleset: &&Value| {
        let names = &ruleset["conditions"]["ref_name"];
        ruleset["enforcement"] == "active"
            && ruleset["target"] == "branch"
            && matches(&names["include"])
            && !matches(&names["exclude"])
    };
    let mut found = Vec::new();
    for (id, ruleset) in state.rulesets.iter().filter(|(_, ruleset)| holds(ruleset)) {
        for rule in ruleset["rules"].as_array().into_iter().flatten() {
            let mut rule = rule.clone();
            rule["ruleset_id"] = (*id).into();
            rule["ruleset_source_type"] = "Repository".into();
            rule["ruleset_source"] = REPOSITORY.into();
            found.push(rule);
        }
    }
    Ok(Answer::ok(found))
}

/// Who may bypass it is told to those only who may change it.
pub fn one(state: &State, asked: &Asked, id: &str) -> Answered {
    let id = number(id)?;
    let mut ruleset = state.rulesets.get(&id).ok_or_else(Answer::missing)?.clone();
    let us = match asked.who {
        Who::Installation => json!(APP),
        _ => user(TOKEN_OWNER)["id"].clone(),
    };
    let mode = ruleset["bypass_actors"].as_array().into_iter().flatten().find(|actor| actor["actor_id"] == us);
    let mode = match mode.and_then(|actor| actor["bypass_mode"].as_str()) {
        Some("pull_request") => "pull_requests_only",
        Some(mode) => mode,
        None => "never",
    };
    ruleset["current_user_can_bypass"] = mode.into();
    ruleset["id"] = id.into();
    ruleset["source_type"] = "Repository".into();
    ruleset["source"] = REPOSITORY.into();
    ruleset["node_id"] = format!("RRS_{OWNER}_{id}").into();
    if !state.tells_who_bypasses {
        ruleset.as_object_mut().map(|fields| fields.remove("bypass_actors"));
    }
    Ok(Answer::ok(ruleset))
}

/// As Ruby's `File.fnmatch` has it with `FNM_PATHNAME`: a `*` stays within a folder, `**` stands for folders only where
/// a `/` follows it.
fn fits(pattern: &str, name: &str) -> bool {
    fn all(pattern: &[&str], name: &[&str]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            (["**", rest @ ..], _) if !rest.is_empty() => (0..=name.len()).any(|skipped| all(rest, &name[skipped..])),
            ([first, rest @ ..], [part, parts @ ..]) => within(first.as_bytes(), part.as_bytes()) && all(rest, parts),
            _ => false,
        }
    }
    fn within(pattern: &[u8], part: &[u8]) -> bool {
        match (pattern, part) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=part.len()).any(|taken| within(rest, &part[taken..])),
            ([b'?', rest @ ..], [_, parts @ ..]) => within(rest, parts),
            ([one, rest @ ..], [other, parts @ ..]) => one == other && within(rest, parts),
            _ => false,
        }
    }
    all(&pattern.split('/').collect::<Vec<_>>(), &name.split('/').collect::<Vec<_>>())
}
