//! `evenkeel github`: what is to be set up there, and what of it is missing.

use std::{collections::BTreeMap, path::Path};

use clap::Subcommand;

use super::{
    DONE, ERROR, Exit, Failure, common,
    repository::{self, RepositoryArgs},
};
use crate::{
    git::{self, Credentials, GitError, RemoteUrl},
    github::{
        GitHub, GitHubError,
        rules::{self, Actor, Fault, Ruleset},
        settings,
        setup::{self, Needed, NewApp},
    },
    report::{self, words::visible},
};

/// What no ruleset can do.
const REFS: &str = "GitHub has no rules for refs/evenkeel/**, as they are neither branches nor tags: whoever may push may \
    write there.\nevenkeel takes no commit from there that the branches it follows do not hold.";

/// Set up GitHub for plans in pull requests, and look whether it is.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: GitHubCommand,
}

#[derive(Subcommand)]
enum GitHubCommand {
    /// Say how to register the GitHub App, with the permissions and events that it needs.
    Setup(SetupArgs),
    /// Sign in, and say what works and what is missing.
    Check(Box<CheckArgs>),
}

#[derive(clap::Args)]
struct SetupArgs {
    /// What the App is called; no other App on that GitHub may be called so.
    #[arg(long, default_value = "evenkeel")]
    name: String,
    /// The organisation that is to own it. Default: your own account.
    #[arg(long, value_name = "NAME")]
    organisation: Option<String>,
    /// Where GitHub reaches `evenkeel run --listen`: https://HOST/webhook/github. Without one, evenkeel only polls.
    #[arg(long, value_name = "URL")]
    webhook_url: Option<String>,
    /// The App's ID, once it is registered: it stands in the ruleset then.
    #[arg(long, value_name = "N")]
    github_app_id: Option<u64>,
    /// The address of GitHub's API.
    #[arg(long, value_name = "URL", default_value = "https://api.github.com")]
    github_url: String,
}

#[derive(clap::Args)]
struct CheckArgs {
    #[command(flatten)]
    repository: RepositoryArgs,
    /// Somebody besides the App who may write to evenkeel's branches, as the ruleset names them: User:ID, Team:ID,
    /// Integration:ID, RepositoryRole:ID, OrganizationAdmin or DeployKey. GitHub says who may bypass a ruleset only to
    /// those who may change it.
    #[arg(long, value_name = "ACTOR")]
    may_bypass: Vec<Actor>,
}

pub fn run(args: &Args) -> Exit {
    match &args.command {
        GitHubCommand::Setup(args) => setup(args),
        GitHubCommand::Check(args) => check(args),
    }
}

fn setup(args: &SetupArgs) -> Exit {
    let webhook = args.webhook_url.as_deref().map(reqwest::Url::parse).transpose().map_err(|error| {
        Failure::new(ERROR, format!("the address of --webhook-url is malformed: {error}"))
            .hint("write https://HOST/webhook/github")
    })?;
    let web = setup::web(&settings::api_at(&args.github_url)?)?;
    let app = NewApp { name: args.name.clone(), organisation: args.organisation.clone(), webhook };
    let style = common::style();
    println!("{}\n", style.bold("As a GitHub App"));
    println!("Open this page, which is filled in, and register the App:\n\n{}\n", app.registration(&web));
    if app.webhook.is_some() {
        println!("Set a webhook secret there, and write it into the file of --webhook-secret-file.");
    }
    println!("Then make a private key for the App, install it on the config repository, and run:\n");
    println!("    evenkeel github check --repo URL --github-app-id N --github-key-file FILE\n");
    println!("Where the repository's address is an https one, that lets git in, too; it needs no other token.");
    println!("GitHub tells an App by itself when it is suspended, removed or allowed more.\n");
    print_needed(setup::APP);
    print_needed(&[setup::TEAMS]);
    println!("\nThe last one is a permission of the organisation; allow it only where it is needed.");
    println!("\nThe same as an App manifest, for tools that take one:\n");
    let manifest = serde_json::to_string_pretty(&app.manifest(&web)).map_err(|error| Failure::of(&error))?;
    println!("{manifest}\n");
    println!("{}\n", style.bold("The branches of evenkeel"));
    println!("The history lies on branches below evenkeel/. Whoever else may push there forges it, so a ruleset");
    println!("keeps them for the App. Write this into ruleset.json, with the App's ID as the actor_id:\n");
    let ruleset =
        serde_json::to_string_pretty(&rules::ruleset(args.github_app_id)).map_err(|error| Failure::of(&error))?;
    println!("{ruleset}\n");
    println!("Import the file in the repository's settings, below Rules > Rulesets, or run:\n");
    println!("    gh api --method POST repos/OWNER/NAME/rulesets --input ruleset.json\n");
    println!("The pattern ends in /**/*: for GitHub, evenkeel/** does not cover evenkeel/history/production.");
    println!("People who use `apply`, `hold` and the like without the daemon push there, too. Add each of them as an");
    println!("actor of the type User, and name them to `evenkeel github check` with --may-bypass User:ID.");
    println!("{REFS}\n");
    println!("{}\n", style.bold("With a fine-grained token"));
    println!("What is found is then said in commit statuses: GitHub has check runs for Apps only.");
    println!("Make one for the config repository alone: {web}settings/personal-access-tokens/new\n");
    print_needed(setup::TOKEN);
    println!("\nThe repository's webhook then needs the content type application/json, and these events:");
    println!("{}", setup::EVENTS.join(", "));
    Ok(DONE)
}

