//! The contexts of images that are built: which files of a directory they are, the hash of them, and the archive that is
//! sent. What is sent is what was hashed, or nothing is.
//!
//! It builds nothing and knows no manifest. The way in: [`Contexts::read`] when manifests are loaded, [`pack`] when an image
//! is built. [`ignore`] says what is left out, [`walk`] finds the rest.

pub mod ignore;
mod pack;
mod walk;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use super::door::{self, Refusal};
use super::git::Git;
use crate::model::build::SeenContext;
use crate::model::text::hex;
use crate::model::time::Timestamp;
use ignore::{Ignore, Mistake};
use walk::{Entry, Traces, What};

pub use pack::pack;

/// The version of the hash below. Raising it builds every image anew.
const HASH_VERSION: &str = "evenkeel context 1";
/// The ignore file of a context whose Dockerfile has none of its own.
const IGNORE_FILE: &str = ".dockerignore";
/// How many contexts are remembered.
const REMEMBERED_MAX: usize = 100;

/// A context as a manifest names it: its directory, and the Dockerfile in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// The directory.
    pub directory: PathBuf,
    /// The Dockerfile, relative to it.
    pub dockerfile: String,
}

/// A context at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Its directory, without links in the path.
    pub root: PathBuf,
    /// The hash of all that is let in: paths, permission bits, links and contents.
    pub content: String,
    /// Its folders that are let in, itself included: where a change may happen.
    pub folders: Vec<PathBuf>,
}

/// Why a context could not be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Something is changing it right now: look again soon.
    Unsettled(String),
    /// The directory, in words that continue "the context …".
    Wrong(String),
    /// The Dockerfile, in words that continue "the Dockerfile …".
    Dockerfile(String),
    /// A line of an ignore file.
    Ignore(PathBuf, Mistake),
}

impl Context {
    /// What is kept of it for a restart.
    pub fn seen(&self, asked: &Asked) -> SeenContext {
        let Asked { directory, dockerfile } = asked.clone();
        SeenContext { directory, dockerfile, root: self.root.clone(), content: self.content.clone() }
    }
}

/// Reads contexts, and remembers the hash of every file by the traces that a change leaves, so that a look at a large
/// context that did not change costs no more than its list of files.
#[derive(Default)]
pub struct Contexts {
    known: Mutex<Known>,
    /// What every context was at an earlier time, if that is what counts.
    as_they_were: Option<BTreeMap<Asked, Context>>,
}

#[derive(Default)]
struct Known {
    now: Timestamp,
    files: BTreeMap<Asked, BTreeMap<PathBuf, (Traces, FileHash)>>,
}

type FileHash = [u8; 32];

impl Contexts {
    /// Contexts as they were, whatever they are now: for manifests of an earlier time.
    pub fn as_they_were(seen: Vec<SeenContext>) -> Self {
        let context = |SeenContext { directory, dockerfile, root, content }| {
            (Asked { directory, dockerfile }, Context { root, content, folders: Vec::new() })
        };
        Self { as_they_were: Some(seen.into_iter().map(context).collect()), ..Self::default() }
    }

    /// From now on it is `now`: a hash is only remembered of what was last changed before.
    pub fn at(&self, now: Timestamp) {
        self.lock().now = now;
    }

