//! What git says of the working tree that a directory is in: whether it is in the middle of changing it, and which commit it
//! is at. It runs no git and changes nothing. See [`git_index`](super::git_index) for whether files differ from the commit.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use super::git_index::Listed;
use crate::model::revision::Commit;
use crate::model::time::Timestamp;

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

/// A checkout, as it was found.
pub struct Git {
    /// The root of the working tree.
    root: PathBuf,
    /// Where git keeps what it knows of it: `.git`, or what a `.git` file points at.
    own: PathBuf,
    /// Where it keeps what all worktrees of the repository share.
    common: PathBuf,
}

impl Git {
    /// The checkout that `dir` is in, if it is in one.
    pub fn around(dir: &Path) -> Option<Git> {
        dir.ancestors().find_map(|root| {
            let own = git_directory(root)?;
            let common = common_directory(&own).unwrap_or_else(|| own.clone());
            Some(Git { root: root.into(), own, common })
        })
    }

    /// The root of the working tree.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The reason to wait, if git is in the middle of something.
    pub fn unsettled(&self) -> Option<String> {
        let (path, what) = self.sign()?;
        let is_lock = path.extension().is_some_and(|ending| ending == "lock");
        let path = path.display();
        // A pull refuses to go over what a killed one has written, and a reset to the old commit leaves its new files.
        Some(match is_lock {
            true => format!(
                "{what} ({path} exists; if no git is running, remove it and do git's work again: \
                 git reset --hard @{{upstream}})"
            ),
            false => format!("{what} ({path} exists)"),
        })
    }

    /// The file that says so, and what it means.
    fn sign(&self) -> Option<(PathBuf, &'static str)> {
        let shared = Some(&self.common).filter(|common| **common != self.own);
        let places = std::iter::once(&self.own).chain(shared);
        let mut signs = places.flat_map(|git| SIGNS.iter().map(move |(name, what)| (git.join(name), *what)));
        signs.find(|(path, _)| fs::symlink_metadata(path).is_ok())
    }

    /// The commit that the working tree is at; none before the first commit, and where git keeps its names in a form that is
    /// not known here.
    pub fn commit(&self) -> Option<Commit> {
        let mut text = line(&self.own.join("HEAD"))?;
        for _ in 0..NAMES_MAX {
            let Some(name) = text.strip_prefix("ref:").map(str::trim) else { return Commit::parse(&text) };
            if !is_inside(name) {
                return None;
            }
            // A worktree's own names come before those that it shares.
            let loose = [&self.own, &self.common].into_iter().find_map(|dir| line(&dir.join(name)));
            text = loose.or_else(|| packed(&self.common, name))?;
        }
        None
    }

    /// Whether the files of `dir`, by their paths below it, differ from that commit, as far as git's list of them tells; no
    /// where it does not. Of files that are gone, those that `is_read` counts.
    pub fn is_edited(
        &self,
        dir: &Path,
        commit: &Commit,
        files: &BTreeMap<PathBuf, Vec<u8>>,
        is_read: impl Fn(&Path) -> bool,
    ) -> bool {
        let differs = || {
            let below = dir.strip_prefix(&self.root).ok()?;
            let listed = Listed::read(&self.own, below, commit.is_sha256())?;
            Some(listed.differs(&self.root, below, files, is_read))
        };
        differs().unwrap_or(false)
    }
}

/// Since when git is in the middle of something that concerns `dir`.
pub fn held_since(dir: &Path) -> Option<Timestamp> {
    let (path, _) = Git::around(&fs::canonicalize(dir).ok()?)?.sign()?;
    let metadata = fs::symlink_metadata(path).ok()?;
    Some(Timestamp(metadata.mtime().saturating_mul(1000)))
}

/// The root of the git checkout that a directory is in, if it is in one.
pub fn checkout(dir: &Path) -> Option<PathBuf> {
    Git::around(dir).map(|git| git.root)
}

