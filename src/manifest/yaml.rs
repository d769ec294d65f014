//! YAML text → trees, by the parser's events. Every limit is checked while reading, before it costs anything.
//!
//! The only file that knows the YAML parser. It knows no manifest.

use std::collections::{BTreeMap, BTreeSet, btree_map as map};

use granit_parser::{ErrorKind, Event, Parser, ScanError, Span, StrInput, Tag};

use super::diagnostic::Problems;
use super::file::{File, Pos};
use super::tree::{Entry, Node, Scalar, Value};

/// How deep a document may nest.
pub const DEPTH_MAX: usize = 64;
/// How many parts the files of one source may have together, with those that aliases repeat. Each takes one to two microseconds.
pub const NODES_MAX: usize = 50_000;
/// How many bytes of a text that an alias repeats count as one part.
const PART_BYTES: usize = 64;
/// How many documents the files of one source may have together.
pub const DOCUMENTS_MAX: usize = 2_000;

/// How many parts and documents the remaining files of a source may have.
pub struct Budget {
    parts: usize,
    documents: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { parts: NODES_MAX, documents: DOCUMENTS_MAX }
    }
}

/// Reads the documents of a file. Those before and after one that is not YAML are read all the same.
pub fn parse(file: &File, budget: &mut Budget, problems: &mut Problems) -> Vec<Node> {
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut reader = Reader { file, budget, documents: Vec::new(), builder: Builder::default(), problems };
    reader.run(Parser::new_from_str_with_options(&file.text, options));
    reader.documents
}

/// Stops reading the file: the problem is recorded already.
struct Stop;

struct Reader<'a> {
    file: &'a File,
    problems: &'a mut Problems,
    budget: &'a mut Budget,
    documents: Vec<Node>,
    builder: Builder,
}

/// A document under construction.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Anchored>,
    root: Option<Node>,
}

/// A mapping or list whose end has not been read.
struct Open {
    pos: Pos,
    anchor: usize,
    /// How many parts it has so far, itself included, with the length of its texts, and how deep they nest.
    size: usize,
    height: usize,
    parts: Parts,
}

/// Where the names of a mapping's fields are written.
type Places = BTreeMap<String, Pos>;

enum Parts {
    Sequence(Vec<Node>),
    Mapping { entries: Vec<Entry>, places: Places, key: Option<(Option<String>, Pos)>, merge: Vec<Node> },
}

/// A node that aliases can repeat.
#[derive(Clone)]
struct Anchored {
    node: Node,
    size: usize,
    height: usize,
}

