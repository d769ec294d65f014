//! Evenkeel keeps a Docker host on an even keel.

pub mod cli;
pub mod engine;
pub mod manifest;
pub mod metrics;
pub mod model;
pub mod plan;
pub mod probe;
pub mod reconciler;
pub mod server;
pub mod store;
pub mod wake;
