//! Why the state directory could not be used. Errors only.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::Operation;

/// Why the state directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk said no: full, broken, or not permitted. Nothing may be done until it works again.
    #[error("{operation} {}: {cause}", path.display())]
    Disk {
        /// What was attempted.
        operation: Operation,
        /// On what.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Another process holds it.
    #[error("state directory {} is in use by {holder}", path.display())]
    Held {
        /// The state directory.
        path: PathBuf,
        /// The process, for people: `process 4711 on web1`.
        holder: String,
    },
    /// The directory holds other things, so it is not touched.
    #[error("{} is not empty and is not a state directory of Evenkeel: choose another --state-dir", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// What was asked for is not there, is damaged, or cannot be kept under that name.
    #[error("{}: {reason}", path.display())]
    Unusable {
        /// The file or directory.
        path: PathBuf,
        /// Why, for people.
        reason: String,
    },
}

impl StoreError {
    /// An [`StoreError::Unusable`].
    pub(super) fn unusable(path: &Path, reason: impl Into<String>) -> Self {
        Self::Unusable { path: path.into(), reason: reason.into() }
    }
}
