//! Applying: actions run beside each other, a bounded number at once, each with its outcome remembered. Which actions
//! there are is decided elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::clock::Clock;
use super::gate::Gate;
use super::look::Hints;
use super::provide;
use super::publish;
use super::redact::Redactor;
use crate::engine::{Engine, EngineError};
use crate::metrics::{ActionResult, Metrics};
use crate::model::action::{Action, Call, Stop};
use crate::model::desired::Desired;
use crate::model::observed::{Failure, Fault};
use crate::model::policy::Standing;
use crate::model::status::{Event, Severity};
use crate::model::text::printable;
use crate::model::time::{Span, Timestamp};
use crate::model::view::{FailureView, InFlight};
use crate::store::Store;
use crate::wake::{Reason, Wake};

/// Calls that make the engine work hard: it is fastest with a few at once.
const WORKING: usize = 4;
/// Starts at once. They wait for the runtime and the kernel more than they compute, so creations go on beside them.
const STARTING: usize = 8;
/// So few starts under way are each worth a look when they end; with more, looks would take their time from them.
const STARTS_LEFT: usize = 3;
/// Those that wait their turn, so that the engine is not idle until the next pass.
const QUEUED: usize = 12;
/// Changes of a name: clients wait for them, so they wait for nothing else.
const NAMING: usize = 8;
/// Pulls at once.
const PULLING: usize = 3;
/// Stops spend their time waiting for a process to end, so many may run at once.
const STOPPING: usize = 50;
/// Failures that are remembered; more than that means that the engine as a whole is in trouble.
const FAILURES_MAX: usize = 1000;

/// Runs actions and remembers how they went.
pub struct Executor<E: Engine> {
    shared: Arc<Shared<E>>,
}

struct Shared<E> {
    engine: Arc<E>,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    clock: Clock,
    wake: Wake,
    hints: Hints,
    ledger: Mutex<Ledger>,
    working: Semaphore,
    starting: Semaphore,
}

#[derive(Default)]
struct Ledger {
    in_flight: BTreeMap<String, (Kind, InFlight)>,
    failures: BTreeMap<String, Failure>,
    pulled: BTreeMap<String, Timestamp>,
    /// Whether anything but a start has ended since the last look: a created container is to be started.
    work_ended: bool,
    /// Targets that failed for the first time and were not told yet.
    untold: Vec<Event>,
    redactor: Redactor,
    desired: Arc<Desired>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Work,
    Start,
    Name,
    Pull,
    Stop,
}

/// What is under way and how earlier actions went.
pub struct Progress {
    /// Targets of actions under way.
    pub in_flight: BTreeSet<String>,
    /// Failures, by target.
    pub failures: BTreeMap<String, Failure>,
    /// Successful pulls.
    pub pulled: BTreeMap<String, Timestamp>,
}

impl<E: Engine> Executor<E> {
    /// An executor without work.
    pub fn new(
        engine: Arc<E>,
        store: Arc<Store>,
        metrics: Arc<Metrics>,
        clock: Clock,
        wake: Wake,
        hints: Hints,
    ) -> Self {
        // Until it is told what should be, nothing new is made.
        let desired = Arc::new(Desired { policy: Standing::unread(), ..Desired::default() });
        let ledger = Mutex::new(Ledger { desired, ..Ledger::default() });
        let (working, starting) = (Semaphore::new(WORKING), Semaphore::new(STARTING));
        Self { shared: Arc::new(Shared { engine, store, metrics, clock, wake, hints, ledger, working, starting }) }
    }

    /// Secrets to mask from now on.
    pub fn set_redactor(&self, redactor: Redactor) {
        self.shared.ledger().redactor = redactor;
    }

    /// What should be from now on, and the policy that comes with it.
    pub fn set_desired(&self, desired: Arc<Desired>) {
        self.shared.ledger().desired = desired;
    }

    /// What is under way. To be taken *before* a look, so that what ends during it still counts as under way.
    pub fn progress(&self) -> Progress {
        let mut ledger = self.shared.ledger();
        ledger.work_ended = false;
        Progress {
            in_flight: ledger.in_flight.keys().cloned().collect(),
            failures: ledger.failures.clone(),
            pulled: ledger.pulled.clone(),
        }
    }

    /// What failed for the first time since this was last asked. Further failures in a row are no news.
    pub fn news(&self) -> Vec<Event> {
        std::mem::take(&mut self.shared.ledger().untold)
    }

    /// What is under way, for people.
    pub fn in_flight(&self) -> Vec<InFlight> {
        self.shared.ledger().in_flight.values().map(|(_, action)| action.clone()).collect()
    }

    /// What failed last time, for people.
    pub fn failures(&self) -> Vec<FailureView> {
        let ledger = self.shared.ledger();
        let view = |(target, failure): (&String, &Failure)| FailureView {
            target: target.clone(),
            count: failure.count,
            at: failure.at,
            fault: failure.fault,
            message: failure.message.clone(),
        };
        ledger.failures.iter().map(view).collect()
    }

