//! Files on the host that manifests name: Secrets and files of variables. Every path that was asked for is remembered,
//! missing ones too, so that a change is noticed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::Source;
use super::context::Asked;
use super::diagnostic::Problems;
use super::documents::Document;
use super::door::{self, Refusal};
use super::objects::Object;
use super::place::At;
use super::snapshot::{FILE_BYTES_MAX, Snapshot};
use crate::model::build::SeenContext;
use crate::model::name::Key;
use crate::model::policy::HostFile;
use crate::model::revision::Content;

/// The files of one source, in its snapshot and on the host.
pub struct Host<'a> {
    /// The source.
    pub source: &'a Source,
    /// Its files.
    pub snapshot: &'a Snapshot,
    /// What was asked for outside of the snapshot.
    pub external: BTreeSet<PathBuf>,
    /// The same, by the Secret or Namespace that asked.
    pub readers: BTreeMap<Key, BTreeSet<HostFile>>,
    /// The contexts that images are built from.
    pub contexts: BTreeMap<Asked, SeenContext>,
    /// Their folders.
    pub folders: BTreeSet<PathBuf>,
    /// What Secrets held before, for where their files cannot be read any more.
    pub secrets: BTreeMap<Key, Content>,
}

impl<'a> Host<'a> {
    /// The files of `source`; nothing was asked for yet.
    pub fn new(source: &'a Source, snapshot: &'a Snapshot) -> Self {
        Self {
            source,
            snapshot,
            external: BTreeSet::new(),
            readers: BTreeMap::new(),
            contexts: BTreeMap::new(),
            folders: BTreeSet::new(),
            secrets: BTreeMap::new(),
        }
    }
}

/// Whether a path may be shown. In a Secret, what stands where a path belongs may be the secret itself.
fn shown(path: &str) -> String {
    let looks_like_a_path = ["/", "./", "../"].iter().any(|start| path.starts_with(start));
    if looks_like_a_path { format!("'{path}'") } else { "named here".into() }
}

impl Host<'_> {
    /// A file on the host: absolute, or relative to the manifest.
    pub fn path(&self, document: &Document, path: &str) -> PathBuf {
        let path = self.source.dir.join(document.folder()).join(path);
        path.components().filter(|part| *part != Component::CurDir).collect()
    }

    /// The path of a file that `reader` reads, remembered.
    fn asked(&mut self, reader: &Key, document: &Document, path: &str) -> PathBuf {
        let full = self.path(document, path);
        let (path, source) = (full.display().to_string(), self.source.dir.display().to_string());
        self.readers.entry(reader.clone()).or_default().insert(HostFile { path, source });
        self.external.insert(full.clone());
        full
    }

    /// The bytes of a Secret's file. They never stay in the snapshot, wherever the file is.
    pub fn secret(&mut self, object: &Object, at: At<'_>, path: &str, problems: &mut Problems) -> Option<Vec<u8>> {
        let full = self.asked(&object.key, &object.document, path);
        let why = match door::read(&full, None, FILE_BYTES_MAX) {
            Ok(bytes) => return Some(bytes),
            Err(Refusal::Missing) => "does not exist".into(),
            Err(Refusal::Because(why)) => why,
        };
        let problem = problems.error(at.file, at.pos, format!("the file {} {why}", shown(path)));
        problem.hint(
            "name a file on the host: absolute, or relative to this manifest; a secret's value never stands here",
        );
        None
    }

    /// The bytes of a file of variables: in the snapshot when it is inside the source, else on the host.
    pub fn variables(&mut self, reader: &Key, document: &Document, path: &str) -> Result<Vec<u8>, Refusal> {
        if let Some(inside) = door::below(document.folder(), path) {
            return self.inside(&inside);
        }
        let full = self.asked(reader, document, path);
        door::read(&full, None, FILE_BYTES_MAX)
    }

    /// The bytes of a file inside the source.
    pub fn inside(&self, path: &Path) -> Result<Vec<u8>, Refusal> {
        match (self.snapshot.files.get(path), self.snapshot.refused.get(path)) {
            (Some(bytes), _) => Ok(bytes.clone()),
            (None, Some(why)) => Err(Refusal::Because(why.clone())),
            (None, None) => Err(Refusal::Missing),
        }
    }
}
