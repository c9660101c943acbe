//! Pull requests. <https://docs.github.com/en/rest/pulls/pulls>

use serde_json::Value;

use super::{
    super::{
        REPOSITORY,
        forge::{Forge, NewPull, State},
        sign_in::login,
    },
    Answer, Answered, Asked, number,
    shape::{Kind, Shape},
};

/// As it is now: what was pushed to its branches since is seen.
fn shown(forge: &Forge, pull: &Value) -> Value {
    let mut pull = pull.clone();
    if pull["state"] == "open" {
        let base = format!("refs/heads/{}", pull["base"]["ref"].as_str().unwrap_or_default());
        pull["base"]["sha"] = forge.commit(&base).into();
    }
    pull
}

pub fn list(forge: &Forge, state: &State, asked: &Asked) -> Answered {
    let wanted = asked.query("state").unwrap_or("open");
    let is_of = |pull: &&Value| {
        asked.query("base").is_none_or(|base| pull["base"]["ref"] == base)
            && asked.query("head").is_none_or(|head| pull["head"]["label"] == head)
    };
    let mut found: Vec<&Value> =
        state.pulls.values().filter(|pull| wanted == "all" || pull["state"] == wanted).filter(is_of).collect();
    let by = match asked.query("sort").unwrap_or("created") {
        "updated" => "updated_at",
        _ => "created_at",
    };
    found.sort_by_key(|pull| pull[by].as_str());
    // Where nothing is said, the newest comes first, unless another order than that of creation is asked for.
    let descends = asked.query("direction").map_or(by == "created_at", |direction| direction == "desc");
    if descends {
        found.reverse();
    }
    Ok(Answer::ok(found.into_iter().map(|pull| shown(forge, pull)).collect::<Vec<_>>()))
}

pub fn one(forge: &Forge, state: &State, wanted: &str) -> Answered {
    let pull = state.pulls.get(&number(wanted)?).ok_or_else(Answer::missing)?;
    Ok(Answer::ok(shown(forge, pull)))
}

const NEW: Shape = Shape {
    // Without a title it would be made of an issue.
    required: &[("title", Kind::Short(256)), ("head", Kind::Text), ("base", Kind::Text)],
    optional: &[("body", Kind::Short(65_536)), ("draft", Kind::Flag), ("maintainer_can_modify", Kind::Flag)],
};

pub fn open(forge: &Forge, state: &mut State, asked: &Asked) -> Answered {
    asked.has(&NEW)?;
    let (title, body, head, base) = (asked.text("title"), asked.text("body"), asked.text("head"), asked.text("base"));
    let commit = |branch: &str| forge.commit(&format!("refs/heads/{branch}"));
    let (Some(proposed), Some(onto)) = (commit(head), commit(base)) else {
        return Err(Answer::invalid("head or base is no branch"));
    };
    if forge.git(&["rev-list", "--count", &format!("{onto}..{proposed}")]) == "0" {
        return Err(Answer::invalid(&format!("No commits between {base} and {head}")));
    }
    if state
        .pulls
        .values()
        .any(|pull| pull["state"] == "open" && pull["head"]["ref"] == head && pull["base"]["ref"] == base)
    {
        return Err(Answer::invalid(&format!("A pull request already exists for {head}.")));
    }
    let author = login(asked.who);
    let new = NewPull {
        title,
        body,
        author: &author,
        head: (head, &proposed),
        from: REPOSITORY,
        base,
        draft: asked.body["draft"] == true,
    };
    let number = forge.open_pull(state, &new);
    Ok(Answer::created(state.pulls[&number].clone()))
}

/// Those that brought a commit to the base, or else the open ones that hold it.
pub fn of_commit(forge: &Forge, state: &State, commit: &str) -> Answered {
    let commit = forge.commit(commit).ok_or_else(|| Answer::invalid(&format!("No commit found for SHA: {commit}")))?;
    let holds = |pull: &&Value| {
        let end = pull["head"]["sha"].as_str().unwrap_or_default();
        pull["merge_commit_sha"] == commit.as_str() || end == commit
    };
    Ok(Answer::ok(state.pulls.values().filter(holds).map(|pull| shown(forge, pull)).collect::<Vec<_>>()))
}
