//! One whole read of a source directory: the files as they were, and nothing that is in the middle of a change.
//!
//! It makes no sense of the text, but for the files that manifests name, and never follows a link out of the directory.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::door::{self, Refusal};
use super::git::Git;
use super::named::{self, Named};
use super::yaml::Budget;
use crate::model::revision::{Checkout, Commit};
use crate::model::text::hex;
use crate::model::time::Timestamp;

/// The largest manifest, and the largest file that one names, in bytes.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
/// How many bytes the files of a source may have together.
pub const SOURCE_BYTES_MAX: u64 = 16 << 20;
/// How many files a source may have.
pub const FILES_MAX: usize = 2_000;
/// How many entries the directory may have with its sub-folders, other files included.
pub const ENTRIES_MAX: usize = 20_000;
/// How deep sub-folders may nest.
pub const FOLDERS_MAX: usize = 16;

/// Why a directory could not be read. Neither ever means that nothing is desired.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Something is changing the directory right now: look again soon.
    #[error("{0}")]
    Unsettled(String),
    /// The directory is missing, unreadable, without a manifest, or beyond a limit: a person must act.
    #[error("{0}")]
    Unreadable(String),
}

/// The files of a source at one moment, by their path relative to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Manifests, and the files inside the directory that they name. No Secret's file is ever here.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// Files that were not read, with why in words that continue "the file …": `load` reports them.
    pub refused: BTreeMap<PathBuf, String>,
    /// What says nothing but changes while a tool is at work: the folders, and the files that rsync is writing, with
    /// their length.
    pub beside: BTreeMap<PathBuf, u64>,
    /// The git commit that the directory is at, if it is in a checkout, and whether files of it were edited since.
    pub commit: Option<Checkout>,
    /// When the kernel last saw any of it change, the folders' lists included. No tool can set that back.
    pub changed_at: Timestamp,
}

impl Snapshot {
    /// A snapshot of files that were read earlier, such as the last good ones.
    pub fn of(files: BTreeMap<PathBuf, Vec<u8>>) -> Self {
        Self { files, ..Self::default() }
    }

    /// The same at a commit.
    pub fn at(self, commit: Option<Checkout>) -> Self {
        Self { commit, ..self }
    }

    /// The hash of paths and contents: two snapshots with the same digest say the same.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            // Lengths first, so that no two different snapshots have the same bytes.
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(&(self.files.len() as u64).to_be_bytes());
        for (path, bytes) in &self.files {
            part(path.as_os_str().as_encoded_bytes());
            part(bytes);
        }
        for (path, reason) in &self.refused {
            part(path.as_os_str().as_encoded_bytes());
            part(reason.as_bytes());
        }
        hex(&hash.finalize(), 64)
    }
}

/// Reads the whole directory once. Whether two reads agree is the caller's to compare.
pub fn read(dir: &Path) -> Result<Snapshot, ReadError> {
    let root = resolve(dir)?;
    let git = Git::around(&root);
    settled(git.as_ref())?;
    let commit = git.as_ref().and_then(Git::commit);
    let mut walk = Walk { dir, root: &root, snapshot: Snapshot::default(), entries: 0, bytes: 0, folders: Vec::new() };
    walk.folder(Path::new(""))?;
    walk.named_files()?;
    let snapshot = walk.snapshot;
    let is_edited =
        |commit: &Commit| git.as_ref().is_some_and(|git| git.is_edited(&root, commit, &snapshot.files, is_manifest));
    let at = commit.clone().map(|commit| Checkout { uncommitted: is_edited(&commit), commit });
    let snapshot = snapshot.at(at);
    let git = Git::around(&root);
    settled(git.as_ref())?;
    if git.as_ref().and_then(Git::commit) != commit {
        return Err(ReadError::Unsettled(format!("git moved {} to another commit while it was read", dir.display())));
    }
    if resolve(dir)? != root {
        return Err(ReadError::Unsettled(format!("{} was replaced while it was read", dir.display())));
    }
    if snapshot.files.is_empty() && snapshot.refused.is_empty() {
        let message =
            format!("{} holds no manifest (.yaml or .yml); nothing is changed because of that", dir.display());
        return Err(ReadError::Unreadable(message));
    }
    Ok(snapshot)
}