fn print_needed(all: &[Needed]) {
    for Needed { title, access, why, .. } in all {
        println!("  {title:<16}{access:<7}{why}");
    }
}

fn check(args: &CheckArgs) -> Exit {
    let url = repository::address(args.repository.repo.as_deref(), Path::new("."))?;
    let (github, credentials) = args.repository.login(&url, None)?;
    let github = github.ok_or_else(|| {
        Failure::new(ERROR, "nothing says how to sign in to GitHub").hint(
            "name --github-app-id N and --github-key-file FILE, or --github-token-file FILE; \
             `evenkeel github setup` says how to get them",
        )
    })?;
    common::block_on(async {
        let mut lines = CheckLines { missing: false };
        look(&github, &mut lines).await?;
        let listed: Vec<Actor> = args.may_bypass.iter().cloned().chain(github.app_id().map(Actor::app)).collect();
        look_at_rules(&github, &listed, &mut lines).await;
        try_git(url, credentials, &mut lines).await?;
        Ok(if lines.missing { ERROR } else { DONE })
    })
}

/// What was looked at, line by line.
struct CheckLines {
    missing: bool,
}

impl CheckLines {
    fn good(&self, text: &str) {
        println!("{}       {}", common::style().good("ok"), visible(text));
    }

    fn missing(&mut self, text: &str) {
        self.missing = true;
        println!("{}  {}", common::style().bad("missing"), visible(text));
    }

    /// What was asked for to see whether it is allowed.
    fn tried<T>(&mut self, what: &str, answer: Result<T, GitHubError>) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.good(what);
                Some(answer)
            }
            Err(error) => {
                self.failed(what, &error, error.hint());
                None
            }
        }
    }

    fn tried_with_git(&mut self, what: &str, answer: Result<(), GitError>) {
        match answer {
            Ok(()) => self.good(what),
            Err(error) => self.failed(what, &error, error.hint()),
        }
    }

    fn failed(&mut self, what: &str, error: &dyn std::error::Error, hint: Option<String>) {
        self.missing(&format!("{what}: {}", report::chain(error)));
        if let Some(hint) = hint {
            println!("         {} {}", common::style().note("hint:"), visible(&hint));
        }
    }
}

/// Where one cannot even sign in, nothing else is looked at.
async fn look(github: &GitHub, lines: &mut CheckLines) -> Result<(), Failure> {
    let login = github.who_am_i().await?;
    lines.good(&format!("signed in as {login}"));
    match github.installation().await? {
        Some(installation) => {
            if installation.suspended_at.is_some() {
                lines.missing("the App's installation is suspended: unsuspend it in the repository's settings");
            }
            let lacks = installation.lacks();
            for needed in setup::APP {
                let Needed { title, access, why, .. } = needed;
                match lacks.iter().find(|(lacked, _)| lacked == needed) {
                    Some((_, held)) => {
                        let held = held.unwrap_or("nothing");
                        lines.missing(&format!("{title}: {access} is needed, {held} is allowed ({why})"));
                    }
                    None => lines.good(&format!("{title}: {access}")),
                }
            }
            for event in installation.not_told() {
                // Polling finds all of it, later.
                println!("{}     the App is not told of {event}: it is found out later, by polling", note());
            }
            if !installation.reads_teams() {
                let Needed { title, access, .. } = setup::TEAMS;
                println!("{}     {title}: {access} is not allowed: `commands` cannot name teams", note());
            }
            lines.tried(&format!("{} can be read", github.name()), github.repository().await);
        }
        None => try_token(github, lines).await,
    }
    Ok(())
}