    /// Forgets failures whose target nobody wants any more.
    pub fn forget_failures(&self, keep: impl Fn(&str) -> bool) {
        self.shared.ledger().failures.retain(|target, _| keep(target));
    }

    /// Begins as many of `actions` as fit; the rest is planned again when one has ended.
    /// Returns those that were begun.
    pub fn begin<'a>(&self, actions: &'a [Action]) -> Vec<&'a Action> {
        let mut begun = Vec::new();
        for action in actions {
            let Some(kind) = self.shared.admit(action) else { continue };
            begun.push(action);
            let (shared, action) = (self.shared.clone(), action.clone());
            tokio::spawn(async move { shared.run(action, kind).await });
        }
        begun
    }

    /// Whether the engine has enough to do for a while: a pass could begin nothing that would be done sooner.
    pub fn is_saturated(&self) -> bool {
        let ledger = self.shared.ledger();
        let count = |wanted| ledger.in_flight.values().filter(|(kind, _)| *kind == wanted).count();
        let hard = count(Kind::Work) + count(Kind::Start);
        // A container that was made waits for its start, but not where as many start as can.
        hard >= STARTING || hard > STARTS_LEFT && !ledger.work_ended
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.shared.ledger().in_flight.is_empty()
    }
}

impl<E: Engine> Shared<E> {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters an action as under way, if there is room for it.
    fn admit(&self, action: &Action) -> Option<Kind> {
        let (kind, limit) = match &action.call {
            Call::Pull { .. } => (Kind::Pull, PULLING),
            Call::Stop(_) | Call::Restart(_) => (Kind::Stop, STOPPING),
            Call::CreateNetwork(_)
            | Call::RemoveNetwork { .. }
            | Call::CreateVolume(_)
            | Call::CreateContainer(_)
            | Call::Connect(_)
            | Call::Pause { .. }
            | Call::Unpause { .. }
            | Call::Remove { .. }
            | Call::Update { .. } => (Kind::Work, WORKING + QUEUED),
            Call::Start { .. } => (Kind::Start, STARTING + QUEUED),
            Call::Reconnect(_) => (Kind::Name, NAMING),
        };
        let target = action.call.target();
        let mut ledger = self.ledger();
        let room = ledger.in_flight.values().filter(|(other, _)| *other == kind).count() < limit;
        if !room || ledger.in_flight.contains_key(&target) {
            return None;
        }
        let entry = InFlight {
            object: action.object.clone(),
            action: action.call.to_string(),
            since: self.clock.now(),
            progress: String::new(),
        };
        ledger.in_flight.insert(target, (kind, entry));
        Some(kind)
    }

    async fn run(self: Arc<Self>, action: Action, kind: Kind) {
        let _turn = match kind {
            Kind::Work => Some(self.working.acquire().await.expect("the semaphore is never closed")),
            Kind::Start => Some(self.starting.acquire().await.expect("the semaphore is never closed")),
            Kind::Name | Kind::Pull | Kind::Stop => None,
        };
        let began = self.clock.now();
        tracing::debug!(object = %action.object, cause = %action.cause, "{}", action.call);
        let outcome = match timeout(longest(&action.call).std(), self.call(&action)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(EngineError {
                attempted: action.call.to_string(),
                message: format!("it did not end within {}", longest(&action.call)),
                fault: Fault::Timeout,
            }),
        };
        let now = self.clock.now();
        let result = match &outcome {
            Ok(()) => ActionResult::Success,
            Err(error) if error.fault == Fault::Timeout => ActionResult::Timeout,
            Err(_) => ActionResult::Error,
        };
        self.metrics.action(&action.call, result, now.since(began));
        self.record(&action, outcome, now);
        self.wake.ring(Reason::Finished);
    }

    fn record(&self, action: &Action, outcome: Result<(), EngineError>, now: Timestamp) {
        let target = action.call.target();
        if touches_places(&action.call) {
            self.hints.all();
        }
        // A list shows neither why a start failed nor new limits, and no event tells of a start that failed.
        if let Some(container) = action.call.container() {
            self.hints.touch(container);
        }
        let mut ledger = self.ledger();
        match outcome {
            Ok(()) => {
                ledger.failures.remove(&target);
                if let Call::Pull { image, .. } = &action.call {
                    ledger.pulled.insert(image.clone(), now);
                }
            }
            Err(error) => {
                let message = printable(&with_name(&action.call, ledger.redactor.clean(&error.to_string())));
                let count = ledger.failures.get(&target).map_or(1, |earlier| earlier.count.saturating_add(1));
                if count == 1 {
                    ledger.untold.push(Event {
                        at: now,
                        object: action.object.clone(),
                        severity: Severity::Warning,
                        reason: publish::failed_word(&action.call).into(),
                        message: message.clone(),
                    });
                } else {
                    tracing::warn!(object = %action.object, count, "{message}");
                }
                if ledger.failures.len() < FAILURES_MAX || ledger.failures.contains_key(&target) {
                    let cut = action.call.cuts().or_else(|| ledger.failures.get(&target)?.cut.clone());
                    let ending = action.call.ends();
                    let failure = Failure { count, at: now, fault: error.fault, message, ending, cut };
                    ledger.failures.insert(target.clone(), failure);
                }
            }
        }
        if let Some((kind, _)) = ledger.in_flight.remove(&target) {
            ledger.work_ended |= kind != Kind::Start;
        }
    }