impl Reader<'_> {
    fn run<'text>(&mut self, mut parser: Parser<'text, StrInput<'text>>) {
        loop {
            match parser.next_event() {
                None | Some(Ok((Event::StreamEnd, _))) => return,
                Some(Ok((event, span))) => {
                    if self.event(event, &span).is_err() {
                        return;
                    }
                }
                Some(Err(error)) => {
                    explain(self.file, &error, self.problems);
                    self.builder = Builder::default();
                    if !matches!(parser.proceed_next_document(), Ok(true)) {
                        return;
                    }
                }
            }
        }
    }

    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), Stop> {
        let pos = position(span);
        match event {
            Event::DocumentStart(..) => self.builder = Builder::default(),
            Event::DocumentEnd => self.finish_document(pos)?,
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == granit_parser::ScalarStyle::Plain && !self.tagged_text(tag.as_deref(), span);
                let scalar = Scalar { text: text.into_owned(), plain, substituted: false, broken: false };
                self.leaf(Node { pos, value: Value::Scalar(scalar) }, anchor)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.tagged_text(tag.as_deref(), span);
                self.open(pos, anchor, Parts::Sequence(Vec::new()))?;
            }
            Event::MappingStart(_, anchor, tag) => {
                self.tagged_text(tag.as_deref(), span);
                let parts = Parts::Mapping { entries: Vec::new(), places: Places::new(), key: None, merge: Vec::new() };
                self.open(pos, anchor, parts)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            Event::Alias(anchor) => self.alias(anchor, pos)?,
            Event::UnresolvedAlias(name) => {
                let message = format!("no anchor '&{name}' is defined above in this document");
                self.problems.error(self.file, pos, message).hint("a text that begins with '*' needs quotes");
                self.leaf(unread(pos), 0)?;
            }
            Event::Anchor(..) | Event::StreamStart | Event::StreamEnd => {}
            #[allow(
                unreachable_patterns,
                reason = "the parser's `comments` feature adds a variant when others enable it"
            )]
            _ => {}
        }
        Ok(())
    }

    fn finish_document(&mut self, pos: Pos) -> Result<(), Stop> {
        let builder = std::mem::take(&mut self.builder);
        let Some(root) = builder.root.filter(|root| !root.is_null()) else { return Ok(()) };
        if self.budget.documents == 0 {
            return self.stop(pos, format!("too many documents: a source may have {DOCUMENTS_MAX}"));
        }
        self.budget.documents -= 1;
        self.documents.push(root);
        Ok(())
    }

    fn stop<T>(&mut self, pos: Pos, message: String) -> Result<T, Stop> {
        self.problems.error(self.file, pos, message);
        Err(Stop)
    }

    /// Takes `count` parts from what the source may have.
    fn spend(&mut self, count: usize, pos: Pos) -> Result<(), Stop> {
        if count > self.budget.parts {
            let message = format!("too many values: a source may have {NODES_MAX}, counting what aliases repeat");
            return self.stop(pos, message);
        }
        self.budget.parts -= count;
        Ok(())
    }

    fn depth(&mut self, height: usize, pos: Pos) -> Result<(), Stop> {
        match self.builder.open.len() + height > DEPTH_MAX {
            true => self.stop(pos, format!("nested deeper than {DEPTH_MAX} levels")),
            false => Ok(()),
        }
    }

    fn leaf(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        self.spend(1, node.pos)?;
        let size = 1 + node.text().map_or(0, |text| text.len() / PART_BYTES);
        self.place(Anchored { node, size, height: 0 }, anchor)
    }

    fn open(&mut self, pos: Pos, anchor: usize, parts: Parts) -> Result<(), Stop> {
        self.depth(1, pos)?;
        self.spend(1, pos)?;
        self.builder.open.push(Open { pos, anchor, size: 1, height: 1, parts });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Stop> {
        let Some(Open { pos, anchor, size, height, parts }) = self.builder.open.pop() else { return Ok(()) };
        let value = match parts {
            Parts::Sequence(items) => Value::Sequence(items),
            Parts::Mapping { entries, merge, .. } => Value::Mapping(merged(entries, merge).into()),
        };
        self.place(Anchored { node: Node { pos, value }, size, height }, anchor)
    }

    fn alias(&mut self, anchor: usize, pos: Pos) -> Result<(), Stop> {
        let Some(Anchored { size, height, .. }) = self.builder.anchors.get(&anchor) else {
            return self.stop(pos, "this alias repeats the value that it stands in".into());
        };
        let (size, height) = (*size, *height);
        self.depth(height, pos)?;
        self.spend(size, pos)?;
        let repeated = self.builder.anchors[&anchor].clone();
        self.place(repeated, 0)
    }

    /// Puts a finished node where it belongs: into the open mapping or list, or at the root.
    fn place(&mut self, part: Anchored, anchor: usize) -> Result<(), Stop> {
        if anchor != 0 {
            // The copy costs as much as an alias would.
            self.spend(part.size, part.node.pos)?;
            self.builder.anchors.insert(anchor, part.clone());
        }
        let Some(open) = self.builder.open.last_mut() else {
            self.builder.root = Some(part.node);
            return Ok(());
        };
        open.size += part.size;
        open.height = open.height.max(part.height + 1);
        let (entries, places, key, merge) = match &mut open.parts {
            Parts::Sequence(items) => {
                items.push(part.node);
                return Ok(());
            }
            Parts::Mapping { entries, places, key, merge } => (entries, places, key, merge),
        };
        let Some((name, key_pos)) = key.take() else {
            *key = Some(key_of(self.file, part.node, places, self.problems));
            return Ok(());
        };
        let Some(name) = name else { return Ok(()) };
        match is_merge(self.file, &name, key_pos) {
            true => merge.extend(merge_sources(self.file, part.node, self.problems)),
            false => entries.push(Entry { key: name, key_pos, value: part.node }),
        }
        Ok(())
    }

    /// Whether a tag makes the scalar a text; any other tag is a problem.
    fn tagged_text(&mut self, tag: Option<&Tag>, span: &Span) -> bool {
        let Some(tag) = tag else { return false };
        if !tag.is_yaml_core_schema_tag("str") {
            let message = format_args!("the tag '{}' has no meaning here", tag.original());
            let place = position(&span.tag_span().unwrap_or(*span));
            self.problems.error(self.file, place, message).hint("remove it; a text that begins with '!' needs quotes");
        }
        true
    }
}

