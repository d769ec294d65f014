//! Which directories have to be watched for a set of paths, and what they look like now. It watches nothing itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Interest;

/// The most entries that a look without inotify takes in; a source is far smaller.
const FINGERPRINT_MAX: usize = 20_000;

/// What to watch. Two scopes are equal as long as the same directories stand in the same places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Scope {
    /// Directories, by real path.
    pub(super) dirs: BTreeMap<PathBuf, Watched>,
    /// The paths themselves: an event in a directory that is not watched whole matters if it is about one of these.
    names: BTreeSet<PathBuf>,
    /// Directories of which every entry matters, and nothing below those.
    folders: BTreeSet<PathBuf>,
}

/// A directory to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Watched {
    /// With everything below it.
    pub(super) whole: bool,
    /// Device and inode: another one means that the directory was replaced and the old watch sees nothing.
    identity: (u64, u64),
}

impl Scope {
    /// What to watch for `paths`, as the file system is now. A path that does not exist is watched for in its parent.
    pub(super) fn of(paths: impl IntoIterator<Item = Interest>) -> Self {
        let mut scope = Scope::default();
        for path in paths {
            let (path, whole) = match path {
                Interest::Whole(path) => (path, true),
                Interest::Folder(path) => (path, false),
            };
            let Ok(path) = std::path::absolute(path) else { continue };
            scope.add_name(&path);
            match fs::canonicalize(&path) {
                Ok(real) if real.is_dir() => {
                    scope.add_dir(&real, whole);
                    scope.folders.extend((!whole).then_some(real));
                }
                Ok(real) => scope.add_name(&real),
                Err(_) => {}
            }
        }
        scope.drop_covered();
        scope
    }

    /// Whether something about `path` matters.
    pub(super) fn covers(&self, path: &Path) -> bool {
        let is_in_folder = path.parent().is_some_and(|parent| self.folders.contains(parent));
        is_in_folder
            || self.names.contains(path)
            || path.ancestors().any(|dir| self.dirs.get(dir).is_some_and(|dir| dir.whole))
    }

    /// Watches the parent for the name: a file is often replaced by another of its name, which a watch on it would miss.
    fn add_name(&mut self, path: &Path) {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return };
        if let Ok(parent) = fs::canonicalize(parent) {
            self.add_dir(&parent, false);
            self.names.insert(parent.join(name));
        }
    }

    fn add_dir(&mut self, real: &Path, whole: bool) {
        let Ok(found) = fs::metadata(real) else { return };
        let identity = (found.dev(), found.ino());
        let dir = self.dirs.entry(real.to_path_buf()).or_insert(Watched { whole, identity });
        dir.whole |= whole;
    }

    /// Drops directories within others that are watched whole: a second watch would undo part of the first.
    fn drop_covered(&mut self) {
        let whole: Vec<PathBuf> = self.dirs.iter().filter(|(_, dir)| dir.whole).map(|(path, _)| path.clone()).collect();
        self.dirs.retain(|path, _| !whole.iter().any(|outer| path != outer && path.starts_with(outer)));
    }
}

/// A number that changes when something in `dir` does, for directories that cannot be watched.
pub(super) fn fingerprint(dir: &Path, whole: bool) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut left = FINGERPRINT_MAX;
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).take(left).collect();
        left -= entries.len();
        entries.sort();
        for entry in entries {
            let Ok(found) = fs::symlink_metadata(&entry) else { continue };
            (&entry, traces(&found)).hash(&mut hasher);
            if whole && found.is_dir() {
                open.push(entry);
            }
        }
    }
    hasher.finish()
}

/// What changes when a file is written, replaced or protected. The change time cannot be set back by anybody.
fn traces(found: &Metadata) -> [i64; 5] {
    [found.ino() as i64, found.len() as i64, found.mtime_nsec(), found.ctime(), found.ctime_nsec()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory `root` with a folder, and a file beside it.
    fn world() -> (tempfile::TempDir, PathBuf) {
        let world = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(world.path()).unwrap();
        fs::create_dir_all(base.join("root/folder")).unwrap();
        fs::write(base.join("secret"), "s").unwrap();
        (world, base)
    }

    fn whole(paths: impl IntoIterator<Item = PathBuf>) -> Scope {
        Scope::of(paths.into_iter().map(Interest::Whole))
    }

    #[test]
    fn a_directory_is_watched_whole_and_a_file_by_its_parent() {
        let (_world, base) = world();
        let scope = whole([base.join("root"), base.join("secret")]);
        let dirs: Vec<(&Path, bool)> = scope.dirs.iter().map(|(path, dir)| (path.as_path(), dir.whole)).collect();
        assert_eq!(dirs, [(base.as_path(), false), (base.join("root").as_path(), true)]);
        assert!(scope.covers(&base.join("root/folder/deep/x.yaml")) && scope.covers(&base.join("secret")));
        assert!(!scope.covers(&base.join("unrelated")));
    }

    #[test]
    fn a_file_within_a_watched_directory_needs_no_watch_of_its_own() {
        let (_world, base) = world();
        let scope = whole([base.join("root"), base.join("root/folder/.env"), base.join("root/folder")]);
        assert_eq!(scope.dirs.len(), 2, "{scope:?}");
    }

    #[test]
    fn a_symlink_is_watched_where_it_stands_and_where_it_leads() {
        let (_world, base) = world();
        std::os::unix::fs::symlink("root", base.join("current")).unwrap();
        let before = whole([base.join("current")]);
        assert!(before.covers(&base.join("current")) && before.covers(&base.join("root/x.yaml")));
        fs::create_dir(base.join("next")).unwrap();
        fs::remove_file(base.join("current")).unwrap();
        std::os::unix::fs::symlink("next", base.join("current")).unwrap();
        assert_ne!(whole([base.join("current")]), before);
    }

    #[test]
    fn a_replaced_directory_makes_another_scope() {
        let (_world, base) = world();
        let before = whole([base.join("root")]);
        fs::rename(base.join("root"), base.join("old")).unwrap();
        let missing = whole([base.join("root")]);
        assert_ne!(missing, before);
        assert!(missing.covers(&base.join("root")));
        fs::create_dir(base.join("root")).unwrap();
        assert_ne!(whole([base.join("root")]), before);
    }

    #[test]
    fn a_fingerprint_changes_with_content_name_and_place() {
        let (_world, base) = world();
        let look = || fingerprint(&base, true);
        let mut seen = BTreeSet::from([look()]);
        assert!(!seen.insert(look()), "nothing changed");
        fs::write(base.join("root/folder/x"), "1").unwrap();
        assert!(seen.insert(look()));
        fs::write(base.join("root/folder/x"), "22").unwrap();
        assert!(seen.insert(look()));
        fs::rename(base.join("root/folder/x"), base.join("root/folder/y")).unwrap();
        assert!(seen.insert(look()));
    }
}
