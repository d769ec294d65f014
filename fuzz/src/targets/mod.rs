//! The fuzz targets: for each door through which bytes of other people come in, a function that pushes them through it
//! the whole way. They are ordinary functions, so that `cargo test` replays the corpus through them without a fuzzer.
//!
//! A target must not panic on any input, and asserts what must be true of whatever comes out.

// Tests may do what the house does not.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

pub mod dotenv;
pub mod engine;
pub mod ignore;
pub mod large;
pub mod manifest;
pub mod ownership;
pub mod quantities;
pub mod reference;
pub mod socket;
pub mod state;
pub mod substitution;

/// A door to push bytes through.
pub type Target = fn(&[u8]);

/// Every target with its name, which is also that of its folder in the corpus.
pub const TARGETS: [(&str, Target); 10] = [
    ("manifest", manifest::try_input),
    ("dotenv", dotenv::try_input),
    ("ignore", ignore::try_input),
    ("substitution", substitution::try_input),
    ("quantities", quantities::try_input),
    ("reference", reference::try_input),
    ("ownership", ownership::try_input),
    ("state", state::try_input),
    ("engine", engine::try_input),
    ("socket", socket::try_input),
];
