//! Every touch of the disk, one function per operation, each behind a gate where a test can make it fail. It knows
//! paths and bytes, not what they mean, and removes nothing outside its root.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::thread;

use super::error::StoreError;

/// Called before each operation with the path it is about (a rename's is the new name); an error is taken as the disk's.
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
    /// Bringing a file or directory to the disk.
    Sync,
    /// Giving a file or directory its final name.
    Rename,
    /// Removing a file or directory.
    Remove,
    /// Taking the lock.
    Lock,
}

impl Operation {
    /// Whether it changes what is on the disk.
    pub fn changes(self) -> bool {
        match self {
            Operation::Read | Operation::Lock => false,
            Operation::CreateDir
            | Operation::Write
            | Operation::Append
            | Operation::Sync
            | Operation::Rename
            | Operation::Remove => true,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::CreateDir => "create directory",
            Operation::Read => "read",
            Operation::Write => "write",
            Operation::Append => "append to",
            Operation::Sync => "sync",
            Operation::Rename => "rename to",
            Operation::Remove => "remove",
            Operation::Lock => "lock",
        })
    }
}

/// Who may read a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Access {
    /// Permission bits.
    pub(super) mode: u32,
    /// User and group; none: this process's.
    pub(super) owner: Option<(u32, u32)>,
}

/// Only this process's user.
pub(super) const PRIVATE: Access = Access { mode: 0o600, owner: None };
/// The permission bits of directories that only this process's user may enter.
pub(super) const PRIVATE_DIR: u32 = 0o700;

/// What every unfinished file's and directory's name begins with; such a one means nothing and may be removed.
const UNFINISHED: &str = ".tmp-";

/// Files that are open at once while many are replaced.
const AT_ONCE: usize = 32;
/// Threads that bring them to the disk: a journal takes many in the time of one.
const THREADS: usize = 8;

/// The disk below one directory.
pub(super) struct Disk {
    root: PathBuf,
    gate: Gate,
}

impl Disk {
    pub(super) fn new(root: PathBuf, gate: Gate) -> Self {
        Self { root, gate }
    }

    /// The directory that it is all in.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The path of something below the root.
    pub(super) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// Makes a directory, with its permission bits whatever the umask; one that is there is a success.
    pub(super) fn create_dir(&self, path: &Path, mode: u32) -> Result<(), StoreError> {
        if path.is_dir() {
            return Ok(());
        }
        self.attempt(Operation::CreateDir, path, || {
            DirBuilder::new().mode(mode).create(path)?;
            fs::set_permissions(path, Permissions::from_mode(mode))
        })
    }

    /// A file's bytes; none when there is no such file.
    pub(super) fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
        self.attempt(Operation::Read, path, || match fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
    }

