//! The files of a snapshot → documents with a known kind. It looks at `apiVersion` and `kind`, at nothing else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Source;
use super::diagnostic::{Diagnostic, Problems, Spot};
use super::file::{File, Pos};
use super::named::Named;
use super::place::At;
use super::schema;
use super::snapshot::{self, Snapshot};
use super::suggest;
use super::tree::{Node, Value};
use super::yaml::{self, Budget};
use crate::model::name::Kind;
use crate::model::spec::{API_GROUP, API_VERSION};

/// Among so many fields of a document that is no manifest, one is looked for that is meant to say what it is.
const FIELDS_MAX: usize = 100;

/// A document that declares an object.
#[derive(Clone)]
pub struct Document {
    /// The file's path in the source.
    pub path: PathBuf,
    /// The file.
    pub file: Arc<File>,
    /// What it declares.
    pub kind: Kind,
    /// Its content.
    pub root: Node,
}

impl Document {
    /// Its beginning.
    pub fn at(&self) -> At<'_> {
        At::root(&self.file, &self.root)
    }

    /// The folder that relative paths in it start from, in the source.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}

/// The documents of a source.
pub struct Documents {
    /// Those that could be read.
    pub list: Vec<Document>,
    /// Whether that is all of them. If not, what seems to be missing may be in the others.
    pub complete: bool,
}

/// Reads every manifest of the snapshot.
pub fn read(source: &Source, snapshot: &Snapshot, problems: &mut Problems) -> Documents {
    let mut named = Named::default();
    let manifests = || snapshot.files.iter().filter(|(path, _)| snapshot::is_manifest(path));
    let mut budget = Budget::default();
    for (path, bytes) in manifests() {
        named.add(path, bytes, &mut budget);
    }
    let mut complete = report_refused(source, snapshot, &named, problems);
    let (mut list, mut budget) = (Vec::new(), Budget::default());
    for (path, bytes) in manifests().filter(|(path, bytes)| !named.is_content(path, bytes)) {
        let before = problems.count();
        if let Some(file) = decode(file_name(source, path), bytes, problems) {
            let file = Arc::new(file);
            let roots = yaml::parse(&file, &mut budget, problems);
            complete &= problems.count() == before;
            for mut root in roots {
                let kind = header(At::root(&file, &root), &root, problems);
                complete &=
                    kind.is_some() || root.field("kind").and_then(Node::text).is_some_and(suggest::has_no_place);
                spare_header(&mut root, kind);
                list.extend(kind.map(|kind| Document { path: path.clone(), file: file.clone(), kind, root }));
            }
        } else {
            complete = false;
        }
    }
    Documents { list, complete }
}

/// A kind or an apiVersion that is only misspelt has been told already.
fn spare_header(root: &mut Node, kind: Option<Kind>) {
    let (Value::Mapping(entries), Some(kind)) = (&mut root.value, kind) else { return };
    for (name, right) in [("kind", schema::title(kind)), ("apiVersion", API_VERSION)] {
        let written = entries.iter_mut().find(|entry| entry.key == name).map(|entry| &mut entry.value.value);
        if let Some(Value::Scalar(scalar)) = written {
            scalar.broken |= scalar.text != right;
        }
    }
}

/// A file of a source as people write its path.
pub fn file_name(source: &Source, path: &Path) -> String {
    let dir: PathBuf = source.dir.components().filter(|part| *part != std::path::Component::CurDir).collect();
    dir.join(path).display().to_string()
}

/// Reports what the snapshot could not read, unless a manifest names it: then it is reported there.
fn report_refused(source: &Source, snapshot: &Snapshot, named: &Named, problems: &mut Problems) -> bool {
    let is_named = |path: &Path| {
        let mut all = named.contents.iter().chain(&named.variables);
        all.any(|named| super::named::matches(named, path))
    };
    let refused: Vec<_> = snapshot.refused.iter().filter(|(path, _)| !is_named(path)).collect();
    for (path, why) in &refused {
        let problem = problems.push(Diagnostic::error(Spot::file(file_name(source, path)), format!("this file {why}")));
        if why.contains("leads out") {
            problem.hint("copy the file into the source directory, or make its target a source of its own");
        }
    }
    refused.is_empty()
}

