//! Which commit of a pull request a comment of ours told, so that a person who asks for a plan means a commit that was
//! there to be read.
//!
//! Keeps true: times are GitHub's; a commit that was told after the command was written, or in the same second, is not meant.

use chrono::{DateTime, Utc};

use crate::{github::Comment, model::commit::CommitId, report};

/// The commit that a comment of ours has told of a pull request, and since when, by GitHub's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub head: CommitId,
    pub since: DateTime<Utc>,
}

impl Told {
    /// What a comment of ours tells that waits until somebody asks for a plan.
    pub fn by(comment: &Comment) -> Option<Self> {
        let head = report::pull::waits_for(&comment.body)?;
        Some(Self { head: head.into(), since: comment.updated_at })
    }
}

/// The commit that a person means who asks for a plan: the named one, or else the one that was told here before the
/// comment was written. A commit that was told in the same second may have come after.
pub fn meant<'a>(named: Option<&'a CommitId>, told: Option<&'a Told>, written: DateTime<Utc>) -> Option<&'a CommitId> {
    named.or_else(|| told.filter(|told| told.since < written).map(|told| &told.head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_asked_for_of_the_commit_that_was_told_before_and_of_none_that_came_later() {
        let at = |second: i64| DateTime::from_timestamp(1_800_000_000 + second, 0).expect("it is a time");
        let told = Told { head: "a".repeat(40).into(), since: at(10) };
        assert_eq!(meant(None, Some(&told), at(11)), Some(&told.head));
        assert_eq!(meant(None, Some(&told), at(10)), None, "within a second nobody knows which came first");
        assert_eq!(meant(None, Some(&told), at(9)), None, "it was told after the comment was written");
        assert_eq!(meant(None, None, at(11)), None);
        let named = CommitId::from("b".repeat(40));
        assert_eq!(meant(Some(&named), Some(&told), at(9)), Some(&named));
    }
}
