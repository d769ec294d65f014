//! Why the state directory could not be used. Errors only.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::Operation;

/// Why the state directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk said no: full, broken, or not permitted. Nothing may be done until it works again.
    #[error("{operation} {}: {cause}{}", path.display(), way_out(cause))]
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

/// What can be done about it, where that is plain.
fn way_out(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::PermissionDenied => {
            ". The state directory belongs to the user that Evenkeel runs as, root as a rule: run it so, or choose another --state-dir"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            ". Mount its file system for writing (`dmesg` tells why the kernel has made one read-only), or choose another --state-dir"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ". Make room there: `docker system df` and `du -xh / | sort -h | tail` show what takes it"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_says_no_comes_with_a_way_out() {
        let said = |kind: io::ErrorKind| {
            let cause = io::Error::from(kind);
            StoreError::Disk { operation: Operation::Write, path: "/state/key".into(), cause }.to_string()
        };
        let full = said(io::ErrorKind::StorageFull);
        assert!(full.starts_with("write /state/key: no storage space. Make room there"), "{full}");
        for kind in [io::ErrorKind::ReadOnlyFilesystem, io::ErrorKind::PermissionDenied] {
            assert!(said(kind).contains("--state-dir"), "{}", said(kind));
        }
        assert_eq!(said(io::ErrorKind::TimedOut), "write /state/key: timed out");
    }
}
