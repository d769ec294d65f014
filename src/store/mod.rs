//! The state directory: history, contents, last good manifests, events and releases on disk. It decides nothing, and nothing in
//! it is worth more than a running container: whatever is unreadable is set aside with a warning.
//!
//! ```text
//! lock, key                                one process; the key of the keyed hash
//! objects/<namespace>/<kind>.<name>.json   history, one file per object     (objects)
//! confirmed.json                           removals that a person confirmed (objects)
//! images.json                              images that were pulled by us    (objects)
//! removed-jobs.json                        what became of removed Jobs      (objects)
//! contents/<id>/<key>                      ConfigMaps and Secrets           (contents)
//! files/<id>-<mode>-<uid>-<gid>/<key>      the same, for containers to mount
//! sources/<name>.json                      last good manifests              (sources)
//! sources/<name>.last-good.lock            what last completed              (last_good)
//! events.jsonl, events.1.jsonl             what happened                    (journal)
//! releases.jsonl, releases.1.jsonl         what was released, and by whom   (journal)
//! told.json                                what notifications have told     (told)
//! ```
//!
//! All of them go through `disk`, where a test can make any operation fail.

mod again;
mod contents;
pub mod disk;
mod envelope;
mod error;
mod journal;
mod key;
mod last_good;
mod lock;
mod objects;
mod sources;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use disk::{Gate, Operation};
pub use error::StoreError;
pub use sources::{Kept, KeptSource, name_of as source_name};

use contents::{CONTENTS, Contents, FILES};
use disk::{Disk, PRIVATE_DIR, open_gate};
use journal::{EVENTS, Journal, RELEASES};
use objects::{OBJECTS, Objects};
use sources::{SOURCES, Sources};

use crate::model::container::Files;
use crate::model::history::History;
use crate::model::last_good::{LastGood, SourceName};
use crate::model::release::Release;
use crate::model::revision::{Content, ContentHasher, ContentId};
use crate::model::secret::SecretBytes;
use crate::model::status::Event;
use crate::model::told::Told;

/// How many damaged versions of one file are kept for people to look at.
const BROKEN_MAX: u32 = 5;

/// The state directory, held by a lock for as long as this lives. All methods block on the disk; share it by `Arc`.
pub struct Store {
    disk: Disk,
    hasher: ContentHasher,
    warnings: Mutex<Vec<String>>,
    objects: Mutex<Objects>,
    contents: Mutex<Contents>,
    sources: Mutex<Sources>,
    events: Mutex<Journal>,
    releases: Mutex<Journal>,
    key: SecretBytes,
    lock: Mutex<File>,
    /// Whether the directory was made again, and the history is not written since.
    is_bare: AtomicBool,
}

/// A state directory, read in passing.
pub struct Peek {
    /// The history.
    pub history: History,
    /// Makes content ids with its key.
    pub hasher: ContentHasher,
    /// The contents of Secrets that containers may have been given, to mask what they say.
    pub secrets: BTreeMap<ContentId, Content>,
    /// The sources that the daemon has read.
    pub sources: Vec<KeptSource>,
    /// What last completed of them.
    pub last_good: Vec<LastGood>,
    /// Whether there is no state directory yet, or nothing in it.
    pub is_new: bool,
    /// What could not be read, for people.
    pub warnings: Vec<String>,
}

impl Store {
    /// Opens the state directory, making it if need be. Refused while another process holds it.
    pub fn open(state_dir: &Path) -> Result<Self, StoreError> {
        Self::open_gated(state_dir, open_gate())
    }

    /// Opens it with a gate before each operation on the disk, so that tests can make any of them fail.
    pub fn open_gated(state_dir: &Path, gate: Gate) -> Result<Self, StoreError> {
        Self::open_with_key(state_dir, gate, key::random)
    }

    /// The same, with what makes a new key: where every run must go the same way, that is not chance.
    pub fn open_with_key(
        state_dir: &Path,
        gate: Gate,
        new_key: impl FnOnce() -> std::io::Result<Vec<u8>>,
    ) -> Result<Self, StoreError> {
        let disk = disk_at(state_dir, gate)?;
        let root = disk.root();
        make_root(&disk, root)?;
        refuse_foreign(&disk, root)?;
        let lock = lock::take(&disk, root)?;
        protect(&disk, root)?;
        for dir in [OBJECTS, CONTENTS, FILES, SOURCES] {
            disk.create_dir(&disk.path(dir), PRIVATE_DIR)?;
        }
        sweep(&disk);
        let mut warnings = Vec::new();
        let key = key::read_or_make(&disk, new_key, &mut warnings)?;
        let hasher = ContentHasher::new(key.clone());
        Ok(Self {
            key,
            disk,
            hasher: hasher.clone(),
            warnings: Mutex::new(warnings),
            objects: Mutex::default(),
            contents: Mutex::new(Contents::new(hasher)),
            sources: Mutex::default(),
            events: Mutex::new(Journal::new(EVENTS)),
            releases: Mutex::new(Journal::new(RELEASES)),
            lock: Mutex::new(lock),
            is_bare: AtomicBool::new(false),
        })
    }

