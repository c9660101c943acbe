//! What is read of others, one entry for each form: fuzz targets, their corpora in the tests, and the soak call these and
//! nothing else, so that all mean the same.
//!
//! Keeps true: an entry takes any bytes, within a small budget of time and memory; it panics where evenkeel would have
//! done wrong, and has no other answer.

use std::collections::BTreeMap;

use crate::{
    declare::{Overrides, starter},
    engine::prepare::prepare,
    git,
    github::event::Event,
    host::ProbeRequest,
    model::{
        budget::Budget,
        environment_state::{EnvironmentState, StateEvent},
        outcome::RecordedDeployment,
        plan::Commits,
        requirements,
        seal::Key,
        tree::{Entry, Tree},
    },
    release::{Unfetched, unpack},
    report,
};

/// Takes what others wrote.
pub type Target = fn(&[u8]);

/// The forms, by the name of the fuzz target and of the corpus.
pub const TARGETS: [(&str, Target); 9] = [
    ("yaml", yaml),
    ("requirements", requirements),
    ("host_answer", host_answer),
    ("standing", state),
    ("archive", archive),
    ("known_hosts", known_hosts),
    ("webhook", webhook),
    ("unit", unit),
    ("nginx", nginx),
];

/// What is read of an input: a fuzzer learns nothing from more.
const LARGEST: usize = 64 << 10;

/// Gives an input to a form; panics where there is no such form.
pub fn feed(target: &str, input: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(name, _)| *name == target).expect("one of the targets");
    target(&input[..input.len().min(LARGEST)]);
}

/// Files in one text, each below a line `=== PATH`; what comes before the first is at `first`.
fn files(input: &[u8], first: &str) -> Vec<(String, Vec<u8>)> {
    let text = String::from_utf8_lossy(input);
    let mut parts = text.split("\n=== ");
    let mut files = vec![(first.to_owned(), parts.next().unwrap_or_default().as_bytes().to_vec())];
    for part in parts {
        let (path, content) = part.split_once('\n').unwrap_or((part, ""));
        files.push((path.to_owned(), content.as_bytes().to_vec()));
    }
    files
}

