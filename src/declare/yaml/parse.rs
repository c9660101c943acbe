//! YAML text to the tree, within the budget.
//!
//! Keeps true: nodes, bytes and depth are counted before a value is put in, those of an alias too; what does not fit, and what
//! YAML means otherwise than its reader would expect, ends the reading with one finding. Never does: recursion.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, ScanError};

use super::{Mapping, Node, Value, number, shortened};
use crate::{
    declare::{
        file::{File, Span},
        findings::{Draft, Findings},
    },
    model::{budget::Budget, finding::Code},
};

/// What was read of a file.
pub struct Parsed {
    pub root: Node,
    /// Its nodes, and the bytes of its texts, after aliases were put in.
    pub nodes: usize,
    pub bytes: usize,
}

/// Reads one file. Keys that stand twice are said; the first of them counts, the others are not in the tree. Syntax and
/// the limits end it at the first mistake; then there is no tree.
pub fn parse(file: &File, findings: &mut Findings) -> Option<Parsed> {
    let budget = *findings.budget();
    let (bytes, most) = (file.text.len(), budget.file_bytes);
    if bytes > most {
        let message = format!("the file has {bytes} bytes; {most} are allowed");
        findings.say(Draft::error(Code::FileTooLarge, message).at(file, Span::START));
        return None;
    }
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: budget.depth,
        block_nesting_limit: budget.depth,
    };
    let mut reader = YamlReader {
        file,
        budget,
        events: Parser::new_from_str_with_options(&file.text, options),
        open: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        bytes: 0,
        findings,
    };
    match reader.document() {
        Ok(root) => Some(Parsed { root, nodes: reader.nodes, bytes: reader.bytes }),
        Err(fatal) => {
            findings.say(*fatal);
            None
        }
    }
}

/// A finding that ends the reading of the file.
type Fatal = Box<Draft>;
type Spanned<'a> = (Event<'a>, granit_parser::Span);

/// A list or mapping that has not ended yet.
struct OpenNode {
    span: Span,
    anchor: usize,
    /// Nodes and bytes that were counted before it.
    before: (usize, usize),
    /// Of what is in it so far.
    height: usize,
    content: NodeContent,
}

enum NodeContent {
    Sequence(Vec<Node>),
    /// With the key whose value comes next.
    Mapping(Vec<(Node, Node)>, Option<Node>),
}

/// What an anchor names.
#[derive(Clone)]
struct Anchored {
    node: Node,
    nodes: usize,
    bytes: usize,
    /// How deep it is nested in itself; 0 is a scalar.
    height: usize,
}

struct YamlReader<'a> {
    file: &'a File,
    budget: Budget,
    events: Parser<'a, granit_parser::StrInput<'a>>,
    open: Vec<OpenNode>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    bytes: usize,
    findings: &'a mut Findings,
}

