//! A state of the small world and everything that can happen next. An action under way is as the executor has it: one at a
//! time for a target, its failure remembered with the time, all of it gone when the controller dies. It judges nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

use evenkeel::model::action::{Action, Call};
use evenkeel::model::desired::Desired;
use evenkeel::model::history::{History, Outcome};
use evenkeel::model::name::Key;
use evenkeel::model::observed::{ContainerId, Failure, Fault, Observed};
use evenkeel::model::revision::RevisionId;
use evenkeel::model::status::{Plan, ProbeTask};
use evenkeel::model::time::Timestamp;

use crate::addresses;
use crate::support::sim::app::Millis;
use crate::support::sim::container::Container;
use crate::support::sim::world::{Refusal, World};
use crate::support::world::{observed, perform};
use crate::town::Town;

/// How much may still go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Left {
    /// Of the controller.
    pub crashes: u8,
    /// Of the engine, graceful or not.
    pub restarts: u8,
    /// Calls that the engine refuses for its own reasons, or whose reply is lost.
    pub failures: u8,
}

/// The small world at one moment.
#[derive(Clone)]
pub struct State {
    pub world: Arc<World>,
    /// Which manifests are in force.
    pub edit: usize,
    /// What is on disk, and what the process remembers beside it.
    pub history: Arc<History>,
    pub probes: Arc<Vec<ProbeTask>>,
    pub under_way: Vec<UnderWay>,
    pub failures: BTreeMap<String, Failed>,
    pub watched_since: Timestamp,
    pub left: Left,
    /// Every revision that was ever rejected, whatever the history says later.
    pub rejected: Arc<BTreeSet<RevisionId>>,
}

/// An action that was begun and whose end is not known yet.
#[derive(Clone)]
pub struct UnderWay {
    pub action: Arc<Action>,
    /// The first half is done: a signal is sent, a network is left.
    pub halfway: bool,
    /// How many restarts of the engine were left when it was decided.
    pub decided_at: u8,
    /// Whether its container was known to be ready when it was decided.
    pub was_ready: bool,
}

/// What became of the last action on a target.
#[derive(Clone)]
pub struct Failed {
    /// For which object it was.
    pub object: Key,
    pub failure: Failure,
}

/// Something that can happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The controller looks, decides, saves and begins.
    Pass,
    /// The action of that number takes effect, or the first half of it does; the engine chooses addresses in that way.
    Effect { number: usize, way: usize },
    /// A program that was told to stop ends, though nobody waits for it any more.
    End(usize),
    /// Time goes on to the next thing that the engine does by itself.
    Alarm,
    /// Time goes on to when the plan wants to look again.
    Wait(Millis),
    /// The next manifests come into force.
    Edit,
    /// The controller dies and is started again.
    Crash,
    /// The engine restarts, and chooses addresses in that way.
    Restart { graceful: bool, way: usize },
    /// The action of that number fails, with or without its effect.
    Fail { number: usize, effect: bool },
}

impl Event {
    /// Whether it is a part of any fair run, not an accident or a wish.
    pub fn is_fair(self) -> bool {
        match self {
            Event::Pass | Event::Effect { .. } | Event::End(_) | Event::Alarm | Event::Wait(_) => true,
            Event::Edit | Event::Crash | Event::Restart { .. } | Event::Fail { .. } => false,
        }
    }
}

impl State {
    /// The world before the first pass.
    pub fn first(left: Left) -> State {
        State {
            world: Arc::new(Town::engine()),
            edit: 0,
            history: Arc::default(),
            probes: Arc::default(),
            under_way: Vec::new(),
            failures: BTreeMap::new(),
            watched_since: Timestamp::default(),
            left,
            rejected: Arc::default(),
        }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        World::timestamp(self.world.now)
    }

    /// What a pass would decide.
    pub fn decide(&self, town: &Town) -> Plan {
        let desired = &town.manifests[self.edit];
        (town.planner)(desired, &self.seen(desired), &self.history, self.now())
    }

    /// What the controller sees of what it has to do with, if these manifests are in force.
    pub fn seen(&self, desired: &Desired) -> Observed {
        let seen = observed(&self.world, desired, &self.history, &self.probes);
        let under_way = self.under_way.iter().map(|under_way| &under_way.action);
        let in_flight = under_way.filter(|action| desired.declares(&action.object)).map(|action| action.call.target());
        let failed = self.failures.iter().filter(|(_, failed)| desired.declares(&failed.object));
        let failures = failed.map(|(target, failed)| (target.clone(), failed.failure.clone())).collect();
        Observed { in_flight: in_flight.collect(), failures, watched_since: self.watched_since, ..seen }
    }