/// The key under which YAML 1.1 merges another mapping in.
pub const MERGE_KEY: &str = "<<";

/// Whether a field is the merge key, and not one that is called so in quotes.
fn is_merge(file: &File, name: &str, pos: Pos) -> bool {
    name == MERGE_KEY && file.text[pos.start..].starts_with(MERGE_KEY)
}

/// The name of a field from the node in its place; none when it can have none, or when it is there twice: its value is passed over.
fn key_of(file: &File, node: Node, places: &mut Places, problems: &mut Problems) -> (Option<String>, Pos) {
    let pos = node.pos;
    let Value::Scalar(scalar) = node.value else {
        let message = "a field's name must be a text, not a mapping or a list";
        problems.error(file, pos, message).hint("a value that is a ${NAME} needs quotes: \"${NAME}\"");
        return (None, pos);
    };
    if scalar.broken {
        return (None, pos);
    }
    let is_merge = is_merge(file, &scalar.text, pos);
    match places.entry(scalar.text.clone()) {
        map::Entry::Occupied(first) => {
            let hint = format!("the first one is in line {}", file.line_number(*first.get()));
            problems.error(file, pos, format_args!("'{}' is there twice", scalar.text)).hint(hint);
            return (is_merge.then_some(scalar.text), pos);
        }
        map::Entry::Vacant(place) if !is_merge => drop(place.insert(pos)),
        map::Entry::Vacant(_) => {}
    }
    if scalar.is_null() {
        problems.error(file, pos, "a field's name is missing before ':'");
    }
    (Some(scalar.text), pos)
}

/// The mappings that a merge key names.
fn merge_sources(file: &File, node: Node, problems: &mut Problems) -> Vec<Node> {
    let pos = node.pos;
    let sources = match &node.value {
        Value::Sequence(items) => items.clone(),
        Value::Mapping(_) => vec![node],
        // Which fields it would have brought, nobody knows.
        Value::Scalar(scalar) if scalar.broken => return vec![node],
        Value::Scalar(_) => Vec::new(),
    };
    let is_mergeable = |source: &Node| matches!(source.value, Value::Mapping(_)) || source.is_unread();
    if sources.is_empty() || !sources.iter().all(is_mergeable) {
        problems.error(file, pos, "'<<' merges a mapping, or a list of mappings").hint("write '<<: *anchor'");
    }
    sources
}