/// The fleet that `init` writes, with these files besides or in its place.
fn fleet(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Tree {
    let mut tree = Tree::default();
    let own = starter(&"web".parse().expect("a name")).into_iter().map(|(path, text)| (path, text.into_bytes()));
    for (path, content) in own.chain(files) {
        // A path that is none is refused, as it is in git.
        let _ = tree.insert(&format!("fleet/{path}"), Entry::File { content: content.into(), executable: false });
    }
    tree
}

fn prepared(tree: &Tree) -> Option<crate::engine::prepare::Prepared> {
    let environment = "production".parse().expect("a name");
    let (overrides, commits) = (Overrides::default(), Commits::default());
    match prepare(tree, "fleet", &environment, &overrides, commits, &Unfetched) {
        Ok(prepared) => Some(prepared),
        Err(error) => {
            assert!(!report::chain(&error).is_empty(), "an error says nothing");
            None
        }
    }
}

fn yaml(input: &[u8]) {
    prepared(&fleet(files(input, "services/hello.yaml")));
}

fn requirements(input: &[u8]) {
    let files: BTreeMap<String, Vec<u8>> = files(input, "requirements.txt").into_iter().collect();
    let content = |path: &str| files.get(path).map(Vec::as_slice);
    let first = requirements::digest("requirements.txt", &content, &Budget::STANDARD);
    assert_eq!(
        first,
        requirements::digest("requirements.txt", &content, &Budget::STANDARD),
        "the same files have the same digest"
    );
}

fn host_answer(input: &[u8]) {
    let mut question = ProbeRequest { base: "/var/lib/evenkeel/web".to_owned(), ..ProbeRequest::default() };
    question.paths = ["/etc/nginx/sites-enabled/default".to_owned()].into();
    question.units = ["nginx.service".to_owned()].into();
    question.packages = ["nginx-light".to_owned()].into();
    question.users = ["www-data".to_owned()].into();
    if let Ok(observation) = question.understand(input, &Key::from_bytes([7; 32])) {
        assert!(observation.files.contains_key("/etc/nginx/sites-enabled/default"), "what was asked for has an answer");
        let text = serde_json::to_vec(&observation).expect("it can be written");
        let again: crate::model::observation::Observation = serde_json::from_slice(&text).expect("it can be read");
        // All but a host's key, which stays in this process.
        let seal = crate::model::seal::Seal { new_key: None, ..observation.seal.clone() };
        assert_eq!(again, crate::model::observation::Observation { seal, ..observation }, "it travels whole");
    }
}

fn state(input: &[u8]) {
    let parts = files(input, "standing.json");
    let Ok(mut state) = serde_json::from_slice::<EnvironmentState>(&parts[0].1) else { return };
    for (_, content) in &parts[1..] {
        if let Ok(event) = serde_json::from_slice::<StateEvent>(content) {
            state = state.after(&event);
            assert!(!report::control::line(&event.control).is_empty());
        } else if let Ok(RecordedDeployment::Conclusion(conclusion)) = serde_json::from_slice(content) {
            state = state.concluded(&conclusion);
        }
    }
    let text = serde_json::to_vec(&state).expect("it can be written");
    assert_eq!(serde_json::from_slice::<EnvironmentState>(&text).expect("it can be read"), state);
}

fn archive(input: &[u8]) {
    let budget = Budget { entries: 100, tree_bytes: 1 << 20, ..Budget::STANDARD };
    if let Ok(tree) = unpack(input, &budget) {
        assert!(tree.iter().all(|(path, _)| path.split('/').count() <= budget.depth + 1 && !path.starts_with('/')));
        assert!(tree.len() <= budget.entries);
    }
}

fn known_hosts(input: &[u8]) {
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    let text = String::from_utf8_lossy(input);
    let trusted = git::is_known_host(&text, "git.example.org", 22, KEY);
    assert!(
        !trusted || text.contains("AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9"),
        "a key that is not there"
    );
}

fn webhook(input: &[u8]) {
    let (name, body) = match input.iter().position(|byte| *byte == b'\n') {
        Some(end) => (String::from_utf8_lossy(&input[..end]), &input[end + 1..]),
        None => ("push".into(), input),
    };
    if let Err(error) = Event::read(&name, body) {
        assert!(!report::chain(&error).is_empty());
    }
}

/// A text where people may write one in a service: it stays within its value.
fn unit(input: &[u8]) {
    let lines = |text: &str| {
        let quoted = serde_json::to_string(text).expect("a text");
        let service = format!(
            "description: {quoted}\nsource: {{path: hello}}\nrun: {{exec: [/usr/bin/python3, {quoted}]}}\n\
             place: {{on: [web-1]}}\nport: 8100\nenv: {{GREETING: {quoted}}}\nhealth: {{http: /}}\n"
        );
        rendered_lines(fleet([("services/hello.yaml".to_owned(), service.into_bytes())]), ".service")
    };
    stays(input, lines);
}

/// The same of a site.
fn nginx(input: &[u8]) {
    let lines = |text: &str| {
        let quoted = serde_json::to_string(text).expect("a text");
        let site = format!(
            "domain: example.org\non: [web-1]\nfrontend: {{source: {{path: www}}}}\nheaders: {{X-Text: {quoted}}}\n\
             routes:\n  /api/: {{service: hello}}\nreplaces_default: true\n"
        );
        rendered_lines(fleet([("sites/www.yaml".to_owned(), site.into_bytes())]), ".conf")
    };
    stays(input, lines);
}

fn stays(input: &[u8], lines: impl Fn(&str) -> Option<usize>) {
    let text = String::from_utf8_lossy(input);
    if let (Some(found), Some(plain)) = (lines(&text), lines("plain")) {
        assert_eq!(found, plain, "{text:?} makes other lines than its own");
    }
}

/// How many lines the files have that end so; none where the fleet does not validate.
fn rendered_lines(tree: Tree, ending: &str) -> Option<usize> {
    let prepared = prepared(&tree)?;
    let files = prepared.desired.values().flat_map(|desired| &desired.files);
    let files = files.filter(|(path, _)| path.ends_with(ending));
    Some(
        files
            .map(|(_, file)| file.content.public().unwrap_or_default().iter().filter(|byte| **byte == b'\n').count())
            .sum(),
    )
}