    /// The names in a directory, sorted; none when there is no such directory. A name that is not UTF-8 is not ours.
    pub(super) fn names(&self, dir: &Path) -> Result<Vec<String>, StoreError> {
        self.attempt(Operation::Read, dir, || {
            let entries = match fs::read_dir(dir) {
                Ok(entries) => entries,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(error),
            };
            let names: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.file_name().into_string())).collect();
            let mut names: Vec<String> = names?.into_iter().flatten().collect();
            names.sort();
            Ok(names)
        })
    }

    /// Puts `bytes` in the place of a file, all or nothing. It survives a power cut once [`Disk::sync`] of the
    /// directory has returned.
    pub(super) fn replace(&self, path: &Path, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.replace_all(&[(path.into(), bytes)])
    }

    /// The same for many files, each of them all or nothing: after an error any of them may be the new ones.
    pub(super) fn replace_all(&self, files: &[(PathBuf, Vec<u8>)]) -> Result<(), StoreError> {
        for some in files.chunks(AT_ONCE) {
            let name = |(path, _): &(PathBuf, Vec<u8>)| self.rename(&unfinished(path), path);
            let done = self.write_unfinished(some).and_then(|()| some.iter().try_for_each(name));
            if done.is_err() {
                // A full disk needs the room. If that fails too, the next replace or load tries again.
                some.iter().for_each(|(path, _)| drop(self.remove_file(&unfinished(path))));
                return done;
            }
        }
        Ok(())
    }

    /// Brings the new contents to the disk, under names that mean nothing yet.
    fn write_unfinished(&self, files: &[(PathBuf, Vec<u8>)]) -> Result<(), StoreError> {
        let mut open = Vec::with_capacity(files.len());
        for (path, bytes) in files {
            let unfinished = unfinished(path);
            self.remove_file(&unfinished)?;
            open.push((self.write(&unfinished, bytes, PRIVATE)?, unfinished));
        }
        open.iter().try_for_each(|(_, path)| self.attempt(Operation::Sync, path, || Ok(())))?;
        let sync = |(file, path): &(File, PathBuf)| {
            file.sync_all().map_err(|cause| StoreError::Disk { operation: Operation::Sync, path: path.clone(), cause })
        };
        let [only] = &open[..] else { return in_parallel(&open, sync) };
        sync(only)
    }

    /// Puts a directory in its place, all or nothing: `fill` writes its files into an unfinished one first.
    pub(super) fn build(
        &self,
        path: &Path,
        mode: u32,
        fill: impl FnOnce(&Path) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let unfinished = unfinished(path);
        self.remove_tree(&unfinished)?;
        let done = self
            .create_dir(&unfinished, mode)
            .and_then(|()| fill(&unfinished))
            .and_then(|()| self.sync(&unfinished))
            .and_then(|()| self.rename(&unfinished, path));
        match done {
            Ok(()) => self.sync(parent(path)),
            Err(error) => {
                let _ = self.remove_tree(&unfinished);
                Err(error)
            }
        }
    }

    /// Writes a new file and brings it to the disk.
    pub(super) fn create(&self, path: &Path, bytes: &[u8], access: Access) -> Result<(), StoreError> {
        let file = self.write(path, bytes, access)?;
        self.attempt(Operation::Sync, path, || file.sync_all())
    }

    fn write(&self, path: &Path, bytes: &[u8], access: Access) -> Result<File, StoreError> {
        self.attempt(Operation::Write, path, || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE.mode).open(path)?;
            file.write_all(bytes)?;
            protect(&file, access)?;
            Ok(file)
        })
    }

    /// Adds to a file's end and returns its new length. A part may be written when it fails.
    pub(super) fn append(&self, path: &Path, bytes: &[u8]) -> Result<u64, StoreError> {
        self.attempt(Operation::Append, path, || {
            let mut file = OpenOptions::new().append(true).create(true).mode(PRIVATE.mode).open(path)?;
            file.write_all(bytes)?;
            Ok(file.metadata()?.len())
        })
    }

    /// Brings a directory's names to the disk.
    pub(super) fn sync(&self, dir: &Path) -> Result<(), StoreError> {
        self.attempt(Operation::Sync, dir, || File::open(dir)?.sync_all())
    }

    /// Gives a file another name, replacing what had it.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        self.attempt(Operation::Rename, to, || fs::rename(from, to))
    }

    /// Removes a file; one that is gone is a success.
    pub(super) fn remove_file(&self, path: &Path) -> Result<(), StoreError> {
        if fs::symlink_metadata(path).is_err() {
            return Ok(());
        }
        self.attempt(Operation::Remove, path, || fs::remove_file(path))
    }

    /// Removes a directory if there is nothing in it.
    pub(super) fn remove_empty_dir(&self, dir: &Path) -> Result<(), StoreError> {
        match self.names(dir)?.is_empty() {
            true => self.attempt(Operation::Remove, dir, || fs::remove_dir(dir)),
            false => Ok(()),
        }
    }

    /// Removes a directory whole: it loses its name first, so that nobody meets half of it.
    pub(super) fn discard(&self, dir: &Path) -> Result<(), StoreError> {
        let unfinished = unfinished(dir);
        self.remove_tree(&unfinished)?;
        self.rename(dir, &unfinished)?;
        self.remove_tree(&unfinished)
    }

    /// Removes what was left unfinished in a directory.
    pub(super) fn sweep(&self, dir: &Path) -> Result<(), StoreError> {
        for name in self.names(dir)?.iter().filter(|name| is_unfinished(name)) {
            let path = dir.join(name);
            if path.is_dir() { self.remove_tree(&path)? } else { self.remove_file(&path)? }
        }
        Ok(())
    }

    /// Removes a directory with all that is in it. This is the only place that does such a thing, and only below the
    /// root: data of users is never within reach.
    #[allow(clippy::disallowed_methods, reason = "this is its home: it checks where it is")]
    fn remove_tree(&self, dir: &Path) -> Result<(), StoreError> {
        let below = dir.strip_prefix(&self.root).is_ok_and(|rest| {
            rest.components().next().is_some() && rest.components().all(|part| matches!(part, Component::Normal(_)))
        });
        if !below {
            return Err(StoreError::unusable(dir, "it is outside the state directory and is not removed"));
        }
        match fs::symlink_metadata(dir) {
            Ok(found) if found.is_dir() => self.attempt(Operation::Remove, dir, || fs::remove_dir_all(dir)),
            Ok(_) => self.remove_file(dir),
            Err(_) => Ok(()),
        }
    }

    /// One operation: through the gate, and with its name in the error.
    pub(super) fn attempt<T>(
        &self,
        operation: Operation,
        path: &Path,
        run: impl FnOnce() -> io::Result<T>,
    ) -> Result<T, StoreError> {
        (self.gate)(operation, path).and_then(|()| run()).map_err(|cause| StoreError::Disk {
            operation,
            path: path.into(),
            cause,
        })
    }
}

