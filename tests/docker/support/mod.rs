//! What a test on a real engine needs: the [`Engine`], a [`Bench`] with manifests and a controller on it, a [`Registry`],
//! a [`Load`] of requests, and [`eventually`] to wait for something. Everything here is a process or a file: nothing uses
//! the library under test.

#![allow(dead_code, reason = "a toolbox: what no test happens to use today is wanted by one tomorrow")]

pub mod api;
mod bench;
mod container;
mod engine;
mod load;
pub mod lockup;
mod manifest;
mod patience;
mod process;
mod proxy;
pub mod reader;
mod recorder;
pub mod registry;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

pub use bench::{Bench, evenkeel_binary};
pub use container::Container;
pub use engine::Engine;
pub use load::{Counted, Load};
pub use manifest::{Deployment, object};
pub use process::Process;
pub use proxy::{Fault, Proxy};
pub use reader::Reader;
pub use recorder::Recorder;
pub use registry::Registry;

/// Declares tests, each run on both engine generations: `fn name(bench) { … }` with `bench: &Bench`.
macro_rules! on_each_engine {
    ($($(#[$attribute:meta])* fn $name:ident($bench:ident) $body:block)*) => {$(
        $(#[$attribute])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            fn body($bench: &$crate::support::Bench) $body
            #[test]
            fn on_engine_20() {
                $crate::support::run($crate::support::Engine::shared(20), stringify!($name), body);
            }
            #[test]
            fn on_engine_26() {
                $crate::support::run($crate::support::Engine::shared(26), stringify!($name), body);
            }
        }
    )*};
}

/// The same for tests that kill or restart the engine: each gets one that nobody else uses (it costs some two seconds).
macro_rules! on_an_engine_of_its_own {
    ($($(#[$attribute:meta])* fn $name:ident($bench:ident) $body:block)*) => {$(
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            fn body($bench: &$crate::support::Bench) $body
            $(#[$attribute])*
            #[test]
            fn on_engine_20() {
                $crate::support::run($crate::support::Engine::own(20), stringify!($name), body);
            }
            $(#[$attribute])*
            #[test]
            fn on_engine_26() {
                $crate::support::run($crate::support::Engine::own(26), stringify!($name), body);
            }
        }
    )*};
}

pub(crate) use {on_an_engine_of_its_own, on_each_engine};

/// Runs a test's body on a bench of its own, shows what happened if it fails, and cleans up either way.
pub fn run(engine: Engine, name: &str, body: fn(&Bench)) {
    if let Err(panic) = attempt(engine, name, body) {
        resume_unwind(panic);
    }
}

/// The same; a body that panics is the caller's to tell. A test on an engine that has locked itself up is begun anew.
pub fn attempt<T>(engine: Engine, name: &str, body: impl Fn(&Bench) -> T) -> std::thread::Result<T> {
    let _patience = patience::begin(name, &engine);
    loop {
        let before = lockup::count(&engine);
        let bench = Bench::new(engine.lend(), name);
        let outcome = catch_unwind(AssertUnwindSafe(|| body(&bench)));
        if outcome.is_err() {
            bench.show();
        }
        let again = outcome.is_err() && lockup::since(&engine, before);
        bench.clean();
        if !again {
            return outcome;
        }
    }
}

/// The commit that is tested: the seed of samples, so that each commit has others.
pub fn commit() -> String {
    let output = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    output.map(|output| engine::text(&output.stdout).trim().to_string()).unwrap_or_default()
}

/// Looks again and again until there is something to return. At the deadline the test fails with `what` and the last reason.
#[track_caller]
pub fn eventually<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(reason) => assert!(started.elapsed() < deadline, "not within {deadline:?}: {what}: {reason}"),
        }
        std::thread::sleep(Duration::from_millis(25));
    }
}

/// The opposite: fails as soon as `look` finds fault, and is content when the time is over.
#[track_caller]
pub fn throughout(what: &str, time: Duration, mut look: impl FnMut() -> Result<(), String>) {
    let started = Instant::now();
    while started.elapsed() < time {
        if let Err(reason) = look() {
            panic!("after {:?}: {what}: {reason}", started.elapsed());
        }
        std::thread::sleep(Duration::from_millis(25));
    }
}
