//! The contents of ConfigMaps and Secrets: inline text, files of the source, files on the host.
//!
//! No mistake quotes a secret's content.

use std::collections::BTreeMap;

use super::diagnostic::Problems;
use super::door::{self, Refusal};
use super::dotenv;
use super::host::Host;
use super::objects::{Object, Objects, Spec, report_env_file};
use super::place::At;
use crate::model::name::Key;
use crate::model::revision::Content;
use crate::model::secret::SecretBytes;
use crate::model::spec::{ConfigMapSpec, SecretSpec};

/// How many bytes the values of one ConfigMap or Secret may have together.
pub const CONTENT_BYTES_MAX: usize = 1 << 20;

/// How many bytes the values of all ConfigMaps and Secrets of a source may have together.
pub const SOURCE_BYTES_MAX: usize = 16 << 20;

/// The contents that could be read whole. Of any other, its mistakes are in `problems`.
pub fn read(objects: &Objects, host: &mut Host<'_>, problems: &mut Problems) -> BTreeMap<Key, Content> {
    let (mut contents, mut room) = (BTreeMap::new(), SOURCE_BYTES_MAX);
    for object in objects.list.values() {
        let before = problems.count();
        let content = match &object.spec {
            Spec::ConfigMap(spec) => config_map(object, spec, host, problems),
            Spec::Secret(spec) => secret_or_before(object, spec, host, problems),
            _ => continue,
        };
        let size = content.entries.iter().map(|(key, value)| key.len() + value.expose().len()).sum();
        check_size(object, size, problems);
        let Some(left) = room.checked_sub(size) else {
            no_room(object, problems);
            break;
        };
        room = left;
        if problems.count() == before {
            contents.insert(object.key.clone(), content);
        }
    }
    contents
}

fn config_map(object: &Object, spec: &ConfigMapSpec, host: &mut Host<'_>, problems: &mut Problems) -> Content {
    let at = object.document.at().field("spec");
    let mut entries = BTreeMap::new();
    for (key, text) in &spec.data {
        check_key(at.field("data"), key, problems);
        entries.insert(key.clone(), SecretBytes::new(text.clone().into_bytes()));
    }
    let mut size = 0;
    for (key, path) in &spec.files {
        if size > CONTENT_BYTES_MAX || problems.is_full() {
            break;
        }
        let at = at.field("files");
        check_key(at, key, problems);
        let bytes = file_in_source(object, at.field(key), path, host, problems).unwrap_or_default();
        size += bytes.len();
        if entries.insert(key.clone(), SecretBytes::new(bytes)).is_some() {
            let at = at.key(key);
            problems.error(at.file, at.pos, format!("the key '{key}' is in 'data' too")).hint("remove one of them");
        }
    }
    Content { entries }
}

fn file_in_source(
    object: &Object,
    at: At<'_>,
    path: &str,
    host: &Host<'_>,
    problems: &mut Problems,
) -> Option<Vec<u8>> {
    let Some(inside) = door::below(object.document.folder(), path) else {
        let message = format!("'{path}' is not inside the source directory");
        let hint =
            "a ConfigMap takes files beside its manifest; for a file on the host use a Secret or a hostPath mount";
        problems.error(at.file, at.pos, message).hint(hint);
        return None;
    };
    let why = match host.inside(&inside) {
        Ok(bytes) => return Some(bytes),
        Err(Refusal::Missing) => "does not exist".to_string(),
        Err(Refusal::Because(why)) => why,
    };
    let problem = problems.error(at.file, at.pos, format!("the file '{path}' {why}"));
    problem.hint("the path is relative to this manifest");
    None
}

/// What a Secret's files say; where they cannot be read and what it held before is known, that.
fn secret_or_before(object: &Object, spec: &SecretSpec, host: &mut Host<'_>, problems: &mut Problems) -> Content {
    let Some(before) = host.secrets.remove(&object.key) else { return secret(object, spec, host, problems) };
    let mut own = Problems::default();
    let content = secret(object, spec, host, &mut own);
    if own.is_empty() {
        return content;
    }
    host.holds_as_before(&object.key, before.files);
    before.content
}

fn secret(object: &Object, spec: &SecretSpec, host: &mut Host<'_>, problems: &mut Problems) -> Content {
    let at = object.document.at().field("spec");
    let mut entries = BTreeMap::new();
    for (index, path) in spec.env_files.iter().enumerate() {
        if problems.is_full() {
            break;
        }
        let at = at.field("envFiles").item(index);
        let Some(bytes) = host.secret(object, at, path, problems) else { continue };
        let name = host.path(&object.document, path).display().to_string();
        match String::from_utf8(bytes).map(|text| dotenv::parse(&text)) {
            Ok(Ok(values)) => {
                entries.extend(values.into_iter().map(|(key, value)| (key, SecretBytes::new(value.into_bytes()))));
            }
            Ok(Err(mistakes)) => report_env_file(&name, mistakes, problems),
            Err(_) => {
                problems.error(at.file, at.pos, "this file is not UTF-8");
            }
        }
    }
    let mut size = 0;
    for (key, path) in &spec.files {
        if size > CONTENT_BYTES_MAX || problems.is_full() {
            break;
        }
        let at = at.field("files");
        check_key(at, key, problems);
        let bytes = host.secret(object, at.field(key), path, problems).unwrap_or_default();
        size += bytes.len();
        if entries.insert(key.clone(), SecretBytes::new(bytes)).is_some() {
            let at = at.key(key);
            problems.error(at.file, at.pos, format!("the key '{key}' is in an envFile too")).hint("remove one of them");
        }
    }
    Content { entries }
}

/// A key of what is at a place becomes a file's name.
fn check_key(at: At<'_>, key: &str, problems: &mut Problems) {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if key.is_empty() || key.len() > 253 || !key.chars().all(legal) || key == "." || key.starts_with("..") {
        let at = at.key(key);
        let problem = problems.error(at.file, at.pos, "this is not a key");
        problem.hint(
            "a key becomes a file's name: at most 253 letters, digits, '.', '_' and '-', without '..' at its start",
        );
    }
}

fn no_room(object: &Object, problems: &mut Problems) {
    let at = object.document.at().key("spec");
    let limit = door::size(SOURCE_BYTES_MAX as u64);
    problems
        .error(at.file, at.pos, format!("the ConfigMaps and Secrets of this source have more than {limit} together"))
        .hint("mount a volume or a hostPath");
}

fn check_size(object: &Object, size: usize, problems: &mut Problems) {
    if size > CONTENT_BYTES_MAX {
        let at = object.document.at().key("spec");
        let limit = door::size(CONTENT_BYTES_MAX as u64);
        problems
            .error(at.file, at.pos, format!("{} has more than {limit}", object.key))
            .hint("mount a volume or a hostPath");
    }
}
