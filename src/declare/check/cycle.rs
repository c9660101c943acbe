//! Circles in "who waits for whom".

use std::collections::{BTreeMap, BTreeSet};

/// Circles among `edges`, each as its members in order; no two share a member. Not recursive: a chain
/// may be as long as a fleet is large.
pub fn cycles<N: Ord + Clone>(edges: &BTreeMap<N, BTreeSet<N>>) -> Vec<Vec<N>> {
    let none = BTreeSet::new();
    let mut found: Vec<Vec<N>> = Vec::new();
    let mut done: BTreeSet<&N> = BTreeSet::new();
    for start in edges.keys() {
        let mut path: Vec<(&N, std::collections::btree_set::Iter<'_, N>)> = Vec::new();
        let mut on_path: BTreeSet<&N> = BTreeSet::new();
        let mut next = (!done.contains(start)).then_some(start);
        loop {
            if let Some(node) = next.take() {
                on_path.insert(node);
                path.push((node, edges.get(node).unwrap_or(&none).iter()));
            }
            let Some((node, targets)) = path.last_mut() else { break };
            match targets.next() {
                Some(target) if on_path.contains(target) => {
                    let circle: Vec<N> =
                        path.iter().map(|(node, _)| *node).skip_while(|node| *node != target).cloned().collect();
                    if !found.iter().flatten().any(|member| circle.contains(member)) {
                        found.push(circle);
                    }
                }
                Some(target) if !done.contains(target) => next = Some(target),
                Some(_) => {}
                None => {
                    on_path.remove(*node);
                    done.insert(*node);
                    path.pop();
                }
            }
        }
    }
    found
}

/// `a → b → a`.
pub fn shown<N: std::fmt::Display>(circle: &[N]) -> String {
    let names: Vec<String> = circle.iter().chain(circle.first()).map(|name| format!("`{name}`")).collect();
    names.join(" → ")
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
    }
}
