//! A disk under the state directory that fails on demand, through the store's own gate. It counts what is changed, as the
//! simulated engine counts calls.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use evenkeel::store::{Gate, Operation};

use crate::support::sim::app::Millis;
use crate::support::sim::{Life, Sim};

/// For how long a disk stays full.
const FULL_FOR: Millis = 60_000;

/// What can go wrong at a change of the state directory. A crash *after* a change is the crash before the next change or
/// call, whichever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteFault {
    /// The controller dies before it.
    Crash,
    /// The controller dies when half of the bytes are written.
    Torn,
    /// There is no room, this once.
    NoSpace,
    /// There is no room for a minute.
    Full,
    /// The disk reports an error, this once.
    Broken,
}

impl WriteFault {
    /// All of them, for whoever enumerates.
    pub const ALL: [WriteFault; 5] =
        [WriteFault::Crash, WriteFault::Torn, WriteFault::NoSpace, WriteFault::Full, WriteFault::Broken];

    /// Its word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            WriteFault::Crash => "crash",
            WriteFault::Torn => "torn",
            WriteFault::NoSpace => "no-space",
            WriteFault::Full => "full",
            WriteFault::Broken => "io-error",
        }
    }

    /// Whether it is a fault of its own at an operation: only bytes can be torn. They are at the sync that follows them,
    /// and where no sync follows, at once.
    pub fn concerns(self, write: &WriteRecord) -> bool {
        let has_bytes = write.operation == Operation::Append || write.operation == Operation::Sync && write.is_file;
        self != WriteFault::Torn || has_bytes
    }
}

/// What can become of the state directory as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Somebody removes it while the controller runs.
    Removed,
    /// The controller dies, and the directory is gone when it comes back.
    Gone,
    /// The controller dies, and a byte in the middle of every file is another one.
    Damaged,
    /// The controller dies, and every file is empty: a power cut.
    Emptied,
}

impl Loss {
    /// All of them, for whoever enumerates.
    pub const ALL: [Loss; 4] = [Loss::Removed, Loss::Gone, Loss::Damaged, Loss::Emptied];

    /// Its word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Loss::Removed => "removed",
            Loss::Gone => "gone",
            Loss::Damaged => "damaged",
            Loss::Emptied => "emptied",
        }
    }

    /// Whether the controller dies with it.
    pub fn kills(self) -> bool {
        self != Loss::Removed
    }

    /// Lets it happen to a directory.
    pub fn befall(self, dir: &Path) {
        match self {
            // One that is not there yet cannot be lost.
            Loss::Removed | Loss::Gone => drop(fs::remove_dir_all(dir)),
            Loss::Damaged => files(dir).iter().for_each(|file| damage(file)),
            Loss::Emptied => files(dir).iter().for_each(|file| drop(File::create(file))),
        }
    }
}

/// A change of the state directory as it was attempted.
#[derive(Debug, Clone)]
pub struct WriteRecord {
    pub operation: Operation,
    /// The path below the state directory.
    pub path: String,
    pub is_file: bool,
    /// How many calls to the engine had been made before it.
    pub calls: usize,
}

/// The disk of one play; it outlives the controller's processes.
#[derive(Clone)]
pub struct FailingDisk {
    sim: Sim,
    root: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    made: Vec<WriteRecord>,
    faults: BTreeMap<usize, WriteFault>,
    full_until: Millis,
    /// Which file's replacement kills, and how many of them are left until one does.
    deadly: Option<(String, u32)>,
    keys: u8,
}

impl FailingDisk {
    /// A disk that works.
    pub fn new(sim: &Sim, root: PathBuf) -> Self {
        Self { sim: sim.clone(), root, state: Arc::default() }
    }

    /// Spoils the change of that index.
    pub fn spoil(&self, at: usize, mode: WriteFault) {
        self.state().faults.insert(at, mode);
    }

    /// Has no room from now on, for so long.
    pub fn fill(&self, time: Millis) {
        self.state().full_until = self.sim.now() + time;
    }

