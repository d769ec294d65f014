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

/// For how long after a change every lookup is made; then one each [`LAZY_PERIOD`], to save time.
const LIVELY: Millis = 10_000;
const LAZY_PERIOD: Millis = 1_000;

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
    /// Whom `not_ready` speaks of already.
    accused: BTreeSet<ContainerId>,
    last: BTreeMap<Lookup, usize>,
    owners: BTreeMap<Lookup, Key>,
    /// Whom each name leads to.
    led: BTreeMap<Lookup, Vec<ContainerId>>,
    /// The world's version that `owners` and `led` were read from, and since when it is that.
    version: Option<u64>,
    moved_at: Millis,
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

/// Starts a client of all names of an engine; it lives as long as the runtime. `promised` says of a Deployment whether
/// its names must lead to somebody.
pub fn follow(sim: &Sim, promised: impl Fn(&Key) -> bool + Send + 'static) -> Arc<Mutex<Findings>> {
    let findings = Arc::new(Mutex::new(Findings::default()));
    let (sim, shared) = (sim.clone(), findings.clone());
    tokio::spawn(async move {
        loop {
            let quiet = sim.with(|world| {
                let mut findings = shared.lock().expect("no test panics while it holds this");
                findings.look(world, &sim.instance, &promised);
                findings.quiet_at(world).then_some(world.version)
            });
            match quiet {
                None => sleep(PERIOD).await,
                Some(version) => sleep_until_news(&sim, version).await,
            }
        }
    });
    findings
}

/// Sleeps until the next lazy look, or until something changes; always to a multiple of [`PERIOD`].
async fn sleep_until_news(sim: &Sim, version: u64) {
    let news = sim.until(|world| (world.version != version).then_some(()));
    let lazy = Duration::from_millis(LAZY_PERIOD - sim.now() % LAZY_PERIOD);
    if tokio::time::timeout(lazy, news).await.is_ok() {
        let period = PERIOD.as_millis() as Millis;
        sleep(Duration::from_millis(period - sim.now() % period)).await;
    }
}

impl Findings {
    /// Forgets what is written down already.
    pub fn forget(&mut self) {
        self.answers.clear();
    }

    fn look(&mut self, world: &World, instance: &Name, promised: &impl Fn(&Key) -> bool) {
        if self.version != Some(world.version) {
            self.version = Some(world.version);
            self.moved_at = world.now;
            self.owners.extend(names(world, instance));
            self.find(world);
        }
        let led = std::mem::take(&mut self.led);
        for (lookup, found) in &led {
            for id in found {
                self.ask(world, lookup, id);
            }
            let owner = &self.owners[lookup];
            let before = self.last.get(lookup).copied();
            // Nobody can be reached while no program answers: that is the scenario's doing, or another invariant's.
            if found.is_empty() && before.is_some() && ready(world, owner, instance) > 0 && promised(owner) {
                *self.nobody.entry(lookup.clone()).or_insert(0) += PERIOD.as_millis() as Millis;
            }
            if before != Some(found.len()) {
                self.last.insert(lookup.clone(), found.len());
                self.answers.push((world.now, lookup.clone(), found.len()));
            }
        }
        self.led = led;
    }

    /// Looks every name up.
    fn find(&mut self, world: &World) {
        let find = |lookup: &Lookup| world.resolve(&lookup.network, &lookup.name).into_values().collect();
        self.led = self.owners.keys().map(|lookup| (lookup.clone(), find(lookup))).collect();
        let led = &self.led;
        self.silent_since.retain(|(of, id), _| led.get(of).is_none_or(|found| found.contains(id)));
    }

    /// Whether it is long after anything happened: only a program that begins to hang can be news then.
    fn quiet_at(&self, world: &World) -> bool {
        world.now > self.moved_at + LIVELY
    }

    /// Sends a request to one address.
    fn ask(&mut self, world: &World, lookup: &Lookup, id: &ContainerId) {
        let container = &world.containers[id];
        if container.serves(world.now) {
            self.silent_since.retain(|(of, silent), _| of != lookup || silent != id);
            return;
        }
        if !container.served && !container.served_in_this_run(world.now) {
            let (at, name) = (world.now, &container.name);
            let words = format!("at {at} ms {lookup} leads to {name}, which has never been ready");
            if self.accused.insert(id.clone()) {
                self.not_ready.push(words);
            }
            return;
        }
        let since = *self.silent_since.entry((lookup.clone(), id.clone())).or_insert(world.now);
        let longest = self.longest_silence.entry(lookup.clone()).or_insert(0);
        *longest = (*longest).max(world.now - since);
    }
}

/// The names that replicas of this instance have now, and whose they are.
fn names(world: &World, instance: &Name) -> BTreeMap<Lookup, Key> {
    let mut names = BTreeMap::new();
    for container in world.containers.values() {
        let Some(owned) = owned(container, instance) else { continue };
        for (network, endpoint) in &container.endpoints {
            for name in &endpoint.aliases {
                names.insert(Lookup { network: network.clone(), name: name.clone() }, owned.owner.clone());
            }
        }
    }
    names
}

/// How many replicas of a Deployment answer.
fn ready(world: &World, owner: &Key, instance: &Name) -> usize {
    let ours = world.containers.values().filter(|c| owned(c, instance).is_some_and(|owned| owned.owner == *owner));
    ours.filter(|container| container.serves(world.now)).count()
}

/// The owner of a container, if it is ours.
pub fn owner(world: &World, id: &ContainerId, instance: &Name) -> Option<Key> {
    owned(world.containers.get(id)?, instance).map(|owned| owned.owner)
}