    /// The state after a pass that decided `plan`: saved first, then begun. What is done at once is over with that.
    pub fn after_pass(&self, town: &Town, plan: Plan) -> State {
        let mut next = self.clone();
        let revisions = plan.history.deployments.values().flat_map(|deployment| &deployment.revisions);
        let rejected = revisions.filter(|revision| matches!(revision.outcome, Outcome::Rejected { .. }));
        let rejected: Vec<_> = rejected.map(|r| r.id.clone()).filter(|id| !self.rejected.contains(id)).collect();
        if !rejected.is_empty() {
            Arc::make_mut(&mut next.rejected).extend(rejected);
        }
        next.history = Arc::new(plan.history);
        next.probes = Arc::new(plan.probes);
        for action in plan.actions {
            let ready_since = next.history.deployments.get(&action.object).map(|deployment| &deployment.ready_since);
            let was_ready = ready_since.zip(action.call.container()).is_some_and(|(ready, id)| ready.contains_key(id));
            let (action, decided_at) = (Arc::new(action), self.left.restarts);
            next.under_way.push(UnderWay { action, halfway: false, decided_at, was_ready });
        }
        next.under_way.sort_by_cached_key(|under_way| under_way.action.call.target());
        let at_once = |under_way: &UnderWay| town.is_done_at_once(&under_way.action.object);
        while let Some(number) = next.under_way.iter().position(at_once) {
            next.take_effect(number, 0);
        }
        next
    }

    /// Everything but passes and waiting that can happen now.
    pub fn events(&self, town: &Town) -> Vec<Event> {
        let ways = |number: usize| 0..addresses::ways(self, &self.under_way[number]);
        let effects = |number| ways(number).map(move |way| Event::Effect { number, way });
        let mut events: Vec<Event> = (0..self.under_way.len()).flat_map(effects).collect();
        events.extend((0..self.abandoned().len()).map(Event::End));
        if self.world.next_alarm().is_some() {
            events.push(Event::Alarm);
        }
        if self.edit + 1 < town.manifests.len() && self.is_settled_once() {
            events.push(Event::Edit);
        }
        if self.left.crashes > 0 {
            events.push(Event::Crash);
        }
        if self.left.restarts > 0 {
            for way in 0..addresses::ways_of_a_restart(self) {
                events.extend([true, false].map(|graceful| Event::Restart { graceful, way }));
            }
        }
        if self.left.failures > 0 {
            let ways = |number| [true, false].map(|effect| Event::Fail { number, effect });
            events.extend((0..self.under_way.len()).flat_map(ways));
        }
        events
    }

    /// Whether the first revision has completed: before that there is nothing to go back to.
    fn is_settled_once(&self) -> bool {
        let completed = |outcome: &Outcome| matches!(outcome, Outcome::Completed { .. });
        let deployments = || self.history.deployments.values();
        deployments().len() > 0 && deployments().all(|d| d.revisions.iter().any(|r| completed(&r.outcome)))
    }

    /// The state after anything but a pass.
    pub fn after(&self, event: Event) -> State {
        let mut next = self.clone();
        next.choose(addresses::chosen(self, 0));
        match event {
            Event::Pass => unreachable!("a pass is made from its plan"),
            Event::Effect { number, way } => next.take_effect(number, way),
            Event::End(number) => {
                let id = self.abandoned()[number].clone();
                next.change(|world| world.kill(&id)).expect("it runs");
            }
            Event::Alarm => {
                let at = self.world.next_alarm().expect("there is one");
                next.change(|world| world.advance(at));
            }
            Event::Wait(until) => next.change(|world| world.advance(until)),
            Event::Edit => {
                next.edit += 1;
                // A revision's age is told by time: two of them never come at the same moment.
                next.change(|world| world.advance(world.now + 1));
            }
            Event::Crash => next.crash(),
            Event::Restart { graceful, way } => next.restart(graceful, way),
            Event::Fail { number, effect } => next.fail(number, effect),
        }
        next
    }

    fn change<T>(&mut self, change: impl FnOnce(&mut World) -> T) -> T {
        let world = Arc::make_mut(&mut self.world);
        let result = change(world);
        world.next_addresses.clear();
        // What was told and written is of no meaning here.
        world.events.clear();
        world.notes.clear();
        let told = world.containers.values().filter(|container| !container.log.is_empty());
        for id in told.map(|container| container.id.clone()).collect::<Vec<_>>() {
            world.containers.get_mut(&id).expect("it was just there").log.clear();
        }
        result
    }

