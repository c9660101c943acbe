//! YAML text to one positioned tree.
//!
//! Owns: the tree ([`Node`]), in which a scalar keeps the text that was written, so that `1.10`, `no`
//! and `0808` mean what the field they stand in says they mean. Keeps true: a tree comes from one document
//! without tags, its keys are scalars and stand once in a mapping, and it has at most [`MOST_NODES`] nodes
//! after aliases are put in. Never does: guessing types.

use std::collections::{BTreeSet, HashMap};

use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, ScanError};

use super::{
    codes,
    file::{File, Span},
};
use crate::model::finding::Finding;

/// A file of people's own making stays far below; what is larger is a mistake.
pub const MOST_BYTES: usize = 1 << 20;
/// Bounds what aliases can make of a small file.
pub const MOST_NODES: usize = 100_000;
/// Deeper than any kind by far, and shallow enough for recursion.
const DEEPEST: usize = 64;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    pub span: Span,
    pub value: Value,
}

#[derive(Debug, Clone)]
pub enum Value {
    /// `quoted` is true for every style but plain: quoted text is never anything but text.
    Scalar {
        text: String,
        quoted: bool,
    },
    Sequence(Vec<Node>),
    /// In the order written; keys are scalars.
    Mapping(Vec<(Node, Node)>),
}

impl Node {
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    /// Plain text, as opposed to quoted.
    pub fn plain(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, quoted: false } => Some(text),
            _ => None,
        }
    }

    /// Nothing, `~` or `null`.
    pub fn is_null(&self) -> bool {
        matches!(self.plain(), Some("" | "~" | "null"))
    }

    /// What `key` maps to, with the key's own node.
    pub fn entry(&self, key: &str) -> Option<(&Node, &Node)> {
        match &self.value {
            Value::Mapping(entries) => {
                entries.iter().find(|(name, _)| name.text() == Some(key)).map(|(name, node)| (name, node))
            }
            _ => None,
        }
    }

    /// What it is, for people.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Scalar { .. } if self.is_null() => "nothing".to_owned(),
            Value::Scalar { text, quoted: false } => format!("`{}`", shortened(text)),
            Value::Scalar { text, quoted: true } => format!("the text \"{}\"", shortened(text)),
            Value::Sequence(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
        }
    }
}

/// At most 40 characters of `text`, on one line.
pub fn shortened(text: &str) -> String {
    let text = text.replace(|c: char| c.is_control(), " ");
    if text.chars().count() <= 40 { text } else { text.chars().take(39).chain(['…']).collect() }
}

/// Reads one file: its tree, and what is to be said of keys that stand twice. The first of them counts, the
/// others are not in the tree. Syntax and the limits end it at the first mistake; then there is no tree.
pub fn parse(file: &File) -> Result<(Node, Vec<Finding>), Vec<Finding>> {
    if file.text.len() > MOST_BYTES {
        let message = format!("the file has {} bytes; {MOST_BYTES} are allowed", file.text.len());
        return Err(vec![Finding::error(codes::FILE_TOO_LARGE, message).at(file.place(Span::START))]);
    }
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: DEEPEST,
        block_nesting_limit: DEEPEST,
    };
    let mut reader = Reader {
        file,
        events: Parser::new_from_str_with_options(&file.text, options),
        anchors: HashMap::new(),
        nodes: 0,
        findings: Vec::new(),
    };
    match reader.document() {
        Ok(node) => Ok((node, reader.findings)),
        Err(fatal) => {
            reader.findings.push(*fatal);
            Err(reader.findings)
        }
    }
}

/// A finding that ends the reading of the file.
type Fatal = Box<Finding>;
type Spanned<'a> = (Event<'a>, granit_parser::Span);