/// Whether others than the listed may write to evenkeel's branches.
async fn look_at_rules(github: &GitHub, listed: &[Actor], lines: &mut CheckLines) {
    let (mut rules, mut rulesets) = (BTreeMap::new(), BTreeMap::new());
    for branch in rules::PROBES {
        let found = match github.rules_of_branch(branch).await {
            Ok(found) => found,
            Err(error) => return lines.failed(&format!("the rules of {branch}"), &error, error.hint()),
        };
        for id in found.iter().filter(|rule| rules::NEEDED.contains(&&*rule.kind)).filter_map(|rule| rule.ruleset_id) {
            if rulesets.contains_key(&id) {
                continue;
            }
            match github.ruleset(id).await {
                Ok(ruleset) => drop(rulesets.insert(id, ruleset)),
                Err(error) => return lines.failed(&format!("ruleset {id}"), &error, error.hint()),
            }
        }
        rules.insert(branch.to_owned(), found);
    }
    let rulesets: Vec<Ruleset> = rulesets.into_values().collect();
    let faults = rules::faults(&rules, &rulesets, listed);
    if faults.is_empty() {
        lines.good("evenkeel/** is kept by a ruleset, which lets us by");
    }
    for fault in &faults {
        lines.missing(&match fault {
            Fault::Missing { branch, rule } => format!("no ruleset has the rule {rule} for {branch}"),
            Fault::Open { rule, ruleset, others } => {
                let others = others.join(", ");
                format!(
                    "the rule {rule} of ruleset {ruleset} lets by {others}: remove them, or name them with --may-bypass"
                )
            }
            Fault::KeepsUsOut { ruleset } => {
                format!("ruleset {ruleset} does not let us by, as far as GitHub says: add us to its bypass list")
            }
        });
    }
    if !faults.is_empty() {
        println!("         {} `evenkeel github setup` prints the ruleset to register", common::style().note("hint:"));
    }
    if rulesets.iter().any(|ruleset| ruleset.bypass_actors.is_none()) {
        println!(
            "{}     who else may bypass a ruleset GitHub says only to those who may change it: look at it in the \
             repository's settings",
            note()
        );
    }
    REFS.lines().for_each(|line| println!("{}     {line}", note()));
}

/// GitHub does not say what a token may do, so what changes nothing is tried.
async fn try_token(github: &GitHub, lines: &mut CheckLines) {
    let found = lines.tried(&format!("{} can be read", github.name()), github.repository().await);
    let Some(found) = found else { return };
    lines.tried("Pull requests: read", github.open_pulls(None).await);
    lines.tried("Issues: read", github.comments_since(chrono::Utc::now(), None).await);
    lines.tried("Commit statuses: read", github.statuses(&found.default_branch).await);
    lines.tried("Deployments: read", github.deployments("production", None).await);
    let needed: Vec<&str> =
        setup::TOKEN.iter().filter(|needed| needed.access == "write").map(|needed| needed.title).collect();
    println!("{}     only a first write shows whether it may be done; it is needed for: {}", note(), needed.join(", "));
}

/// Over HTTPS git may log in with the same, or with a token of its own.
async fn try_git(url: RemoteUrl, credentials: Credentials, lines: &mut CheckLines) -> Result<(), Failure> {
    if url.http().is_none() {
        println!("{}     git does not reach the repository over https: that is not tried here", note());
        return Ok(());
    }
    let asked =
        tokio::task::spawn_blocking(move || (git::can_read(&url, &credentials), git::can_push(&url, &credentials)));
    let (read, push) = asked.await.map_err(|error| Failure::of(&error))?;
    lines.tried_with_git("git can read", read);
    lines.tried_with_git("git can push", push);
    Ok(())
}

fn note() -> String {
    common::style().note("note")
}