/// The directory without links in its path, so that one read sees one directory when a link is swapped.
fn resolve(dir: &Path) -> Result<PathBuf, ReadError> {
    let unreadable = |why: &str| ReadError::Unreadable(format!("source directory {} {why}", dir.display()));
    let root = fs::canonicalize(dir).map_err(|error| match door::refusal(error) {
        Refusal::Missing => unreadable("does not exist"),
        Refusal::Because(why) => unreadable(&why),
    })?;
    if root.is_dir() { Ok(root) } else { Err(unreadable("is not a directory")) }
}

fn settled(git: Option<&Git>) -> Result<(), ReadError> {
    match git.and_then(Git::unsettled) {
        Some(reason) => Err(ReadError::Unsettled(reason)),
        None => Ok(()),
    }
}

/// Whether a file or folder of this name is passed over: hidden ones, and what editors leave lying about.
fn ignored(name: &str) -> bool {
    name.starts_with('.') || name.starts_with('#') || name.ends_with('~') || name.ends_with(".swp") || name == "4913"
}

/// Whether rsync writes a file under this name until it is whole: `.web.yaml.Sah2uK`.
fn is_unfinished(name: &str) -> bool {
    let parts = name.strip_prefix('.').and_then(|rest| rest.rsplit_once('.'));
    parts.is_some_and(|(_, random)| random.len() == 6 && random.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Whether a file of this name is a manifest.
pub fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml")
}

struct Walk<'a> {
    dir: &'a Path,
    root: &'a Path,
    snapshot: Snapshot,
    entries: usize,
    bytes: u64,
    /// The folders from the root to the present one, without links, to notice a circle.
    folders: Vec<PathBuf>,
}

