//! The last good files of each source, so that a source that is broken at the start does not look empty, and the git commit
//! that they are of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::disk::{Disk, parent};
use super::envelope;
use super::error::StoreError;

use crate::model::build::SeenContext;
use crate::model::name::Key;
use crate::model::policy::HostFile;
use crate::model::revision::{Commit, ContentId};
use crate::model::text::hex;

/// The directory with a file for each source.
pub(super) const SOURCES: &str = "sources";

/// A file's bytes; most are text, which stays readable this way.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Bytes {
    Text(String),
    Binary(Vec<u8>),
}

impl From<&Vec<u8>> for Bytes {
    fn from(bytes: &Vec<u8>) -> Self {
        String::from_utf8(bytes.clone()).map_or_else(|error| Bytes::Binary(error.into_bytes()), Bytes::Text)
    }
}

impl From<Bytes> for Vec<u8> {
    fn from(bytes: Bytes) -> Self {
        match bytes {
            Bytes::Text(text) => text.into_bytes(),
            Bytes::Binary(bytes) => bytes,
        }
    }
}

/// A source's files as they are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its files, by their path below its directory.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// The git commit that the directory was at, if it was in a checkout.
    pub commit: Option<Commit>,
    /// What its images are built from.
    pub contexts: Vec<SeenContext>,
    /// What its Secrets held, whose files need not be there any more.
    pub secrets: BTreeMap<Key, ContentId>,
    /// Where that was read; nothing where an older release kept it.
    pub host_files: BTreeMap<Key, BTreeSet<HostFile>>,
}

/// Where the contexts are written, as if they were a file of the source: every version of Evenkeel passes over hidden ones.
const CONTEXTS: &str = ".evenkeel-contexts.json";
/// The same for what its Secrets held.
const SECRETS: &str = ".evenkeel-secrets.json";
/// The same for where that was read.
const HOST_FILES: &str = ".evenkeel-host-files.json";
/// The same for what the source is called: the name of its file says only so much of it.
const NAME: &str = ".evenkeel-source";

/// A source that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSource {
    /// The name of its file.
    pub file: String,
    /// Its directory, as it was configured; the name of its file where an older release wrote that.
    pub dir: String,
}

/// The same as it is written. Without a commit it is what every version of Evenkeel reads and has written.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    At { commit: Commit, files: BTreeMap<PathBuf, Bytes> },
    Anywhere(BTreeMap<PathBuf, Bytes>),
}

/// What is known of the files of sources.
#[derive(Default)]
pub(super) struct Sources {
    /// The checksum of each source's file, as it was last written or read.
    written: BTreeMap<String, String>,
    /// The files of sources that are not configured any more, by name: nobody else could make them again.
    others: BTreeMap<String, Vec<u8>>,
}

impl Sources {
    /// Writes a source's files as one file, if they changed.
    pub(super) fn save(
        &mut self,
        disk: &Disk,
        source: &str,
        Kept { files, commit, contexts, secrets, host_files }: &Kept,
    ) -> Result<(), StoreError> {
        let path = path_of(disk, source);
        let mut files: BTreeMap<PathBuf, Bytes> =
            files.iter().map(|(path, bytes)| (path.clone(), bytes.into())).collect();
        files.insert(NAME.into(), Bytes::Text(source.into()));
        if !contexts.is_empty() {
            let text = serde_json::to_string(contexts).expect("it is plain data");
            files.insert(CONTEXTS.into(), Bytes::Text(text));
        }
        if !secrets.is_empty() {
            let text = serde_json::to_string(secrets).expect("it is plain data");
            files.insert(SECRETS.into(), Bytes::Text(text));
        }
        if !host_files.is_empty() {
            let text = serde_json::to_string(host_files).expect("it is plain data");
            files.insert(HOST_FILES.into(), Bytes::Text(text));
        }
        let written = match commit.clone() {
            Some(commit) => Written::At { commit, files },
            None => Written::Anywhere(files),
        };
        let (checksum, sealed) =
            envelope::seal(source, &written).map_err(|error| StoreError::unusable(&path, error.to_string()))?;
        if self.written.get(source) == Some(&checksum) {
            return Ok(());
        }
        self.written.remove(source);
        disk.replace(&path, sealed)?;
        disk.sync(parent(&path))?;
        self.written.insert(source.into(), checksum);
        Ok(())
    }

