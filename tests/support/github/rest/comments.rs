//! Comments below issues and pull requests. <https://docs.github.com/en/rest/issues/comments>

use serde_json::{Value, json};

use super::{
    super::{
        forge::{Forge, State, now, user},
        sign_in::login,
    },
    Answer, Answered, Asked, number,
    shape::{Kind, Shape},
};

/// Told by the API's answer to a longer one.
const COMMENT: Shape = Shape { required: &[("body", Kind::Short(65_536))], optional: &[] };
pub(super) const CONTENTS: Kind = Kind::OneOf(&["+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"]);
const REACTION: Shape = Shape { required: &[("content", CONTENTS)], optional: &[] };

fn body(asked: &Asked) -> Result<&str, Answer> {
    asked.has(&COMMENT)?;
    match asked.text("body") {
        "" => Err(Answer::invalid("body can't be blank")),
        body => Ok(body),
    }
}

pub fn below(state: &State, asked: &Asked, wanted: &str) -> Answered {
    let wanted = number(wanted)?;
    state.pulls.get(&wanted).ok_or_else(Answer::missing)?;
    let since = asked.query("since").unwrap_or_default();
    let found = state.comments_below(wanted).filter(|comment| comment["updated_at"].as_str() >= Some(since));
    Ok(Answer::ok(found.cloned().collect::<Vec<_>>()))
}

/// Of the whole repository.
pub fn since(state: &State, asked: &Asked) -> Answered {
    let since = asked.query("since").unwrap_or_default();
    let mut found: Vec<&Value> =
        state.comments.values().filter(|comment| comment["updated_at"].as_str() >= Some(since)).collect();
    let by = if asked.query("sort") == Some("updated") { "updated_at" } else { "created_at" };
    found.sort_by_key(|comment| comment[by].as_str());
    if asked.query("direction") != Some("asc") {
        found.reverse();
    }
    Ok(Answer::ok(found.into_iter().cloned().collect::<Vec<_>>()))
}

pub fn one(state: &State, id: &str) -> Answered {
    state.comments.get(&number(id)?).cloned().map(Answer::ok).ok_or_else(Answer::missing)
}

pub fn create(forge: &Forge, state: &mut State, asked: &Asked, wanted: &str) -> Answered {
    let (body, wanted) = (body(asked)?, number(wanted)?);
    state.pulls.get(&wanted).ok_or_else(Answer::missing)?;
    let id = forge.comment_on(state, wanted, &login(asked.who), body);
    Ok(Answer::created(state.comments[&id].clone()))
}

/// Whoever may write changes also what others wrote; an App and a token of ours may.
pub fn update(state: &mut State, asked: &Asked, id: &str) -> Answered {
    let body = body(asked)?;
    let comment = state.comments.get_mut(&number(id)?).ok_or_else(Answer::missing)?;
    comment["body"] = body.into();
    comment["updated_at"] = now().into();
    Ok(Answer::ok(comment.clone()))
}

/// <https://docs.github.com/en/rest/reactions/reactions#create-reaction-for-an-issue-comment>
pub fn react(state: &mut State, asked: &Asked, id: &str) -> Answered {
    asked.has(&REACTION)?;
    let id = number(id)?;
    state.comments.get(&id).ok_or_else(Answer::missing)?;
    let login = login(asked.who);
    let is_same = |reaction: &&Value| {
        reaction["_comment"] == id
            && reaction["content"] == asked.body["content"]
            && reaction["user"]["login"] == login.as_str()
    };
    if let Some(known) = state.reactions.values().find(is_same) {
        return Ok(Answer::ok(known.clone()));
    }
    let number = state.id();
    let reaction = json!({"id": number, "_comment": id, "content": asked.body["content"], "user": user(&login), "created_at": now()});
    state.reactions.insert(number, reaction.clone());
    Ok(Answer::created(reaction))
}

/// <https://docs.github.com/en/rest/reactions/reactions#list-reactions-for-an-issue-comment>
pub fn reactions(state: &State, asked: &Asked, id: &str) -> Answered {
    let id = number(id)?;
    state.comments.get(&id).ok_or_else(Answer::missing)?;
    let of_comment = state.reactions.values().filter(|reaction| reaction["_comment"] == id);
    let is_asked = |reaction: &&Value| asked.query("content").is_none_or(|content| reaction["content"] == content);
    Ok(Answer::ok(of_comment.filter(is_asked).cloned().collect::<Vec<_>>()))
}