    fn choose(&mut self, addresses: Vec<Ipv4Addr>) {
        Arc::make_mut(&mut self.world).next_addresses = addresses;
    }

    fn take_effect(&mut self, number: usize, way: usize) {
        if has_two_halves(&self.under_way[number].action.call) && !self.under_way[number].halfway {
            let action = self.under_way[number].action.clone();
            self.change(|world| first_half(world, &action.call));
            self.under_way[number].halfway = true;
            return;
        }
        let addresses = addresses::chosen(self, way);
        let UnderWay { action, .. } = self.under_way.remove(number);
        self.choose(addresses);
        match self.change(|world| perform(world, &action.call)) {
            Ok(()) => drop(self.failures.remove(&action.call.target())),
            Err(Refusal { fault, message, .. }) => self.remember(&action, fault, message),
        }
    }

    fn remember(&mut self, action: &Action, fault: Fault, message: String) {
        let (call, object) = (&action.call, action.object.clone());
        let earlier = self.failures.get(&call.target()).map(|failed| &failed.failure);
        let count = earlier.map_or(1, |earlier| earlier.count + 1);
        let cut = call.cuts().or_else(|| earlier?.cut.clone());
        let (at, ending, output) = (self.now(), call.ends(), Vec::new());
        let failure = Failure { count, at, fault, message, ending, cut, output };
        self.failures.insert(call.target(), Failed { object, failure });
    }

    /// Containers that were told to stop by a call that nobody waits for any more.
    fn abandoned(&self) -> Vec<ContainerId> {
        let is_waited_for = |id: &ContainerId| self.under_way.iter().any(|u| u.action.call.container() == Some(id));
        let told = self.world.containers.values().filter(|c| c.stopped_by_call && c.is_alive());
        told.map(|c| c.id.clone()).filter(|id| !is_waited_for(id)).collect()
    }

    /// What was asked of the engine and has not taken effect is lost; so is all that only the process knew.
    fn crash(&mut self) {
        self.left.crashes -= 1;
        self.under_way.clear();
        self.failures.clear();
        self.probes = Arc::default();
        self.watched_since = self.now();
        let history = Arc::make_mut(&mut self.history);
        for deployment in history.deployments.values_mut() {
            deployment.ready_since.clear();
            deployment.judged.clear();
            deployment.ended.clear();
        }
    }

    fn restart(&mut self, graceful: bool, way: usize) {
        self.choose(addresses::chosen_at_a_restart(self, way));
        self.left.restarts -= 1;
        for UnderWay { action, .. } in std::mem::take(&mut self.under_way) {
            self.remember(&action, Fault::Unavailable, "the engine is down".into());
        }
        self.change(|world| {
            world.power_down(graceful, 0);
            world.advance(world.now);
        });
    }

    fn fail(&mut self, number: usize, effect: bool) {
        self.left.failures -= 1;
        let action = self.under_way[number].action.clone();
        if effect {
            // Whatever comes of it is not known to the controller.
            let _ = self.change(|world| perform(world, &action.call));
        }
        self.under_way.remove(number);
        let fault = if effect { Fault::Timeout } else { Fault::Unavailable };
        self.remember(&action, fault, "the engine is in trouble".into());
    }
}

/// Whether something can happen between the beginning and the end of a call.
fn has_two_halves(call: &Call) -> bool {
    match call {
        Call::Stop(_) | Call::Restart(_) | Call::Reconnect(_) => true,
        Call::CreateNetwork(_)
        | Call::RemoveNetwork { .. }
        | Call::CreateVolume(_)
        | Call::Pull { .. }
        | Call::Build { .. }
        | Call::CreateContainer(_)
        | Call::Connect(_)
        | Call::Start { .. }
        | Call::Pause { .. }
        | Call::Unpause { .. }
        | Call::Remove { .. }
        | Call::RemoveImage { .. }
        | Call::Update { .. } => false,
    }
}

/// A signal is sent, a network is left.
fn first_half(world: &mut World, call: &Call) {
    match call {
        Call::Stop(stop) | Call::Restart(stop) => {
            if let Some(container) = world.containers.get_mut(&stop.container) {
                container.stopped_by_call = true;
            }
        }
        // One that is not on the network has nothing to leave.
        Call::Reconnect(c) => drop(world.disconnect(&c.container, &c.network)),
        other => unreachable!("{other} has no halves"),
    }
}

impl UnderWay {
    /// The container that it acts on, if that is there.
    pub fn container<'a>(&self, world: &'a World) -> Option<&'a Container> {
        world.containers.get(self.action.call.container()?)
    }
}

impl fmt::Display for UnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.action.call, if self.halfway { " (second half)" } else { "" })
    }
}
