//! The key of the keyed hash of secrets: made once, never shown. Losing it does no harm but that everything that uses a
//! secret gets a new revision.

use std::io;

use super::disk::{Disk, Operation};
use super::error::StoreError;
use crate::model::secret::SecretBytes;

/// The key's file.
pub(super) const KEY: &str = "key";
/// The key's length in bytes.
const LENGTH: usize = 32;

/// The key that is there; none when there is none. One of another length is returned as it is, to be judged.
pub(super) fn read(disk: &Disk) -> Result<Option<Vec<u8>>, StoreError> {
    disk.read(&disk.path(KEY))
}

/// Whether there is a key.
pub(super) fn is_there(disk: &Disk) -> bool {
    read(disk).is_ok_and(|key| key.is_some_and(|key| key.len() == LENGTH))
}

/// The key, made if there is none. One that cannot be *read* is an error: making another would restart containers.
pub(super) fn read_or_make(
    disk: &Disk,
    new: impl FnOnce() -> io::Result<Vec<u8>>,
    warnings: &mut Vec<String>,
) -> Result<SecretBytes, StoreError> {
    match read(disk)? {
        Some(key) if key.len() == LENGTH => return Ok(SecretBytes::new(key)),
        Some(_) => warnings.push(super::set_aside(
            disk,
            &disk.path(KEY),
            "it is not a key; with the new one, whatever uses a secret gets a new revision",
        )),
        None => {}
    }
    let failed = |cause| StoreError::Disk { operation: Operation::Write, path: disk.path(KEY), cause };
    let key = new().map_err(failed)?;
    write(disk, &key)?;
    Ok(SecretBytes::new(key))
}

/// Writes the key.
pub(super) fn write(disk: &Disk, key: &[u8]) -> Result<(), StoreError> {
    let path = disk.path(KEY);
    disk.replace(&path, key.to_vec())?;
    disk.sync(super::disk::parent(&path))
}

/// A new key.
pub(super) fn random() -> io::Result<Vec<u8>> {
    let mut key = vec![0; LENGTH];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    Ok(key)
}
