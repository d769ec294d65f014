//! Evenkeel keeps a Docker host on an even keel.

pub mod cli;
pub mod engine;
pub mod manifest;
pub mod metrics;
pub mod model;
pub mod reconciler;
pub mod server;