impl<'a> YamlReader<'a> {
    fn next(&mut self) -> Result<Spanned<'a>, Fatal> {
        match self.events.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Err(self.fatal(Code::YamlSyntax, "the file ends too early", Span::START)),
        }
    }

    fn syntax(&self, error: &ScanError) -> Fatal {
        let at = point(error.marker());
        let finding = *self.fatal(Code::YamlSyntax, &format!("this is not YAML: {}", error.info()), at);
        let line = self.file.text.lines().nth((at.line as usize).saturating_sub(1));
        let has_reference = line.is_some_and(|line| line.contains("${"));
        Box::new(if has_reference {
            finding.hint("within [ ] and { }, a text with `${…}` has to be quoted")
        } else {
            finding
        })
    }

    fn fatal(&self, code: Code, message: &str, span: Span) -> Fatal {
        Box::new(Draft::error(code, message).at(self.file, span))
    }

    fn document(&mut self) -> Result<Node, Fatal> {
        let mut root: Option<Node> = None;
        loop {
            let (event, span) = self.next()?;
            let span = from(&span);
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => continue,
                _ if root.is_some() => {
                    let message = "a second document begins here; one file is one document";
                    return Err(self.fatal(Code::YamlUnsupported, message, span));
                }
                event => root = self.event(event, span)?,
            }
        }
        // A file without any content is an empty document: the schema says what it lacks.
        let empty = || Node { span: Span::START, value: Value::Scalar { text: "".into(), quoted: false } };
        Ok(root.unwrap_or_else(empty))
    }

    /// Takes one event. The root, once it is whole.
    fn event(&mut self, event: Event<'a>, span: Span) -> Result<Option<Node>, Fatal> {
        let (node, anchor, before, height) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.as_ref().map(|tag| tag.original().to_string()), span)?;
                let before = (self.nodes, self.bytes);
                self.count((1, text.len()), span)?;
                let value = Value::Scalar { text: text.into(), quoted: style != ScalarStyle::Plain };
                (Node { span, value }, anchor, before, 0)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.as_ref().map(|tag| tag.original().to_string()), span)?;
                return self.begin(NodeContent::Sequence(Vec::new()), anchor, span);
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.as_ref().map(|tag| tag.original().to_string()), span)?;
                return self.begin(NodeContent::Mapping(Vec::new(), None), anchor, span);
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else {
                    return Err(self.fatal(Code::YamlSyntax, "this ends what has not begun", span));
                };
                let value = match open.content {
                    NodeContent::Sequence(items) => Value::Sequence(Arc::new(items)),
                    NodeContent::Mapping(entries, _) => self.mapping(entries),
                };
                (Node { span: open.span, value }, open.anchor, open.before, open.height + 1)
            }
            Event::Alias(id) => {
                let Some(named) = self.anchors.get(&id).cloned() else {
                    return Err(self.fatal(Code::YamlSyntax, "an alias may not stand inside what it names", span));
                };
                let before = (self.nodes, self.bytes);
                self.count((named.nodes, named.bytes), span)?;
                self.limit_depth(named.height, span)?;
                // What is wrong with the value is wrong where it is used.
                (Node { span, ..named.node }, 0, before, named.height)
            }
            _ => return Err(self.fatal(Code::YamlSyntax, "a value is missing here", span)),
        };
        if anchor != 0 {
            let (nodes, bytes) = (self.nodes - before.0, self.bytes - before.1);
            self.anchors.insert(anchor, Anchored { node: node.clone(), nodes, bytes, height });
        }
        if let Some(open) = self.open.last_mut() {
            open.height = open.height.max(height);
        }
        self.put(node)
    }

    fn begin(&mut self, content: NodeContent, anchor: usize, span: Span) -> Result<Option<Node>, Fatal> {
        let before = (self.nodes, self.bytes);
        self.count((1, 0), span)?;
        self.limit_depth(1, span)?;
        self.open.push(OpenNode { span, anchor, before, height: 0, content });
        Ok(None)
    }

    /// Refuses what is nested `height` deep in itself where the budget's depth does not allow it.
    fn limit_depth(&self, height: usize, span: Span) -> Result<(), Fatal> {
        let deepest = self.budget.depth;
        if self.open.len() + height > deepest {
            let message = format!("this is nested more than {deepest} deep");
            return Err(self.fatal(Code::YamlUnsupported, &message, span));
        }
        Ok(())
    }

    /// Puts a node where it belongs: it is an item, a key, a value, or the root.
    fn put(&mut self, node: Node) -> Result<Option<Node>, Fatal> {
        match self.open.last_mut().map(|open| &mut open.content) {
            None => return Ok(Some(node)),
            Some(NodeContent::Sequence(items)) => items.push(node),
            Some(NodeContent::Mapping(entries, key)) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => {
                    let longest = self.budget.key_bytes;
                    let trouble = match node.text() {
                        None => "a key must be plain text".to_owned(),
                        Some(text) if text.len() > longest => format!("a key has at most {longest} bytes"),
                        Some(_) => {
                            *key = Some(node);
                            return Ok(None);
                        }
                    };
                    return Err(self.fatal(Code::YamlUnsupported, &trouble, node.span));
                }
            },
        }
        Ok(None)
    }

    fn count(&mut self, (nodes, bytes): (usize, usize), span: Span) -> Result<(), Fatal> {
        self.nodes = self.nodes.saturating_add(nodes);
        self.bytes = self.bytes.saturating_add(bytes);
        let message = if self.nodes > self.budget.nodes {
            format!("this file has more than {} values, with those that aliases put in", self.budget.nodes)
        } else if self.bytes > self.budget.expanded_bytes {
            format!("aliases make more than {} bytes of this file", self.budget.expanded_bytes)
        } else {
            return Ok(());
        };
        let hint = "write less into one file, or use fewer aliases of what is large";
        Err(Box::new(self.fatal(Code::YamlAliases, &message, span).hint(hint)))
    }

    fn refuse_tag(&self, tag: Option<String>, span: Span) -> Result<(), Fatal> {
        let Some(tag) = tag else { return Ok(()) };
        let message = format!("the tag `{}` is not supported", shortened(&tag));
        let finding = self.fatal(Code::YamlUnsupported, &message, span);
        Err(Box::new(finding.hint("leave the tag out; quote a value that is text")))
    }

    /// A mapping without keys that stand twice, which are said.
    fn mapping(&mut self, entries: Vec<(Node, Node)>) -> Value {
        let mut mapping = Mapping::new(entries);
        let mut again = BTreeSet::new();
        for (at, first, second) in mapping.twice() {
            again.insert(at);
            let name = shortened(second.text().unwrap_or_default());
            let finding = Draft::error(Code::DuplicateKey, format!("the key `{name}` stands twice"));
            self.findings.say(finding.at(self.file, second.span).also(self.file, first.span, "first here"));
        }
        if !again.is_empty() {
            let numbered = (0..).zip(mapping.entries);
            mapping = Mapping::new(numbered.filter(|(at, _)| !again.contains(at)).map(|(_, entry)| entry).collect());
        }
        Value::Mapping(Arc::new(mapping))
    }
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

    fn shown(findings: &[crate::model::finding::Finding]) -> String {
        let line = |f: &crate::model::finding::Finding| {
            let place = f.place.as_ref().map(|p| format!("{}:{}-{}", p.line, p.column, p.end_column));
            format!("{} {} {}", place.unwrap_or_default(), f.code, f.message)
        };
        findings.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn read_within(text: &str, budget: &Budget) -> (Option<Node>, Vec<crate::model::finding::Finding>) {
        let mut findings = Findings::new(budget);
        let parsed = parse(&File::new("a.yaml", text), &mut findings);
        (parsed.map(|parsed| parsed.root), findings.finish())
    }

    fn read(text: &str) -> Result<Node, String> {
        match read_within(text, &Budget::STANDARD) {
            (Some(node), findings) if findings.is_empty() => Ok(node),
            (_, findings) => Err(shown(&findings)),
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
        let (node, findings) = read_within(text, &Budget::STANDARD);
        let node = node.unwrap();
        let Value::Mapping(mapping) = &node.value else { panic!("{node:?}") };
        let keys: Vec<_> = mapping.entries().iter().filter_map(|(key, _)| key.text()).collect();
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
            (&format!("? {}\n: 1", "k".repeat(1_025)), "yaml-unsupported a key has at most 1024 bytes"),
            (&"#".repeat(Budget::STANDARD.file_bytes + 1), "file-too-large"),
        ] {
            let message = read(text).map(|_| ()).unwrap_err();
            assert!(message.contains(expected), "{expected}\n{message}");
        }
        assert!(read("").unwrap().is_null());
    }

    #[test]
    fn what_aliases_make_of_a_file_is_counted_in_bytes_and_in_nodes() {
        let budget = Budget { expanded_bytes: 1_000, nodes: 100, ..Budget::STANDARD };
        let of = |times: usize, text: &str| format!("a: &a {text}\nb: [{}]\n", vec!["*a"; times].join(", "));
        let codes = |text: &str| -> Vec<String> {
            read_within(text, &budget)
                .1
                .into_iter()
                .map(|finding| format!("{} {}", finding.code, finding.message))
                .collect()
        };
        let long = "x".repeat(90);
        assert_eq!(codes(&of(10, &long)), Vec::<String>::new());
        assert_eq!(codes(&of(11, &long)), ["yaml-aliases aliases make more than 1000 bytes of this file"]);
        assert_eq!(codes(&of(47, "[y]")), Vec::<String>::new());
        let nodes = "yaml-aliases this file has more than 100 values, with those that aliases put in";
        assert_eq!(codes(&of(48, "[y]")), [nodes]);
        // An anchor within an anchor is counted once where it stands.
        assert_eq!(codes(&format!("a: &a [&b [&c [{long}{long}]]]\nb: [*c, *b, *a]\n")), Vec::<String>::new());
    }

    /// The parser has a limit of its own; aliases nest what is shallow as it is written.
    #[test]
    fn what_aliases_nest_is_no_deeper_than_what_is_written_so() {
        let nested = |deep: usize| -> String {
            let first = "a0: &a0 [x]\n".to_owned();
            (1..deep).fold(first, |text, n| format!("{text}a{n}: &a{n} [*a{}]\n", n - 1))
        };
        assert!(read(&nested(63)).is_ok());
        let refused = read(&nested(64)).map(|_| ()).unwrap_err();
        assert!(refused.contains("yaml-unsupported this is nested more than 64 deep"), "{refused}");
        // On a stack that recursion over what is written would leave.
        let deep = [nested(400), "[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(100_000)];
        let read = move || deep.iter().all(|text| read(text).is_err());
        assert!(std::thread::Builder::new().stack_size(128 << 10).spawn(read).unwrap().join().unwrap());
    }
}
