//! An edited manifest to the disk: whole or not at all, in the place of the file that was read and of no other one.
//!
//! It does not know what the bytes say. A file's mode and owner stay as they are; that it was one of several names of
//! the same file (a hard link) does not.

use std::fs::{self, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use super::door::{self, Folder};
use super::snapshot::FILE_BYTES_MAX;

/// Why a file was not written, or not for certain: then the disk says so.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Somebody else was faster.
    #[error("{0} changed while it was edited")]
    Changed(String),
    /// It is no file of this directory.
    #[error("{file} {why}")]
    NotIts {
        /// The file.
        file: String,
        /// Why, in words that continue "the file …".
        why: String,
    },
    /// The disk or its rules refuse.
    #[error("cannot write {file}: {source}")]
    Disk {
        /// The file.
        file: String,
        /// What was said.
        source: io::Error,
    },
}

/// The right to edit some directories, against other commands like this one. It ends when it is dropped.
pub struct Turn(#[expect(dead_code, reason = "what counts is that they are open")] Vec<File>);

/// Takes the right to edit these directories; none while another one has it.
pub fn turn<'d>(dirs: impl Iterator<Item = &'d Path>) -> Option<Turn> {
    // One that is missing is told where it is read.
    let mut dirs: Vec<PathBuf> = dirs.filter_map(|dir| fs::canonicalize(dir).ok()).collect();
    // Always in the same order, so that no two wait for each other.
    dirs.sort();
    dirs.dedup();
    let mut held = Vec::new();
    for dir in dirs.iter().filter_map(|dir| File::open(dir).ok()) {
        match dir.try_lock() {
            Ok(()) => held.push(dir),
            Err(TryLockError::WouldBlock) => return None,
            // Not every file system knows locks; what others write is still noticed.
            Err(TryLockError::Error(_)) => {}
        }
    }
    Some(Turn(held))
}

/// Puts `after` in the place of the file `path` below `dir`, if that still says `before`.
pub fn replace(dir: &Path, path: &Path, before: &[u8], after: &[u8]) -> Result<(), WriteError> {
    let place = Place::hold(dir, path)?;
    let new = place.folder.entry(format!(".{}.{}-evenkeel", place.name, std::process::id()));
    let written = place.write(&new, after).and_then(|()| place.exchange(&new, before));
    if written.is_err() {
        // It is hidden, so that a rest of it does no harm.
        let _ = fs::remove_file(&new);
    }
    written
}

/// A file in a folder that is held.
struct Place {
    folder: Folder,
    name: String,
    shown: String,
    root: PathBuf,
    metadata: Metadata,
}