    /// Reads history and key without taking the lock and without changing anything, for `evenkeel plan` beside a
    /// running daemon. A state directory that does not exist reads as an empty history.
    pub fn peek(state_dir: &Path) -> Result<Peek, StoreError> {
        let disk = disk_at(state_dir, open_gate())?;
        let key = match key::read(&disk)? {
            Some(key) => key,
            None => disk.attempt(Operation::Read, &disk.path(key::KEY), key::random)?,
        };
        let reject = |path: &Path, reason: &str| format!("{} is not used: {reason}", path.display());
        let (history, _, mut warnings) = objects::load(&disk, reject);
        let (last_good, useless) = last_good::load(&disk);
        warnings.extend(useless.iter().map(|error| format!("what last completed is not used: {error}")));
        let hasher = ContentHasher::new(SecretBytes::new(key));
        let secrets = Contents::new(hasher.clone()).secrets(&disk);
        let is_new = disk.names(disk.root()).is_ok_and(|names| names.is_empty()) || !disk.root().exists();
        Ok(Peek { history, hasher, secrets, sources: sources::kept(&disk), last_good, is_new, warnings })
    }

    /// The contents of Secrets that are kept: of those in force, and of those that containers may still have.
    pub fn secrets(&self) -> BTreeMap<ContentId, Content> {
        hold(&self.contents).secrets(&self.disk)
    }

    /// Makes content ids with this state directory's key.
    pub fn hasher(&self) -> ContentHasher {
        self.hasher.clone()
    }

    /// Reads the history, once after [`Store::open`] and before any save, with warnings for people about what could
    /// not be read. Such a file is set aside, and its object has no history.
    pub fn load(&self) -> (History, Vec<String>) {
        let mut warnings = std::mem::take(&mut *hold(&self.warnings));
        let (history, objects, more) = objects::load(&self.disk, |path, reason| set_aside(&self.disk, path, reason));
        *hold(&self.objects) = objects;
        warnings.extend(more);
        (history, warnings)
    }

    /// Writes the objects that changed and removes the files of those that are gone. After an error, any subset of the
    /// objects is written, each whole; the next save writes the rest.
    pub fn save(&self, history: &History) -> Result<(), StoreError> {
        let there = self.be_there()?;
        hold(&self.objects).save(&self.disk, history)?;
        self.is_bare.store(false, Ordering::Relaxed);
        drop(there);
        Ok(())
    }

    /// Keeps contents under their ids. One that is there already costs next to nothing.
    pub fn put_contents<'a>(
        &self,
        contents: impl IntoIterator<Item = (&'a ContentId, &'a Content)>,
    ) -> Result<(), StoreError> {
        drop(self.be_there()?);
        let mut kept = hold(&self.contents);
        contents.into_iter().try_for_each(|(id, content)| kept.put(&self.disk, id, content))
    }

    /// A content that was put before, checked against its id.
    pub fn content(&self, id: &ContentId) -> Result<Content, StoreError> {
        hold(&self.contents).get(&self.disk, id)
    }

    /// Renders a content as files for a container to mount; returns the directory, or with `key` that one file.
    pub fn render(&self, files: &Files) -> Result<PathBuf, StoreError> {
        hold(&self.contents).render(&self.disk, files)
    }

    /// Removes all contents and rendered files but those of `keep`.
    pub fn keep_contents(&self, keep: &BTreeSet<ContentId>) -> Result<(), StoreError> {
        hold(&self.contents).keep(&self.disk, keep)
    }

    /// Keeps the last good files of a source, and what they are of. Unchanged ones cost no write.
    pub fn save_snapshot(&self, source: &str, kept: &Kept) -> Result<(), StoreError> {
        drop(self.be_there()?);
        hold(&self.sources).save(&self.disk, source, kept)
    }

    /// Whether the last good files of a source are kept, as far as this process knows.
    pub fn keeps_snapshot(&self, source: &str) -> bool {
        self.is_there(&hold(&self.lock)) && hold(&self.sources).keeps(source)
    }

    /// The last good files of a source; none when there are none or they are damaged (which is logged).
    pub fn load_snapshot(&self, source: &str) -> Option<Kept> {
        hold(&self.sources).load(&self.disk, source).unwrap_or_else(|error| {
            tracing::warn!("the last good manifests of {source} are lost: {error}");
            None
        })
    }

    /// Sources that are kept and not among these.
    pub fn other_sources(&self, sources: &[String]) -> Vec<KeptSource> {
        let names: BTreeSet<String> = sources.iter().map(|source| sources::name_of(source)).collect();
        hold(&self.sources).others(&self.disk, &names)
    }

    /// Forgets a source, by the name of its file.
    pub fn forget_source(&self, name: &str) -> Result<(), StoreError> {
        last_good::forget(&self.disk, name)?;
        hold(&self.sources).forget(&self.disk, name)
    }

    /// Keeps what last completed of a source.
    pub fn save_last_good(&self, last_good: &LastGood) -> Result<(), StoreError> {
        last_good::save(&self.disk, last_good)
    }

    /// Whether there is a file of what last completed of a source.
    pub fn has_last_good(&self, source: &SourceName) -> bool {
        last_good::is_kept(&self.disk, source)
    }

    /// What last completed of every source that is kept. What is damaged is logged, and is none.
    pub fn last_good(&self) -> Vec<LastGood> {
        let (found, useless) = last_good::load(&self.disk);
        useless.iter().for_each(|error| tracing::warn!("what last completed is not used: {error}"));
        found
    }

    /// Remembers events. One to two MiB of them are kept.
    pub fn append_events(&self, events: &[Event]) -> Result<(), StoreError> {
        hold(&self.events).append(&self.disk, events)
    }

    /// The events that are remembered, oldest first.
    pub fn events(&self) -> Vec<Event> {
        journal::read(&self.disk, &EVENTS)
    }

    /// Adds to the release log. One to two MiB of it are kept.
    pub fn append_releases(&self, releases: &[Release]) -> Result<(), StoreError> {
        hold(&self.releases).append(&self.disk, releases)
    }

    /// The release log as it was written, oldest first: an entry may stand there twice.
    pub fn releases(&self) -> Vec<Release> {
        journal::read(&self.disk, &RELEASES)
    }

    /// Remembers what receivers of notifications were told.
    pub fn save_told(&self, told: &Told) -> Result<(), StoreError> {
        drop(self.be_there()?);
        told::save(&self.disk, told)
    }

    /// What receivers of notifications were told; none when that is not known, or is damaged (which is logged).
    pub fn load_told(&self) -> Option<Told> {
        told::load(&self.disk).unwrap_or_else(|error| {
            tracing::warn!("what was notified before is lost, and what stands now counts as told: {error}");
            None
        })
    }
}

