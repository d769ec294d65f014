//! Lines that are only added: events and releases, one line each, in two files of limited size. Losing some is no harm, so
//! they are not forced to the disk.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::disk::Disk;
use super::error::StoreError;

/// What happened.
pub(super) const EVENTS: Names = Names { new: "events.jsonl", old: "events.1.jsonl" };
/// What was released.
pub(super) const RELEASES: Names = Names { new: "releases.jsonl", old: "releases.1.jsonl" };
/// At this size the newest lines become the ones before. In bytes.
const ROTATE_AT: u64 = 1 << 20;

/// The two files of a journal.
pub(super) struct Names {
    /// The newest lines.
    new: &'static str,
    /// The lines before them.
    old: &'static str,
}

/// Where the next line goes.
pub(super) struct Journal {
    names: Names,
    /// Whether the file is known to end with a whole line.
    whole: bool,
}

impl Journal {
    pub(super) fn new(names: Names) -> Self {
        Self { names, whole: false }
    }

    pub(super) fn append<T: Serialize>(&mut self, disk: &Disk, entries: &[T]) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        // A torn line stays alone, instead of spoiling the next one.
        let mut lines = if self.whole { String::new() } else { "\n".into() };
        for entry in entries {
            lines += &serde_json::to_string(entry).expect("an entry is plain data");
            lines.push('\n');
        }
        self.whole = false;
        let length = disk.append(&disk.path(self.names.new), lines.as_bytes())?;
        self.whole = true;
        if length >= ROTATE_AT {
            disk.rename(&disk.path(self.names.new), &disk.path(self.names.old))?;
        }
        Ok(())
    }
}

/// All lines that can be read, oldest first.
pub(super) fn read<T: DeserializeOwned>(disk: &Disk, names: &Names) -> Vec<T> {
    let files = [names.old, names.new].map(|name| disk.read(&disk.path(name)).ok().flatten().unwrap_or_default());
    let lines = files.iter().flat_map(|bytes| bytes.split(|byte| *byte == b'\n'));
    lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
}
