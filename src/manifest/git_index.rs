//! Whether files are what git's list of a checkout says: a reading of that list. It runs no git and reads none of its objects, so
//! what was staged and is not committed yet counts as committed.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The largest list that is read, in bytes: that of a repository with 100,000 files has less.
const BYTES_MAX: u64 = 16 << 20;
/// What is told of a file before its id and name, in bytes.
const STAT: usize = 40;
/// In an entry's flags: a conflict's side, and that more flags follow.
const STAGE: u16 = 0x3000;
const EXTENDED: u16 = 0x4000;
/// In the further flags: only announced by `git add -N`; not in the working tree on purpose.
const INTENT_TO_ADD: u16 = 0x2000;
const SKIP_WORKTREE: u16 = 0x4000;
/// The kind of a file in its mode, and those that are read here.
const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;

/// Git's list of the files of a checkout.
pub struct Listed {
    entries: BTreeMap<Vec<u8>, Entry>,
    is_sha256: bool,
}

/// A file in it.
struct Entry {
    id: Vec<u8>,
    mode: u32,
    size: u32,
    changed_at: (u32, u32),
    is_skipped: bool,
}

impl Listed {
    /// The list in a git directory, as far as it is of a directory `below` the checkout's; none where there is none, or it has a form that is not known here.
    pub fn read(git: &Path, below: &Path, is_sha256: bool) -> Option<Self> {
        let path = git.join("index");
        if fs::metadata(&path).ok()?.len() > BYTES_MAX {
            return None;
        }
        Self::parse(&fs::read(path).ok()?, below, is_sha256)
    }

    fn parse(bytes: &[u8], below: &Path, is_sha256: bool) -> Option<Self> {
        let below = below.as_os_str().as_bytes();
        let id_length = if is_sha256 { 32 } else { 20 };
        let version = number(bytes, 4)?;
        if bytes.get(..4)? != b"DIRC" || !(2..=4).contains(&version) {
            return None;
        }
        let (mut entries, mut at, mut name) = (BTreeMap::new(), 12, Vec::new());
        for _ in 0..number(bytes, 8)? {
            let begin = at;
            let flags = short(bytes, begin + STAT + id_length)?;
            at = begin + STAT + id_length + 2;
            let mut further = 0;
            if flags & EXTENDED != 0 {
                further = short(bytes, at)?;
                at += 2;
            }
            if version == 4 {
                let (cut, length) = varint(bytes.get(at..)?)?;
                at += length;
                name.truncate(name.len().checked_sub(cut)?);
            } else {
                name.clear();
            }
            let length = bytes.get(at..)?.iter().position(|byte| *byte == 0)?;
            name.extend_from_slice(&bytes[at..at + length]);
            at += length + 1;
            if version < 4 {
                // Filled up with zeros to a multiple of eight, one of them at least.
                at = begin + (at - begin).next_multiple_of(8);
            }
            let entry = Entry {
                id: bytes.get(begin + STAT..begin + STAT + id_length)?.to_vec(),
                mode: number(bytes, begin + 24)?,
                size: number(bytes, begin + 36)?,
                changed_at: (number(bytes, begin + 8)?, number(bytes, begin + 12)?),
                is_skipped: further & SKIP_WORKTREE != 0,
            };
            if entry.mode & KIND == FOLDER {
                // It stands for its files, which are not listed.
                return None;
            }
            // A conflict's sides, and what is only announced, are in no commit.
            if flags & STAGE == 0 && further & INTENT_TO_ADD == 0 && name.starts_with(below) {
                entries.insert(name.clone(), entry);
            }
        }
        let rest = bytes.get(at..bytes.len().checked_sub(id_length)?)?;
        is_all(rest).then_some(Self { entries, is_sha256 })
    }

    /// Whether the files of a directory differ from what the list says: `files` are by their path below it, and `below` is its own
    /// path in the checkout. Of files that are in the list and are gone, those that `is_read` counts.
    pub fn differs(
        &self,
        root: &Path,
        below: &Path,
        files: &BTreeMap<PathBuf, Vec<u8>>,
        is_read: impl Fn(&Path) -> bool,
    ) -> bool {
        let changed = files.iter().any(|(path, text)| {
            let path = below.join(path);
            match self.entries.get(path.as_os_str().as_bytes()) {
                None => true,
                // A link is what it leads to, which is a file of its own.
                Some(entry) if entry.mode & KIND != REGULAR => false,
                Some(entry) => entry.id != self.id_of(text) && !entry.is_as_git_left_it(fs::metadata(root.join(&path))),
            }
        });
        let is_gone = |(name, entry): (&Vec<u8>, &Entry)| {
            let path = Path::new(std::ffi::OsStr::from_bytes(name));
            let own = path.strip_prefix(below).is_ok_and(&is_read);
            own && !entry.is_skipped && fs::symlink_metadata(root.join(path)).is_err()
        };
        changed || self.entries.iter().any(is_gone)
    }

