//! Whether a person may give a command, decided from what GitHub said of that person.
//!
//! Keeps true: what GitHub did not say is never yes; a permission, a team and a person are each enough where the rule
//! names them, and nothing else is.

use std::collections::BTreeMap;

use crate::model::{
    name::EnvironmentName,
    rights::{Permission, Right, Rights, Team, Verb},
};

/// The rules of a fleet, as its default branch has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    pub default_branch: String,
    /// Each with the branch that it follows.
    pub environments: BTreeMap<EnvironmentName, (String, Rights)>,
}

impl Rules {
    /// The environment that a command is about: the named one, or the only one.
    pub fn environment<'a>(&'a self, named: Option<&EnvironmentName>) -> Option<&'a EnvironmentName> {
        match named {
            Some(name) => self.environments.get_key_value(name).map(|(name, _)| name),
            None if self.environments.len() == 1 => self.environments.keys().next(),
            None => None,
        }
    }
}

/// What a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    One(&'a EnvironmentName),
    /// What is proposed for a branch: the plan looks at every environment that it concerns.
    Base(&'a str),
    /// No environment, or one that is not known.
    Any,
}

/// What a command takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// One right of each is needed.
    pub all: Vec<Vec<Right>>,
    /// The rules cannot be read.
    pub is_unread: bool,
}

/// Where the rules cannot be read, they may name anybody: then a command takes the highest permission there is.
pub fn needed(rules: Option<&Rules>, verb: Verb, scope: Scope<'_>) -> Needed {
    let Some(rules) = rules else {
        return Needed { all: vec![vec![Right::Permission(Permission::Admin)]], is_unread: true };
    };
    let concerns = |name: &EnvironmentName, branch: &str| match scope {
        Scope::One(one) => name == one,
        Scope::Base(base) => base == branch || base == rules.default_branch,
        Scope::Any => true,
    };
    let of = rules.environments.iter().filter(|(name, (branch, _))| concerns(name, branch));
    let mut all: Vec<Vec<Right>> = of.map(|(_, (_, rights))| rights.of(verb)).collect();
    if all.is_empty() {
        all.push(Rights::default().of(verb));
    }
    if scope == Scope::Any {
        all = vec![all.concat()];
    }
    for rights in &mut all {
        rights.sort_unstable();
        rights.dedup();
    }
    Needed { all, is_unread: false }
}

/// What GitHub said of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person<'a> {
    pub login: &'a str,
    pub permission: Permission,
    /// Whether the person is an active member. None: GitHub did not say. Teams that were not asked for are missing.
    pub teams: BTreeMap<Team, Option<bool>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    /// The teams of the rule that GitHub said nothing of.
    Refused(Vec<Team>),
}

/// Any one of `needed` is enough.
pub fn decide(needed: &[Right], person: &Person<'_>) -> Verdict {
    let holds = |right: &Right| match right {
        // A rule that asks for nothing is none.
        Right::Permission(least) => *least > Permission::None && person.permission >= *least,
        Right::Person(login) => login.eq_ignore_ascii_case(person.login),
        Right::Team(team) => person.teams.get(team) == Some(&Some(true)),
    };
    if needed.iter().any(holds) {
        return Verdict::Allowed;
    }
    let unknown = teams(needed).into_iter().filter(|team| person.teams.get(team).is_none_or(Option::is_none));
    Verdict::Refused(unknown.collect())
}

