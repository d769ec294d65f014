//! Files on the host that manifests name: Secrets and files of variables. Every path that was asked for is remembered,
//! missing ones too, so that a change is noticed; and where what was read really was, which the policy judges.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
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
use crate::model::policy::{HostFile, Origin};
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
    pub secrets: BTreeMap<Key, Before>,
}

/// What a Secret held before. No `Debug`.
pub struct Before {
    /// Its content.
    pub content: Content,
    /// The files that this was read from; none where an older release kept it.
    pub files: BTreeSet<HostFile>,
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

/// The bytes of a file on the host that manifests of a source directory name, and where they really were.
pub fn read_outside(source: &Path, path: &Path) -> Result<(Vec<u8>, Origin), Refusal> {
    let (bytes, place) = door::read_where(path, FILE_BYTES_MAX)?;
    let is_inside = fs::canonicalize(source).is_ok_and(|source| place.starts_with(source));
    let origin = match (is_inside, place.to_str()) {
        (true, _) => Origin::Source,
        (false, Some(place)) => Origin::Host(place.into()),
        (false, None) => Origin::Unknown,
    };
    Ok((bytes, origin))
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

    /// The bytes of a file on the host that `reader` reads. It is remembered, and where they were.
    fn read(&mut self, reader: &Key, document: &Document, path: &str) -> Result<Vec<u8>, Refusal> {
        let full = self.path(document, path);
        let (bytes, origin) = match read_outside(&self.source.dir, &full) {
            Ok((bytes, origin)) => (Ok(bytes), origin),
            Err(why) => (Err(why), Origin::Unknown),
        };
        let (path, source) = (full.display().to_string(), self.source.dir.display().to_string());
        self.readers.entry(reader.clone()).or_default().insert(HostFile { path, source, origin });
        self.external.insert(full);
        bytes
    }

    /// Takes note that `secret` has what it held before: not what was read just now counts, but what that was read from.
    pub fn holds_as_before(&mut self, secret: &Key, before: BTreeSet<HostFile>) {
        let asked = self.readers.remove(secret).unwrap_or_default();
        let is_known = |file: &HostFile| before.iter().any(|before| before.path == file.path);
        let unknown = asked.into_iter().filter(|file| !is_known(file));
        let unknown: Vec<HostFile> = unknown.map(|file| HostFile { origin: Origin::Unknown, ..file }).collect();
        self.readers.insert(secret.clone(), unknown.into_iter().chain(before).collect());
    }

    /// The bytes of a Secret's file. They never stay in the snapshot, wherever the file is.
    pub fn secret(&mut self, object: &Object, at: At<'_>, path: &str, problems: &mut Problems) -> Option<Vec<u8>> {
        let why = match self.read(&object.key, &object.document, path) {
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
        self.read(reader, document, path)
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
