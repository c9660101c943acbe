//! Circles in "who waits for whom".

use std::collections::{BTreeMap, BTreeSet};

/// Circles among `edges`, each as its members in order; no two share a member. Not recursive: a chain
/// may be as long as a fleet is large. Takes each edge once, and each member of a circle once more.
pub fn cycles<N: Ord + Clone>(edges: &BTreeMap<N, BTreeSet<N>>) -> Vec<Vec<N>> {
    let none = BTreeSet::new();
    let mut found: Vec<Vec<N>> = Vec::new();
    let mut done: BTreeSet<&N> = BTreeSet::new();
    for start in edges.keys() {
        let mut path: Vec<(&N, std::collections::btree_set::Iter<'_, N>)> = Vec::new();
        // Where each node of the path stands in it, and where on it those stand that are in a circle already.
        let mut on_path: BTreeMap<&N, usize> = BTreeMap::new();
        let mut in_circle: Vec<usize> = Vec::new();
        let mut next = (!done.contains(start)).then_some(start);
        loop {
            if let Some(node) = next.take() {
                on_path.insert(node, path.len());
                path.push((node, edges.get(node).unwrap_or(&none).iter()));
            }
            let Some((node, targets)) = path.last_mut() else { break };
            match targets.next() {
                Some(target) => match on_path.get(target) {
                    // A circle is the end of the path, so it shares a member with another if it reaches one.
                    Some(from) if in_circle.last().is_none_or(|last| last < from) => {
                        found.push(path[*from..].iter().map(|(node, _)| (*node).clone()).collect());
                        in_circle.extend(*from..path.len());
                    }
                    Some(_) => {}
                    None if !done.contains(target) => next = Some(target),
                    None => {}
                },
                None => {
                    on_path.remove(*node);
                    done.insert(*node);
                    path.pop();
                    in_circle.pop_if(|last| *last == path.len());
                }
            }
        }
    }
    found
}

/// `a → b → a`, and of a long one its beginning.
pub fn shown<N: std::fmt::Display>(circle: &[N]) -> String {
    const MOST: usize = 12;
    let more = (circle.len() > MOST).then(|| format!("{} more", circle.len() - MOST));
    let first = circle.first().map(|name| format!("`{name}`"));
    let names = circle.iter().take(MOST).map(|name| format!("`{name}`"));
    names.chain(more).chain(first).collect::<Vec<_>>().join(" → ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_circle_is_found_once() {
        let edges = |list: &[(&'static str, &[&'static str])]| -> BTreeMap<&'static str, BTreeSet<&'static str>> {
            list.iter().map(|(from, to)| (*from, to.iter().copied().collect())).collect()
        };
        assert!(cycles(&edges(&[("a", &["b", "c"]), ("b", &["c"])])).is_empty());
        let found = cycles(&edges(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"]), ("d", &["d"]), ("e", &["a"])]));
        assert_eq!(found, [vec!["b", "c"], vec!["d"]]);
        assert_eq!(shown(&["b", "c"]), "`b` → `c` → `b`");
        let found = cycles(&edges(&[("a", &["b", "d"]), ("b", &["c"]), ("c", &["b"]), ("d", &["a"])]));
        assert_eq!(found, [vec!["b", "c"], vec!["a", "d"]]);
        let found = cycles(&edges(&[("a", &["b"]), ("b", &["a", "c"]), ("c", &["a", "d"]), ("d", &["c"])]));
        assert_eq!(found, [vec!["a", "b"], vec!["c", "d"]]);
    }
}
