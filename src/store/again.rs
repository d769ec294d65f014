//! The state directory is made again when somebody removes, empties or replaces it while we run.

use std::fs::File;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering;

use super::contents::{CONTENTS, Contents, FILES};
use super::disk::PRIVATE_DIR;
use super::error::StoreError;
use super::journal::{EVENTS, Journal, RELEASES};
use super::objects::{self, OBJECTS};
use super::sources::SOURCES;
use super::{Store, hold, key, lock, make_root, set_aside};

impl Store {
    /// Whether the history on disk is lost, because somebody removed or replaced the state directory, or what is in it, while we
    /// run. The next save writes all of it.
    pub fn is_lost(&self) -> bool {
        self.is_bare.load(Ordering::Relaxed) || !self.is_there(&hold(&self.lock))
    }

    /// Whether it is the directory whose lock we hold, with its key and room for the history.
    pub(super) fn is_there(&self, lock: &File) -> bool {
        let is_file = |name| self.disk.path(name).is_file();
        lock::is_at(lock, &self.disk.path(lock::LOCK)) && is_file(key::KEY) && self.disk.path(OBJECTS).is_dir()
    }

    /// Makes it again, if somebody removed it. It does not happen twice at once while the lock is lent.
    pub(super) fn be_there(&self) -> Result<MutexGuard<'_, File>, StoreError> {
        let mut lock = hold(&self.lock);
        if !self.is_there(&lock) {
            self.rebuild(&mut lock)?;
        }
        Ok(lock)
    }

    /// Makes the state directory again that somebody removed, emptied or replaced while we run. The history, and the contents
    /// and sources in force are written again as soon as they are asked to be kept; what was told and logged before is lost.
    fn rebuild(&self, lock: &mut File) -> Result<(), StoreError> {
        let root = self.disk.root();
        make_root(&self.disk, root)?;
        self.is_bare.store(true, Ordering::Relaxed);
        // Before anything else: it may be another process's by now.
        if !lock::is_at(lock, &self.disk.path(lock::LOCK)) {
            *lock = lock::take(&self.disk, root)?;
        }
        for dir in [OBJECTS, CONTENTS, FILES, SOURCES] {
            self.disk.create_dir(&self.disk.path(dir), PRIVATE_DIR)?;
        }
        hold(&self.sources).begin_again(&self.disk)?;
        key::write(&self.disk, self.key.expose())?;
        // What is left there, or was put there, is known again: what has to go can go.
        let (_, objects, warnings) = objects::load(&self.disk, |path, reason| set_aside(&self.disk, path, reason));
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        *hold(&self.objects) = objects;
        *hold(&self.contents) = Contents::new(self.hasher.clone());
        *hold(&self.events) = Journal::new(EVENTS);
        *hold(&self.releases) = Journal::new(RELEASES);
        tracing::warn!("the state directory {} was removed, emptied or replaced, and is made again", root.display());
        Ok(())
    }
}
