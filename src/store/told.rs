//! What receivers of notifications were told: one small file. If it is lost, what stands then counts as told.

use super::disk::Disk;
use super::envelope;
use super::error::StoreError;
use crate::model::told::Told;

/// The file.
const TOLD: &str = "told.json";

/// Puts the file in its place, all or nothing.
pub(super) fn save(disk: &Disk, told: &Told) -> Result<(), StoreError> {
    let path = disk.path(TOLD);
    let (_, sealed) = envelope::seal(TOLD, told).map_err(|error| StoreError::unusable(&path, error.to_string()))?;
    disk.replace(&path, sealed)?;
    disk.sync(disk.root())
}

/// What the file says; none when there is no file, or why it is of no use.
pub(super) fn load(disk: &Disk) -> Result<Option<Told>, StoreError> {
    let path = disk.path(TOLD);
    let Some(bytes) = disk.read(&path)? else { return Ok(None) };
    let opened = envelope::open(TOLD, &bytes).map_err(|reason| StoreError::unusable(&path, reason));
    opened.map(|(_, told)| Some(told))
}
