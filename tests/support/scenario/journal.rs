//! The transcript: everything that happened, in order, in words that are the same in every run. It only writes down.
//!
//! ```text
//! >  a line of the script            !  something happened outside Evenkeel
//!    a call, and why                 @  a name leads to more or fewer replicas
//! *  an event                        =  how an object stands now
//! ```

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use evenkeel::model::name::{Key, Kind};
use evenkeel::model::status::{Event, Status};
use evenkeel::model::view::View;
use tokio::sync::watch;

use super::names::Names;
use crate::support::sim::Sim;
use crate::support::sim::app::Millis;
use crate::support::sim::calls::CallRecord;
use crate::support::sim::client::Findings;
use crate::support::sim::world::EPOCH;

/// What the view has told so far.
#[derive(Default)]
pub struct Told {
    /// Events and statuses: when, and the line.
    lines: Vec<(Millis, String)>,
    /// Steps of plans: when, the action's words, and why.
    causes: Vec<(Millis, String, String)>,
    statuses: BTreeMap<Key, String>,
    last_event: Option<Event>,
}

/// Writes down what a controller's views tell, until it is gone.
pub async fn follow(sim: Sim, mut views: watch::Receiver<Arc<View>>, told: Arc<Mutex<Told>>) {
    loop {
        let view = views.borrow_and_update().clone();
        told.lock().expect("no test panics while it holds this").take(sim.now(), &view);
        if views.changed().await.is_err() {
            return;
        }
    }
}

impl Told {
    fn take(&mut self, now: Millis, view: &View) {
        for step in &view.plan {
            self.causes.push((now, step.action.clone(), step.cause.clone()));
        }
        let seen = self.last_event.as_ref().and_then(|last| view.events.iter().rposition(|event| event == last));
        for event in &view.events[seen.map_or(0, |at| at + 1)..] {
            let at = (event.at.0 - EPOCH).max(0) as Millis;
            self.lines.push((at, format!("* {} {}: {}", event.object, event.reason, event.message)));
            self.last_event = Some(event.clone());
        }
        for (key, object) in &view.objects {
            let line = standing(key, &object.status);
            if self.statuses.get(key) != Some(&line) {
                if let Some(line) = &line_if_told(key, &line) {
                    self.lines.push((now, line.clone()));
                }
                self.statuses.insert(key.clone(), line);
            }
        }
        let gone: Vec<Key> = self.statuses.keys().filter(|key| !view.objects.contains_key(key)).cloned().collect();
        for key in gone.into_iter().filter(|_| view.passes > 0) {
            self.statuses.remove(&key);
            self.lines.push((now, format!("= {key} is gone")));
        }
    }
}

fn standing(key: &Key, status: &Status) -> String {
    let mut line = format!("= {key} {}", status.phase);
    if let Some(replicas) = &status.replicas {
        let _ = write!(line, ", {} of {} ready", replicas.ready, replicas.desired);
    }
    if matches!(status.phase.as_str(), "Stalled" | "RolledBack" | "Failed" | "Unknown" | "PruneHeld" | "Degraded") {
        let _ = write!(line, ": {}", status.message);
    }
    line
}

/// Places and contents are only worth a line when something is wrong with them.
fn line_if_told(key: &Key, line: &str) -> Option<String> {
    match key.kind {
        Kind::Deployment | Kind::Job | Kind::CronJob => Some(line.to_string()),
        Kind::Namespace | Kind::Network | Kind::Volume | Kind::ConfigMap | Kind::Secret => {
            (!line.ends_with(" Ready")).then(|| line.to_string())
        }
    }
}

/// The transcript as far as it is written.
#[derive(Default)]
pub struct Journal {
    pub text: String,
    calls: usize,
    /// Calls that were under way when the last part was written.
    under_way: Vec<usize>,
    notes: usize,
    answers: usize,
    lines: usize,
}

impl Journal {
    /// Writes the next line of the script.
    pub fn step(&mut self, now: Millis, text: &str) {
        let _ = writeln!(self.text, "{} > {text}", clock(now));
    }

    /// Writes what has happened since the last time.
    pub fn catch_up(&mut self, sim: &Sim, told: &Told, findings: &Findings, names: &mut Names) {
        let mut part: Vec<(Millis, u8, String)> = Vec::new();
        self.take_calls(&sim.calls().made, told, names, &mut part);
        sim.with(|world| {
            part.extend(world.notes[self.notes..].iter().map(|(at, note)| (*at, 0, format!("! {note}"))));
            self.notes = world.notes.len();
        });
        for (at, lookup, count) in &findings.answers[self.answers..] {
            part.push((*at, 3, format!("@ {lookup} leads to {count}")));
        }
        self.answers = findings.answers.len();
        part.extend(told.lines[self.lines..].iter().map(|(at, line)| (*at, 2, line.clone())));
        self.lines = told.lines.len();
        part.sort_by_key(|(at, order, _)| (*at, *order));
        for (at, _, line) in part {
            let _ = writeln!(self.text, "{} {}", clock(at), names.show(&line));
        }
    }

    /// Forgets what is written already, and what it was written from, unless a call is under way.
    pub fn forget(&mut self, sim: &Sim, told: &mut Told, findings: &mut Findings) -> bool {
        if !self.under_way.is_empty() || sim.calls().made.iter().any(|call| call.ended.is_none()) {
            return false;
        }
        sim.calls().made.clear();
        sim.with(|world| world.notes.clear());
        findings.forget();
        told.lines.clear();
        told.causes.clear();
        *self = Journal::default();
        true
    }

    fn take_calls(
        &mut self,
        made: &[CallRecord],
        told: &Told,
        names: &mut Names,
        part: &mut Vec<(Millis, u8, String)>,
    ) {
        for (index, call) in made.iter().enumerate().skip(self.calls).filter(|(_, call)| call.changes) {
            names.learn(&call.target);
            let mut line = format!("  {} {}", call.name, call.target);
            if !call.detail.is_empty() {
                let _ = write!(line, " {}", call.detail);
            }
            if let Some(cause) = told.cause(call) {
                let _ = write!(line, "  — {cause}");
            }
            part.push((call.at, 1, line));
            self.under_way.push(index);
        }
        self.calls = made.len();
        self.under_way.retain(|index| match &made[*index].ended {
            None => true,
            Some((_, Ok(()))) => false,
            Some((at, Err(why))) => {
                let call = &made[*index];
                part.push((*at, 1, format!("  {} {} fails: {why}", call.name, call.target)));
                false
            }
        });
    }
}

impl Told {
    /// Why a call was made: the newest step of a plan that speaks of it.
    fn cause(&self, call: &CallRecord) -> Option<&str> {
        let verbs: &[&str] = match call.name {
            "connect" => &["connect", "reconnect"],
            "disconnect" => &["reconnect"],
            "exec in" => &["stop"],
            name => &[name],
        };
        let speaks = |(at, action, _): &&(Millis, String, String)| {
            *at <= call.at
                && verbs.iter().any(|verb| action.starts_with(verb))
                && action.split_whitespace().any(|word| word == call.target)
        };
        self.causes.iter().rev().find(speaks).map(|(_, _, cause)| cause.as_str())
    }
}

fn clock(at: Millis) -> String {
    format!("{:>5}.{:03}", at / 1000, at % 1000)
}