    /// What git calls a file with this text.
    fn id_of(&self, text: &[u8]) -> Vec<u8> {
        let head = format!("blob {}\0", text.len());
        match self.is_sha256 {
            true => Sha256::new().chain_update(head).chain_update(text).finalize().to_vec(),
            false => Sha1::new().chain_update(head).chain_update(text).finalize().to_vec(),
        }
    }
}

impl Entry {
    /// Whether nobody has written the file since git did: it may be kept otherwise than it is in the working tree (line ends, LFS).
    fn is_as_git_left_it(&self, found: std::io::Result<Metadata>) -> bool {
        found.is_ok_and(|found| {
            let changed_at = (found.mtime() as u32, found.mtime_nsec() as u32);
            found.size() as u32 == self.size && changed_at == self.changed_at
        })
    }
}

/// Whether the extensions behind the list say nothing of another part of it, elsewhere.
fn is_all(extensions: &[u8]) -> bool {
    let mut rest = extensions;
    while let (Some(name), Some(length)) = (rest.get(..4), number(rest, 4)) {
        if name == b"link" {
            return false;
        }
        rest = rest.get(8 + length as usize..).unwrap_or_default();
    }
    true
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).map(|four| u32::from_be_bytes(four.try_into().expect("they are four")))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).map(|two| u16::from_be_bytes(two.try_into().expect("they are two")))
}

/// How many bytes of the name before are left out, and how long that number is.
fn varint(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_usize;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        value = (value << 7) | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
        value += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Runs git in a directory, with nothing of this machine's configuration.
    fn git(dir: &Path, words: &[&str]) {
        let mut command = Command::new("git");
        let identity =
            ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main", "-c", "core.autocrlf=false"];
        command.current_dir(dir).args(identity).args(words).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", dir);
        let output = command.output().unwrap();
        assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn has_git() -> bool {
        Command::new("git").arg("--version").output().is_ok_and(|output| output.status.success())
    }

    fn differs(root: &Path, is_sha256: bool) -> Option<bool> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(root.join("deploy")).unwrap() {
            let path = entry.unwrap().path();
            files.insert(PathBuf::from(path.file_name().unwrap()), fs::read(&path).unwrap());
        }
        let listed = Listed::read(&root.join(".git"), Path::new("deploy"), is_sha256)?;
        Some(listed.differs(root, Path::new("deploy"), &files, |path| path.extension().is_some_and(|it| it == "yaml")))
    }

    #[test]
    fn edits_new_files_and_removed_ones_are_told_from_a_clean_checkout_in_every_form_of_the_list() {
        if !has_git() {
            return;
        }
        for form in [&["init"][..], &["init", "--object-format=sha256"]] {
            for version in ["2", "4"] {
                let dir = tempfile::tempdir().unwrap();
                let (root, is_sha256) = (dir.path(), form.len() > 1);
                let write = |name: &str, text: &str| fs::write(root.join(name), text).unwrap();
                git(root, form);
                git(root, &["config", "index.version", version]);
                fs::create_dir(root.join("deploy")).unwrap();
                for name in ["a.yaml", "ab.yaml", "abc.yaml", "b.yaml"] {
                    write(&format!("deploy/{name}"), name);
                }
                write("other.yaml", "x");
                git(root, &["add", "."]);
                git(root, &["commit", "-qm", "1"]);
                let now = || differs(root, is_sha256);
                assert_eq!(now(), Some(false), "{form:?} {version}");
                write("deploy/ab.yaml", "edited");
                assert_eq!(now(), Some(true));
                write("deploy/ab.yaml", "ab.yaml");
                assert_eq!(now(), Some(false), "the same text at another time");
                write("other.yaml", "edited");
                assert_eq!(now(), Some(false), "not of this directory");
                write("deploy/new.yaml", "x");
                assert_eq!(now(), Some(true));
                fs::remove_file(root.join("deploy/new.yaml")).unwrap();
                fs::remove_file(root.join("deploy/b.yaml")).unwrap();
                assert_eq!(now(), Some(true));
                git(root, &["rm", "-q", "deploy/b.yaml"]);
                git(root, &["commit", "-qm", "2"]);
                assert_eq!(now(), Some(false));
                write("deploy/new.yaml", "x");
                git(root, &["add", "-N", "deploy/new.yaml"]);
                assert_eq!(now(), Some(true), "announced, and in no commit");
            }
        }
    }

    #[test]
    fn what_is_no_list_or_cut_off_says_nothing() {
        let mut one = b"DIRC\0\0\0\x02\0\0\0\x01".to_vec();
        one.extend([0; 62]);
        one.extend(b"a\0\0\0\0\0\0\0\0\0");
        one.extend([0; 20]);
        assert!(Listed::parse(&one, Path::new(""), false).is_some());
        for length in 0..one.len() - 20 {
            assert!(Listed::parse(&one[..length], Path::new(""), false).is_none(), "{length}");
        }
        for other in [&b"DIRC\0\0\0\x09\0\0\0\0"[..], b"", b"PACK\0\0\0\x02\0\0\0\0"] {
            assert!(Listed::parse(other, Path::new(""), false).is_none());
        }
    }
}
