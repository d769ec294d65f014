//! The search: every state that can be reached, once each, nearest first; then whether each of them leads to rest. It knows
//! nothing of what a state is but how to go on from it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use crate::likeness::likeness;
use crate::state::{Event, Left, State};
use crate::support::parallel::on_all_cores;
use crate::town::Town;
use crate::{neighbours, promises};

/// A world with more states than this is too large to be searched.
const STATES_MAX: usize = 6_000_000;
/// As many states are gone on from at once: enough for all cores, and few enough that what comes of them fits in memory.
const AT_ONCE: usize = 256;

/// What was searched, and what is wrong.
pub struct Found {
    pub states: usize,
    pub transitions: usize,
    pub depth: u32,
    /// States in which everything is as it should be, and stays.
    pub at_rest: usize,
    pub took: Duration,
    /// What is wrong, with the shortest way to it.
    pub wrong: Option<String>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Found { states, transitions, depth, at_rest, took, wrong } = self;
        write!(f, "model: {states} states ({at_rest} at rest), {transitions} transitions, depth {depth}, ")?;
        write!(f, "in {:.1} s", took.as_secs_f64())?;
        wrong.iter().try_for_each(|wrong| write!(f, "\n{wrong}"))
    }
}

/// How a state was first reached.
struct Origin {
    from: u32,
    event: Event,
    depth: u32,
}

/// A state to go on from.
struct Waiting {
    number: usize,
    likeness: u128,
    state: State,
}

/// A step from a state, judged.
struct Step {
    event: Event,
    likeness: u128,
    /// None if it was known already when the step was made.
    after: Option<State>,
    wrong: Option<String>,
}

/// All steps from a state.
struct Expanded {
    /// What is wrong with what its pass decides.
    wrong: Option<String>,
    at_rest: bool,
    steps: Vec<Step>,
}

struct Search<'a> {
    town: &'a Town,
    left: Left,
    known: BTreeMap<u128, u32>,
    origins: Vec<Origin>,
    /// Fair steps, as pairs of states.
    steps: Vec<(u32, u32)>,
    at_rest: Vec<bool>,
    transitions: usize,
    waiting: VecDeque<Waiting>,
}

/// Tries everything.
pub fn search(town: &Town, left: Left) -> Found {
    let began = Instant::now();
    let (known, origins, steps, at_rest) = (BTreeMap::new(), Vec::new(), Vec::new(), Vec::new());
    let waiting = VecDeque::new();
    let mut search = Search { town, left, known, origins, steps, at_rest, transitions: 0, waiting };
    let wrong = search.run();
    Found {
        states: search.origins.len(),
        transitions: search.transitions,
        depth: search.origins.iter().map(|origin| origin.depth).max().unwrap_or(0),
        at_rest: search.at_rest.iter().filter(|rest| **rest).count(),
        took: began.elapsed(),
        wrong,
    }
}