    /// Whether a source's file is there, as far as this process knows.
    pub(super) fn keeps(&self, source: &str) -> bool {
        self.written.contains_key(source)
    }

    /// A source's files as they were last written, or why there are none.
    pub(super) fn load(&mut self, disk: &Disk, source: &str) -> Result<Option<Kept>, StoreError> {
        let path = path_of(disk, source);
        let Some(bytes) = disk.read(&path)? else { return Ok(None) };
        let (checksum, written) =
            envelope::open::<Written>(source, &bytes).map_err(|reason| StoreError::unusable(&path, reason))?;
        self.written.insert(source.into(), checksum);
        Ok(Some(written.into()))
    }

    /// Sources that are kept, but for those with these names.
    pub(super) fn others(&mut self, disk: &Disk, names: &BTreeSet<String>) -> Vec<KeptSource> {
        let others: Vec<KeptSource> = kept(disk).into_iter().filter(|kept| !names.contains(&kept.file)).collect();
        for other in &others {
            if let Ok(Some(bytes)) = disk.read(&file(disk, &other.file)) {
                self.others.insert(other.file.clone(), bytes);
            }
        }
        others
    }

    /// Forgets a source, by the name of its file.
    pub(super) fn forget(&mut self, disk: &Disk, name: &str) -> Result<(), StoreError> {
        self.others.remove(name);
        disk.remove_file(&file(disk, name))
    }

    /// Begins anew in a directory that is empty. Configured sources are kept again when they are asked to be.
    pub(super) fn begin_again(&mut self, disk: &Disk) -> Result<(), StoreError> {
        self.written.clear();
        self.others.iter().try_for_each(|(name, bytes)| disk.replace(&file(disk, name), bytes.clone()))
    }
}

impl From<Written> for Kept {
    fn from(written: Written) -> Self {
        let (commit, files) = match written {
            Written::At { commit, files } => (Some(commit), files),
            Written::Anywhere(files) => (None, files),
        };
        let mut files: BTreeMap<PathBuf, Vec<u8>> =
            files.into_iter().map(|(path, bytes)| (path, bytes.into())).collect();
        let contexts = files.remove(Path::new(CONTEXTS)).unwrap_or_default();
        let contexts = serde_json::from_slice(&contexts).unwrap_or_default();
        let secrets = files.remove(Path::new(SECRETS)).unwrap_or_default();
        let secrets = serde_json::from_slice(&secrets).unwrap_or_default();
        let host_files = files.remove(Path::new(HOST_FILES)).unwrap_or_default();
        let host_files = serde_json::from_slice(&host_files).unwrap_or_default();
        files.remove(Path::new(NAME));
        Kept { files, commit, contexts, secrets, host_files }
    }
}

/// The sources that are kept.
pub(super) fn kept(disk: &Disk) -> Vec<KeptSource> {
    let names = disk.names(&disk.path(SOURCES)).unwrap_or_default();
    let files = names.iter().filter_map(|name| Some(name.strip_suffix(".json")?.to_owned()));
    files.map(|file| KeptSource { dir: dir_of(disk, &file).unwrap_or_else(|| file.clone()), file }).collect()
}

/// What a source is called, by the name of its file: what its file says, if that is whole and has this very name.
fn dir_of(disk: &Disk, file: &str) -> Option<String> {
    let bytes = disk.read(&self::file(disk, file)).ok()??;
    let written: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    let object = &written["object"];
    let named = |files: &serde_json::Value| files[NAME].as_str().filter(|dir| name_of(dir) == file).map(str::to_owned);
    let dir = named(object).or_else(|| named(&object["files"]))?;
    envelope::open::<Written>(&dir, &bytes).ok().map(|_| dir)
}

/// The file of that name.
fn file(disk: &Disk, name: &str) -> PathBuf {
    disk.path(SOURCES).join(format!("{name}.json"))
}

fn path_of(disk: &Disk, source: &str) -> PathBuf {
    file(disk, &name_of(source))
}

/// The name of a source's file: a readable part of its own name, and a hash that tells it from others.
pub fn name_of(source: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let readable: String = source.trim_matches('/').chars().map(safe).take(60).collect();
    format!("{readable}-{}", hex(&Sha256::digest(source), 10))
}
