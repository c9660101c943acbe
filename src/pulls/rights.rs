//! Who may give a command: the rules of the default branch, and what GitHub says of the person who asks.
//!
//! Keeps true: rules come from the default branch alone, and a payload says nothing of what anybody may do; what GitHub
//! does not answer is never yes. Never does: deciding, which is `decide::rights`.

use std::collections::BTreeMap;

use super::{
    PullRequests,
    commands::{Command, MEANT},
    reason,
};
use crate::{
    decide::rights::{Needed, Person, Rules, Scope, Verdict, decide, needed, teams},
    declare,
    engine::history::store::{ConfigSource as _, StoreError},
    host::HostRead,
    model::{
        event::{Detail, EventKind},
        name::EnvironmentName,
        rights::{Permission, Right, Team, Verb},
    },
};

/// Who may give a command, and in which environment.
pub(super) enum Ruling {
    Allowed {
        /// The environment that the command is about, where it is about one and that one is known.
        environment: Option<EnvironmentName>,
    },
    Refused(Refusal),
}

/// Why a person may not give a command.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) permission: Permission,
    /// Any one of these would be enough.
    pub(super) needed: Vec<Right>,
    /// Teams of which GitHub did not say who is in them.
    pub(super) unknown: Vec<Team>,
    /// The default branch says nothing readable of rights.
    pub(super) is_unread: bool,
}

impl<H: HostRead> PullRequests<H> {
    /// Whether the person may give the command. `verb` is none for a word that is no command.
    pub(super) async fn rule(
        &self,
        command: &Command,
        verb: Option<Verb>,
        named: Option<&EnvironmentName>,
    ) -> Result<Ruling, super::PullError> {
        let permission = self.patiently(MEANT, command, || self.github.permission(&command.author)).await?;
        let (by, asked) = (Detail::of(&command.author), Detail::of(verb.map_or(command.name(), |verb| verb.name())));
        self.emit(EventKind::CommandAsked { pull: command.number, by, permission, command: asked });
        let rules = self.rules().await?;
        let base = match verb {
            Some(Verb::Plan) => Some(self.github.pull(command.number).await?.base),
            _ => None,
        };
        let environment = rules.as_ref().and_then(|rules| rules.environment(named)).cloned();
        let scope = match (&base, &environment) {
            (Some(base), _) => Scope::Base(base),
            (None, Some(environment)) => Scope::One(environment),
            // Which one is meant is told to those only who may give the command somewhere.
            (None, None) => Scope::Any,
        };
        let Needed { all, is_unread } = needed(rules.as_ref(), verb.unwrap_or(Verb::Help), scope);
        let mut person = Person { login: &command.author, permission, teams: BTreeMap::new() };
        for needed in all {
            if decide(&needed, &person) == Verdict::Allowed {
                continue;
            }
            self.learn_teams(command, &needed, &mut person).await;
            if let Verdict::Refused(unknown) = decide(&needed, &person) {
                return Ok(Ruling::Refused(Refusal { permission, needed, unknown, is_unread }));
            }
        }
        Ok(Ruling::Allowed { environment })
    }

    /// Asks GitHub which of the teams the person is in.
    async fn learn_teams(&self, command: &Command, needed: &[Right], person: &mut Person<'_>) {
        for team in teams(needed) {
            if person.teams.contains_key(&team) {
                continue;
            }
            let said = self.patiently(MEANT, command, || self.github.is_in_team(&team, &command.author)).await;
            if let Err(error) = &said {
                let (by, team) = (Detail::of(&command.author), Detail::of(&team));
                self.emit(EventKind::TeamUnknown { pull: command.number, by, team, why: reason(error) });
            }
            person.teams.insert(team, said.ok());
        }
    }

    /// As the default branch has them. None where it cannot be read.
    async fn rules(&self) -> Result<Option<Rules>, StoreError> {
        let Some(fetched) = self.controller.workspace.store.last_fetched().await? else { return Ok(None) };
        let Some(default) = fetched.branches.get(&fetched.default_branch) else { return Ok(None) };
        let folder = &self.controller.workspace.preparation.folder;
        let tree = self.controller.workspace.store.tree(default, default, folder).await?;
        let (declaration, _) = declare::read_shared(&tree, folder);
        Ok(declaration.map(|declaration| {
            let of = |name: &EnvironmentName| {
                let branch = declaration.environment_branch(name)?.to_owned();
                Some((name.clone(), (branch, declaration.rights(name)?)))
            };
            Rules {
                default_branch: fetched.default_branch.clone(),
                environments: declaration.environments().into_iter().filter_map(of).collect(),
            }
        }))
    }
}