/// Git's list of the files of a checkout, which it replaces at the end of whatever changes them.
#[derive(Debug, Clone)]
pub struct Index {
    /// Whether git is changing the files: the lock of this list is held for as long as they are written. Its other locks say
    /// nothing about files.
    pub is_locked: bool,
    traces: Option<Traces>,
    content: Option<[u8; 32]>,
}

/// What changes when a file is replaced: device, inode, size, and the time of its last change.
type Traces = (u64, u64, u64, i64, i64);

impl Index {
    /// The list of the checkout that `dir` is in, if it is in one. It is only read anew where it differs from `before`.
    pub fn read(dir: &Path, before: Option<&Index>) -> Option<Index> {
        let git = Git::around(&fs::canonicalize(dir).ok()?)?.own;
        let is_locked = fs::symlink_metadata(git.join("index.lock")).is_ok();
        let path = git.join("index");
        let traces = fs::metadata(&path).ok().map(|m| (m.dev(), m.ino(), m.size(), m.ctime(), m.ctime_nsec()));
        let content = match before {
            Some(before) if before.traces == traces => before.content,
            Some(_) | None => hash(&path),
        };
        Some(Index { is_locked, traces, content })
    }

    /// Whether the list says the same. Each file's times are in it, so it says something else after any git that has
    /// written one; a mere `git status` may put the same list into a new file.
    pub fn says_the_same(&self, other: &Index) -> bool {
        self.content == other.content
    }
}

fn hash(path: &Path) -> Option<[u8; 32]> {
    let mut file = fs::File::open(path).ok()?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        match file.read(&mut piece).ok()? {
            0 => return Some(hash.finalize().into()),
            length => hash.update(&piece[..length]),
        }
    }
}

/// How many names may lead to one another until a commit is reached; more is a circle.
const NAMES_MAX: usize = 5;
/// The largest list of packed names that is read, in bytes; a repository of 100,000 names has less.
const PACKED_BYTES_MAX: u64 = 16 << 20;

