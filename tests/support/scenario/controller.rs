//! The real controller in a scenario: the loop, the store and the probes, against the simulated engine in virtual time.
//! Only file watching is replaced: whoever changes a file rings.

use std::path::Path;
use std::sync::Arc;

use evenkeel::metrics::Metrics;
use evenkeel::model::command::{Command, Reply};
use evenkeel::model::name::{DEFAULT_INSTANCE, Name};
use evenkeel::model::view::View;
use evenkeel::reconciler::clock::Clock;
use evenkeel::reconciler::{Desk, Handle, Outside, Reconciler, RunError, Setup};
use evenkeel::store::{Store, StoreError};
use evenkeel::wake::Reason;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Duration, sleep};

use super::disk::FailingDisk;
use crate::support::sim::{Life, Sim};

/// A running controller.
pub struct Controller {
    pub views: watch::Receiver<Arc<View>>,
    metrics: Arc<Metrics>,
    commands: mpsc::Sender<(Command, oneshot::Sender<Reply>)>,
    handle: Handle,
    task: JoinHandle<Result<(), RunError>>,
    life: Life,
}

impl Controller {
    /// Starts one.
    pub async fn start(setup: Setup, sim: &Sim, disk: &FailingDisk) -> Result<Controller, String> {
        let (process, life) = sim.for_a_new_process();
        let store = open(&setup.state_dir, disk, &life).await?;
        let instance = Name::new(DEFAULT_INSTANCE).expect("the default instance is a name");
        let (view_sender, views) = watch::channel(Arc::new(View::starting(instance, sim.timestamp())));
        let (commands, command_receiver) = mpsc::channel(64);
        let metrics = Arc::new(Metrics::new());
        let desk = Desk { views: view_sender, commands: command_receiver, metrics: metrics.clone() };
        let clock = Clock::starting_at(sim.timestamp());
        let outside = Outside { dial: process.clone(), registries: Arc::new(process.clone()) };
        let (reconciler, handle) = Reconciler::new(setup, desk, Arc::new(process), outside, Arc::new(store), clock);
        let task = tokio::spawn(reconciler.run());
        Ok(Controller { views, metrics, commands, handle, task, life })
    }

    /// What Prometheus would be told.
    pub fn metrics(&self, view: &View) -> String {
        self.metrics.render(view).expect("metrics can be written")
    }

    /// Says that files have changed.
    pub fn files_changed(&self) {
        self.handle.wake.ring(Reason::Files);
    }

    /// Asks something of it; none when its process dies before it answers.
    pub async fn command(&self, command: Command) -> Option<Reply> {
        let (sender, receiver) = oneshot::channel();
        self.commands.send((command, sender)).await.ok()?;
        tokio::select! {
            biased;
            () = self.life.over() => None,
            reply = receiver => reply.ok(),
        }
    }

    /// Stops it as SIGTERM does. One that dies meanwhile has stopped as well.
    pub async fn stop(self) -> Result<(), String> {
        match self.command(Command::Shutdown).await {
            Some(reply) => drop(reply.map_err(|refusal| refusal.message)?),
            None => {
                self.crash().await;
                return Ok(());
            }
        }
        let ended = self.task.await.expect("the loop does not panic");
        self.life.end();
        ended.map_err(|error| error.to_string())
    }

    /// Ends it as `kill -9` does: its calls to the engine that are under way take effect, nothing else does.
    pub async fn crash(self) {
        self.life.end();
        self.task.abort();
        // Aborted or ended, it is over; a panic is the test's.
        if let Err(ended) = self.task.await
            && ended.is_panic()
        {
            std::panic::resume_unwind(ended.into_panic());
        }
    }

    /// Waits until it shows something new, or is dead.
    pub async fn news(&mut self) {
        tokio::select! {
            biased;
            () = self.life.over() => {}
            _ = self.views.changed() => {}
        }
    }

    /// Whether a fault has ended its process, or it has given up by itself.
    pub fn is_dead(&self) -> bool {
        self.life.is_over() || self.task.is_finished()
    }
}

/// Opens the state directory as soon as the process before lets go of it.
async fn open(state_dir: &Path, disk: &FailingDisk, life: &Life) -> Result<Store, String> {
    let mut last = String::new();
    for _ in 0..100 {
        match Store::open_with_key(state_dir, disk.gate(life.clone()), || Ok(disk.new_key())) {
            Ok(store) => return Ok(store),
            Err(StoreError::Held { .. }) => last = "the process before does not let go of the state directory".into(),
            Err(error) => return Err(error.to_string()),
        }
        sleep(Duration::from_millis(10)).await;
    }
    Err(last)
}
