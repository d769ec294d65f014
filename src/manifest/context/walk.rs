//! What there is in a context: every entry that its ignore file lets in, in one order. No link is followed, and what is
//! neither a file, a folder nor a link is passed over.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Trouble;
use super::ignore::Ignore;
use crate::manifest::door::{self, Folder, Refusal};
use crate::model::time::{Span, Timestamp};

/// How many files, folders and links a context may have that are let in.
pub const ENTRIES_MAX: usize = 20_000;
/// How many bytes its files may have together.
pub const BYTES_MAX: u64 = 512 << 20;
/// How many entries may be passed over on the way: what is left out by its folder is not even seen.
const SEEN_MAX: usize = 10 * ENTRIES_MAX;
/// How deep folders may nest.
const FOLDERS_MAX: usize = 64;

/// How long after a change the kernel may give another one the same time: its clock for files ticks every 10 ms at most.
const TICK: Span = Span::millis(50);
/// The same where a file system keeps whole seconds alone.
const COARSE_TICK: Span = Span::secs(2);

/// Something in a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path, relative to the context.
    pub path: PathBuf,
    /// What it is.
    pub what: What,
    /// Its permission bits.
    pub mode: u32,
    /// What changes with it.
    pub traces: Traces,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A folder.
    Folder,
    /// A regular file.
    File,
    /// A symbolic link, and where it leads.
    Link(PathBuf),
}

/// What changes when a file is written or replaced. The time of change cannot be set back by anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traces {
    /// Device and inode.
    identity: (u64, u64),
    /// Bytes.
    pub size: u64,
    /// Seconds and nanoseconds since 1970.
    pub modified: (i64, i64),
    changed: (i64, i64),
}

impl Traces {
    fn of(found: &Metadata) -> Self {
        Self {
            identity: (found.dev(), found.ino()),
            size: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    /// Whether every change from `now` on leaves other traces than these.
    pub fn is_settled(&self, now: Timestamp) -> bool {
        let (seconds, nanos) = self.changed;
        let at = Timestamp(seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000));
        at + if nanos == 0 { COARSE_TICK } else { TICK } <= now
    }
}

/// Everything in the context at `root` that is let in, and `forced`, which always is.
pub fn walk(root: &Path, ignore: &Ignore, forced: &[&str]) -> Result<Vec<Entry>, Trouble> {
    let mut walk = Walk { root, ignore, forced, found: Vec::new(), seen: 0, bytes: 0 };
    walk.folder(Path::new(""), 0)?;
    Ok(walk.found)
}

struct Walk<'a> {
    root: &'a Path,
    ignore: &'a Ignore,
    forced: &'a [&'a str],
    found: Vec<Entry>,
    seen: usize,
    bytes: u64,
}

impl Walk<'_> {
    fn folder(&mut self, relative: &Path, depth: usize) -> Result<(), Trouble> {
        if depth > FOLDERS_MAX {
            return Err(self.wrong(format!("has folders nested deeper than {FOLDERS_MAX}, at {}", relative.display())));
        }
        let path = self.root.join(relative);
        let folder = Folder::hold(&path, self.root).map_err(|why| refused(&path, why))?;
        let names = names(&folder, SEEN_MAX - self.seen).map_err(|error| refused(&path, door::refusal(error)))?;
        self.seen += names.len();
        if self.seen >= SEEN_MAX {
            return Err(self.wrong(format!("has more than {SEEN_MAX} files, those that are left out included")));
        }
        for name in names {
            let found = fs::symlink_metadata(folder.entry(&name));
            let child = relative.join(&name);
            let found = found.map_err(|error| refused(&self.root.join(&child), door::refusal(error)))?;
            self.entry(&folder, child, &name, &found, depth)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        folder: &Folder,
        path: PathBuf,
        name: &OsString,
        found: &Metadata,
        depth: usize,
    ) -> Result<(), Trouble> {
        let text = path.to_string_lossy();
        let is_out = self.ignore.leaves_out(&text) && !self.forced.contains(&&*text);
        let kind = found.file_type();
        if is_out && !(kind.is_dir() && self.may_let_in(&text)) {
            return Ok(());
        }
        let what = match () {
            () if kind.is_dir() => What::Folder,
            () if kind.is_file() => What::File,
            () if kind.is_symlink() => match fs::read_link(folder.entry(name)) {
                Ok(target) => What::Link(target),
                Err(error) => return Err(refused(&self.root.join(&path), door::refusal(error))),
            },
            () => return Ok(()),
        };
        let is_folder = what == What::Folder;
        let place = self.found.len();
        self.take(Entry { path: path.clone(), what, mode: found.mode() & 0o7777, traces: Traces::of(found) })?;
        if is_folder {
            self.folder(&path, depth + 1)?;
            if is_out && self.found.len() == place + 1 {
                self.found.pop();
            }
        }
        Ok(())
    }

    fn take(&mut self, entry: Entry) -> Result<(), Trouble> {
        if entry.what == What::File {
            self.bytes += entry.traces.size;
        }
        self.found.push(entry);
        if self.found.len() > ENTRIES_MAX {
            return Err(self.wrong(format!("has more than {ENTRIES_MAX} files")));
        }
        if self.bytes > BYTES_MAX {
            return Err(self.wrong(format!("has more than {}", door::size(BYTES_MAX))));
        }
        Ok(())
    }

    /// Whether something below a folder that is left out is let in.
    fn may_let_in(&self, folder: &str) -> bool {
        let below = |forced: &&str| forced.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        self.ignore.may_let_in(folder) || self.forced.iter().any(below)
    }

    fn wrong(&self, why: String) -> Trouble {
        Trouble::Wrong(why)
    }
}

/// The names in a folder, in order; no more than `limit`.
fn names(folder: &Folder, limit: usize) -> std::io::Result<Vec<OsString>> {
    let entries = fs::read_dir(folder.entry(""))?.take(limit);
    let mut names = entries.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// What was listed a moment ago and is gone now means that somebody is changing the context.
pub fn refused(path: &Path, refusal: Refusal) -> Trouble {
    match refusal {
        Refusal::Missing => Trouble::Unsettled(format!("{} vanished while it was read", path.display())),
        Refusal::Because(why) => Trouble::Wrong(format!("cannot be read whole: {} {why}", path.display())),
    }
}
