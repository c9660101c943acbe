//! Sealed content in what people read: that it changes is said, and nothing of what it holds or held.

use std::error::Error;

use evenkeel::{
    model::{
        content::{Content, Sealed},
        plan::{Action, Before, InstanceState, Plan},
        seal::Key,
    },
    report::{self, Style, pull::PullContent},
};

use super::{proposals::*, samples::*};

const OLD: &str = "PASSWORD=old-and-secret\n";
const NEW: &str = "PASSWORD=new-and-secret\n";

fn sealed(text: &str) -> Content {
    Content::Sealed(Sealed::new(text.as_bytes(), &Key::from_bytes([7; 32])))
}

fn public(text: &str) -> Content {
    Content::Public(text.into())
}

/// Writes a file that held `before`.
fn writing(before: Content, content: Content) -> Result<Plan, Box<dyn Error>> {
    let before =
        Before::File { digest: before.digest(), mode: 0o600, owner: "root:root".to_owned(), content: Some(before) };
    let write =
        |path: &str, before| Action::WriteFile { path: path.to_owned(), before, content: content.clone(), mode: 0o600 };
    let beside = ENV.replace("gong", "gong-new");
    let steps = [(ENV, before), (beside.as_str(), Before::Absent)];
    let steps = steps.map(|(path, before)| step("ai-core", 1, service("gong_mcp")?, write(path, before), "declared"));
    plan(&[("ai-core", InstanceState::Changes)], steps.into_iter().collect::<Result<_, _>>()?)
}

#[test]
fn sealed_content_is_never_shown_before_or_after_a_change() -> Result<(), Box<dyn Error>> {
    for plan in [
        writing(sealed(OLD), sealed(NEW))?,
        writing(public("PUBLIC=1\n"), sealed(NEW))?,
        writing(sealed(OLD), public("PUBLIC=1\n"))?,
    ] {
        let sample = Sample::of(plan);
        let pull = pull_request();
        let comment = report::pull::proposal(&view(&pull, PullContent::Planned(vec![sample.planned()]))).comment.posted;
        let text = report::plan::text(&sample.plan, Style(false));
        let json = report::plan::json(&sample.plan);
        for told in [&text, &json, &comment] {
            assert!(told.contains(ENV) && !told.contains("secret"), "{told}");
        }
        assert!(text.contains("sealed content"), "{text}");
    }
    Ok(())
}
