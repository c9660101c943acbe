//! Proposals that take more than reading one may: that is told below them, and nothing else is held up.

use crate::{program::Story, support::waiting::wait_for};

/// Waits until a pull request was found so; answers what is said of it. Nothing connects to its host, so no plan succeeds.
#[track_caller]
fn ends(story: &Story, number: u64, conclusion: &str) -> String {
    let head = story.github.head(number);
    wait_for(&format!("#{number} ending in {conclusion}"), || {
        let found = story.github.checks(&head).get("evenkeel/validate").cloned()?;
        (found == conclusion).then_some(())
    });
    wait_for("the comment", || story.github.comment_of_evenkeel(number))
}

fn proposes_one(story: &Story, name: &str) -> u64 {
    story.proposes_files(name, [(format!("fleet/hello/{name}"), name.to_owned())].into_iter())
}

#[test]
fn a_proposal_that_takes_too_much_memory_is_refused_and_the_next_one_is_planned() {
    let story = Story::begins();
    let _daemon = story.follows_with(&["--proposal-memory", "96M"]);
    let small = proposes_one(&story, "small");
    ends(&story, small, "success");
    // 160 MB of legal files, which travel as a few kilobytes.
    let file = |number: u32| (format!("fleet/hello/{number}"), format!("{number}{}", "x".repeat(1_000_000)));
    let large = story.proposes_files("large", (0..160).map(file));
    let told = ends(&story, large, "failure");
    assert!(told.to_lowercase().contains("memory"), "{told}");
    let after = proposes_one(&story, "after");
    ends(&story, after, "success");
}

#[test]
fn a_proposal_that_takes_too_long_is_refused_and_the_next_one_is_planned() {
    let story = Story::begins();
    let daemon = story.follows_with(&["--proposal-time", "2s"]);
    let exclude: String = (0..900).map(|number| format!("  - \"**/a*b*{number}*c/**/d{number}\"\n")).collect();
    let service = format!(
        "source:\n  path: hello\n  exclude:\n{}run: {{exec: /usr/bin/python3 server.py}}\nplace: {{on: [web-1]}}\nport: 8101\n",
        exclude.replace("  - ", "    - ")
    );
    let file = |number: u32| (format!("fleet/hello/a/b/c/{number}"), format!("{number}"));
    let files = (0..20_000).map(file).chain([("fleet/services/slow.yaml".to_owned(), service)]);
    let slow = story.proposes_files("slow", files);
    let told = ends(&story, slow, "failure");
    assert!(told.contains("2 s"), "{told}");
    let after = proposes_one(&story, "after");
    ends(&story, after, "success");
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}