/// Does something to each on a few threads; the first error in their order.
fn in_parallel<T: Sync>(all: &[T], run: impl Fn(&T) -> Result<(), StoreError> + Sync) -> Result<(), StoreError> {
    let part = all.len().div_ceil(THREADS).max(1);
    thread::scope(|scope| {
        let parts: Vec<_> = all.chunks(part).map(|part| scope.spawn(|| part.iter().try_for_each(&run))).collect();
        parts.into_iter().try_for_each(|part| part.join().expect("nothing in it panics"))
    })
}

/// Whether a name is that of something unfinished.
pub(super) fn is_unfinished(name: &str) -> bool {
    name.starts_with(UNFINISHED)
}

/// Whether a name can be a file's in a directory of ours.
pub(super) fn is_file_name(name: &str) -> bool {
    let reserved = matches!(name, "" | "." | "..") || is_unfinished(name);
    !reserved && name.len() <= 255 - UNFINISHED.len() && !name.contains(['/', '\0'])
}

/// The directory that something stands in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().expect("every path of the store is below its root")
}

/// Where something is put together before it gets its name.
fn unfinished(path: &Path) -> PathBuf {
    let name = path.file_name().expect("every path of the store has a name");
    path.with_file_name(format!("{UNFINISHED}{}", name.to_string_lossy()))
}

/// Sets owner and permission bits. The owner is changed only if it is another one: that takes privileges.
fn protect(file: &File, access: Access) -> io::Result<()> {
    let found = file.metadata()?;
    if let Some((uid, gid)) = access.owner.filter(|owner| *owner != (found.uid(), found.gid())) {
        fchown(file, Some(uid), Some(gid))?;
    }
    file.set_permissions(Permissions::from_mode(access.mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_root_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::new(dir.path().join("state"), open_gate());
        fs::create_dir_all(dir.path().join("state/x")).unwrap();
        fs::create_dir(dir.path().join("data")).unwrap();
        for path in ["data", "state", "state/../data", "state/x/../../data"] {
            assert!(disk.remove_tree(&dir.path().join(path)).is_err(), "{path}");
        }
        assert!(dir.path().join("data").exists());
        disk.remove_tree(&dir.path().join("state/x")).unwrap();
        assert!(!dir.path().join("state/x").exists());
    }

    #[test]
    fn a_symlink_is_removed_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::new(dir.path().join("state"), open_gate());
        fs::create_dir_all(dir.path().join("data/precious")).unwrap();
        fs::create_dir(dir.path().join("state")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("data"), dir.path().join("state/link")).unwrap();
        disk.remove_tree(&dir.path().join("state/link")).unwrap();
        assert!(dir.path().join("data/precious").exists() && !dir.path().join("state/link").exists());
    }

    #[test]
    fn an_error_names_what_was_attempted_and_where() {
        let gate: Gate = Arc::new(|_, _| Err(io::Error::from(ErrorKind::StorageFull)));
        let disk = Disk::new(PathBuf::from("/state"), gate);
        let error = disk.create(Path::new("/state/x"), b"", PRIVATE).unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with("write /state/x: no storage space. Make room"), "{said}");
    }
}
