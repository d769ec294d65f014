//! The command line as a person and a script meet it: the real binary against a daemon whose view is made by hand.

// Clippy counts only functions marked as tests as tests; all of this is.
#![allow(clippy::unwrap_used)]

mod daemon;
mod local;
mod scrape;
mod screens;
mod steering;
mod view;
mod waiting;
