//! Manifests, the whole way: the files of a source → objects or diagnostics → a plan.
//!
//! An input is one file, or several with `=== PATH` before each.

use std::collections::BTreeMap;
use std::path::PathBuf;

use evenkeel::manifest::{self, Contexts, Diagnostic, Loaded, Snapshot, Source};
use evenkeel::model::history::History;
use evenkeel::model::observed::Observed;
use evenkeel::model::revision::ContentHasher;
use evenkeel::model::secret::SecretBytes;
use evenkeel::model::time::Timestamp;
use evenkeel::plan;

/// Diagnostics are capped; the cap itself and a last word may come on top.
const DIAGNOSTICS_MAX: usize = 102;

/// Inputs of so many bytes are also read as JSON.
const VALUES_MAX: usize = 64 << 10;

/// Loads the files, and plans with what they declare.
pub fn try_input(bytes: &[u8]) {
    load_and_plan(files(bytes));
}

/// Loads a source of these files; what they declare if they are right.
pub fn load_and_plan(files: BTreeMap<PathBuf, Vec<u8>>) -> Option<Loaded> {
    let bytes: usize = files.values().map(Vec::len).sum();
    let (source, snapshot) = (source(), Snapshot::of(files));
    let hasher = ContentHasher::new(SecretBytes::new(vec![7; 32]));
    match manifest::load(&source, &snapshot, &hasher, &Contexts::default()) {
        Ok(loaded) => {
            // For tests alone, and as much work again: what a large input costs is what it costs those who use it.
            if bytes <= VALUES_MAX {
                manifest::values(&source, &snapshot).expect("a source that loads has values");
            }
            let merged = manifest::merge(&[(&source, &loaded)]);
            assert!(merged.is_ok(), "a source that loads alone clashes with itself");
            plan::plan(&loaded.desired, &Observed::default(), &History::default(), Timestamp(0));
            Some(loaded)
        }
        Err(problems) => {
            check(&problems);
            None
        }
    }
}

fn source() -> Source {
    let dir = PathBuf::from("/nonexistent/manifests");
    Source { dir, namespace: None, variables: BTreeMap::from([("TAG".into(), "1.2".into())]) }
}

/// There is a reason, not too many of them, and none of them commands a terminal.
fn check(problems: &[Diagnostic]) {
    assert!(!problems.is_empty(), "refused without a reason");
    assert!(problems.len() <= DIAGNOSTICS_MAX, "{} diagnostics", problems.len());
    for problem in problems {
        let text = problem.to_string();
        let command = text.chars().find(|c| c.is_control() && *c != '\n');
        assert!(command.is_none(), "a diagnostic has the control character {command:?}: {text:?}");
    }
}

/// The files of an input.
fn files(bytes: &[u8]) -> BTreeMap<PathBuf, Vec<u8>> {
    if !bytes.starts_with(b"=== ") {
        return BTreeMap::from([("web.yaml".into(), bytes.to_vec())]);
    }
    let mut files = BTreeMap::new();
    let mut path = PathBuf::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_prefix(b"=== ") {
            Some(name) => path = PathBuf::from(String::from_utf8_lossy(name).trim()),
            None => files.entry(path.clone()).or_insert_with(Vec::new).extend(line),
        }
    }
    files
}
