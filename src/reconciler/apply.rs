//! Applying: actions run beside each other, a bounded number at once, each with its outcome remembered. Which actions
//! there are is decided elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use super::build;
use super::clock::Clock;
use super::effort::{self, Kind};
use super::look::Hints;
use super::perform::{Effect, with_name};
use super::publish;
use super::redact::Redactor;
use crate::engine::{Engine, EngineError};
use crate::metrics::{ActionResult, Metrics};
use crate::model::action::{Action, Call};
use crate::model::desired::Desired;
use crate::model::image::{Arrival, Brought, Built, CleanUp, Steps};
use crate::model::observed::{Failure, Fault};
use crate::model::policy::Standing;
use crate::model::revision::ImageId;
use crate::model::status::{Event, Severity};
use crate::model::text::{last_word, printable};
use crate::model::time::{Span, Timestamp};
use crate::model::view::{FailureView, InFlight};
use crate::store::Store;
use crate::wake::{Reason, Wake};

/// Failures that are remembered; more than that means that the engine as a whole is in trouble.
const FAILURES_MAX: usize = 1000;

/// Pulls that are remembered, the last ones: an older one counts only for what has waited for it all the time since.
const PULLED_MAX: usize = 1000;

/// Runs actions and remembers how they went.
pub struct Executor<E: Engine> {
    shared: Arc<Shared<E>>,
}

/// What the running actions share.
pub(super) struct Shared<E> {
    pub(super) engine: Arc<E>,
    pub(super) store: Arc<Store>,
    metrics: Arc<Metrics>,
    clock: Clock,
    pub(super) wake: Wake,
    hints: Hints,
    ledger: Mutex<Ledger>,
    working: Semaphore,
    starting: Semaphore,
    /// Rung when something else should be.
    pub(super) replaced: Notify,
}

/// What is under way, and how it went.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) in_flight: BTreeMap<String, (Kind, InFlight)>,
    failures: BTreeMap<String, Failure>,
    pulled: BTreeMap<String, Timestamp>,
    /// The last lines of the builds under way, by target.
    pub(super) outputs: BTreeMap<String, Vec<String>>,
    arrivals: Vec<Arrival>,
    departed: BTreeSet<ImageId>,
    /// Whether anything but a start has ended since the last look: a created container is to be started.
    work_ended: bool,
    /// Targets that failed for the first time and were not told yet.
    untold: Vec<Event>,
    pub(super) redactor: Redactor,
    pub(super) desired: Arc<Desired>,
}

/// What is under way and how earlier actions went.
pub struct Progress {
    /// Targets of actions under way.
    pub in_flight: BTreeSet<String>,
    /// Failures, by target.
    pub failures: BTreeMap<String, Failure>,
    /// Successful pulls.
    pub pulled: BTreeMap<String, Timestamp>,
    /// Images that they brought.
    pub arrivals: Vec<Arrival>,
    /// Images that they removed.
    pub departed: BTreeSet<ImageId>,
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
        let (working, starting) = (Semaphore::new(effort::WORKING), Semaphore::new(effort::STARTING));
        let replaced = Notify::new();
        Self {
            shared: Arc::new(Shared {
                engine,
                store,
                metrics,
                clock,
                wake,
                hints,
                ledger,
                working,
                starting,
                replaced,
            }),
        }
    }

    /// Secrets to mask from now on.
    pub fn set_redactor(&self, redactor: Redactor) {
        self.shared.ledger().redactor = redactor;
    }

    /// What should be from now on, and the policy that comes with it.
    pub fn set_desired(&self, desired: Arc<Desired>) {
        self.shared.ledger().desired = desired;
        self.shared.replaced.notify_waiters();
    }

    /// What is under way. To be taken *before* a look, so that what ends during it still counts as under way.
    pub fn progress(&self) -> Progress {
        let mut ledger = self.shared.ledger();
        ledger.work_ended = false;
        Progress {
            in_flight: ledger.in_flight.keys().cloned().collect(),
            failures: ledger.failures.clone(),
            pulled: ledger.pulled.clone(),
            arrivals: ledger.arrivals.clone(),
            departed: ledger.departed.clone(),
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

    /// Forgets failures, but those that are to be kept.
    pub fn forget_failures(&self, keep: impl Fn(&str, &Failure) -> bool) {
        self.shared.ledger().failures.retain(|target, failure| keep(target, failure));
    }

    /// Whether anything failed last time.
    pub fn has_failures(&self) -> bool {
        !self.shared.ledger().failures.is_empty()
    }

    /// Forgets the images of which the history knows by now, or is not to know, and those of which it knows no more. `seen`
    /// are those that the history was made with: one that has come since may be known too, by its labels, but not whole.
    pub fn forget_images(&self, seen: &[Arrival], known: &Brought, clean_up: CleanUp) {
        let is_known = |arrival: &Arrival| seen.contains(arrival) && known.contains_key(&arrival.id);
        let mut ledger = self.shared.ledger();
        ledger.arrivals.retain(|arrival| clean_up.is_on && !is_known(arrival));
        ledger.departed.retain(|id| known.contains_key(id));
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
        hard >= effort::STARTING || hard > effort::STARTS_LEFT && !ledger.work_ended
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.shared.ledger().in_flight.is_empty()
    }
}

impl<E: Engine> Shared<E> {
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters an action as under way, if there is room for it.
    fn admit(&self, action: &Action) -> Option<Kind> {
        let (kind, limit) = effort::kind(&action.call);
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
            Kind::Name | Kind::Pull | Kind::Build | Kind::Stop => None,
        };
        let began = self.clock.now();
        tracing::debug!(object = %action.object, cause = %action.cause, "{}", action.call);
        let outcome = match timeout(effort::longest(&action.call).std(), self.call(&action)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(EngineError {
                attempted: action.call.to_string(),
                message: format!("it did not end within {}", effort::longest(&action.call)),
                fault: Fault::Timeout,
            }),
        };
        let now = self.clock.now();
        let result = match &outcome {
            Ok(_) => ActionResult::Success,
            Err(error) if error.fault == Fault::Timeout => ActionResult::Timeout,
            Err(_) => ActionResult::Error,
        };
        self.metrics.action(&action.call, result, now.since(began));
        if let Ok(Effect::Freed(bytes)) = &outcome {
            self.metrics.image_removed(*bytes);
        }
        self.record(&action, outcome, now, now.since(began));
        self.wake.ring(Reason::Finished);
    }

    fn record(&self, action: &Action, outcome: Result<Effect, EngineError>, now: Timestamp, took: Span) {
        let target = action.call.target();
        if effort::touches_places(&action.call) {
            self.hints.all();
        }
        // A list shows neither why a start failed nor new limits, and no event tells of a start that failed.
        if let Some(container) = action.call.container() {
            self.hints.touch(container);
        }
        let mut ledger = self.ledger();
        let output = ledger.outputs.remove(&target).unwrap_or_default();
        match outcome {
            Ok(effect) => {
                ledger.failures.remove(&target);
                ledger.succeeded(action, effect, now, took);
            }
            // Nobody waits for it any more, so it is nobody's failure.
            Err(_) if build::is_obsolete(&ledger.desired, &action.call) => {}
            Err(error) => {
                let message = ledger.redactor.clean(&with_name(&action.call, error.to_string()));
                let last = last_word(&output).map(|line| format!("; its output ends with: {line}"));
                let count = ledger.failures.get(&target).map_or(1, |earlier| earlier.count.saturating_add(1));
                if count == 1 {
                    ledger.untold.push(Event {
                        at: now,
                        object: action.object.clone(),
                        severity: Severity::Warning,
                        reason: publish::failed_word(&action.call).into(),
                        message: format!("{message}{}", last.unwrap_or_default()),
                        failure: None,
                    });
                } else {
                    tracing::warn!(object = %action.object, count, "{message}");
                }
                let cut = action.call.cuts().or_else(|| ledger.failures.get(&target)?.cut.clone());
                let ending = action.call.ends();
                let failure = Failure { count, at: now, fault: error.fault, message, ending, cut, output };
                ledger.failures.insert(target.clone(), failure);
                // The newest is needed most: without it, what failed is tried again at once.
                bound(&mut ledger.failures, FAILURES_MAX, |failure| failure.at);
            }
        }
        if let Some((kind, _)) = ledger.in_flight.remove(&target) {
            ledger.work_ended |= kind != Kind::Start;
        }
    }
}

