//! Somebody who uses the names: looks each one up every 50 ms, and remembers what would have gone wrong. It changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use evenkeel::model::name::{Key, Name};
use evenkeel::model::observed::ContainerId;
use tokio::time::{Duration, sleep};

use super::Sim;
use super::app::Millis;
use super::engine::owned;
use super::world::World;

/// How often each name is looked up.
const PERIOD: Duration = Duration::from_millis(50);

/// What the client has found so far.
#[derive(Default)]
pub struct Findings {
    /// Names and what they led to last: only changes are kept, for the transcript.
    pub answers: Vec<(Millis, Lookup, usize)>,
    /// Lookups that led to a replica that had never answered in its life.
    pub not_ready: Vec<String>,
    /// Since when an address of a name has not answered although it once did.
    silent_since: BTreeMap<(Lookup, ContainerId), Millis>,
    /// The longest that a name led to a replica that no longer answered.
    pub longest_silence: BTreeMap<Lookup, Millis>,
    /// How long each name has led to nobody, after it had led to somebody.
    pub nobody: BTreeMap<Lookup, Millis>,
    last: BTreeMap<Lookup, usize>,
}

/// A name on a network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lookup {
    /// The network's name.
    pub network: String,
    /// The name on it.
    pub name: String,
}

impl std::fmt::Display for Lookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {}", self.name, self.network)
    }
}

/// Starts a client of all names of an engine; it lives as long as the runtime.
pub fn follow(sim: &Sim) -> Arc<Mutex<Findings>> {
    let findings = Arc::new(Mutex::new(Findings::default()));
    let (sim, shared) = (sim.clone(), findings.clone());
    tokio::spawn(async move {
        loop {
            sim.with(|world| shared.lock().expect("no test panics while it holds this").look(world, &sim.instance));
            sleep(PERIOD).await;
        }
    });
    findings
}

impl Findings {
    fn look(&mut self, world: &World, instance: &Name) {
        let mut lookups: BTreeSet<Lookup> = self.last.keys().cloned().collect();
        lookups.extend(names(world, instance));
        for lookup in lookups {
            let found = world.resolve(&lookup.network, &lookup.name);
            for id in found.values() {
                self.ask(world, &lookup, id);
            }
            self.silent_since.retain(|(of, id), _| *of != lookup || found.values().any(|there| there == id));
            let before = self.last.insert(lookup.clone(), found.len());
            if found.is_empty() && before.is_some() {
                *self.nobody.entry(lookup.clone()).or_insert(0) += PERIOD.as_millis() as Millis;
            }
            if before != Some(found.len()) {
                self.answers.push((world.now, lookup, found.len()));
            }
        }
    }

    /// Sends a request to one address.
    fn ask(&mut self, world: &World, lookup: &Lookup, id: &ContainerId) {
        let container = &world.containers[id];
        let key = (lookup.clone(), id.clone());
        if container.serves(world.now) {
            self.silent_since.remove(&key);
            return;
        }
        if !container.served && !container.served_in_this_run(world.now) {
            let (at, name) = (world.now, &container.name);
            let words = format!("at {at} ms {lookup} leads to {name}, which has never been ready");
            if self.not_ready.last() != Some(&words) {
                self.not_ready.push(words);
            }
            return;
        }
        let since = *self.silent_since.entry(key).or_insert(world.now);
        let longest = self.longest_silence.entry(lookup.clone()).or_insert(0);
        *longest = (*longest).max(world.now - since);
    }
}

/// The names that replicas of this instance have now.
fn names(world: &World, instance: &Name) -> BTreeSet<Lookup> {
    let ours = world.containers.values().filter(|container| owned(container, instance).is_some());
    let endpoints = ours.flat_map(|container| &container.endpoints);
    let names = endpoints.flat_map(|(network, endpoint)| endpoint.aliases.iter().map(move |name| (network, name)));
    names.map(|(network, name)| Lookup { network: network.clone(), name: name.clone() }).collect()
}

/// The owner of a container, if it is ours.
pub fn owner(world: &World, id: &ContainerId, instance: &Name) -> Option<Key> {
    owned(world.containers.get(id)?, instance).map(|owned| owned.owner)
}
