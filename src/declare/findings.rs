//! What there is to say against a fleet, as far as anybody reads it.
//!
//! Owns: how many findings are kept, and how much the checks may do. Keeps true: errors go before warnings, the others
//! are counted, and an error among them is an error still; places and hints are worked out only for what is kept, so
//! a file in which everything is wrong costs what a good one does. Never does: deciding what is wrong.
//!
//! What strangers wrote costs what its `Budget` says, whatever it is. A finding is a `Draft` until all is
//! read: the first hundred are kept, errors before warnings, and only for those are places and hints worked out; of
//! the others the last finding, `more-findings`, says how many there are, and it is an error if one of them is. What
//! files multiply with one another (services, sites, instances, environments, patterns) is counted in steps, in
//! `Findings::spend`, before it is done; when they are spent the checks end with `too-much-work`. Nothing in the pure
//! modules recurses over what was read, but over YAML trees, which are no deeper than the budget allows
//! (`tests/layering.rs`). A new check says through `Findings`, and spends where it goes through one list for each
//! entry of another.

use std::{
    collections::{BTreeMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use super::file::{File, Span};
use crate::model::{
    budget::Budget,
    finding::{Code, Finding, Place, Severity, any_error},
    text,
};

/// So many findings are told apart from those that were said before; what comes then is not counted any more.
const COUNTED: usize = 100_000;

type Hint = Box<dyn FnOnce() -> String>;

/// A finding whose place and hint are not worked out yet.
pub struct Draft {
    severity: Severity,
    code: Code,
    message: String,
    at: Option<FindingSpot>,
    related: Vec<(FindingSpot, String)>,
    hint: Option<Hint>,
}

/// Where something stands: a span of a file, a part of that, or the file as such.
struct FindingSpot {
    path: Arc<str>,
    within: Option<(Arc<str>, Span)>,
    part: String,
}

impl FindingSpot {
    fn of(file: &File, span: Span) -> Self {
        Self { path: Arc::clone(&file.path), within: Some((Arc::clone(&file.text), span)), part: String::new() }
    }

    fn place(self, lines: &mut FindingLines) -> Place {
        match self.within {
            None => Place { file: self.path.to_string(), line: 1, column: 1, end_column: 2, ..Place::default() },
            Some((text, span)) => lines.place(File { path: self.path, text }, span, &self.part),
        }
    }
}

/// Places, of which many may be in one line, and that a long one.
struct FindingLines {
    longest: usize,
    last: Option<(File, u32, String)>,
}

impl FindingLines {
    fn place(&mut self, file: File, span: Span, part: &str) -> Place {
        let is_last = |(last, line, _): &(File, u32, String)| Arc::ptr_eq(&last.text, &file.text) && *line == span.line;
        let (_, _, line) = match self.last.take().filter(is_last) {
            Some(last) => self.last.insert(last),
            None => self.last.insert((file.clone(), span.line, file.line(span.line))),
        };
        file.place_in(line, span, part, self.longest)
    }
}

impl Draft {
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message.into())
    }

    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message.into())
    }

    fn new(severity: Severity, code: Code, message: String) -> Self {
        Self { severity, code, message, at: None, related: Vec::new(), hint: None }
    }

    pub fn at(mut self, file: &File, span: Span) -> Self {
        self.at = Some(FindingSpot::of(file, span));
        self
    }

    /// At `part` within `span`, where it stands there in so many words.
    pub fn at_part(mut self, file: &File, span: Span, part: &str) -> Self {
        // As much of it as is shown is enough to be found by.
        let part = part.chars().take(Budget::STANDARD.line_text).collect();
        self.at = Some(FindingSpot { part, ..FindingSpot::of(file, span) });
        self
    }

    /// Of a file as such: there is no line to show.
    pub fn of_file(mut self, path: &str) -> Self {
        self.at = Some(FindingSpot { path: path.into(), within: None, part: String::new() });
        self
    }

    pub fn also(mut self, file: &File, span: Span, why: impl Into<String>) -> Self {
        self.related.push((FindingSpot::of(file, span), why.into()));
        self
    }

    pub fn hint(self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        self.hint_of(move || hint)
    }

    /// A hint that takes some working out, which is done only when the finding is kept.
    pub fn hint_of(mut self, hint: impl FnOnce() -> String + 'static) -> Self {
        self.hint = Some(Box::new(hint));
        self
    }

    fn key(&self) -> Key {
        let at = self.at.as_ref().map(|spot| {
            let span = spot.within.as_ref().map_or(Span::START, |(_, span)| *span);
            (Arc::clone(&spot.path), span, spot.part.clone())
        });
        (self.severity, at.is_none(), at, self.code, self.message.clone())
    }

    fn finding(self, budget: &Budget, lines: &mut FindingLines) -> Finding {
        Finding {
            severity: self.severity,
            code: self.code,
            message: self.message,
            place: self.at.map(|spot| spot.place(lines)),
            related: self.related.into_iter().map(|(spot, why)| (spot.place(lines), why)).collect(),
            hint: self.hint.map(|hint| text::clipped(&hint(), budget.message_text).into_owned()),
            instance: None,
        }
    }
}

