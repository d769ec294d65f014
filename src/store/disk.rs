//! Every touch of the disk, one function per operation, each behind a gate where a test can make it fail. It knows
//! paths and bytes, not what they mean.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Called before each operation; an error is taken as the disk's own.
pub type Gate = Arc<dyn Fn(Operation, &Path) -> io::Result<()> + Send + Sync>;

/// The gate that lets everything pass.
pub fn open_gate() -> Gate {
    Arc::new(|_, _| Ok(()))
}

/// What is done to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Making a directory.
    CreateDir,
    /// Reading a file or listing a directory.
    Read,
    /// Creating a file and writing its bytes.
    Write,
    /// Adding bytes to the end of a file.
    Append,
    /// Setting permission bits and owner.
    Protect,
    /// Bringing a file or directory to the disk.
    Sync,
    /// Giving a file or directory its final name.
    Rename,
    /// Removing a file or directory.
    Remove,
    /// Taking the lock.
    Lock,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::CreateDir => "create directory",
            Operation::Read => "read",
            Operation::Write => "write",
            Operation::Append => "append to",
            Operation::Protect => "set permissions of",
            Operation::Sync => "sync",
            Operation::Rename => "rename",
            Operation::Remove => "remove",
            Operation::Lock => "lock",
        })
    }
}

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