/// The disk below a state directory. Its path is absolute, because the engine mounts files from it.
fn disk_at(state_dir: &Path, gate: Gate) -> Result<Disk, StoreError> {
    let root = std::path::absolute(state_dir).map_err(|cause| StoreError::Disk {
        operation: Operation::Read,
        path: state_dir.into(),
        cause,
    })?;
    Ok(Disk::new(root, gate))
}

/// Makes the state directory. Directories above it are other people's too and get the usual permissions.
fn make_root(disk: &Disk, root: &Path) -> Result<(), StoreError> {
    if root.is_dir() {
        return Ok(());
    }
    if let Some(above) = root.parent() {
        disk.attempt(Operation::CreateDir, above, || fs::create_dir_all(above))?;
    }
    disk.create_dir(root, PRIVATE_DIR)
}

/// Refuses a directory that holds something and is none of ours, by its lock, by its key where a backup left the lock
/// out, or by nothing but the notes on sources, as on a rebuilt machine: `--state-dir /home` must not protect or fill it.
fn refuse_foreign(disk: &Disk, root: &Path) -> Result<(), StoreError> {
    let names = disk.names(root)?;
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    let is_ours = has(lock::LOCK) || has(objects::OBJECTS) && key::is_there(disk);
    let notes = disk.names(&disk.path(SOURCES))?;
    let is_note = |name: &String| name.ends_with(".json") || name.ends_with(last_good::ENDING);
    let has_notes = || notes.iter().any(is_note) && notes.iter().all(is_note);
    let is_rebuilt = names.iter().all(|name| name == "lost+found" || name == SOURCES && has_notes());
    match is_rebuilt || is_ours {
        true => Ok(()),
        false => Err(StoreError::Foreign { path: root.into() }),
    }
}

/// Keeps everybody else out of a state directory that was made by somebody else, such as an administrator.
fn protect(disk: &Disk, root: &Path) -> Result<(), StoreError> {
    let mode = disk.attempt(Operation::Read, root, || Ok(fs::metadata(root)?.permissions().mode() & 0o7777))?;
    match mode {
        PRIVATE_DIR => Ok(()),
        _ => disk.attempt(Operation::Write, root, || fs::set_permissions(root, Permissions::from_mode(PRIVATE_DIR))),
    }
}

/// Removes what a crash left unfinished. If that fails, it costs room and nothing else.
fn sweep(disk: &Disk) {
    let objects = disk.path(OBJECTS);
    let namespaces = disk.names(&objects).unwrap_or_default().into_iter().map(|name| objects.join(name));
    for dir in [disk.root().to_path_buf(), disk.path(SOURCES)].into_iter().chain(namespaces) {
        let _ = disk.sweep(&dir);
    }
}

/// Renames a file that is of no use, so that it can be looked at, and says so.
fn set_aside(disk: &Disk, path: &Path, reason: &str) -> String {
    let place = |n: u32| PathBuf::from(format!("{}.broken-{n}", path.display()));
    let free = (1..BROKEN_MAX).map(place).find(|place| !place.exists()).unwrap_or_else(|| place(BROKEN_MAX));
    match disk.rename(path, &free) {
        Ok(()) => format!("{} is not used: {reason}; it is kept as {}", path.display(), free.display()),
        Err(error) => format!("{} is not used: {reason}; setting it aside failed: {error}", path.display()),
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is guarded only saves work: after a panic elsewhere, at worst something is written twice.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
