//! What a site serves and served before: links that move on at a switch, and at nothing else.

use crate::{
    declared::{Declared, example},
    host::Lies,
    text::{steps, without_digests},
    world::World,
};

const LINKS: &str = "/var/lib/evenkeel/sophia/sites/app";

fn page(text: &str) -> Declared {
    example().write("frontend/index.html", text)
}

/// Deploys one page after the other.
fn served(pages: &[&str]) -> World {
    let mut world = World::live(&page(pages[0]));
    for text in &pages[1..] {
        world = world.declare(&page(text));
        let plan = world.plan();
        world.apply(&plan);
        assert_eq!(steps(&world.plan()), "", "one round is enough");
    }
    world
}

/// Which pages the links lead to, the one that is served first.
fn links(world: &World, pages: &[&str]) -> Vec<String> {
    let host = &world.hosts["ai-core"];
    let mut found = Vec::new();
    for name in ["current", "previous-1", "previous-2", "previous-3", "previous-4"] {
        let Some(Lies::Link(target)) = host.files.get(&format!("{LINKS}/{name}")) else { continue };
        let is = |text: &&&str| {
            let wanted =
                crate::declared::desired(&page(text).prepare(), "ai-core").links[&format!("{LINKS}/current")].clone();
            wanted.target == *target
        };
        found.push((*pages.iter().find(is).expect("one of the pages")).to_owned());
    }
    found
}

#[test]
fn what_was_served_stays_at_hand_for_three_switches() {
    let pages = ["one", "two", "three", "four", "five"];
    assert_eq!(links(&served(&pages[..1]), &pages), ["one"]);
    assert_eq!(links(&served(&pages[..3]), &pages), ["three", "two", "one"]);
    assert_eq!(links(&served(&pages), &pages), ["five", "four", "three", "two"]);
}

#[test]
fn what_is_served_again_is_no_previous_one() {
    let pages = ["one", "two"];
    assert_eq!(links(&served(&["one", "two", "one"]), &pages), ["one", "two"]);
    assert_eq!(links(&served(&["one", "two", "one", "two"]), &pages), ["two", "one"]);
}

#[test]
fn the_oldest_link_is_written_first_and_the_one_that_is_served_last() {
    let world = served(&["one", "two", "three"]).declare(&page("four"));
    insta::assert_snapshot!(without_digests(&steps(&world.plan())), @r"
    1 ai-core stage fleet/frontend, to be built (the instance does not hold it yet)
    2 ai-core create /var/lib/evenkeel/sophia/sites/app/previous-3 (what was served until now stays at hand for pages that are open)
    2 ai-core update /var/lib/evenkeel/sophia/sites/app/previous-2 (what was served until now stays at hand for pages that are open)
    2 ai-core update /var/lib/evenkeel/sophia/sites/app/previous-1 (what was served until now stays at hand for pages that are open)
    2 ai-core update /var/lib/evenkeel/sophia/sites/app/current (what is declared has changed)
    ");
}

#[test]
fn a_link_that_was_bent_is_put_back_and_none_moves_on() {
    let pages = ["one", "two", "three"];
    let bent = |name: &str| {
        let mut world = served(&pages).on("ai-core", |host| {
            host.files.insert(format!("{LINKS}/{name}"), Lies::Link("/srv/elsewhere".to_owned()));
        });
        let plan = world.plan();
        world.apply(&plan);
        assert_eq!(links(&world, &pages), ["three", "two", "one"]);
        steps(&plan)
    };
    insta::assert_snapshot!(bent("current"), @"1 ai-core update /var/lib/evenkeel/sophia/sites/app/current (drift: it was changed on the instance)");
    insta::assert_snapshot!(bent("previous-2"), @"1 ai-core update /var/lib/evenkeel/sophia/sites/app/previous-2 (drift: it was changed on the instance)");
}

#[test]
fn links_go_with_their_site() {
    let world = served(&["one", "two"]).declare(&example().remove("sites/app.yaml"));
    let steps = steps(&world.plan());
    for name in ["current", "previous-1"] {
        assert!(steps.contains(&format!("delete {LINKS}/{name} ")), "{name} stays:\n{steps}");
    }
}

#[test]
fn what_a_link_leads_to_stays_in_the_manifest() {
    let world = served(&["one", "two", "three"]);
    let owned = world.hosts["ai-core"].owned();
    for target in owned.links.values() {
        let digest = target.rsplit('/').next().expect("a name").parse().expect("a digest");
        assert!(owned.releases.contains(&digest), "{target}");
    }
}
