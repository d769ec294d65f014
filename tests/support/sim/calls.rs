//! The one funnel that every call to the simulated engine passes: it counts, records, takes time, and fails on demand.
//! What a call does is not known here.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use evenkeel::engine::EngineError;
use evenkeel::model::observed::Fault;
use tokio::time::{Duration, sleep};

use super::Sim;
use super::app::Millis;
use super::world::{EventFault, Power, Refusal, World};

/// The calls that answer with a list, which can be stale or incomplete.
const LISTS: [&str; 3] = ["list", "networks", "volumes"];
/// How long a client waits for a reply that does not come.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// How long the engine is away when a fault restarts it.
const ENGINE_RESTART: Millis = 3_000;
/// How long events stay lost or doubled after a fault.
const EVENT_FAULT: Duration = Duration::from_secs(1);
/// By how much events come late after a fault.
const EVENTS_LATE: Duration = Duration::from_secs(5);

/// The record of calls, and the faults to come.
#[derive(Default)]
pub struct Calls {
    /// Every call so far; its index is its number.
    pub made: Vec<CallRecord>,
    /// What goes wrong at the call of that index.
    pub faults: BTreeMap<usize, FaultMode>,
    /// What goes wrong at the next call that fits, by the call's name and a pattern of its target.
    pub rules: Vec<Rule>,
    /// Whether a fault has killed the controller; whoever runs it looks at this.
    pub crashed: bool,
    /// Sees every call.
    pub guard: Option<Guard>,
    /// What else befalls the world just before the call of that index.
    pub accidents: BTreeMap<usize, Accident>,
    /// The last list of each kind that was answered, for one that is stale, and what is wrong with the next one.
    last_lists: BTreeMap<&'static str, Box<dyn Any + Send>>,
    list_faults: BTreeMap<&'static str, FaultMode>,
}

/// Something outside the engine that happens between two calls.
pub type Accident = Box<dyn FnOnce() + Send>;

/// Somebody who watches the calls and the world that they meet.
pub type Guard = Arc<dyn Fn(&World, &Call, Moment) + Send + Sync>;

/// When a guard looks at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Just before it is made.
    Before,
    /// When its caller knows how it ended. A caller who has lost patience never does.
    After,
}

/// A call as it was made.
#[derive(Debug, Clone)]
pub struct CallRecord {
    pub at: Millis,
    pub name: &'static str,
    /// The name of what it acts on, as people know it.
    pub target: String,
    /// What else there is to say: `as web`, `grace 30s`.
    pub detail: String,
    /// Whether it changes anything.
    pub changes: bool,
    /// How it ended: when, and the error's text if it failed. None while it is under way, or for ever.
    pub ended: Option<(Millis, Result<(), String>)>,
}

/// A fault that waits for a call that fits.
#[derive(Debug, Clone)]
pub struct Rule {
    pub call: String,
    /// A pattern with `*`.
    pub target: String,
    pub mode: FaultMode,
    /// How many calls it spoils.
    pub times: u32,
}

/// What can go wrong at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultMode {
    /// The controller dies before the call.
    CrashBefore,
    /// The controller dies in the middle of a start: the engine gives it up when its caller goes away, and says so of the
    /// container.
    CrashDuring,
    /// The controller dies after the effect, before the reply.
    CrashAfter,
    /// The engine reports an error and does nothing.
    Error(Fault),
    /// A removal breaks off half-way, and the engine says so: the container is dead, and there still.
    HalfRemoved,
    /// No reply in time.
    Timeout {
        /// Whether the engine did it all the same.
        effect: bool,
    },
    /// Never any reply.
    Silence {
        /// Whether the engine did it all the same.
        effect: bool,
    },
    /// A list is answered with what the last one answered; any other call is as usual.
    StaleList,
    /// A list misses every second container; any other call is as usual.
    PartialList,
    /// A list is empty; any other call is as usual.
    EmptyList,
    /// The events from here on, for a second, are lost.
    EventsLost,
    /// The events from here on, for a second, come twice.
    EventsDoubled,
    /// The events from here on, for five seconds, come only then, the last one first.
    EventsLate,
    /// The engine goes down at this call, and comes back after three seconds.
    EngineRestart {
        /// With a signal for every program; otherwise it crashes.
        graceful: bool,
    },
}

impl FaultMode {
    /// All of them, for whoever enumerates.
    pub const ALL: [FaultMode; 17] = [
        FaultMode::CrashBefore,
        FaultMode::CrashDuring,
        FaultMode::CrashAfter,
        FaultMode::Error(Fault::Unavailable),
        FaultMode::HalfRemoved,
        FaultMode::Timeout { effect: false },
        FaultMode::Timeout { effect: true },
        FaultMode::Silence { effect: false },
        FaultMode::Silence { effect: true },
        FaultMode::StaleList,
        FaultMode::PartialList,
        FaultMode::EmptyList,
        FaultMode::EventsLost,
        FaultMode::EventsDoubled,
        FaultMode::EventsLate,
        FaultMode::EngineRestart { graceful: true },
        FaultMode::EngineRestart { graceful: false },
    ];