/// The fields with those of the merged mappings that they do not have; an earlier mapping wins over a later one. One that could
/// not be read stays as a field of its own.
fn merged(mut entries: Vec<Entry>, merge: Vec<Node>) -> Vec<Entry> {
    if merge.is_empty() {
        return entries;
    }
    let mut known: BTreeSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
    for source in merge {
        let further = match source.value {
            Value::Mapping(further) => further.into_entries(),
            Value::Scalar(ref scalar) if scalar.broken => {
                vec![Entry { key: MERGE_KEY.into(), key_pos: source.pos, value: source }]
            }
            Value::Scalar(_) | Value::Sequence(_) => continue,
        };
        entries.extend(further.into_iter().filter(|entry| known.insert(entry.key.clone())));
    }
    entries
}

/// What stands in the place of an alias that leads nowhere: nothing more is said of it.
fn unread(pos: Pos) -> Node {
    Node { pos, value: Value::Scalar(Scalar { text: String::new(), plain: true, substituted: false, broken: true }) }
}

fn position(span: &Span) -> Pos {
    let at = |marker: &granit_parser::Marker| marker.byte_offset().unwrap_or_default();
    Pos { start: at(&span.start), end: at(&span.end) }
}

/// The parser's complaint in words for somebody who writes manifests.
fn explain(file: &File, error: &ScanError, problems: &mut Problems) {
    let start = error.marker().byte_offset().unwrap_or_default();
    if let Some(tab) = indenting_tab(file, start) {
        let hint = "indent with spaces; `expand -t 2 FILE` makes spaces of tabs";
        problems.error(file, tab, "YAML allows no tabs for indentation").hint(hint);
        return;
    }
    let pos = Pos { start, end: start + 1 };
    let (message, hint) = match error.kind() {
        ErrorKind::RecursionLimitExceeded => (format!("nested deeper than {DEPTH_MAX} levels"), None),
        ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation => {
            ("YAML allows no tab here".into(), Some("write spaces"))
        }
        ErrorKind::UnclosedQuotedScalar => ("a text in quotes is not closed".into(), Some("add the closing quote")),
        ErrorKind::UnclosedFlowCollection { open } => {
            (format!("'{open}' is not closed"), Some("add the closing bracket"))
        }
        ErrorKind::UnexpectedCharacter { character } => (
            format!("a value cannot begin with '{character}'"),
            Some("a text that begins with this character needs quotes"),
        ),
        _ if flow_variable(file, pos) => (
            format!("not valid YAML: {}", error.info()),
            Some("inside of {…} and […] a ${NAME} needs quotes: \"${NAME}\""),
        ),
        ErrorKind::MappingValueNotAllowed => {
            ("a ':' is not allowed here".into(), Some("check the indentation; a text with ': ' in it needs quotes"))
        }
        _ => (format!("not valid YAML: {}", error.info()), None),
    };
    let problem = problems.error(file, pos, message);
    if let Some(hint) = hint {
        problem.hint(hint);
    }
}

/// The first tab in the indentation of the lines around a place where reading has failed: what comes before or after a tab is often
/// understood as something else, which fails in its turn.
fn indenting_tab(file: &File, at: usize) -> Option<Pos> {
    let text = &file.text;
    let begin = |at: usize| text[..at].rfind('\n').map_or(0, |end| end + 1);
    let own = begin(at.min(text.len()));
    let mut line = own.checked_sub(1).map_or(0, begin);
    for _ in 0..3 {
        let indent = text[line..].find(|c| !matches!(c, ' ' | '\t')).map_or(text.len(), |length| line + length);
        if let Some(column) = text[line..indent].find('\t') {
            return Some(Pos { start: line + column, end: line + column + 1 });
        }
        line = text[line..].find('\n').map(|length| line + length + 1)?;
    }
    None
}

/// Whether a `${` stands unquoted after the opening of a `{…}` or `[…]` in the line of `pos`.
fn flow_variable(file: &File, pos: Pos) -> bool {
    let line = file.line_of(pos);
    let Some((before, _)) = line.split_once("${") else { return false };
    before.contains(['{', '[']) && !before.ends_with(['"', '\''])
}