struct Reader<'a> {
    file: &'a File,
    events: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    findings: Vec<Finding>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Spanned<'a>, Fatal> {
        match self.events.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Err(self.fatal(codes::YAML_SYNTAX, "the file ends too early", Span::START)),
        }
    }

    fn syntax(&self, error: &ScanError) -> Fatal {
        let at = point(error.marker());
        let mut finding = self.fatal(codes::YAML_SYNTAX, &format!("this is not YAML: {}", error.info()), at);
        if finding.place.as_ref().is_some_and(|place| place.text.contains("${")) {
            finding.hint = Some("within [ ] and { }, a text with `${…}` has to be quoted".to_owned());
        }
        finding
    }

    fn fatal(&self, code: &str, message: &str, span: Span) -> Fatal {
        Box::new(Finding::error(code, message).at(self.file.place(span)))
    }

    fn document(&mut self) -> Result<Node, Fatal> {
        let mut root: Option<Node> = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                _ if root.is_some() => {
                    let message = "a second document begins here; one file is one document";
                    return Err(self.fatal(codes::YAML_UNSUPPORTED, message, from(&span)));
                }
                event => root = Some(self.node(event, span, 0)?),
            }
        }
        // A file without any content is an empty document: the schema says what it lacks.
        let empty = || Node { span: Span::START, value: Value::Scalar { text: String::new(), quoted: false } };
        Ok(root.unwrap_or_else(empty))
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Fatal> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MOST_NODES {
            let message = format!("aliases make this file larger than {MOST_NODES} values");
            return Err(self.fatal(codes::YAML_ALIASES, &message, span));
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'a>, span: granit_parser::Span, depth: usize) -> Result<Node, Fatal> {
        let start = from(&span);
        let before = self.nodes;
        if depth > DEEPEST {
            return Err(self.fatal(codes::YAML_UNSUPPORTED, "this is nested too deeply", start));
        }
        let (value, anchor, tag) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, start)?;
                (Value::Scalar { text: text.into_owned(), quoted: style != ScalarStyle::Plain }, anchor, tag)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.count(1, start)?;
                (self.sequence(depth)?, anchor, tag)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.count(1, start)?;
                (self.mapping(depth)?, anchor, tag)
            }
            Event::Alias(id) => {
                let Some((mut node, size)) = self.anchors.get(&id).cloned() else {
                    return Err(self.fatal(codes::YAML_SYNTAX, "an alias may not stand inside what it names", start));
                };
                self.count(size, start)?;
                // What is wrong with the value is wrong where it is used.
                node.span = start;
                return Ok(node);
            }
            _ => return Err(self.fatal(codes::YAML_SYNTAX, "a value is missing here", start)),
        };
        if let Some(tag) = tag {
            let message = format!("the tag `{}` is not supported", tag.original());
            let finding = self.fatal(codes::YAML_UNSUPPORTED, &message, start);
            return Err(Box::new(finding.hint("leave the tag out; quote a value that is text")));
        }
        let node = Node { span: start, value };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, Fatal> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::Sequence(items)),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, Fatal> {
        let mut entries: Vec<(Node, Node)> = Vec::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => break,
                (event, span) => self.node(event, span, depth + 1)?,
            };
            if key.text().is_none() {
                return Err(self.fatal(codes::YAML_UNSUPPORTED, "a key must be plain text", key.span));
            }
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            entries.push((key, value));
        }
        if self.duplicates(&entries) {
            let mut seen = BTreeSet::new();
            entries.retain(|(key, _)| seen.insert(key.text().map(str::to_owned)));
        }
        Ok(Value::Mapping(entries))
    }

    /// Says which keys stand twice, and whether any does.
    fn duplicates(&mut self, entries: &[(Node, Node)]) -> bool {
        let known = self.findings.len();
        let mut keys: Vec<&Node> = entries.iter().map(|(key, _)| key).collect();
        // Stable, so that of two equal keys the one that stands first stays first.
        keys.sort_by_key(|key| key.text());
        for pair in keys.windows(2) {
            if let [first, again] = pair
                && first.text() == again.text()
            {
                let name = shortened(again.text().unwrap_or_default());
                let finding = Finding::error(codes::DUPLICATE_KEY, format!("the key `{name}` stands twice"))
                    .at(self.file.place(again.span))
                    .also(self.file.place(first.span), "first here");
                self.findings.push(finding);
            }
        }
        self.findings.len() > known
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(Span::REST - 1)
}