    /// Reads a context.
    pub fn read(&self, asked: &Asked) -> Result<Context, Trouble> {
        if let Some(earlier) = &self.as_they_were {
            return earlier.get(asked).cloned().ok_or_else(|| Trouble::Wrong("is not known of that time".into()));
        }
        let root = resolve(&asked.directory)?;
        settled(&root)?;
        let listing = list(&root, &asked.dockerfile)?;
        let mut known = self.lock();
        let before = known.files.remove(asked).unwrap_or_default();
        let (mut after, now) = (BTreeMap::new(), known.now);
        let content = hash(&listing, |entry| {
            let hash = match before.get(&entry.path) {
                Some((traces, hash)) if *traces == entry.traces => *hash,
                Some(_) | None => hash_file(&root, entry)?,
            };
            if entry.traces.is_settled(now) {
                after.insert(entry.path.clone(), (entry.traces, hash));
            }
            Ok(hash)
        })?;
        if known.files.len() >= REMEMBERED_MAX {
            known.files.clear();
        }
        known.files.insert(asked.clone(), after);
        drop(known);
        settled(&root)?;
        let folders = listing.iter().filter(|entry| entry.what == What::Folder).map(|entry| root.join(&entry.path));
        Ok(Context { folders: std::iter::once(root.clone()).chain(folders).collect(), content, root })
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The directory without links in its path.
fn resolve(directory: &Path) -> Result<PathBuf, Trouble> {
    let root = fs::canonicalize(directory).map_err(|error| match door::refusal(error) {
        Refusal::Missing => Trouble::Wrong("does not exist".into()),
        Refusal::Because(why) => Trouble::Wrong(why),
    })?;
    if root.is_dir() { Ok(root) } else { Err(Trouble::Wrong("is not a directory".into())) }
}

fn settled(root: &Path) -> Result<(), Trouble> {
    Git::around(root).and_then(|git| git.unsettled()).map_or(Ok(()), |why| Err(Trouble::Unsettled(why)))
}

/// Everything that is let in, the Dockerfile always.
fn list(root: &Path, dockerfile: &str) -> Result<Vec<Entry>, Trouble> {
    let (ignore, file) = ignore(root, dockerfile)?;
    let forced: Vec<&str> = std::iter::once(dockerfile).chain(file.as_deref().filter(|f| *f == IGNORE_FILE)).collect();
    let entries = walk::walk(root, &ignore, &forced)?;
    match entries.iter().find(|entry| entry.path == Path::new(dockerfile)).map(|entry| &entry.what) {
        Some(What::File) => Ok(entries),
        Some(What::Folder | What::Link(_)) => Err(Trouble::Dockerfile("is not a regular file".into())),
        None => Err(Trouble::Dockerfile("does not exist".into())),
    }
}

/// What the Dockerfile's own ignore file leaves out, or else the context's, and which of them it is.
fn ignore(root: &Path, dockerfile: &str) -> Result<(Ignore, Option<String>), Trouble> {
    for name in [format!("{dockerfile}{IGNORE_FILE}"), IGNORE_FILE.to_owned()] {
        let path = root.join(&name);
        let bytes = match door::read(&path, Some(root), ignore::BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(Refusal::Missing) => continue,
            Err(Refusal::Because(why)) => return Err(Trouble::Wrong(format!("has {} which {why}", path.display()))),
        };
        let text = String::from_utf8_lossy(&bytes);
        return match Ignore::parse(&text) {
            Ok(ignore) => Ok((ignore, Some(name))),
            Err(mistake) => Err(Trouble::Ignore(path, mistake)),
        };
    }
    Ok((Ignore::default(), None))
}

/// The hash of all entries; `file` gives that of a file's content.
fn hash(entries: &[Entry], mut file: impl FnMut(&Entry) -> Result<FileHash, Trouble>) -> Result<String, Trouble> {
    let mut whole = Sha256::new();
    let mut part = |bytes: &[u8]| {
        // Lengths first, so that no two different contexts have the same bytes.
        whole.update((bytes.len() as u64).to_be_bytes());
        whole.update(bytes);
    };
    part(HASH_VERSION.as_bytes());
    for entry in entries {
        part(entry.path.as_os_str().as_encoded_bytes());
        match &entry.what {
            What::Folder => part(format!("folder {:o}", entry.mode).as_bytes()),
            What::File => {
                part(format!("file {:o}", entry.mode).as_bytes());
                part(&file(entry)?);
            }
            What::Link(target) => {
                part(b"link");
                part(target.as_os_str().as_encoded_bytes());
            }
        }
    }
    Ok(hex(&whole.finalize(), 64))
}

fn hash_file(root: &Path, entry: &Entry) -> Result<FileHash, Trouble> {
    let path = root.join(&entry.path);
    let mut file = door::open(&path, Some(root)).map_err(|why| walk::refused(&path, why))?;
    let mut hash = Sha256::new();
    copy(&mut file, |bytes| {
        hash.update(bytes);
        Ok(())
    })
    .map_err(|error| walk::refused(&path, door::refusal(error)))?;
    Ok(hash.finalize().into())
}

/// Hands a file's bytes over, piece by piece.
fn copy(file: &mut impl Read, mut to: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut piece = vec![0; 64 << 10];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(()),
            length => to(&piece[..length])?,
        }
    }
}

#[cfg(test)]
mod tests;
