//! Evenkeel on real Docker Engines. `scripts/docker-tests` runs these (`make test` does); plain `cargo test` leaves them
//! out, because they need private engines. Each test runs on both engine generations, each in an instance of its own, so
//! that all of them share one engine per generation and run side by side. Start reading in [`support`].

#![allow(clippy::disallowed_methods, reason = "real time is what these tests are about")]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic; clippy does not know these functions for tests")]

mod support;

mod bench;
mod builds;
mod chaos;
mod content;
mod cron;
mod demo;
mod deployed;
mod doctor;
mod drift;
mod endurance;
mod engine;
mod failure;
mod figures;
mod gates;
mod headroom;
mod history;
mod images;
mod in_a_container;
mod likeness;
mod notifications;
mod policy;
mod probes;
mod readme;
mod rollout;
mod secrets;
mod systems;
mod traffic;
mod trouble;
