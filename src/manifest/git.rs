//! Whether git is in the middle of changing the working tree that a directory is in. It runs no git and changes nothing.

use std::fs;
use std::path::{Path, PathBuf};

/// What git leaves in its directory while an operation is under way.
const SIGNS: &[(&str, &str)] = &[
    ("index.lock", "git is changing the files"),
    ("shallow.lock", "git is fetching"),
    ("HEAD.lock", "git is changing the branch"),
    ("MERGE_HEAD", "a merge is not finished"),
    ("CHERRY_PICK_HEAD", "a cherry-pick is not finished"),
    ("REVERT_HEAD", "a revert is not finished"),
    ("rebase-merge", "a rebase is not finished"),
    ("rebase-apply", "a rebase is not finished"),
];

/// The reason to wait, if git is in the middle of something that concerns `dir`.
pub fn unsettled(dir: &Path) -> Option<String> {
    let git = enclosing(dir)?;
    let common = common_directory(&git);
    [Some(git), common].into_iter().flatten().find_map(|git| {
        let sign = SIGNS.iter().find(|(name, _)| fs::symlink_metadata(git.join(name)).is_ok());
        sign.map(|(name, what)| {
            let path = git.join(name);
            let path = path.display();
            match name.ends_with(".lock") {
                true => format!("{what} ({path} exists; if no git is running, remove it)"),
                false => format!("{what} ({path} exists)"),
            }
        })
    })
}

/// The git directory of the working tree that `dir` is in: `.git` there or above, or what a `.git` file points at.
fn enclosing(dir: &Path) -> Option<PathBuf> {
    dir.ancestors().find_map(|above| {
        let git = above.join(".git");
        let metadata = fs::metadata(&git).ok()?;
        if metadata.is_dir() {
            return Some(git);
        }
        pointer(&git, "gitdir:").map(|target| above.join(target))
    })
}

/// The directory that a worktree shares with its repository.
fn common_directory(git: &Path) -> Option<PathBuf> {
    pointer(&git.join("commondir"), "").map(|target| git.join(target))
}

/// The path in a one-line file of git's.
fn pointer(file: &Path, prefix: &str) -> Option<PathBuf> {
    let metadata = fs::metadata(file).ok()?;
    if !metadata.is_file() || metadata.len() > 8192 {
        return None;
    }
    let text = fs::read_to_string(file).ok()?;
    let target = text.lines().next()?.strip_prefix(prefix)?.trim();
    (!target.is_empty()).then(|| PathBuf::from(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_of_git_above_the_directory_is_seen() {
        let root = tempfile::tempdir().unwrap();
        let manifests = root.path().join("deploy/manifests");
        fs::create_dir_all(&manifests).unwrap();
        fs::create_dir_all(root.path().join(".git")).unwrap();
        assert_eq!(unsettled(&manifests), None);
        for (sign, _) in SIGNS {
            fs::write(root.path().join(".git").join(sign), "").unwrap();
            assert!(unsettled(&manifests).unwrap().contains(sign), "{sign}");
            fs::remove_file(root.path().join(".git").join(sign)).unwrap();
        }
    }

    #[test]
    fn a_worktrees_own_and_shared_directories_are_looked_at() {
        let root = tempfile::tempdir().unwrap();
        let private = root.path().join("repo/.git/worktrees/staging");
        let tree = root.path().join("staging");
        fs::create_dir_all(&private).unwrap();
        fs::create_dir_all(&tree).unwrap();
        fs::write(tree.join(".git"), format!("gitdir: {}\n", private.display())).unwrap();
        fs::write(private.join("commondir"), "../..\n").unwrap();
        assert_eq!(unsettled(&tree), None);
        fs::write(private.join("MERGE_HEAD"), "").unwrap();
        assert!(unsettled(&tree).is_some());
        fs::remove_file(private.join("MERGE_HEAD")).unwrap();
        fs::write(root.path().join("repo/.git/shallow.lock"), "").unwrap();
        assert!(unsettled(&tree).is_some());
    }
}
