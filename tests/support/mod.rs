//! What the tests share: a simulated Docker engine in virtual time, and the runner of the scenario files. No test lives
//! here. Start with [`sim`] (the engine), then [`scenario`] (the files that anyone can write).

// Every test binary uses its own part of this.
#![allow(dead_code)]
// A simulation makes its own time, and removes what it made.
#![allow(clippy::disallowed_methods)]

pub mod parallel;
pub mod scenario;
pub mod sim;
pub mod world;
