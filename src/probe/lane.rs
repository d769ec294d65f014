//! The thread on which checks are made. It knows none of them.
//!
//! Many small steps on one thread cost a fraction of what they cost where two threads share them and wake each other.

use std::io;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The stack of the thread; what a check needs is in its task.
const STACK: usize = 512 << 10;

/// A thread that makes checks until this is dropped.
#[derive(Debug)]
pub struct Lane {
    handle: Handle,
    /// Its end is the thread's.
    _end: oneshot::Sender<()>,
}

impl Lane {
    /// Starts the thread.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("probe".into()).stack_size(STACK);
        thread.spawn(move || runtime.block_on(async { drop(ended.await) }))?;
        Ok(Self { handle, _end: end })
    }

    /// Where to spawn.
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}
