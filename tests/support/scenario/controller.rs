//! The real controller in a scenario: the loop, the store and the probes, against the simulated engine in virtual time.
//! Only file watching is replaced: whoever changes a file rings.

use std::path::Path;
use std::sync::Arc;

use evenkeel::metrics::Metrics;
use evenkeel::model::command::{Command, Reply};
use evenkeel::model::name::{DEFAULT_INSTANCE, Name};
use evenkeel::model::view::View;
use evenkeel::reconciler::clock::Clock;
use evenkeel::reconciler::{Desk, Handle, Reconciler, RunError, Setup};
use evenkeel::store::Store;
use evenkeel::wake::Reason;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Duration, sleep};

use crate::support::sim::{Life, Sim};

/// A running controller.
pub struct Controller {
    pub views: watch::Receiver<Arc<View>>,
    commands: mpsc::Sender<(Command, oneshot::Sender<Reply>)>,
    handle: Handle,
    task: JoinHandle<Result<(), RunError>>,
    life: Life,
}

impl Controller {
    /// Starts one.
    pub async fn start(setup: Setup, sim: &Sim) -> Result<Controller, String> {
        let store = open(&setup.state_dir).await?;
        let instance = Name::new(DEFAULT_INSTANCE).expect("the default instance is a name");
        let (view_sender, views) = watch::channel(Arc::new(View::starting(instance, sim.timestamp())));
        let (commands, command_receiver) = mpsc::channel(64);
        let desk = Desk { views: view_sender, commands: command_receiver, metrics: Arc::new(Metrics::new()) };
        let (process, life) = sim.for_a_new_process();
        let clock = Clock::starting_at(sim.timestamp());
        let (reconciler, handle) =
            Reconciler::new(setup, desk, Arc::new(process.clone()), process, Arc::new(store), clock);
        let task = tokio::spawn(reconciler.run());
        Ok(Controller { views, commands, handle, task, life })
    }

    /// Says that files have changed.
    pub fn files_changed(&self) {
        self.handle.wake.ring(Reason::Files);
    }

    /// Asks something of it.
    pub async fn command(&self, command: Command) -> Reply {
        let (sender, receiver) = oneshot::channel();
        let sent = self.commands.send((command, sender)).await;
        sent.expect("the loop runs");
        receiver.await.expect("the loop answers every command")
    }

    /// Stops it as SIGTERM does.
    pub async fn stop(self) -> Result<(), String> {
        self.command(Command::Shutdown).await.map_err(|refusal| refusal.message)?;
        let ended = self.task.await.expect("the loop does not panic");
        self.life.end();
        ended.map_err(|error| error.to_string())
    }

    /// Ends it as `kill -9` does: its calls to the engine that are under way take effect, nothing else does.
    pub async fn crash(self) {
        self.life.end();
        self.task.abort();
        // Aborted or ended, it is over.
        let _ = self.task.await;
    }

    /// Whether a fault has ended its process, or it has given up by itself.
    pub fn is_dead(&self) -> bool {
        self.life.is_over() || self.task.is_finished()
    }
}

/// Opens the state directory as soon as the process before lets go of it.
async fn open(state_dir: &Path) -> Result<Store, String> {
    let mut last = String::new();
    for _ in 0..100 {
        match Store::open(state_dir) {
            Ok(store) => return Ok(store),
            Err(error) => last = error.to_string(),
        }
        sleep(Duration::from_millis(10)).await;
    }
    Err(last)
}