    /// Whether it is a fault of its own at a call: an effect that does not exist cannot be lost, and only a list can be
    /// stale or incomplete.
    pub fn concerns(self, name: &str, changes: bool) -> bool {
        match self {
            FaultMode::CrashAfter | FaultMode::Timeout { effect: true } | FaultMode::Silence { effect: true } => {
                changes
            }
            FaultMode::StaleList | FaultMode::PartialList | FaultMode::EmptyList => LISTS.contains(&name),
            FaultMode::CrashDuring => name == "start",
            FaultMode::HalfRemoved => name == "remove",
            FaultMode::CrashBefore
            | FaultMode::Error(_)
            | FaultMode::Timeout { effect: false }
            | FaultMode::Silence { effect: false }
            | FaultMode::EventsLost
            | FaultMode::EventsDoubled
            | FaultMode::EventsLate
            | FaultMode::EngineRestart { .. } => true,
        }
    }
}

/// A call about to be made.
pub struct Call {
    /// `create`, `start`, `connect` …
    pub name: &'static str,
    /// The name of what it acts on.
    pub target: String,
    /// What else there is to say.
    pub detail: String,
    /// How long the engine takes, at least.
    pub cost: Millis,
    /// Whether it changes anything.
    pub changes: bool,
    /// Whether somebody else than the engine is called.
    pub elsewhere: bool,
}

impl Call {
    /// A call that only looks.
    pub fn look(name: &'static str, target: impl Into<String>, cost: Millis) -> Call {
        Call { name, target: target.into(), detail: String::new(), cost, changes: false, elsewhere: false }
    }

    /// A call that changes something.
    pub fn change(name: &'static str, target: impl Into<String>, cost: Millis) -> Call {
        Call { changes: true, ..Call::look(name, target, cost) }
    }

    /// A look at what is not the engine's.
    pub fn elsewhere(name: &'static str, target: impl Into<String>, cost: Millis) -> Call {
        Call { elsewhere: true, ..Call::look(name, target, cost) }
    }

    /// With a detail for the record.
    pub fn with(self, detail: impl Into<String>) -> Call {
        Call { detail: detail.into(), ..self }
    }

    fn error(&self, fault: Fault, message: impl Into<String>) -> EngineError {
        EngineError { attempted: format!("{} {}", self.name, self.target), message: message.into(), fault }
    }
}

impl Sim {
    /// Makes a call. The engine's part runs on its own, so that it goes on when the caller goes away.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        call: Call,
        effect: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, EngineError> {
        if self.life.is_over() {
            return Err(call.error(Fault::Timeout, "this process is dead"));
        }
        self.inspect_call(&call, Moment::Before);
        let (index, fault) = self.begin(&call);
        let outcome = tokio::select! {
            biased;
            () = self.life.over() => Err(call.error(Fault::Timeout, "this process is dead")),
            outcome = self.answer(&call, fault, effect) => outcome,
        };
        let outcome =
            outcome.map_err(|error| EngineError { message: self.with(|world| world.say(&error.message)), ..error });
        let now = self.now();
        let summary = outcome.as_ref().map(|_| ()).map_err(|error| error.message.clone());
        self.calls().made[index].ended = Some((now, summary));
        self.inspect_call(&call, Moment::After);
        outcome
    }

    /// Lets whoever guards the invariants see the call.
    fn inspect_call(&self, call: &Call, moment: Moment) {
        let guard = self.calls().guard.clone();
        if let Some(guard) = guard {
            self.with(|world| guard(world, call, moment));
        }
    }

    fn begin(&self, call: &Call) -> (usize, Option<FaultMode>) {
        let at = self.now();
        let mut calls = self.calls();
        let index = calls.made.len();
        calls.made.push(CallRecord {
            at,
            name: call.name,
            target: call.target.clone(),
            detail: call.detail.clone(),
            changes: call.changes,
            ended: None,
        });
        if let Some(accident) = calls.accidents.remove(&index) {
            accident();
        }
        let by_index = calls.faults.remove(&index);
        let fault = by_index.or_else(|| calls.take_rule(call.name, &call.target));
        if let (true, Some(fault)) = (LISTS.contains(&call.name), fault) {
            calls.list_faults.insert(call.name, fault);
        }
        (index, fault)
    }

