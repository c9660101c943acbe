//! What is kept from somebody who proposes something and is not trusted yet.
//!
//! Keeps true: hosts are reached as the base says, whatever the proposal says of them; nothing on them is run because a
//! proposal names it; what of a proposal is not looked at for that is said.

use chrono::{DateTime, Utc};

use crate::{
    github::Comment,
    host::Question,
    model::{finding::Finding, fleet::Fleet},
    report,
};

/// The commit that a comment of ours has told of a pull request, and since when, by GitHub's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub head: String,
    pub since: DateTime<Utc>,
}

impl Told {
    /// What a comment of ours tells that waits until somebody asks for a plan.
    pub fn by(comment: &Comment) -> Option<Self> {
        let head = report::pull::waits_for(&comment.body)?;
        Some(Self { head: head.to_owned(), since: comment.updated_at })
    }
}

/// The commit that a person means who asks for a plan: the named one, or else the one that was told here before the
/// comment was written. A commit that was told in the same second may have come after.
pub fn meant<'a>(named: Option<&'a str>, told: Option<&'a Told>, written: DateTime<Utc>) -> Option<&'a str> {
    named.or_else(|| told.filter(|told| told.since < written).map(|told| told.head.as_str()))
}

/// What is asked of an instance for both plans, in one look.
pub fn question(base: Question, proposed: Question) -> Question {
    Question {
        paths: &base.paths | &proposed.paths,
        units: &base.units | &proposed.units,
        users: &base.users | &proposed.users,
        packages: &base.packages | &proposed.packages,
        releases: &base.releases | &proposed.releases,
        venvs: &base.venvs | &proposed.venvs,
        interpreters: interpreters(&base, &proposed),
        certificates: &base.certificates | &proposed.certificates,
        digest_port: base.digest_port.or(proposed.digest_port),
        ..base
    }
}

/// To find out what an interpreter is, a host runs it: those that the base names, and Debian's.
fn interpreters(base: &Question, proposed: &Question) -> std::collections::BTreeSet<String> {
    let is_debians = |path: &String| {
        let version = path.strip_prefix("/usr/bin/python3");
        version.is_some_and(|version| version.chars().all(|c| c == '.' || c.is_ascii_digit()))
    };
    let trusted = proposed.interpreters.iter().filter(|path| base.interpreters.contains(*path) || is_debians(path));
    trusted.chain(&base.interpreters).cloned().collect()
}

/// What a proposal says of how hosts are reached, and what that means for its plan.
pub fn findings(base: &Fleet, proposed: &Fleet) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, instance) in &proposed.instances {
        let Some(before) = base.instances.get(name) else {
            let message = format!("{name} is new: it is looked at once this is merged");
            findings.push(Finding::warning("new-instance", message).on(name));
            continue;
        };
        let mut changes = Vec::new();
        if before.address != instance.address {
            changes.push(format!("its address from {} to {}", before.address, instance.address));
        }
        if before.ssh.host_key != instance.ssh.host_key {
            changes.push("its host key".to_owned());
        }
        if (&before.ssh.user, before.ssh.port) != (&instance.ssh.user, instance.ssh.port) {
            changes.push("how to log in".to_owned());
        }
        if before.ssh.jump != instance.ssh.jump {
            changes.push("its jump host".to_owned());
        }
        if !changes.is_empty() {
            let message = format!("this changes {}", changes.join(" and "));
            let hint = "what is planned here was looked at where the base says that it is, and with its key";
            findings.push(Finding::warning("instance-reached-otherwise", message).on(name).hint(hint));
        }
    }
    for name in base.instances.keys().filter(|name| !proposed.instances.contains_key(*name)) {
        let message = format!("{name} is declared no more: what runs there stays, and is looked after no more");
        findings.push(Finding::warning("instance-let-go", message).on(name));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_makes_hosts_run_no_interpreter_of_its_choice() {
        let asks = |paths: &[&str]| Question {
            interpreters: paths.iter().map(|path| (*path).to_owned()).collect(),
            ..Question::default()
        };
        let proposed = asks(&["/opt/ours/python", "/tmp/theirs", "/usr/bin/python3.12", "/usr/bin/python3; id"]);
        let asked = question(asks(&["/opt/ours/python"]), proposed).interpreters;
        assert_eq!(asked, asks(&["/opt/ours/python", "/usr/bin/python3.12"]).interpreters);
    }

    #[test]
    fn a_plan_is_asked_for_of_the_commit_that_was_told_before_and_of_none_that_came_later() {
        let at = |second: i64| DateTime::from_timestamp(1_800_000_000 + second, 0).expect("it is a time");
        let told = Told { head: "a".repeat(40), since: at(10) };
        assert_eq!(meant(None, Some(&told), at(11)), Some(told.head.as_str()));
        assert_eq!(meant(None, Some(&told), at(10)), None, "within a second nobody knows which came first");
        assert_eq!(meant(None, Some(&told), at(9)), None, "it was told after the comment was written");
        assert_eq!(meant(None, None, at(11)), None);
        let named = "b".repeat(40);
        assert_eq!(meant(Some(&named), Some(&told), at(9)), Some(named.as_str()));
    }
}