impl Place {
    fn hold(dir: &Path, path: &Path) -> Result<Self, WriteError> {
        let shown = dir.join(path).display().to_string();
        let disk = |source| WriteError::Disk { file: shown.clone(), source };
        let not_its = |why: String| WriteError::NotIts { file: shown.clone(), why };
        let root = fs::canonicalize(dir).map_err(disk)?;
        let (parent, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
        let folder = Folder::hold(&root.join(parent), &root).map_err(|refusal| match refusal {
            door::Refusal::Missing => WriteError::Changed(shown.clone()),
            door::Refusal::Because(why) => not_its(why),
        })?;
        let metadata = fs::symlink_metadata(folder.entry(name)).map_err(disk)?;
        if metadata.is_symlink() {
            let target = fs::read_link(folder.entry(name)).map_err(disk)?;
            return Err(not_its(format!("is a link, to {}: it is not written through", target.display())));
        }
        if !metadata.is_file() {
            return Err(not_its("is not a regular file".into()));
        }
        let name = name.to_string_lossy().into_owned();
        Ok(Self { folder, name, shown: shown.clone(), root, metadata })
    }

    /// Writes a new file with the mode and the owner of the old one.
    fn write(&self, new: &Path, bytes: &[u8]) -> Result<(), WriteError> {
        let old = &self.metadata;
        let write = || {
            // Only a killed process with this one's number can have left it.
            match fs::remove_file(new) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
            file.write_all(bytes)?;
            let made = file.metadata()?;
            if (made.uid(), made.gid()) != (old.uid(), old.gid()) {
                fchown(&file, Some(old.uid()), Some(old.gid())).map_err(|error| foreign(old, &error))?;
            }
            file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
            file.sync_all()
        };
        write().map_err(|source| self.disk(source))
    }

    /// Gives the new file the old one's name, if that one is still what was read.
    fn exchange(&self, new: &Path, before: &[u8]) -> Result<(), WriteError> {
        let old = self.folder.entry(&self.name);
        let now = fs::symlink_metadata(&old).map_err(|source| self.disk(source))?;
        let is_same = (now.dev(), now.ino()) == (self.metadata.dev(), self.metadata.ino());
        let bytes = door::read(&old, Some(&self.root), FILE_BYTES_MAX);
        if !is_same || bytes.as_deref() != Ok(before) {
            return Err(WriteError::Changed(self.shown.clone()));
        }
        fs::rename(new, old).and_then(|()| self.folder.sync()).map_err(|source| self.disk(source))
    }

    fn disk(&self, source: io::Error) -> WriteError {
        WriteError::Disk { file: self.shown.clone(), source }
    }
}

/// Whoever may write in a folder may replace a file of another's in it, but cannot give the new one away.
fn foreign(old: &Metadata, error: &io::Error) -> io::Error {
    let (user, group) = (old.uid(), old.gid());
    io::Error::new(error.kind(), format!("it belongs to {user}:{group}, and what replaces it would not ({error})"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn dir() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("shop")).unwrap();
        fs::write(dir.path().join("shop/web.yaml"), "old").unwrap();
        dir
    }

    fn names(dir: &Path) -> Vec<String> {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    const FILE: &str = "shop/web.yaml";

    #[test]
    fn a_file_is_replaced_and_keeps_its_mode_and_owner() {
        let dir = dir();
        let file = dir.path().join(FILE);
        // Only root may give a file away; for anybody else it stays as it is.
        let _ = std::os::unix::fs::chown(&file, Some(4711), Some(4712));
        let owner = |file: &Path| fs::metadata(file).map(|it| (it.uid(), it.gid())).unwrap();
        let before = owner(&file);
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        replace(dir.path(), Path::new(FILE), b"old", b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(owner(&file), before);
        assert_eq!(names(&dir.path().join("shop")), ["web.yaml"], "nothing is left beside it");
    }

    #[test]
    fn a_file_that_says_something_else_by_now_stays_as_it_is() {
        let dir = dir();
        let refused = replace(dir.path(), Path::new(FILE), b"older", b"new").unwrap_err();
        assert!(matches!(refused, WriteError::Changed(_)), "{refused}");
        assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), b"old");
        assert_eq!(names(&dir.path().join("shop")), ["web.yaml"]);
    }

    #[test]
    fn no_link_is_written_through() {
        let (dir, outside) = (dir(), dir());
        symlink("web.yaml", dir.path().join("shop/link.yaml")).unwrap();
        symlink(outside.path().join("shop"), dir.path().join("out")).unwrap();
        let why = |path: &str| replace(dir.path(), Path::new(path), b"old", b"new").unwrap_err().to_string();
        assert!(why("shop/link.yaml").ends_with("is a link, to web.yaml: it is not written through"));
        assert!(why("out/web.yaml").contains("leads out of the source directory"));
        assert_eq!(fs::read(outside.path().join(FILE)).unwrap(), b"old");
    }

    #[test]
    fn one_edits_at_a_time() {
        let (one, other) = (dir(), dir());
        let held = turn([one.path(), other.path(), one.path()].into_iter()).unwrap();
        assert!(turn([other.path()].into_iter()).is_none());
        drop(held);
        assert!(turn([other.path(), Path::new("/nowhere/at-all")].into_iter()).is_some());
    }
}
