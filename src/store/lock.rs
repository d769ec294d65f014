//! The lock on the state directory: one process at a time. It is the kernel's, so it ends with the process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::disk::{Disk, Operation, PRIVATE};
use super::error::StoreError;

/// The file that is locked. It is never removed: a lock on a removed file would keep nobody out.
pub(super) const LOCK: &str = "lock";

/// Takes the lock for as long as the file is open, or says who has it.
pub(super) fn take(disk: &Disk, state_dir: &Path) -> Result<File, StoreError> {
    let path = disk.path(LOCK);
    let mut file = disk.attempt(Operation::Lock, &path, || {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(PRIVATE.mode).open(&path)
    })?;
    match file.try_lock() {
        Ok(()) => {
            sign(&mut file);
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => Err(StoreError::Held { path: state_dir.into(), holder: signature(&mut file) }),
        Err(TryLockError::Error(cause)) => Err(StoreError::Disk { operation: Operation::Lock, path, cause }),
    }
}

/// Whether the lock that is held is the file at this path, and no other one.
pub(super) fn is_at(held: &File, path: &Path) -> bool {
    let (Ok(held), Ok(there)) = (held.metadata(), std::fs::metadata(path)) else { return false };
    (held.dev(), held.ino()) == (there.dev(), there.ino())
}

/// Writes down who holds the lock, for the message to the next one. A full disk is no reason not to start.
fn sign(file: &mut File) {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let _ = file.set_len(0).and_then(|()| writeln!(file, "process {} on {}", std::process::id(), host.trim()));
}

fn signature(file: &mut File) -> String {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(1..) => text.trim().into(),
        Ok(0) | Err(_) => "another process".into(),
    }
}