fn point(mark: &granit_parser::Marker) -> Span {
    let column = number(mark.col()).saturating_add(1);
    Span { line: number(mark.line()).max(1), column, end_column: column + 1 }
}

fn from(span: &granit_parser::Span) -> Span {
    let start = point(&span.start);
    // A mapping's or list's event ends where it starts: then all of its first line is meant.
    let one_line = span.end.line() == span.start.line() && span.end.col() > span.start.col();
    let end_column = if one_line { number(span.end.col()).saturating_add(1) } else { Span::REST };
    Span { end_column, ..start }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(findings: &[Finding]) -> String {
        let line = |f: &Finding| {
            let place = f.place.as_ref().map(|p| format!("{}:{}-{}", p.line, p.column, p.end_column));
            format!("{} {} {}", place.unwrap_or_default(), f.code, f.message)
        };
        findings.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn read(text: &str) -> Result<Node, String> {
        match parse(&File::new("a.yaml", text)) {
            Ok((node, findings)) if findings.is_empty() => Ok(node),
            Ok((_, findings)) | Err(findings) => Err(shown(&findings)),
        }
    }

    #[test]
    fn scalars_keep_their_text_and_place() {
        let node = read("port: 0808\nversion: 1.10\nkeep: no\nq: \"5\"\n").unwrap();
        let text = |key| node.entry(key).and_then(|(_, value)| value.text());
        assert_eq!((text("port"), text("version"), text("keep")), (Some("0808"), Some("1.10"), Some("no")));
        assert_eq!(node.entry("version").unwrap().1.span, Span { line: 2, column: 10, end_column: 14 });
        assert_eq!(node.entry("q").unwrap().1.plain(), None);
    }

    #[test]
    fn of_a_key_that_stands_twice_the_first_counts() {
        let text = "a: 1\nb: {c: x, c: &c y, c: z}\na: 2\nd: *c\n";
        let (node, findings) = parse(&File::new("a.yaml", text)).unwrap();
        let Value::Mapping(entries) = &node.value else { panic!("{node:?}") };
        let keys: Vec<_> = entries.iter().filter_map(|(key, _)| key.text()).collect();
        assert_eq!(keys, ["a", "b", "d"]);
        let text = |node: &Node, key| node.entry(key).and_then(|(_, value)| value.text().map(str::to_owned));
        let inner = text(node.entry("b").unwrap().1, "c");
        assert_eq!((text(&node, "a"), inner, text(&node, "d")), (Some("1".into()), Some("x".into()), Some("y".into())));
        let lines = ["2:11-12", "2:20-21", "3:1-2"];
        assert_eq!(findings.len(), lines.len());
        assert!(shown(&findings).lines().zip(lines).all(|(line, place)| line.starts_with(place)), "{findings:?}");
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        let bomb: String = (1..9).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
            let list = vec![format!("*a{}", n - 1); 9].join(", ");
            text + &format!("a{n}: &a{n} [{list}]\n")
        });
        for (text, expected) in [
            (
                "a: 1\nb: 2\na: 3\nb: 4\n",
                "3:1-2 duplicate-key the key `a` stands twice\n4:1-2 duplicate-key the key `b` stands twice",
            ),
            ("a: [1\n", "yaml-syntax"),
            ("a: 1\n---\nb: 1\n", "3:1-5 yaml-unsupported a second document begins here"),
            ("a: !!str 1\n", "1:10-11 yaml-unsupported the tag `!!str` is not supported"),
            ("[a]: 1\n", "yaml-unsupported a key must be plain text"),
            ("a: &a [*a]\n", "yaml-syntax an alias may not stand inside what it names"),
            (&bomb, "yaml-aliases"),
            (&"[".repeat(1000), "yaml-syntax"),
            (&"#".repeat(MOST_BYTES + 1), "file-too-large"),
        ] {
            let message = read(text).map(|_| ()).unwrap_err();
            assert!(message.contains(expected), "{expected}\n{message}");
        }
        assert!(read("").unwrap().is_null());
    }
}
