//! Evenkeel keeps a Docker host on an even keel.

pub mod engine;
pub mod manifest;
pub mod model;
