//! The loop: load, observe, plan, save, apply, sleep. It wires the rooms together and decides nothing itself.
//!
//! Passes are serial, and this task owns the history. Whatever rings the bell only says "look again"; if the process
//! dies on any line, the next pass of the next process sees the same world and goes on.

pub mod apply;
mod build;
pub mod clock;
mod contents;
mod counted;
mod detail;
mod effort;
mod encoding;
mod gate;
mod handle;
mod healing;
pub mod herald;
pub mod host;
mod inquirer;
mod inside;
mod interrupted;
mod kept_releases;
mod last_good;
mod load;
pub mod look;
mod obey;
mod observe;
pub mod offline;
mod paths;
mod perform;
mod provide;
mod publish;
mod redact;
mod releases;
mod results;
pub mod rules;
mod said;
mod setup;
mod sole;
pub mod sources;
mod watched;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep_until;

use crate::engine::{Docker, Engine};
use crate::metrics::Metrics;
use crate::model::action::Call;
use crate::model::command::{Answer, Command, Reply};
use crate::model::desired::Desired;
use crate::model::history::History;
use crate::model::observed::{Headroom, Observed};
use crate::model::platform::Platform;
use crate::model::policy::Standing;
use crate::model::revision::{Content, ContentId};
use crate::model::status::{Event, Plan};
use crate::model::time::{Span, Timestamp};
use crate::model::view::{EVENTS_MAX, EngineState, View};
use crate::notification::{self, Receiver, Sender};
use crate::plan;
use crate::probe::{Dial, Lane, NetDial, Prober};
use crate::registry::Https;
use crate::store::{KeptSource, Store, StoreError};
use crate::wake::{Interest, Reason, Wake, events};

pub use handle::Handle;
pub use setup::{Desk, Outside, RunError, Setup};

use apply::Executor;
use clock::Clock;
use counted::Counted;
use inquirer::Inquirer;
use inside::Inside;
use last_good::Notes;
use look::{Hints, Looker};
use redact::Redactor;
use releases::Releases;
use rules::Rules;
use sole::Claim;
use sources::{Occasion, Sources};

/// How often to look again when nothing rings: events can be lost.
const LOOK_EVERY: Span = Span::secs(30);
/// How soon to try again after an engine that did not answer, or a history that could not be written.
const TROUBLE_PAUSE: Span = Span::millis(1000);
/// How often to look while the engine has enough to do: each look costs it time that it could work.
const BUSY_PAUSE: Span = Span::millis(500);

