//! Events, one line each, in two files of limited size. Losing some is no harm, so they are not forced to the disk.

use super::disk::Disk;
use super::error::StoreError;
use crate::model::status::Event;

/// The newest events.
const NEW: &str = "events.jsonl";
/// The events before them.
const OLD: &str = "events.1.jsonl";
/// At this size the newest events become the ones before. In bytes.
const ROTATE_AT: u64 = 1 << 20;

/// Where the next event goes.
#[derive(Default)]
pub(super) struct Journal {
    /// Whether the file is known to end with a whole line.
    whole: bool,
}

impl Journal {
    pub(super) fn append(&mut self, disk: &Disk, events: &[Event]) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        // A torn line stays alone, instead of spoiling the next one.
        let mut lines = if self.whole { String::new() } else { "\n".into() };
        for event in events {
            lines += &serde_json::to_string(event).expect("an event is plain data");
            lines.push('\n');
        }
        self.whole = false;
        let length = disk.append(&disk.path(NEW), lines.as_bytes())?;
        self.whole = true;
        if length >= ROTATE_AT {
            disk.rename(&disk.path(NEW), &disk.path(OLD))?;
        }
        Ok(())
    }
}

/// All events that can be read, oldest first.
pub(super) fn read(disk: &Disk) -> Vec<Event> {
    let files = [OLD, NEW].map(|name| disk.read(&disk.path(name)).ok().flatten().unwrap_or_default());
    let lines = files.iter().flat_map(|bytes| bytes.split(|byte| *byte == b'\n'));
    lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
}