/// Whether the name of a branch or tag stays below the directory of git.
fn is_inside(name: &str) -> bool {
    name.starts_with("refs/") && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

/// What a name leads to by the list of those that have no file of their own.
fn packed(common: &Path, name: &str) -> Option<String> {
    let text = read(&common.join("packed-refs"), PACKED_BYTES_MAX)?;
    text.lines().find_map(|line| line.strip_suffix(name)?.strip_suffix(' ')).map(str::to_owned)
}

fn git_directory(root: &Path) -> Option<PathBuf> {
    let git = root.join(".git");
    let metadata = fs::metadata(&git).ok()?;
    if metadata.is_dir() {
        return Some(git);
    }
    pointer(&git, "gitdir:").map(|target| root.join(target))
}

/// The directory that a worktree shares with its repository.
fn common_directory(git: &Path) -> Option<PathBuf> {
    pointer(&git.join("commondir"), "").map(|target| git.join(target))
}

/// The path in a one-line file of git's.
fn pointer(file: &Path, prefix: &str) -> Option<PathBuf> {
    let line = line(file)?;
    let target = line.strip_prefix(prefix)?.trim();
    (!target.is_empty()).then(|| PathBuf::from(target))
}

/// The first line of a small file, without the space around it.
fn line(file: &Path) -> Option<String> {
    Some(read(file, 8192)?.lines().next()?.trim().to_owned())
}

/// The text of a file that is no larger than `limit`.
fn read(file: &Path, limit: u64) -> Option<String> {
    let metadata = fs::metadata(file).ok()?;
    if !metadata.is_file() || metadata.len() > limit {
        return None;
    }
    fs::read_to_string(file).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unsettled(dir: &Path) -> Option<String> {
        Git::around(dir)?.unsettled()
    }

    fn commit(dir: &Path) -> Option<Commit> {
        Git::around(dir)?.commit()
    }

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

    #[test]
    fn the_index_tells_when_it_was_replaced_and_not_when_the_same_was_written_again() {
        let root = tempfile::tempdir().unwrap();
        let manifests = root.path().join("deploy");
        fs::create_dir_all(&manifests).unwrap();
        assert!(Index::read(&manifests, None).is_none(), "no checkout");
        write(root.path(), &[(".git/HEAD", "ref: refs/heads/main\n")]);
        let none = Index::read(&manifests, None).unwrap();
        let replace = |text: &str| {
            write(root.path(), &[(".git/index.lock", text)]);
            assert!(Index::read(&manifests, None).unwrap().is_locked);
            fs::rename(root.path().join(".git/index.lock"), root.path().join(".git/index")).unwrap();
            Index::read(&manifests, Some(&none)).unwrap()
        };
        let one = replace("1");
        assert!(!one.is_locked && !one.says_the_same(&none));
        assert!(replace("1").says_the_same(&one));
        assert!(!replace("2").says_the_same(&one));
        assert!(
            Index::read(&manifests, Some(&one)).unwrap().says_the_same(&replace("2")),
            "what is known is not trusted"
        );
    }

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    /// Files below a directory, by path and text.
    fn write(root: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    fn commit_of(files: &[(&str, &str)]) -> Option<String> {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("deploy/manifests")).unwrap();
        write(root.path(), files);
        commit(&root.path().join("deploy/manifests")).map(|commit| commit.to_string())
    }

    #[test]
    fn the_commit_is_found_through_a_branch_a_packed_branch_and_without_one() {
        let branch = (".git/HEAD", "ref: refs/heads/main\n");
        let packed = format!(
            "# pack-refs with: peeled fully-peeled sorted \n{TWO} refs/heads/not-main\n{ONE} refs/heads/main\n{TWO} refs/tags/v1\n^{ONE}\n"
        );
        let loose = (".git/refs/heads/main", &*format!("{ONE}\n"));
        let old_list = (".git/packed-refs", &*format!("{TWO} refs/heads/main\n"));
        assert_eq!(commit_of(&[branch, loose]).as_deref(), Some(ONE));
        assert_eq!(commit_of(&[branch, (".git/packed-refs", &packed)]).as_deref(), Some(ONE));
        assert_eq!(commit_of(&[branch, loose, old_list]).as_deref(), Some(ONE), "a file of its own is newer");
        assert_eq!(commit_of(&[(".git/HEAD", &format!("{TWO}\n"))]).as_deref(), Some(TWO), "no branch");
        let sha256 = "ab".repeat(32);
        assert_eq!(commit_of(&[(".git/HEAD", &sha256)]), Some(sha256));
    }

    #[test]
    fn a_worktree_has_its_own_head_and_shares_its_branches() {
        let root = tempfile::tempdir().unwrap();
        let private = root.path().join("repo/.git/worktrees/staging");
        let pointer = format!("gitdir: {}\n", private.display());
        write(
            root.path(),
            &[
                ("staging/.git", &pointer),
                ("repo/.git/HEAD", "ref: refs/heads/main\n"),
                ("repo/.git/refs/heads/main", ONE),
                ("repo/.git/refs/heads/staging", TWO),
                ("repo/.git/worktrees/staging/HEAD", "ref: refs/heads/staging\n"),
                ("repo/.git/worktrees/staging/commondir", "../..\n"),
            ],
        );
        assert_eq!(commit(&root.path().join("staging")).unwrap().to_string(), TWO);
        assert_eq!(commit(&root.path().join("repo")).unwrap().to_string(), ONE);
    }

    #[test]
    fn where_there_is_no_commit_none_is_made_up() {
        for files in [
            &[][..],
            &[(".git/HEAD", "ref: refs/heads/unborn\n")],
            &[(".git/HEAD", "ref: refs/heads/.invalid\n"), (".git/reftable/tables.list", "x")],
            &[(".git/HEAD", "ref: refs/heads/a\n"), (".git/refs/heads/a", "ref: refs/heads/a\n")],
            &[(".git/HEAD", "ref: refs/../../secret\n"), ("secret", ONE)],
            &[(".git/HEAD", "ref: /etc/passwd\n")],
            &[(".git/HEAD", "1234567\n")],
        ] {
            assert_eq!(commit_of(files), None, "{files:?}");
        }
    }
}