    async fn answer<T: Send + 'static>(
        &self,
        call: &Call,
        fault: Option<FaultMode>,
        effect: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, EngineError> {
        let cost = Duration::from_millis(call.cost);
        match fault {
            None | Some(FaultMode::StaleList | FaultMode::PartialList | FaultMode::EmptyList) => {
                self.work(call, effect).await
            }
            Some(FaultMode::Error(fault)) => {
                sleep(cost).await;
                Err(call.error(fault, "the engine is in trouble"))
            }
            Some(FaultMode::HalfRemoved) => {
                sleep(cost).await;
                self.with(|world| world.half_remove(&call.target));
                Err(call.error(Fault::Unavailable, "failed to remove root filesystem: device or resource busy"))
            }
            Some(FaultMode::Timeout { effect: happens }) => {
                let work = happens.then(|| tokio::spawn(self.clone().serve(call.cost, call.elsewhere, effect)));
                sleep(DEADLINE).await;
                drop(work);
                Err(call.error(Fault::Timeout, format!("no reply within {}s", DEADLINE.as_secs())))
            }
            Some(FaultMode::Silence { effect: happens }) => {
                let _work = happens.then(|| tokio::spawn(self.clone().serve(call.cost, call.elsewhere, effect)));
                std::future::pending().await
            }
            Some(FaultMode::CrashBefore) => self.die().await,
            Some(FaultMode::CrashDuring) => {
                self.with(|world| world.give_up_start(&call.target));
                self.die().await
            }
            Some(FaultMode::CrashAfter) => {
                let _ = self.work(call, effect).await;
                self.die().await
            }
            Some(FaultMode::EventsLost) => self.with_events(EventFault::Lost, EVENT_FAULT, call, effect).await,
            Some(FaultMode::EventsDoubled) => self.with_events(EventFault::Doubled, EVENT_FAULT, call, effect).await,
            Some(FaultMode::EventsLate) => self.with_events(EventFault::Late, EVENTS_LATE, call, effect).await,
            Some(FaultMode::EngineRestart { graceful }) => {
                self.with(|world| world.power_down(graceful, ENGINE_RESTART));
                self.work(call, effect).await
            }
        }
    }

    async fn with_events<T: Send + 'static>(
        &self,
        fault: EventFault,
        lasts: Duration,
        call: &Call,
        effect: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, EngineError> {
        self.with(|world| world.set_event_fault(fault));
        let sim = self.clone();
        tokio::spawn(async move {
            sleep(lasts).await;
            sim.with(|world| world.set_event_fault(EventFault::None));
        });
        self.work(call, effect).await
    }

    async fn work<T: Send + 'static>(
        &self,
        call: &Call,
        effect: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, EngineError> {
        let work = tokio::spawn(self.clone().serve(call.cost, call.elsewhere, effect));
        let reply = work.await.expect("the simulated engine does not panic");
        reply.map_err(|refusal| call.error(refusal.fault, refusal.message))
    }

    /// The engine's part: it takes its time, and it must be up at both ends of it.
    async fn serve<T>(
        self,
        cost: Millis,
        elsewhere: bool,
        effect: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        let must_be_up = || if elsewhere { Ok(()) } else { self.must_be_up() };
        must_be_up()?;
        sleep(Duration::from_millis(cost)).await;
        must_be_up()?;
        effect.await
    }

    pub(super) fn must_be_up(&self) -> Result<(), Refusal> {
        match self.with(|world| world.power) {
            Power::Up => Ok(()),
            Power::Down { .. } => Err(Refusal {
                status: 0,
                fault: Fault::Unavailable,
                message: "Cannot connect to the Docker daemon at unix:///var/run/docker.sock".into(),
            }),
        }
    }

    async fn die<T>(&self) -> T {
        self.calls().crashed = true;
        self.life.end();
        std::future::pending().await
    }
}

impl Calls {
    fn take_rule(&mut self, name: &str, target: &str) -> Option<FaultMode> {
        let fits = |rule: &Rule| rule.times > 0 && rule.call == name && matches_pattern(&rule.target, target);
        let rule = self.rules.iter_mut().find(|rule| fits(rule))?;
        rule.times -= 1;
        Some(rule.mode)
    }

    /// What a list answers: what is, or under a fault something else.
    pub(super) fn answer_list<T: Clone + Send + 'static>(&mut self, name: &'static str, fresh: Vec<T>) -> Vec<T> {
        match self.list_faults.remove(name) {
            Some(FaultMode::StaleList) => {
                let last = self.last_lists.get(name).and_then(|list| list.downcast_ref::<Vec<T>>());
                last.cloned().unwrap_or(fresh)
            }
            Some(FaultMode::PartialList) => fresh.into_iter().skip(1).step_by(2).collect(),
            Some(FaultMode::EmptyList) => Vec::new(),
            Some(_) | None => {
                self.last_lists.insert(name, Box::new(fresh.clone()));
                fresh
            }
        }
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any characters.
pub fn matches_pattern(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => {
            let Some(tail) = text.strip_prefix(start) else { return false };
            (0..=tail.len()).any(|at| tail.is_char_boundary(at) && matches_pattern(rest, &tail[at..]))
        }
    }
}
