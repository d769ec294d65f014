//! What last completed of each source: a file for people to read and to put into a backup, and for a rebuilt machine to
//! start from. A file that was changed by hand is not used.

use std::path::PathBuf;

use super::disk::{Disk, parent};
use super::envelope;
use super::error::StoreError;
use super::sources::{SOURCES, name_of};
use crate::model::last_good::{LastGood, SourceName};

/// How the files' names end.
pub(super) const ENDING: &str = ".last-good.lock";

/// Puts a source's file in its place, all or nothing.
pub(super) fn save(disk: &Disk, last_good: &LastGood) -> Result<(), StoreError> {
    let path = path_of(disk, &last_good.source);
    let (_, sealed) =
        envelope::seal_pretty(ENDING, last_good).map_err(|error| StoreError::unusable(&path, error.to_string()))?;
    disk.replace(&path, sealed)?;
    disk.sync(parent(&path))
}

/// What is kept of every source, and why some of it is of no use.
pub(super) fn load(disk: &Disk) -> (Vec<LastGood>, Vec<StoreError>) {
    let names = disk.names(&disk.path(SOURCES)).unwrap_or_default();
    let (mut found, mut useless) = (Vec::new(), Vec::new());
    for name in names.iter().filter(|name| name.ends_with(ENDING)) {
        match one(disk, disk.path(SOURCES).join(name)) {
            Ok(last_good) => found.extend(last_good),
            Err(error) => useless.push(error),
        }
    }
    (found, useless)
}

fn one(disk: &Disk, path: PathBuf) -> Result<Option<LastGood>, StoreError> {
    let Some(bytes) = disk.read(&path)? else { return Ok(None) };
    let (_, last_good) =
        envelope::open::<LastGood>(ENDING, &bytes).map_err(|reason| StoreError::unusable(&path, reason))?;
    match path_of(disk, &last_good.source) == path {
        true => Ok(Some(last_good)),
        false => Err(StoreError::unusable(&path, format!("it is of another source: {}", last_good.source.dir))),
    }
}

/// Whether there is such a file of a source.
pub(super) fn is_kept(disk: &Disk, source: &SourceName) -> bool {
    path_of(disk, source).is_file()
}

/// Forgets what is kept of a directory, whatever the namespace, by the name that its files begin with.
pub(super) fn forget(disk: &Disk, name: &str) -> Result<(), StoreError> {
    let names = disk.names(&disk.path(SOURCES))?;
    let own = |file: &&String| file.ends_with(ENDING) && file.split('.').next() == Some(name);
    names.iter().filter(own).try_for_each(|file| disk.remove_file(&disk.path(SOURCES).join(file)))
}

/// `srv-shop-1a2b3c4d5e.last-good.lock`, with a namespace `srv-shop-1a2b3c4d5e.staging.last-good.lock`.
fn path_of(disk: &Disk, source: &SourceName) -> PathBuf {
    let namespace = source.namespace.as_ref().map(|namespace| format!(".{namespace}")).unwrap_or_default();
    disk.path(SOURCES).join(format!("{}{namespace}{ENDING}", name_of(&source.dir)))
}