/// Keeps a memory that has just grown by one to so many.
fn bound<T>(all: &mut BTreeMap<String, T>, max: usize, at: impl Fn(&T) -> Timestamp) {
    if all.len() > max
        && let Some(oldest) = all.iter().min_by_key(|(_, one)| at(one)).map(|(key, _)| key.clone())
    {
        all.remove(&oldest);
    }
}

impl Ledger {
    /// Remembers that an image was pulled. Tags that CI makes are new ones for ever.
    fn note_pull(&mut self, image: &str, now: Timestamp) {
        self.pulled.insert(image.into(), now);
        bound(&mut self.pulled, PULLED_MAX, |at| *at);
    }

    /// Remembers what came of an action that went well.
    fn succeeded(&mut self, action: &Action, effect: Effect, now: Timestamp, took: Span) {
        let object = action.object.clone();
        match (&action.call, effect) {
            (Call::Pull { image, .. }, effect) => {
                self.note_pull(image, now);
                if let Effect::Brought(id) = effect {
                    self.departed.remove(&id);
                    let (reference, steps) = (image.clone(), Steps::default());
                    self.arrivals.push(Arrival { id, reference, object, at: now, steps });
                }
            }
            (Call::Build { build, .. }, effect) => {
                if let Effect::Built(Built { id, steps }) = effect {
                    self.departed.remove(&id);
                    let (reference, object) = (build.image.clone(), object.clone());
                    self.arrivals.push(Arrival { id, reference, object, at: now, steps });
                }
                let message = format!("built {} in {took}", build.image);
                let (severity, reason) = (Severity::Normal, "Built".into());
                self.untold.push(Event { at: now, object, severity, reason, message, failure: None });
            }
            (call @ Call::RemoveImage { id, .. }, Effect::Freed(bytes)) => {
                self.departed.insert(id.clone());
                let size =
                    if bytes == 0 { String::new() } else { format!(" (up to {} MB)", bytes.div_ceil(1_000_000)) };
                let message = printable(&format!("{call}{size}: {}", action.cause));
                let (severity, reason) = (Severity::Normal, "ImageRemoved".into());
                self.untold.push(Event { at: now, object, severity, reason, message, failure: None });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_pulls_are_remembered_and_no_more_than_a_thousand() {
        let mut ledger = Ledger::default();
        for at in 0..3_000 {
            ledger.note_pull(&format!("shop:{at}"), Timestamp(at));
        }
        let first = ledger.pulled.values().min().copied();
        assert_eq!((ledger.pulled.len(), first), (PULLED_MAX, Some(Timestamp(2_000))));
    }
}