    /// Kills the controller as a file is replaced for the so manyth time from now.
    pub fn crash_at(&self, number: u32, path: &str) {
        self.state().deadly = Some((path.into(), number));
    }

    /// A key for a state directory that has none: another one each time, the same ones in every play.
    pub fn new_key(&self) -> Vec<u8> {
        let mut state = self.state();
        state.keys = state.keys.wrapping_add(1);
        vec![state.keys; 32]
    }

    /// Every change so far.
    pub fn made(&self) -> Vec<WriteRecord> {
        self.state().made.clone()
    }

    /// Forgets every change so far.
    pub fn forget(&self) {
        self.state().made.clear();
    }

    /// The gate of one process: it lets nothing of a dead one pass.
    pub fn gate(&self, life: Life) -> Gate {
        let disk = self.clone();
        Arc::new(move |operation, path| disk.pass(&life, operation, path))
    }

    fn pass(&self, life: &Life, operation: Operation, path: &Path) -> io::Result<()> {
        if life.is_over() {
            return Err(io::Error::other("this process is dead"));
        }
        if !operation.changes() {
            return Ok(());
        }
        let now = self.sim.now();
        let fault = self.record(operation, path, now);
        match fault {
            None if now < self.state().full_until && takes_room(operation) => Err(ErrorKind::StorageFull.into()),
            None => Ok(()),
            Some(WriteFault::NoSpace | WriteFault::Full) => Err(ErrorKind::StorageFull.into()),
            Some(WriteFault::Broken) => Err(io::Error::from_raw_os_error(5)),
            Some(WriteFault::Crash) => Err(die(life)),
            Some(WriteFault::Torn) => {
                tear(operation, path)?;
                Err(die(life))
            }
        }
    }

    fn record(&self, operation: Operation, path: &Path, now: Millis) -> Option<WriteFault> {
        let calls = self.sim.calls().made.len();
        let mut state = self.state();
        let index = state.made.len();
        let below = path.strip_prefix(&self.root).unwrap_or(path).display().to_string();
        state.made.push(WriteRecord { operation, path: below, is_file: path.is_file(), calls });
        let fault = state.faults.remove(&index).or_else(|| state.kills(operation));
        if fault == Some(WriteFault::Full) {
            state.full_until = now + FULL_FOR;
        }
        fault
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds this")
    }
}

impl State {
    /// Whether the change that was noted last is the one that kills.
    fn kills(&mut self, operation: Operation) -> Option<WriteFault> {
        let (path, left) = self.deadly.as_mut().filter(|_| operation == Operation::Rename)?;
        let is_meant = |there: &str| path.strip_suffix('*').map_or(there == *path, |start| there.starts_with(start));
        *left -= u32::from(self.made.last().is_some_and(|write| is_meant(&write.path)));
        (*left == 0).then(|| self.deadly = None).map(|()| WriteFault::Crash)
    }
}

fn takes_room(operation: Operation) -> bool {
    matches!(operation, Operation::CreateDir | Operation::Write | Operation::Append)
}

fn die(life: &Life) -> io::Error {
    life.end();
    io::Error::other("this process is dead")
}

/// Leaves half of what was to be written.
fn tear(operation: Operation, path: &Path) -> io::Result<()> {
    match operation {
        Operation::Append => OpenOptions::new().append(true).create(true).open(path)?.write_all(b"\n{\"at\":17672"),
        _ => {
            let length = fs::metadata(path)?.len();
            File::options().write(true).open(path)?.set_len(length / 2)
        }
    }
}

/// All files below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let (dirs, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    files.into_iter().chain(dirs.iter().flat_map(|dir| self::files(dir))).collect()
}

fn damage(file: &Path) {
    let mut bytes = fs::read(file).unwrap_or_default();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    // A file that vanished meanwhile is lost more thoroughly than it should be.
    let _ = fs::write(file, bytes);
}
