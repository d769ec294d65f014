//! A Docker engine in memory and in virtual time, for tests of everything above the trait `Engine`. It decides nothing
//! about convergence; it only follows a real engine's rules, and fails when it is told to.
//!
//! Read on in this order: [`app`] (programs), [`container`], [`world`] (all state), `life`, `network`, `image`, `build`, `create`
//! (the rules), `hand` (what people and accidents do), [`calls`] (the one funnel, with faults), `engine` and `dial` (the
//! two traits), [`client`] (who uses the names and notices).

pub mod app;
mod build;
pub mod calls;
pub mod client;
pub mod container;
mod create;
mod dial;
mod engine;
mod hand;
pub mod image;
mod life;
mod network;
mod registry;
pub mod shared;
pub mod world;

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use evenkeel::model::name::Instance;
use evenkeel::model::time::Timestamp;
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use app::Millis;
use calls::Calls;
use world::{Power, World};

/// The simulated engine as one instance of Evenkeel sees it. Clones share the engine.
#[derive(Clone)]
pub struct Sim {
    shared: Arc<Shared>,
    instance: Instance,
    life: Life,
}

/// One process that speaks with the engine; when it is over, its calls have no effect any more.
#[derive(Clone, Default)]
pub struct Life(Arc<tokio::sync::SetOnce<()>>);

impl Life {
    /// Ends it, as `kill -9` does.
    pub fn end(&self) {
        // Ending it twice is no different from ending it once.
        let _ = self.0.set(());
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.0.initialized()
    }

    /// Waits until it has ended.
    pub async fn over(&self) {
        self.0.wait().await;
    }
}

struct Shared {
    world: Mutex<World>,
    calls: Mutex<Calls>,
    origin: Instant,
    /// Rung when the world's version changes: whoever waits for something looks again, in the order of waiting (a watch
    /// channel wakes in a random order, and two plays of one scenario would differ).
    moved: Notify,
}

impl Sim {
    /// An empty engine at virtual time 0. To be called within a runtime whose time is paused.
    pub fn new(instance: &str) -> Sim {
        let shared = Arc::new(Shared {
            world: Mutex::new(World::default()),
            calls: Mutex::new(Calls::default()),
            origin: Instant::now(),
            moved: Notify::new(),
        });
        tokio::spawn(drive(Arc::downgrade(&shared)));
        Sim { shared, instance: named(instance), life: Life::default() }
    }

    /// The same engine as another instance of Evenkeel sees it.
    pub fn as_seen_by(&self, instance: &str) -> Sim {
        Sim { shared: self.shared.clone(), instance: named(instance), life: Life::default() }
    }

    /// The same engine for a new process of the same instance.
    pub fn for_a_new_process(&self) -> (Sim, Life) {
        let life = Life::default();
        (Sim { life: life.clone(), ..self.clone() }, life)
    }

    /// Looks at the engine, or changes it by hand, at the present moment.
    pub fn with<T>(&self, f: impl FnOnce(&mut World) -> T) -> T {
        self.shared.with(f)
    }

    /// The record of calls, and the faults to come.
    pub fn calls(&self) -> MutexGuard<'_, Calls> {
        self.shared.calls.lock().expect("no test panics while it holds this")
    }

    /// Virtual time since the engine was made.
    pub fn now(&self) -> Millis {
        self.shared.now()
    }

    /// The same as the house writes it.
    pub fn timestamp(&self) -> Timestamp {
        World::timestamp(self.now())
    }

    /// Whether the engine answers.
    pub fn is_up(&self) -> bool {
        self.with(|world| world.power == Power::Up)
    }

    /// Waits until `done` says so; looks again whenever something in the engine changes.
    pub async fn until<T>(&self, mut done: impl FnMut(&mut World) -> Option<T>) -> T {
        loop {
            let mut moved = pin!(self.shared.moved.notified());
            moved.as_mut().enable();
            if let Some(value) = self.with(&mut done) {
                return value;
            }
            moved.await;
        }
    }
}

fn named(instance: &str) -> Instance {
    Instance::new(instance).expect("a test's instance is well-formed")
}

impl Shared {
    fn now(&self) -> Millis {
        self.origin.elapsed().as_millis() as Millis
    }

    fn with<T>(&self, f: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.world.lock().expect("no test panics while it holds this");
        let before = world.version;
        world.advance(self.now());
        let value = f(&mut world);
        if world.version != before {
            self.moved.notify_waiters();
        }
        value
    }
}

/// Lets the world go on by itself: wakes at the next alarm, or when something changed the agenda.
async fn drive(shared: Weak<Shared>) {
    while let Some(strong) = shared.upgrade() {
        let mut moved = pin!(strong.moved.notified());
        moved.as_mut().enable();
        match strong.with(|world| world.next_alarm()) {
            // Whichever comes first, the world is looked at again.
            Some(at) => drop(tokio::time::timeout_at(strong.origin + Duration::from_millis(at), moved).await),
            None => moved.await,
        }
    }
}