impl Search<'_> {
    fn run(&mut self) -> Option<String> {
        let first = State::first(self.left);
        let origin = Origin { from: 0, event: Event::Pass, depth: 0 };
        self.enter(likeness(&first), Some(first), origin);
        while !self.waiting.is_empty() {
            let some: Vec<Waiting> = self.waiting.drain(..AT_ONCE.min(self.waiting.len())).collect();
            // In the order of the queue, so that figures and ways are those of a search by one alone.
            let expanded = on_all_cores(&some, |one| self.expand(one));
            let mut expanded = some.iter().zip(expanded);
            if let Some(wrong) = expanded.find_map(|(one, expanded)| self.take(one.number, expanded)) {
                return Some(wrong);
            }
            if self.origins.len() > STATES_MAX {
                return Some(format!("there are more than {STATES_MAX} states"));
            }
        }
        let lost = self.lost()?;
        Some(format!("from here it never comes to rest:\n{}", self.way_to(lost)))
    }

    /// Goes on from a state in every way.
    fn expand(&self, one: &Waiting) -> Expanded {
        let (town, state) = (self.town, &one.state);
        let plan = state.decide(town);
        let wrong = promises::of_a_plan(state, &plan).or_else(|| neighbours::disturbed(town, state, &plan));
        let (rest, wake_at) = (promises::is_at_rest(town, state, &plan), plan.wake_at);
        let after_pass = state.after_pass(town, plan);
        let pass = self.step(state, Event::Pass, after_pass);
        let changes = pass.likeness != one.likeness;
        let mut events = state.events(town);
        match wake_at {
            // Time goes on only when there is nothing to decide.
            Some(at) if !changes && at > state.now() => {
                events.push(Event::Wait(state.world.now + at.since(state.now()).0));
            }
            Some(_) | None => {}
        }
        let others = events.into_iter().map(|event| self.step(state, event, state.after(event)));
        let steps = Some(pass).filter(|_| changes).into_iter().chain(others).collect();
        Expanded { wrong, at_rest: rest && !changes && state.world.next_alarm().is_none(), steps }
    }

    /// Judges one step.
    fn step(&self, before: &State, event: Event, after: State) -> Step {
        let wrong = promises::of_a_step(self.town, before, event, &after);
        let wrong = wrong.or_else(|| neighbours::touched(before, event, &after));
        let wrong = wrong.or_else(|| promises::of_a_calm_state(self.town, &after, self.left));
        let likeness = likeness(&after);
        let after = Some(after).filter(|_| !self.known.contains_key(&likeness));
        Step { event, likeness, after, wrong }
    }

    /// Notes what comes of a state; what is wrong with it, with the way to it.
    fn take(&mut self, number: usize, expanded: Expanded) -> Option<String> {
        let Expanded { wrong, at_rest, steps } = expanded;
        if let Some(wrong) = wrong {
            return Some(format!("{wrong}:\n{}", self.way_to(number)));
        }
        self.at_rest[number] = at_rest;
        for Step { event, likeness, after, wrong } in steps {
            self.transitions += 1;
            let depth = self.origins[number].depth + 1;
            let to = self.enter(likeness, after, Origin { from: number as u32, event, depth });
            if event.is_fair() {
                self.steps.push((number as u32, to));
            }
            if let Some(wrong) = wrong {
                return Some(format!("{wrong}:\n{}then {event:?}", self.way_to(number)));
            }
        }
        None
    }

    /// The number of a state; one that was not known is looked at later.
    fn enter(&mut self, likeness: u128, state: Option<State>, origin: Origin) -> u32 {
        let number = self.origins.len();
        *self.known.entry(likeness).or_insert_with(|| {
            let state = state.expect("what nobody knew was kept");
            self.origins.push(origin);
            self.at_rest.push(false);
            self.waiting.push_back(Waiting { number, likeness, state });
            number as u32
        })
    }

    /// A state from which no fair steps lead to rest. When there is none, every run in which whatever can happen again and
    /// again does happen comes to rest; and from rest no fair step leads away.
    fn lost(&self) -> Option<usize> {
        let mut before: Vec<Vec<u32>> = vec![Vec::new(); self.origins.len()];
        for (from, to) in &self.steps {
            before[*to as usize].push(*from);
        }
        let mut leads: Vec<bool> = self.at_rest.clone();
        let mut open: Vec<usize> = (0..leads.len()).filter(|number| leads[*number]).collect();
        while let Some(number) = open.pop() {
            for from in &before[number] {
                if !std::mem::replace(&mut leads[*from as usize], true) {
                    open.push(*from as usize);
                }
            }
        }
        leads.iter().position(|leads| !leads)
    }

    /// What happened up to a state, in words: the way is gone again from the start.
    fn way_to(&self, number: usize) -> String {
        let mut events = Vec::new();
        let mut at = number;
        while self.origins[at].depth > 0 {
            events.push(self.origins[at].event);
            at = self.origins[at].from as usize;
        }
        let (mut state, mut text) = (State::first(self.left), String::new());
        for event in events.into_iter().rev() {
            text.push_str(&words(self.town, &state, event));
            state = match event {
                Event::Pass => state.after_pass(self.town, state.decide(self.town)),
                other => state.after(other),
            };
        }
        text.push_str(&stand(self.town, &state));
        text
    }
}

fn words(town: &Town, state: &State, event: Event) -> String {
    match event {
        Event::Pass => {
            let plan = state.decide(town);
            let begun: Vec<String> = plan.actions.iter().map(|action| action.call.to_string()).collect();
            format!("pass: {}\n", begun.join("; "))
        }
        Event::Effect { number, .. } => format!("  {}\n", state.under_way[number]),
        Event::Fail { number, effect } => format!("  fails (effect: {effect}): {}\n", state.under_way[number]),
        other => format!("{other:?}\n"),
    }
}

/// How it stands, for people.
fn stand(town: &Town, state: &State) -> String {
    let containers = state.world.containers.values().map(|c| {
        let names: Vec<_> = c.endpoints.values().flat_map(|endpoint| &endpoint.aliases).collect();
        format!("{} {} {names:?}\n", c.name, c.state_word())
    });
    let plan = state.decide(town);
    let objects = plan.status.iter().map(|(key, status)| format!("{key} {}: {}\n", status.phase, status.message));
    let mut lines: Vec<String> = containers.collect();
    lines.sort();
    lines.extend(objects);
    format!("now:\n{}", lines.concat())
}
