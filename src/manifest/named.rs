//! The files inside a source directory that its manifests name: ConfigMap `files` and `variablesFrom` of Namespaces.
//!
//! It reads no file and reports no mistake; a path that is wrong is reported where it is used.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::diagnostic::Problems;
use super::door;
use super::file::File;
use super::tree::Node;
use super::yaml::{self, Budget};
use crate::model::spec::API_GROUP;

/// How many paths of ConfigMap files may have a `${NAME}` in them, in a source: each is compared with each file.
pub const PATTERNS_MAX: usize = 200;

/// What the manifests of a source name, as paths relative to it. A path may still hold a `${NAME}`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Files that are a ConfigMap's content. A YAML file among them is no manifest.
    pub contents: BTreeSet<PathBuf>,
    /// Those of them that have a `${NAME}` in their path.
    patterns: BTreeSet<PathBuf>,
    /// Whether there are more of those than may be.
    pub has_too_many_patterns: bool,
    /// Files of variables.
    pub variables: BTreeSet<PathBuf>,
}

impl Named {
    /// Adds what the manifest at `path` names.
    pub fn add(&mut self, path: &Path, bytes: &[u8], budget: &mut Budget) {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        // Most manifests name nothing; they are not worth a second parse.
        let names_contents = text.contains("ConfigMap") && text.contains("files");
        if !names_contents && !text.contains("variablesFrom") {
            return;
        }
        let file = File::new(String::new(), text.trim_start_matches('\u{feff}').into());
        for document in yaml::parse(&file, budget, &mut Problems::default()) {
            self.add_document(path, &document);
        }
    }

    fn add_document(&mut self, path: &Path, document: &Node) {
        let base = path.parent().unwrap_or(Path::new(""));
        let spec = document.field("spec");
        let inside = |node: &Node| node.text().and_then(|text| door::below(base, text));
        match document.field("kind").and_then(Node::text) {
            Some("ConfigMap") => {
                let files = spec.and_then(|spec| spec.field("files")).map(Node::entries).unwrap_or_default();
                files.iter().filter_map(|entry| inside(&entry.value)).for_each(|path| self.add_content(path));
            }
            Some("Namespace") => {
                let files = spec.and_then(|spec| spec.field("variablesFrom")).map(Node::items).unwrap_or_default();
                self.variables.extend(files.iter().filter_map(|item| item.field("file").and_then(inside)));
            }
            _ => {}
        }
    }

    fn add_content(&mut self, path: PathBuf) {
        let is_pattern = path.to_string_lossy().contains("${");
        if is_pattern && !self.patterns.contains(&path) {
            self.has_too_many_patterns |= self.patterns.len() == PATTERNS_MAX;
            if self.has_too_many_patterns {
                return;
            }
            self.patterns.insert(path.clone());
        }
        self.contents.insert(path);
    }

    /// Whether the YAML file at `path` is a ConfigMap's content and no manifest of ours.
    pub fn is_content(&self, path: &Path, bytes: &[u8]) -> bool {
        let ours = |line: &str| line.starts_with("apiVersion:") && line.contains(API_GROUP);
        let named = self.contents.contains(path) || self.patterns.iter().any(|named| matches(named, path));
        named && !String::from_utf8_lossy(bytes).lines().any(ours)
    }
}

/// Whether `path` can be what `named` becomes once its variables are put in.
pub fn matches(named: &Path, path: &Path) -> bool {
    // From the end, where names differ.
    let (mut named, mut path) = (named.iter().rev(), path.iter().rev());
    loop {
        match (named.next(), path.next()) {
            (None, None) => return true,
            (Some(named), Some(part)) if part_matches(&named.to_string_lossy(), &part.to_string_lossy()) => {}
            _ => return false,
        }
    }
}

/// Whether one part of a path can be what `named` becomes: the text before the first `${` and after the last `}` stays.
pub fn part_matches(named: &str, part: &str) -> bool {
    match (named.split_once("${"), named.rsplit_once('}')) {
        (Some((before, _)), Some((_, after))) => {
            part.len() >= before.len() + after.len() && part.starts_with(before) && part.ends_with(after)
        }
        _ => named == part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_name_files_relative_to_themselves() {
        let mut named = Named::default();
        let text = "kind: ConfigMap\nspec: {files: {a: conf/a.conf, b: ../../x, c: '${ENV}.yml'}}\n---\nkind: Namespace\nspec: {variablesFrom: [{file: .env}, {file: /etc/x}]}\n";
        named.add(Path::new("shop/web.yaml"), text.as_bytes(), &mut Budget::default());
        assert_eq!(named.contents, ["shop/conf/a.conf".into(), "shop/${ENV}.yml".into()].into());
        assert_eq!(named.variables, ["shop/.env".into()].into());
        assert!(named.is_content(Path::new("shop/staging.yml"), b"global: {}"));
        assert!(!named.is_content(Path::new("shop/staging.yml"), b"apiVersion: evenkeel.dev/v1"));
        assert!(!named.is_content(Path::new("staging.yml"), b"global: {}"));
    }
}