impl Walk<'_> {
    fn folder(&mut self, relative: &Path) -> Result<(), ReadError> {
        let real = match fs::canonicalize(self.root.join(relative)) {
            Ok(real) if !real.starts_with(self.root) => {
                return self.refuse(relative, format!("leads out of the source directory, to {}", real.display()));
            }
            Ok(real) if self.folders.contains(&real) => return self.refuse(relative, "leads back to itself".into()),
            Ok(_) if self.folders.len() > FOLDERS_MAX => {
                return self.refuse(relative, format!("is nested deeper than {FOLDERS_MAX} folders"));
            }
            Ok(real) => real,
            Err(error) => return self.failed(relative, door::refusal(error)),
        };
        let names = match self.names(&real) {
            Ok(names) => names,
            Err(error) => return self.failed(relative, door::refusal(error)),
        };
        self.entries += names.len();
        if self.entries > ENTRIES_MAX {
            let message = format!("more than {ENTRIES_MAX} files; is this a directory of manifests?");
            return Err(self.unreadable(message));
        }
        self.note_change(fs::metadata(&real));
        self.folders.push(real);
        self.snapshot.beside.insert(relative.into(), 0);
        for name in names {
            match is_unfinished(&name.to_string_lossy()) {
                true => self.unfinished(&relative.join(name)),
                false => self.entry(&relative.join(name))?,
            }
        }
        self.folders.pop();
        Ok(())
    }

    /// The names in a folder that are not passed over, in order, with those that rsync writes; no more than the limit and
    /// one.
    fn names(&self, folder: &Path) -> std::io::Result<Vec<std::ffi::OsString>> {
        let entries = fs::read_dir(folder)?.take(ENTRIES_MAX + 1);
        let mut names = entries.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<_>>>()?;
        names.retain(|name| is_unfinished(&name.to_string_lossy()) || !ignored(&name.to_string_lossy()));
        names.sort();
        Ok(names)
    }

    fn unfinished(&mut self, relative: &Path) {
        let found = fs::symlink_metadata(self.root.join(relative));
        let length = found.as_ref().map_or(0, |metadata| metadata.len());
        self.note_change(found);
        self.snapshot.beside.insert(relative.into(), length);
    }

    fn entry(&mut self, relative: &Path) -> Result<(), ReadError> {
        let path = self.root.join(relative);
        let kind = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata.file_type(),
            Err(error) => return self.failed(relative, door::refusal(error)),
        };
        let manifest = is_manifest(relative);
        match () {
            () if kind.is_dir() => self.folder(relative),
            () if kind.is_file() && manifest => self.file(relative),
            () if kind.is_symlink() => match fs::metadata(&path) {
                Ok(target) if target.is_dir() => self.folder(relative),
                Ok(target) if target.is_file() && manifest => self.file(relative),
                Err(_) if manifest => self.refuse(relative, "is a link that leads nowhere".into()),
                Ok(_) | Err(_) => Ok(()),
            },
            () => Ok(()),
        }
    }

    fn file(&mut self, relative: &Path) -> Result<(), ReadError> {
        if self.snapshot.files.contains_key(relative) || self.snapshot.refused.contains_key(relative) {
            return Ok(());
        }
        let path = self.root.join(relative);
        self.note_change(fs::symlink_metadata(&path));
        self.note_change(fs::metadata(&path));
        let bytes = match door::read(&path, Some(self.root), FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(refusal) => return self.failed(relative, refusal),
        };
        self.bytes += bytes.len() as u64;
        if self.bytes > SOURCE_BYTES_MAX {
            return Err(self.unreadable(format!("more than {} of manifests", door::size(SOURCE_BYTES_MAX))));
        }
        if self.snapshot.files.len() == FILES_MAX {
            return Err(self.unreadable(format!("more than {FILES_MAX} manifests")));
        }
        self.snapshot.files.insert(relative.into(), bytes);
        Ok(())
    }

    fn note_change(&mut self, found: std::io::Result<fs::Metadata>) {
        let changed_at =
            found.map(|metadata| metadata.ctime().saturating_mul(1000) + metadata.ctime_nsec() / 1_000_000);
        self.snapshot.changed_at = self.snapshot.changed_at.max(Timestamp(changed_at.unwrap_or_default()));
    }

    /// Reads the files that the manifests name. One that is missing is reported where it is named.
    fn named_files(&mut self) -> Result<(), ReadError> {
        let (mut named, mut budget) = (Named::default(), Budget::default());
        for (path, bytes) in &self.snapshot.files {
            named.add(path, bytes, &mut budget);
        }
        if named.has_too_many_patterns {
            let most = named::PATTERNS_MAX;
            return Err(self.unreadable(format!("more than {most} paths of ConfigMap files with variables in them")));
        }
        for path in named.contents.iter().chain(&named.variables) {
            for path in self.candidates(path) {
                if fs::symlink_metadata(self.root.join(&path)).is_ok() {
                    self.file(&path)?;
                }
            }
        }
        Ok(())
    }

    /// The files that a named path can mean: itself, or with a `${NAME}` in it whatever fits in its place.
    fn candidates(&self, named: &Path) -> Vec<PathBuf> {
        let mut found = vec![PathBuf::new()];
        for part in named.iter() {
            let text = part.to_string_lossy();
            found = match text.contains("${") {
                false => found.into_iter().map(|path| path.join(part)).collect(),
                true => found.iter().flat_map(|path| self.fitting(path, &text)).take(FILES_MAX).collect(),
            };
        }
        found
    }

    fn fitting(&self, folder: &Path, part: &str) -> Vec<PathBuf> {
        let real = fs::canonicalize(self.root.join(folder)).ok().filter(|real| real.starts_with(self.root));
        let names = real.and_then(|real| self.names(&real).ok()).unwrap_or_default();
        let fits = |name: &std::ffi::OsString| {
            let name = name.to_string_lossy();
            !ignored(&name) && named::part_matches(part, &name)
        };
        names.into_iter().filter(fits).map(|name| folder.join(name)).collect()
    }

    /// What was listed a moment ago and is gone now means that somebody is changing the directory.
    fn failed(&mut self, relative: &Path, refusal: Refusal) -> Result<(), ReadError> {
        match refusal {
            Refusal::Missing => {
                let path = self.dir.join(relative);
                Err(ReadError::Unsettled(format!("{} vanished while it was read", path.display())))
            }
            Refusal::Because(why) if relative.as_os_str().is_empty() => {
                Err(ReadError::Unreadable(format!("source directory {} {why}", self.dir.display())))
            }
            Refusal::Because(why) => self.refuse(relative, why),
        }
    }

    /// Remembers why a file was not read, and goes on.
    fn refuse(&mut self, relative: &Path, why: String) -> Result<(), ReadError> {
        self.snapshot.refused.insert(relative.into(), why);
        Ok(())
    }

    fn unreadable(&self, why: String) -> ReadError {
        ReadError::Unreadable(format!("source directory {} has {why}", self.dir.display()))
    }
}
