//! The command line as a person and a script meet it: the real binary against a daemon whose view is made by hand.

#![allow(clippy::unwrap_used, reason = "tests and their helpers may")]

mod daemon;
mod doctor;
mod exit_codes;
mod history;
mod hostile;
mod local;
mod notify;
mod promote;
mod release_log;
mod scrape;
mod screens;
mod set;
mod steering;
mod view;
mod waiting;