/// By which drafts are ordered and told apart. Errors come first, and last what has no place.
type Key = (Severity, bool, Option<(Arc<str>, Span, String)>, Code, String);

/// The findings of one reading.
pub struct Findings {
    budget: Budget,
    kept: BTreeMap<Key, Draft>,
    /// Digests of all that was said: what is found by way of several environments is said once.
    seen: HashSet<u64>,
    errors: usize,
    warnings: usize,
    /// Whether more was said than is counted.
    uncounted: bool,
    said: usize,
    unknown: usize,
    steps: usize,
}

impl Findings {
    pub fn new(budget: &Budget) -> Self {
        Self {
            budget: *budget,
            kept: BTreeMap::new(),
            seen: HashSet::new(),
            errors: 0,
            warnings: 0,
            uncounted: false,
            said: 0,
            unknown: 0,
            steps: 0,
        }
    }

    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// How often something was said, to see whether something was said since.
    pub fn said(&self) -> usize {
        self.said
    }

    /// How often of it that a name is not known.
    pub fn unknown(&self) -> usize {
        self.unknown
    }

    pub fn say(&mut self, mut draft: Draft) {
        self.said += 1;
        self.unknown += usize::from(draft.code.is_unknown_name());
        draft.message = text::clipped(&draft.message, self.budget.message_text).into_owned();
        let key = draft.key();
        if !self.is_news(&key) {
            return;
        }
        let is_error = draft.severity == Severity::Error;
        *(if is_error { &mut self.errors } else { &mut self.warnings }) += 1;
        if self.kept.len() >= self.budget.findings {
            if self.kept.last_key_value().is_none_or(|(last, _)| *last < key) {
                return;
            }
            self.kept.pop_last();
        }
        self.kept.insert(key, draft);
    }

    /// Whether nothing was said in these words of this place before, as far as that is known.
    fn is_news(&mut self, key: &Key) -> bool {
        if self.seen.len() >= COUNTED {
            self.uncounted = true;
            return !self.kept.contains_key(key);
        }
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        self.seen.insert(hasher.finish())
    }

    /// Counts `steps` of what files multiply with one another: a list for each environment, a text for each instance.
    /// False once there were too many; then the checks end, and it is said, of the file at which they did.
    pub fn spend(&mut self, steps: usize, file: &File) -> bool {
        let limit = self.budget.steps;
        let was_within = self.steps <= limit;
        self.steps = self.steps.saturating_add(steps);
        let is_within = self.steps <= limit;
        if was_within && !is_within {
            let message = format!("checking this fleet takes more than {limit} steps; the checks ended at this file");
            let hint = "services, sites and instances multiply: place on fewer instances, leave out large files with \
                        `exclude`, or make several fleets";
            self.say(Draft::error(Code::TooMuchWork, message).of_file(&file.path).hint(hint));
        }
        is_within
    }

    /// Whether [`Self::spend`] said no.
    pub fn is_spent(&self) -> bool {
        self.steps > self.budget.steps
    }

    /// What is kept by its place, and last how much more there is.
    pub fn finish(self) -> Vec<Finding> {
        let budget = self.budget;
        let mut lines = FindingLines { longest: budget.line_text, last: None };
        let kept = self.kept.into_values();
        let mut findings: Vec<Finding> = kept.map(|draft| draft.finding(&budget, &mut lines)).collect();
        let kept_errors = findings.iter().filter(|finding| finding.is_error()).count();
        let more = (self.errors - kept_errors, self.warnings - (findings.len() - kept_errors));
        let key = |finding: &Finding| finding.place.is_none();
        findings.sort_by(|a, b| (key(a), &a.place, &a.code, &a.message).cmp(&(key(b), &b.place, &b.code, &b.message)));
        findings.dedup();
        findings.extend(further(more, self.uncounted, budget.findings));
        findings
    }

    /// As [`Self::finish`], and whether there is an error among them.
    pub fn finish_or<T>(self, value: T) -> Result<T, Vec<Finding>> {
        let findings = self.finish();
        if any_error(&findings) { Err(findings) } else { Ok(value) }
    }
}

/// What is said of the findings beyond those that are kept.
fn further((errors, warnings): (usize, usize), uncounted: bool, kept: usize) -> Option<Finding> {
    if errors + warnings == 0 {
        return None;
    }
    let counted = |number: usize, word: &str| format!("{number} more {word}{}", if number == 1 { "" } else { "s" });
    let parts = [(errors, "error"), (warnings, "warning")].into_iter().filter(|(number, _)| *number > 0);
    let parts: Vec<String> = parts.map(|(number, word)| counted(number, word)).collect();
    let message = format!("and {}{}", if uncounted { "at least " } else { "" }, parts.join(" and "));
    let new = if errors > 0 { Finding::error } else { Finding::warning };
    let hint = format!("{kept} findings are shown, errors before warnings; mend those, and the others show");
    Some(new(Code::MoreFindings, message).hint(hint))
}