/// The teams that a rule names.
pub fn teams(needed: &[Right]) -> Vec<Team> {
    let team = |right: &Right| match right {
        Right::Team(team) => Some(team.clone()),
        _ => None,
    };
    needed.iter().filter_map(team).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(login: &str, permission: Permission) -> Person<'_> {
        Person { login, permission, teams: BTreeMap::new() }
    }

    fn may(needed: &[Right], person: &Person<'_>) -> bool {
        decide(needed, person) == Verdict::Allowed
    }

    #[test]
    fn without_a_rule_looking_takes_write_and_everything_else_maintain() {
        let rights = Rights::default();
        for verb in Verb::ALL {
            let looks = matches!(verb, Verb::Plan | Verb::Why | Verb::Help);
            let least = if looks { Permission::Write } else { Permission::Maintain };
            for permission in Permission::ALL {
                let allowed = may(&rights.of(verb), &person("ada", permission));
                assert_eq!(allowed, permission >= least, "{} with {permission:?}", verb.name());
            }
        }
    }

    #[test]
    fn a_rule_names_who_may_and_no_permission_stands_in_for_a_team_or_a_person() {
        let needed = [Right::person("Ada").expect("a login"), Right::team("acme/ops").expect("a team")];
        assert!(may(&needed, &person("ada", Permission::None)), "logins are the same in upper and lower case");
        assert!(!may(&needed, &person("bob", Permission::Admin)));
        assert!(!may(&[Right::Permission(Permission::None)], &person("bob", Permission::Admin)));
        assert!(!may(&[], &person("ada", Permission::Admin)));
    }

    #[test]
    fn a_team_counts_only_when_github_says_that_the_membership_is_active() {
        let team: Team = "acme/ops".parse().expect("a team");
        let needed = [Right::Team(team.clone())];
        let of = |said: Option<Option<bool>>| {
            let teams = said.map(|said| (team.clone(), said)).into_iter().collect();
            decide(&needed, &Person { teams, ..person("ada", Permission::Admin) })
        };
        assert_eq!(of(Some(Some(true))), Verdict::Allowed);
        assert_eq!(of(Some(Some(false))), Verdict::Refused(Vec::new()));
        assert_eq!(of(Some(None)), Verdict::Refused(vec![team.clone()]));
        assert_eq!(of(None), Verdict::Refused(vec![team.clone()]));
    }

    fn rules(holds: [(&str, &str, Option<Right>); 2]) -> Rules {
        let environments = holds.map(|(name, branch, hold)| {
            let rights = Rights(
                hold.into_iter()
                    .flat_map(|right| [(Verb::Hold, right.clone()), (Verb::Plan, right)])
                    .map(|(verb, right)| (verb, vec![right]))
                    .collect(),
            );
            (name.parse().expect("a name"), (branch.to_owned(), rights))
        });
        Rules { default_branch: "main".to_owned(), environments: environments.into() }
    }

    #[test]
    fn a_command_takes_what_its_own_environment_says_and_a_plan_what_all_say_that_it_looks_at() {
        let (admin, ada) = (Right::Permission(Permission::Admin), Right::person("ada").expect("a login"));
        let rules = rules([("production", "main", Some(admin.clone())), ("staging", "staging", Some(ada.clone()))]);
        let staging = "staging".parse().expect("a name");
        let of = |verb, scope| needed(Some(&rules), verb, scope).all;
        assert_eq!(of(Verb::Hold, Scope::One(&staging)), [[ada.clone()]]);
        assert_eq!(of(Verb::Plan, Scope::Base("staging")), [[ada.clone()]]);
        assert_eq!(of(Verb::Plan, Scope::Base("main")), [[admin.clone()], [ada.clone()]]);
        assert_eq!(of(Verb::Plan, Scope::Base("elsewhere")), [[Right::Permission(Permission::Write)]]);
        assert_eq!(of(Verb::Hold, Scope::Any), [[admin, ada]]);
        assert_eq!(rules.environment(Some(&staging)), Some(&staging));
        assert_eq!(rules.environment(None), None, "which one is not said");
    }

    #[test]
    fn rules_that_cannot_be_read_let_in_nobody_but_whoever_may_change_them() {
        for verb in Verb::ALL {
            let Needed { all, is_unread } = needed(None, verb, Scope::Any);
            assert_eq!((all, is_unread), (vec![vec![Right::Permission(Permission::Admin)]], true));
        }
    }
}
