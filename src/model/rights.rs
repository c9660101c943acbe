//! Rights of commands in comments: which permission, team or person a command takes in an environment.
//!
//! Keeps true: a right names what GitHub can be asked for; a command without a rule takes the default of its kind.
//! Never does: deciding (that is `decide::rights`) or asking.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What can be asked for in a comment: `/evenkeel VERB …`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    Plan,
    Apply,
    Rollback,
    Retry,
    Cancel,
    Hold,
    Resume,
    Why,
    Help,
}

impl Verb {
    pub const ALL: [Verb; 9] = [
        Verb::Plan,
        Verb::Apply,
        Verb::Rollback,
        Verb::Retry,
        Verb::Cancel,
        Verb::Hold,
        Verb::Resume,
        Verb::Why,
        Verb::Help,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Verb::Plan => "plan",
            Verb::Apply => "apply",
            Verb::Rollback => "rollback",
            Verb::Retry => "retry",
            Verb::Cancel => "cancel",
            Verb::Hold => "hold",
            Verb::Resume => "resume",
            Verb::Why => "why",
            Verb::Help => "help",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.name() == name)
    }

    /// The permission that the command takes where no rule names another right: what only looks takes less than what
    /// changes hosts or keeps them from being changed.
    pub const fn least(self) -> Permission {
        match self {
            Verb::Plan | Verb::Why | Verb::Help => Permission::Write,
            _ => Permission::Maintain,
        }
    }
}

/// A person's permission in the repository, from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    None,
    Read,
    Triage,
    Write,
    Maintain,
    Admin,
}

impl Permission {
    pub const ALL: [Permission; 6] = [
        Permission::None,
        Permission::Read,
        Permission::Triage,
        Permission::Write,
        Permission::Maintain,
        Permission::Admin,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Permission::None => "none",
            Permission::Read => "read",
            Permission::Triage => "triage",
            Permission::Write => "write",
            Permission::Maintain => "maintain",
            Permission::Admin => "admin",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.name() == name)
    }
}

/// A team of an organisation on GitHub, by its slug: the name in its address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Team {
    pub organisation: String,
    pub slug: String,
}

impl fmt::Display for Team {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.organisation, self.slug)
    }
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum RightError {
    #[error("no permission of GitHub has this name; write `read`, `triage`, `write`, `maintain` or `admin`")]
    Permission,
    #[error("a team is ORGANISATION/TEAM, as in its address")]
    Team,
    #[error("a login of GitHub has letters, digits and `-`")]
    Person,
}

/// A word of GitHub's that stands in an address: it has no character with a meaning there.
fn is_word(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=100).contains(&text.len()) && text.bytes().all(is_part)
}

impl FromStr for Team {
    type Err = RightError;

    fn from_str(text: &str) -> Result<Self, RightError> {
        match text.split_once('/') {
            Some((organisation, slug)) if is_word(organisation) && is_word(slug) => {
                Ok(Self { organisation: organisation.to_owned(), slug: slug.to_owned() })
            }
            _ => Err(RightError::Team),
        }
    }
}

/// One of the ways to have the right to a command.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// This permission in the repository, or a higher one.
    Permission(Permission),
    Team(Team),
    /// The person with this login.
    Person(String),
}

impl Right {
    pub fn permission(name: &str) -> Result<Self, RightError> {
        // `none` would let in everybody who can comment.
        let named = Permission::named(name).filter(|permission| *permission > Permission::None);
        named.map(Self::Permission).ok_or(RightError::Permission)
    }

    pub fn team(text: &str) -> Result<Self, RightError> {
        text.parse().map(Self::Team)
    }

    pub fn person(login: &str) -> Result<Self, RightError> {
        if is_word(login) { Ok(Self::Person(login.to_owned())) } else { Err(RightError::Person) }
    }
}

/// The rules of one environment. Any one of a command's rights is enough.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights(pub BTreeMap<Verb, Vec<Right>>);

impl Rights {
    pub fn of(&self, verb: Verb) -> Vec<Right> {
        self.0.get(&verb).cloned().unwrap_or_else(|| vec![Right::Permission(verb.least())])
    }
}