    async fn call(&self, action: &Action) -> Result<(), EngineError> {
        let (engine, call) = (&self.engine, &action.call);
        let desired = self.ledger().desired.clone();
        let gate = Gate::open(engine.as_ref(), desired, action).await?;
        gate.pass(call)?;
        match call {
            Call::CreateNetwork(network) => engine.create_network(gate.approve(call, network)?).await,
            Call::RemoveNetwork { id, .. } => engine.remove_network(id).await,
            Call::CreateVolume(volume) => engine.create_volume(gate.approve(call, volume)?).await,
            Call::Pull { image, platform, secrets } => {
                let credentials = provide::credentials(&self.store, secrets)?;
                let target = call.target();
                let progress = |line: String| self.note(&target, &line);
                engine.pull(image, platform.as_deref(), &credentials, &progress).await
            }
            Call::CreateContainer(spec) => {
                let provided = provide::provide(&self.store, spec)?;
                engine.create(gate.approve(call, spec.as_ref())?, &provided).await
            }
            Call::Connect(connection) => engine.connect(connection).await,
            Call::Reconnect(connection) => engine.reconnect(connection).await,
            Call::Start { container, files, .. } => {
                for files in files {
                    // One whose content is lost too may still be there; if not, the engine says so.
                    if let Err(error) = self.store.render(files) {
                        tracing::debug!(%error, "files of a container cannot be rendered again");
                    }
                }
                engine.start(container).await
            }
            Call::Stop(stop) => self.stop(stop).await,
            Call::Restart(stop) => engine.restart(&stop.container, stop.grace).await,
            Call::Pause { container, .. } => engine.pause(container).await,
            Call::Unpause { container, .. } => engine.unpause(container).await,
            Call::Remove { container, .. } => engine.remove(container).await,
            Call::Update { container, adjustable, .. } => engine.update(container, adjustable).await,
        }
    }

    async fn stop(&self, stop: &Stop) -> Result<(), EngineError> {
        if !stop.pre_stop.is_empty() {
            // The command is a courtesy: a container without it must end all the same.
            if let Err(error) = self.engine.exec(&stop.container, &stop.pre_stop, stop.grace).await {
                let error = self.ledger().redactor.clean(&error.to_string());
                tracing::warn!(container = %stop.name, error, "the preStop command failed");
            }
        }
        self.engine.stop(&stop.container, stop.grace).await
    }

    fn note(&self, target: &str, line: &str) {
        let mut ledger = self.ledger();
        let line = printable(&ledger.redactor.clean(line));
        if let Some((_, action)) = ledger.in_flight.get_mut(target) {
            action.progress = line;
        }
    }
}

/// The longest that an action may take. The engine's own limits are shorter; this one makes sure that whatever goes
/// wrong there, no object waits for ever.
fn longest(call: &Call) -> Span {
    match call {
        Call::Pull { .. } => Span::secs(24 * 3600),
        Call::Stop(stop) | Call::Restart(stop) => Span(stop.grace.0.saturating_mul(2).saturating_add(180_000)),
        Call::CreateNetwork(_)
        | Call::RemoveNetwork { .. }
        | Call::CreateVolume(_)
        | Call::CreateContainer(_)
        | Call::Connect(_)
        | Call::Reconnect(_)
        | Call::Start { .. }
        | Call::Pause { .. }
        | Call::Unpause { .. }
        | Call::Remove { .. }
        | Call::Update { .. } => Span::secs(180),
    }
}

/// A message of the engine's with the name in the place of the id, whole or short, that it knows.
fn with_name(call: &Call, message: String) -> String {
    let Some((id, name)) = call.existing() else { return message };
    let message = message.replace(id, name);
    match id.get(..SHORT_ID) {
        Some(short) => message.replace(short, name),
        None => message,
    }
}

/// How many digits of an id Docker shows to people.
const SHORT_ID: usize = 12;

/// Whether a call changes what a container list does not show: networks, volumes, images.
fn touches_places(call: &Call) -> bool {
    call.container().is_none() && !matches!(call, Call::CreateContainer(_))
}
