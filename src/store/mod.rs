//! The state directory: history, contents, last good manifests and events on disk. It decides nothing, and nothing in
//! it is worth more than a running container: whatever is unreadable is set aside with a warning.

pub mod disk;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::model::container::Files;
use crate::model::history::History;
use crate::model::revision::{Content, ContentHasher, ContentId};
use crate::model::status::Event;

pub use disk::{Gate, Operation, StoreError};

/// The state directory, held by a lock for as long as this lives. All methods block on the disk; share it by `Arc`.
pub struct Store {}

impl Store {
    /// Opens the state directory, making it if need be. Refused while another process holds it.
    pub fn open(state_dir: &Path) -> Result<Self, StoreError> {
        Self::open_gated(state_dir, disk::open_gate())
    }

    /// Opens it with a gate before each operation on the disk, so that tests can make any of them fail.
    pub fn open_gated(state_dir: &Path, gate: Gate) -> Result<Self, StoreError> {
        let _ = (state_dir, gate);
        todo!()
    }

    /// Reads history and hasher without taking the lock and without changing anything, for `evenkeel plan` beside a
    /// running daemon. A state directory that does not exist reads as an empty history.
    pub fn peek(state_dir: &Path) -> Result<(History, ContentHasher), StoreError> {
        let _ = state_dir;
        todo!()
    }

    /// Makes content ids with this state directory's key.
    pub fn hasher(&self) -> ContentHasher {
        todo!()
    }

    /// Reads the history, once after [`Store::open`], with warnings for people about what could not be read.
    pub fn load(&self) -> (History, Vec<String>) {
        todo!()
    }

    /// Writes the objects that changed and removes the files of those that are gone. After an error, any subset of the
    /// objects is written, each whole; the next save writes the rest.
    pub fn save(&self, history: &History) -> Result<(), StoreError> {
        let _ = history;
        todo!()
    }

    /// Keeps a content under its id. One that is there already costs nothing.
    pub fn put_content(&self, id: &ContentId, content: &Content) -> Result<(), StoreError> {
        let _ = (id, content);
        todo!()
    }

    /// A content that was put before.
    pub fn content(&self, id: &ContentId) -> Result<Content, StoreError> {
        let _ = id;
        todo!()
    }

    /// Renders a content as files for a container to mount; returns the directory, or with `key` that one file.
    pub fn render(&self, files: &Files) -> Result<PathBuf, StoreError> {
        let _ = files;
        todo!()
    }

    /// Removes all contents and rendered files but those of `keep`.
    pub fn keep_contents(&self, keep: &BTreeSet<ContentId>) -> Result<(), StoreError> {
        let _ = keep;
        todo!()
    }

    /// Keeps the last good files of a source.
    pub fn save_snapshot(&self, source: &str, files: &BTreeMap<PathBuf, Vec<u8>>) -> Result<(), StoreError> {
        let _ = (source, files);
        todo!()
    }

    /// The last good files of a source; none when there are none or they are damaged.
    pub fn load_snapshot(&self, source: &str) -> Option<BTreeMap<PathBuf, Vec<u8>>> {
        let _ = source;
        todo!()
    }

    /// Remembers events. About 2 MiB of them are kept.
    pub fn append_events(&self, events: &[Event]) -> Result<(), StoreError> {
        let _ = events;
        todo!()
    }

    /// The events that are remembered, oldest first.
    pub fn events(&self) -> Vec<Event> {
        todo!()
    }
}
