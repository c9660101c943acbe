//! What of a release an instance lacks, given what it holds.
//!
//! Pure. Keeps true: what is put together from the base, from what is shared and from what is sent is the
//! release, whole; a content is sent once, and never when it lies there.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    digest::Digest,
    release::{Difference, Listed, Listing, Shared},
};

/// `damaged` are contents that turned out not to be what a listing says.
pub fn difference(wanted: &Listing, held: &BTreeMap<Digest, Listing>, damaged: &BTreeSet<Digest>) -> Difference {
    let whole = |listed: &Listed| match listed {
        Listed::File { digest, .. } => !damaged.contains(digest),
        Listed::Symlink { .. } => true,
    };
    let same = |other: &Listing| {
        let same = wanted.0.iter().filter(|(path, listed)| other.0.get(*path) == Some(listed) && whole(listed));
        same.count()
    };
    let base = held.iter().map(|(digest, listing)| (same(listing), digest, listing)).max_by_key(|(same, ..)| *same);
    let base = base.filter(|(same, ..)| *same > 0);
    let empty = Listing::default();
    let begun = base.map_or(&empty, |(_, _, listing)| listing);
    let kept = |path: &String, listed: &Listed| begun.0.get(path) == Some(listed) && whole(listed);

    let mut lying: BTreeMap<&Listed, (Option<Digest>, &String)> = BTreeMap::new();
    for (digest, listing) in held {
        for (path, listed) in listing.0.iter().filter(|(_, listed)| whole(listed)) {
            lying.entry(listed).or_insert((Some(*digest), path));
        }
    }
    let mut difference = Difference { base: base.map(|(_, digest, _)| *digest), ..Difference::default() };
    let gone = begun.0.iter().filter(|(path, listed)| wanted.0.get(*path) != Some(listed) || !whole(listed));
    difference.removed = gone.map(|(path, _)| path.clone()).collect();
    for (path, listed) in wanted.0.iter().filter(|(path, listed)| !kept(path, listed)) {
        difference.added.push(path.clone());
        let is_file = matches!(listed, Listed::File { .. });
        match lying.get(listed).filter(|_| is_file) {
            Some((release, from)) => {
                difference.shared.push(Shared { release: *release, from: (*from).clone(), to: path.clone() });
            }
            None => {
                difference.sent.push(path.clone());
                lying.insert(listed, (None, path));
            }
        }
    }
    difference
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(files: &[(&str, &str)]) -> Listing {
        let file = |content: &str| Listed::File { digest: Digest::of(content), executable: false };
        Listing(files.iter().map(|(path, content)| ((*path).to_owned(), file(content))).collect())
    }

    fn told(difference: &Difference, held: &[Digest]) -> String {
        let number = |of: Option<Digest>| match of {
            Some(digest) => held.iter().position(|held| *held == digest).expect("one of them").to_string(),
            None => "-".to_owned(),
        };
        let shared =
            difference.shared.iter().map(|shared| format!("{}:{}>{}", number(shared.release), shared.from, shared.to));
        let shared: Vec<_> = shared.collect();
        format!(
            "base {} removed {:?} shared {shared:?} sent {:?}",
            number(difference.base),
            difference.removed,
            difference.sent
        )
    }

    #[test]
    fn only_contents_that_lie_nowhere_there_are_sent() {
        let releases = [Digest::of("1"), Digest::of("2")];
        let held = [
            (releases[0], listing(&[("index", "old"), ("app", "app"), ("logo", "logo"), ("gone", "gone")])),
            (releases[1], listing(&[("font", "font")])),
        ];
        let held: BTreeMap<_, _> = held.into();
        let wanted =
            listing(&[("index", "new"), ("app", "app"), ("logo", "logo"), ("type", "font"), ("index2", "new")]);
        let found = difference(&wanted, &held, &BTreeSet::new());
        assert_eq!(
            told(&found, &releases),
            r#"base 0 removed ["gone", "index"] shared ["-:index>index2", "1:font>type"] sent ["index"]"#
        );
        let damaged = [Digest::of("app"), Digest::of("font")].into();
        let found = difference(&wanted, &held, &damaged);
        assert_eq!(
            told(&found, &releases),
            r#"base 0 removed ["app", "gone", "index"] shared ["-:index>index2"] sent ["app", "index", "type"]"#
        );
        let found = difference(&wanted, &BTreeMap::new(), &BTreeSet::new());
        assert_eq!(
            told(&found, &releases),
            r#"base - removed [] shared ["-:index>index2"] sent ["app", "index", "logo", "type"]"#
        );
    }
}
