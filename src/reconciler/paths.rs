//! Where paths of the host lead, link by link, and who could change that on the way. It judges nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use crate::model::policy::HostPath;

/// As many links as the kernel follows.
const LINKS_MAX: usize = 40;
/// Permission bits that let others than the owner write.
const OTHERS_WRITE: u32 = 0o022;
/// In a directory with this bit, an entry is its owner's to rename and remove.
const STICKY: u32 = 0o1000;

/// Where each path leads.
pub fn resolve(paths: BTreeSet<String>) -> BTreeMap<String, HostPath> {
    paths.into_iter().map(|path| (path.clone(), lead(Path::new(&path)))).collect()
}

/// Where one absolute path leads.
pub fn lead(path: &Path) -> HostPath {
    match walk(path) {
        Ok(Walk { path: real, loose, links }) => match real.to_str() {
            Some(real) => HostPath::Real {
                path: real.to_owned(),
                loose: loose.map(|dir| dir.display().to_string()),
                links: links.iter().map(|link| link.display().to_string()).collect(),
            },
            None => HostPath::Unknown(format!("{} is not text", real.display())),
        },
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => HostPath::Missing,
        Err(error) => HostPath::Unknown(error.to_string()),
    }
}

struct Walk {
    path: PathBuf,
    /// The first directory on the way that others can change.
    loose: Option<PathBuf>,
    /// The links that were followed.
    links: Vec<PathBuf>,
}

/// Goes along a path as the kernel does.
fn walk(path: &Path) -> std::io::Result<Walk> {
    let mut at = Walk { path: PathBuf::from("/"), loose: None, links: Vec::new() };
    let mut ahead: VecDeque<PathBuf> = parts(path).collect();
    while let Some(part) = ahead.pop_front() {
        if part == Path::new("..") {
            at.path.pop();
            continue;
        }
        let next = at.path.join(&part);
        let found = fs::symlink_metadata(&next)?;
        if at.loose.is_none() && is_loose(&fs::symlink_metadata(&at.path)?, &found) {
            at.loose = Some(at.path.clone());
        }
        if !found.is_symlink() {
            at.path = next;
            continue;
        }
        let target = fs::read_link(&next)?;
        at.links.push(next);
        if at.links.len() > LINKS_MAX {
            return Err(std::io::Error::other("too many links"));
        }
        if target.is_absolute() {
            at.path = PathBuf::from("/");
        }
        for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
            ahead.push_front(part);
        }
    }
    Ok(at)
}

fn parts(path: &Path) -> impl Iterator<Item = PathBuf> + '_ {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some(PathBuf::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

/// Whether others than root and this process' user can put something else in the place of an entry of a directory.
pub fn is_loose(directory: &Metadata, entry: &Metadata) -> bool {
    let held = directory.mode() & OTHERS_WRITE == 0 || directory.mode() & STICKY != 0 && is_trusted(entry.uid());
    !is_trusted(directory.uid()) || !held
}

/// Whether a user is root or this process' own.
pub fn is_trusted(user: u32) -> bool {
    user == 0 || user == rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn real(path: &Path, by: &[PathBuf]) -> HostPath {
        let text = |path: &Path| path.display().to_string();
        HostPath::Real { path: text(path), loose: None, links: by.iter().map(|link| text(link)).collect() }
    }

    #[test]
    fn links_are_followed_wherever_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(base.join("a/b")).unwrap();
        symlink("a", base.join("relative")).unwrap();
        symlink(base.join("a/b"), base.join("absolute")).unwrap();
        symlink("loop", base.join("loop")).unwrap();
        assert_eq!(lead(&base.join("relative/b")), real(&base.join("a/b"), &[base.join("relative")]));
        symlink("../relative", base.join("a/again")).unwrap();
        let both = [base.join("a/again"), base.join("relative")];
        assert_eq!(
            lead(&base.join("relative/again/b")),
            real(&base.join("a/b"), &[&[base.join("relative")], &both[..]].concat())
        );
        let absolute = [base.join("absolute")];
        assert_eq!(lead(&base.join("absolute/../b/.")), real(&base.join("a/b"), &absolute));
        assert_eq!(lead(&base.join("absolute/..//")), real(&base.join("a"), &absolute));
        assert_eq!(lead(&base.join("a/none")), HostPath::Missing);
        assert!(matches!(lead(&base.join("loop")), HostPath::Unknown(_)));
        assert_eq!(lead(Path::new("/../..")), real(Path::new("/"), &[]));
    }

    #[test]
    fn a_directory_that_others_can_change_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(base.join("open/inner")).unwrap();
        fs::set_permissions(base.join("open"), fs::Permissions::from_mode(0o777)).unwrap();
        let loose = Some(base.join("open").display().to_string());
        let path = base.join("open/inner").display().to_string();
        assert_eq!(lead(&base.join("open/inner")), HostPath::Real { path: path.clone(), loose, links: Vec::new() });
        fs::set_permissions(base.join("open"), fs::Permissions::from_mode(0o1777)).unwrap();
        assert_eq!(lead(&base.join("open/inner")), HostPath::Real { path, loose: None, links: Vec::new() });
    }
}
