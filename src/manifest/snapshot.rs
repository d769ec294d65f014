//! One whole read of a source directory: the files as they were, and nothing that is in the middle of a change.
//!
//! It makes no sense of the text and never follows a link out of the directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

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
    /// Files that were not read, and why: `load` reports them.
    pub refused: BTreeMap<PathBuf, String>,
}

impl Snapshot {
    /// A snapshot of files that were read earlier, such as the last good ones.
    pub fn of(files: BTreeMap<PathBuf, Vec<u8>>) -> Self {
        Self { files, refused: BTreeMap::new() }
    }

    /// The hash of paths and contents: two snapshots with the same digest are the same.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            // Lengths first, so that no two different snapshots have the same bytes.
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        for (path, bytes) in &self.files {
            part(path.as_os_str().as_encoded_bytes());
            part(bytes);
        }
        for (path, reason) in &self.refused {
            part(path.as_os_str().as_encoded_bytes());
            part(reason.as_bytes());
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Reads the whole directory once. Whether two reads agree is the caller's to compare.
pub fn read(dir: &Path) -> Result<Snapshot, ReadError> {
    Err(ReadError::Unreadable(format!("{} cannot be read yet", dir.display())))
}