/// Runs the loop against the engine of the environment until [`Command::Shutdown`], and tells `receivers` what comes of it.
pub async fn run(setup: Setup, desk: Desk, receivers: Vec<Receiver>) -> Result<(), RunError> {
    let store = Store::open(&setup.state_dir).map_err(|error| RunError(with_cause(&error)))?;
    let engine = Docker::connect(setup.settings.instance.clone()).map_err(|error| RunError(error.to_string()))?;
    let (store, clock) = (Arc::new(store), Clock::new());
    let sender = Sender { instance: setup.settings.instance.to_string(), host: host::name() };
    let rest = herald::Rest { clock, store: store.clone(), metrics: desk.metrics.clone() };
    receivers.iter().for_each(|receiver| desk.metrics.receiver(&receiver.name));
    // A task of its own: whatever a receiver does, no pass waits for it.
    let telling = tokio::spawn(notification::run(receivers, sender, desk.views.subscribe(), Arc::new(rest)));
    let lane = Lane::start().map_err(|error| RunError(format!("no thread for probes: {error}")))?;
    let outside = Outside { dial: NetDial::default(), registries: Arc::new(Https::default()) };
    let (mut reconciler, handle) = Reconciler::new(setup, desk, Arc::new(engine), outside, store, clock);
    reconciler.prober.run_on(lane);
    let watching = tokio::spawn(handle.watch_files());
    let ended = reconciler.run().await;
    watching.abort();
    telling.abort();
    ended
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// The loop and all that it owns.
pub struct Reconciler<E: Engine, D: Dial> {
    engine: Arc<E>,
    engine_state: EngineState,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    clock: Clock,
    wake: Wake,
    hints: Hints,
    sources: Sources,
    rules: Rules,
    desired: Arc<Desired>,
    contents: BTreeMap<ContentId, Content>,
    /// As it was last written, but for stopwatches: what is not written yet is not acted upon.
    history: History,
    half_saved: bool,
    /// Whether no plan was made yet of what the sources say now.
    undecided: bool,
    looker: Looker,
    redactor: Redactor,
    executor: Executor<E>,
    inquirer: Inquirer<E>,
    prober: Prober<Counted<Inside<D, E>>>,
    events: Arc<Vec<Event>>,
    releases: Releases,
    /// Trouble with the state directory, as long as it lasts.
    warnings: Vec<String>,
    /// What was damaged in it when this process began.
    damage: Vec<String>,
    plan: Plan,
    /// What the engine's host runs by itself.
    platform: Platform,
    /// What the host had left at the last look.
    headroom: Headroom,
    started_at: Timestamp,
    watched_since: Timestamp,
    passes: u64,
    /// When to read the sources.
    read_at: Timestamp,
    views: watch::Sender<Arc<View>>,
    commands: mpsc::Receiver<(Command, oneshot::Sender<Reply>)>,
    claim: Option<Claim>,
    paths: Arc<Mutex<Vec<Interest>>>,
    /// Contents that are kept on disk, so that the store is only asked to clean up when that changes.
    kept_contents: BTreeSet<ContentId>,
    declared: publish::Declarations,
    /// Sources of earlier runs that this one does not have, until nothing of theirs is left.
    dropped_sources: Vec<KeptSource>,
    notes: Notes,
}

impl<E: Engine, D: Dial> Reconciler<E, D> {
    /// Wires the rooms together. Nothing is read or asked until [`Reconciler::run`].
    pub fn new(
        setup: Setup,
        desk: Desk,
        engine: Arc<E>,
        outside: Outside<D>,
        store: Arc<Store>,
        clock: Clock,
    ) -> (Self, Handle) {
        let wake = Wake::new();
        let hints = Hints::default();
        let (history, damage) = store.load();
        damage.iter().for_each(|damage| tracing::warn!("{damage}"));
        let started_at = clock.now();
        let Desk { views, commands, metrics } = desk;
        let Outside { dial, registries } = outside;
        let paths =
            Arc::new(Mutex::new(setup.sources.iter().map(|source| Interest::Whole(source.dir.clone())).collect()));
        let probe_wake = wake.clone();
        let prober = Prober::new(
            Counted { dial: Inside { dial, engine: engine.clone() }, metrics: metrics.clone() },
            move || clock.now(),
            move || probe_wake.ring(Reason::Probe),
        );
        let executor =
            Executor::new(engine.clone(), store.clone(), metrics.clone(), clock, wake.clone(), hints.clone());
        let inquirer = Inquirer::new(registries, engine.clone(), store.clone(), metrics.clone(), clock, wake.clone());
        let dropped_sources = contents::dropped(&store, &setup.sources);
        let rules = Rules::new(setup.policy, setup.sources.clone());
        let sources = Sources::new(setup.sources, setup.settings.clone(), store.hasher(), store.clone());
        let mut events = store.events();
        events.drain(..events.len().saturating_sub(EVENTS_MAX));
        let mut reconciler = Self {
            engine,
            engine_state: EngineState::default(),
            metrics,
            clock,
            wake: wake.clone(),
            hints,
            sources,
            rules,
            desired: Arc::new(Desired { settings: setup.settings, policy: Standing::unread(), ..Desired::default() }),
            contents: BTreeMap::new(),
            history,
            half_saved: false,
            undecided: true,
            looker: Looker::default(),
            redactor: Redactor::default(),
            executor,
            inquirer,
            prober,
            events: Arc::new(events),
            releases: Releases::read(store.releases()),
            warnings: Vec::new(),
            damage,
            plan: Plan::default(),
            platform: Platform::default(),
            headroom: Headroom::default(),
            started_at,
            watched_since: started_at,
            passes: 0,
            read_at: started_at,
            views,
            commands,
            claim: None,
            paths: paths.clone(),
            kept_contents: BTreeSet::new(),
            declared: publish::Declarations::default(),
            dropped_sources,
            notes: Notes::read(&store),
            store,
        };
        reconciler.mask_secrets();
        (reconciler, Handle { wake, paths })
    }

    /// Goes on until it is told to shut down, or finds that another process does the same work.
    pub async fn run(mut self) -> Result<(), RunError> {
        let events = self.follow_events();
        self.wake.ring(Reason::Start);
        let mut next = self.clock.now();
        loop {
            tokio::select! {
                biased;
                Some((command, reply)) = self.commands.recv() => {
                    if command == Command::Shutdown {
                        self.wind_down().await;
                        // Whoever asked may be gone; that changes nothing.
                        let _ = reply.send(Ok(Answer::Done { message: "stopped".into() }));
                        break;
                    }
                    let answer = self.obey(command).await;
                    // Answered after the pass that acts on it, so that whoever asks next sees what came of it.
                    if matches!(answer, Ok(Answer::Done { .. })) {
                        next = self.pass().await?;
                    }
                    let _ = reply.send(answer);
                    continue;
                }
                reasons = self.wake.wait() => {
                    let is_progress = |reason: &Reason| matches!(reason, Reason::Finished | Reason::Engine);
                    if self.executor.is_saturated() && reasons.iter().all(is_progress) {
                        next = next.min(self.clock.now() + BUSY_PAUSE);
                        continue;
                    }
                    let read = [Reason::Start, Reason::Files, Reason::Request];
                    if read.iter().any(|reason| reasons.contains(reason)) {
                        self.read_at = self.clock.now();
                    }
                }
                () = sleep_until(self.clock.instant(next)) => {}
            }
            next = self.pass().await?;
        }
        events.abort();
        Ok(())
    }

    /// Rings whenever the engine says that something happened.
    fn follow_events(&self) -> tokio::task::JoinHandle<()> {
        let (engine, hints, wake) = (self.engine.clone(), self.hints.clone(), self.wake.clone());
        tokio::spawn(async move {
            let changed = move |mark| {
                let (engine, hints) = (engine.clone(), hints.clone());
                async move {
                    let changed = engine.changed(mark).await;
                    match &changed {
                        Ok(mark) => hints.add(mark),
                        Err(_) => hints.all(),
                    }
                    changed
                }
            };
            match events::follow(wake, changed).await {}
        })
    }

    /// One pass. Returns when to make the next one even if nothing rings.
    async fn pass(&mut self) -> Result<Timestamp, RunError> {
        let began = self.clock.now();
        if self.read_at <= began {
            self.load(began, Occasion::Change);
        }
        if self.undecided || self.sources.wait() {
            // The engine may take its time: until it was looked at, nobody shall think that all is done.
            self.publish();
        }
        let met = if self.engine_state.connected { Ok(()) } else { self.meet_engine().await? };
        let observed = match met {
            Ok(()) => self.observe(began).await,
            Err(error) => Err(error),
        };
        let next = match observed {
            Ok(observed) if self.sources.all_read() => self.decide(&observed),
            // Before the manifests are read there is nothing to compare with. What was seen meanwhile is remembered.
            Ok(_) => began + LOOK_EVERY,
            Err(error) => self.engine_failed(&error),
        };
        self.metrics.pass(self.clock.now().since(began));
        self.publish();
        Ok(next.min(self.read_at))
    }

    /// Plans, writes the history down, and only then acts.
    fn decide(&mut self, observed: &Observed) -> Timestamp {
        let now = self.clock.now();
        if self.undecided && self.history == History::default() {
            observe::say_what_is_forgotten(observed);
        }
        let mut plan = plan::plan(&self.desired, observed, &self.history, now);
        if let Err(error) = self.save(&plan.history)
            && !plan.history.is_merely_later(&self.history)
        {
            let why = format!("nothing is changed, because the history cannot be written: {error}");
            // Nothing can go on meanwhile, so no deadline counts it; but looking costs nothing, and what hung may be well again.
            self.watched_since = now;
            self.prober.set_unwritten(std::mem::take(&mut plan.probes));
            // What was seen is true all the same: a dead replica must not be told as ready for want of a disk.
            self.plan.status = publish::held_up(std::mem::take(&mut plan.status), &why);
            self.store_failed(why);
            return now + TROUBLE_PAUSE;
        }
        self.undecided = false;
        self.time_rollouts(&plan.events);
        let before = std::mem::replace(&mut self.history, std::mem::take(&mut plan.history));
        self.executor.forget_images(&observed.arrivals, &self.history.images, self.desired.settings.images);
        self.remember(&plan.events);
        self.log_releases(&plan, &before, observed);
        self.keep_on();
        self.note_last_good();
        self.prober.set(std::mem::take(&mut plan.probes));
        self.inquirer.set(std::mem::take(&mut plan.inquiries));
        let begun = self.executor.begin(&plan.actions);
        if begun.iter().any(|action| matches!(action.call, Call::Stop(_))) {
            // A stop takes as long as the program likes; what may be done beside it is seen in the next pass.
            self.wake.ring(Reason::Timer);
        }
        let healing = begun.into_iter().filter_map(|action| healing::of(&plan, &self.history, action, now));
        let healing: Vec<Event> = healing.collect();
        self.remember(&healing);
        self.remember(&healing::restarted(&self.plan, &plan, now));
        self.remember(&publish::newly_held(&self.plan, &plan, now));
        self.remember(&publish::newly_refused(&self.plan, &plan, now));
        self.remember(&publish::newly_short(&self.plan, &plan, now));
        self.remember(&publish::newly_renamed(&self.plan, &plan, now));
        self.remember(&publish::newly_unfollowed(&self.plan, &plan, now));
        let pause = if self.executor.is_saturated() { BUSY_PAUSE } else { LOOK_EVERY };
        let due = [plan.wake_at, plan.retell_at].into_iter().flatten().min();
        let next = due.map_or(now + pause, |at| at.min(now + pause)).max(now);
        self.plan = plan;
        self.clean_up(observed);
        self.passes += 1;
        next
    }

    /// Writes a history down, if it is another one or the last attempt may have written a part, and before it what it refers to.
    fn save(&mut self, history: &History) -> Result<(), StoreError> {
        self.store.put_contents(&self.contents)?;
        if *history == self.history && !self.half_saved && !self.store.is_lost() {
            return Ok(());
        }
        self.half_saved = true;
        self.notes.is_due = true;
        self.store.save(history)?;
        self.half_saved = false;
        Ok(())
    }
}
