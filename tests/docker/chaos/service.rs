//! A service manager as systemd is one: it starts the controller, and starts it again whenever it has ended.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::support::Process;

/// How long it waits before it starts the controller again.
const PAUSE: Duration = Duration::from_millis(200);
const LOOK: Duration = Duration::from_millis(20);

/// The controller, whichever process it is at the moment.
#[derive(Clone, Default)]
pub struct Controller(Arc<Mutex<Option<Process>>>);

impl Controller {
    /// SIGKILL, if it runs.
    pub fn kill(&self) {
        if let Some(process) = &mut *self.process() {
            process.crash();
        }
    }

    fn runs(&self) -> bool {
        self.process().as_mut().is_some_and(|process| process.ended().is_none())
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.0.lock().expect("nobody panics with the lock")
    }
}

/// Keeps a controller running until it is dropped.
pub struct Service {
    over: Arc<AtomicBool>,
    watching: Option<JoinHandle<()>>,
}

impl Service {
    /// Starts it, with its output appended to `log`.
    pub fn start(mut command: Command, log: PathBuf, controller: Controller) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let told = over.clone();
        *controller.process() = Some(Process::start(&mut command, &log));
        let watching = thread::spawn(move || {
            while !told.load(Ordering::SeqCst) {
                if !controller.runs() {
                    thread::sleep(PAUSE);
                    *controller.process() = Some(Process::start(&mut command, &log));
                }
                thread::sleep(LOOK);
            }
            // Dropping the process ends it.
            controller.process().take();
        });
        Service { over, watching: Some(watching) }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(watching) = self.watching.take() {
            // A panic of that thread has been printed; the end of the test must not hang on it.
            let _ = watching.join();
        }
    }
}