/// The text of a manifest, unless it is none.
fn decode(name: String, bytes: &[u8], problems: &mut Problems) -> Option<File> {
    let mut whole = |message: &str, hint: &str| {
        problems.push(Diagnostic::error(Spot::file(&name), message)).hint(hint);
        None
    };
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return whole("this file is not UTF-8 but UTF-16", "save it as UTF-8");
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return whole(
            "this file is empty",
            "it looks like one that is being written; remove it, or put a comment in it",
        );
    }
    if bytes.contains(&0) {
        return whole("this file has NUL bytes in it", "it was damaged or only half written; write it again");
    }
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => merge_markers(File::new(name, text.into()), problems),
        Err(error) => {
            let valid = &bytes[..error.valid_up_to()];
            let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
            whole(&format!("line {line} is not UTF-8"), "save the file as UTF-8")
        }
    }
}

/// Names merge markers as what they are, instead of the YAML errors that they would be.
fn merge_markers(file: File, problems: &mut Problems) -> Option<File> {
    let mut start = 0;
    for line in file.text.split_inclusive('\n') {
        let marker = ["<<<<<<< ", ">>>>>>> ", "||||||| "].iter().find(|marker| line.starts_with(**marker));
        if let Some(marker) = marker {
            let pos = Pos { start, end: start + marker.trim_end().len() };
            let message = "a merge conflict is not resolved here: this is git's merge marker";
            problems.error(&file, pos, message).hint("keep the lines that are right, and remove the markers");
            return None;
        }
        start += line.len();
    }
    Some(file)
}

/// The kind of a document, if it is a manifest of ours.
fn header(at: At<'_>, root: &Node, problems: &mut Problems) -> Option<Kind> {
    if !matches!(root.value, Value::Mapping(_)) {
        let hint = format!("a manifest has the fields apiVersion: {API_VERSION}, kind, metadata and spec");
        problems.error(at.file, at.pos, "this is not a manifest").hint(hint);
        return None;
    }
    let version = root.field("apiVersion");
    let kind = root.field("kind");
    let (Some(version), Some(kind)) = (version, kind) else {
        missing_header(at, root, problems);
        return None;
    };
    // What could not be read there is told already.
    if version.is_unread() || kind.is_unread() {
        return None;
    }
    if version.text() != Some(API_VERSION) {
        let found = version.text().unwrap_or_default();
        let problem = problems.error(at.file, at.field("apiVersion").pos, format!("apiVersion cannot be '{found}'"));
        problem.hint(match found {
            "v1" | "apps/v1" | "batch/v1" => {
                format!("this is a manifest for Kubernetes; here it is '{API_VERSION}', and some fields differ")
            }
            _ => format!("write '{API_VERSION}'"),
        });
        // A slip of the pen is told with all else that is wrong; another program's manifest has nothing of ours.
        if !found.starts_with(API_GROUP) && suggest::nearest(found, [API_VERSION]).is_none() {
            return None;
        }
    }
    let word = kind.text().unwrap_or_default();
    let found = Kind::ALL.into_iter().find(|kind| schema::title(*kind) == word);
    if found.is_none() {
        let hint = problems.unless_full(|| suggest::kind_hint(word, Kind::ALL.into_iter().map(schema::title)));
        let problem = problems.error(at.file, at.field("kind").pos, format!("there is no kind '{word}'"));
        problem.hint = hint;
    }
    // A slip of the pen: what else is wrong in it is told in the same round.
    let meant = || suggest::nearest(word, Kind::ALL.into_iter().map(schema::title));
    found.or_else(|| meant().and_then(|near| Kind::ALL.into_iter().find(|kind| schema::title(*kind) == near)))
}

fn missing_header(at: At<'_>, root: &Node, problems: &mut Problems) {
    let missing = if root.field("apiVersion").is_none() { "apiVersion" } else { "kind" };
    let near = root.entries().iter().take(FIELDS_MAX).find(|entry| suggest::nearest(&entry.key, [missing]).is_some());
    let pos = near.map_or(at.pos, |entry| entry.key_pos);
    let problem = problems.error(at.file, pos, format!("a manifest needs the field '{missing}'"));
    problem.hint(match () {
        () if near.is_some() => format!("did you mean '{missing}'?"),
        () if root.field("services").is_some() => {
            "this looks like a Compose file; every .yaml file in a source directory is a manifest".to_string()
        }
        () if missing == "apiVersion" => {
            format!("write 'apiVersion: {API_VERSION}'; a YAML file that is no manifest belongs elsewhere, or into a ConfigMap's files")
        }
        () => {
            let kinds: Vec<&str> = Kind::ALL.into_iter().map(schema::title).collect();
            format!("the kinds are: {}", kinds.join(", "))
        }
    });
}
