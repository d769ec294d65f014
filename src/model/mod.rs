//! The nouns: plain data that every room shares. No I/O, no async, no clock, no decisions.
//!
//! Start with [`desired`] (what should be), [`observed`] (what is), [`history`] (what has been)
//! and [`action`] (what the plan says). `spec` holds the manifest types that a user writes.

pub mod action;
pub mod build;
pub mod command;
pub mod container;
pub mod cron;
pub mod declaration;
pub mod desired;
pub mod failure;
pub mod fault;
pub mod gate;
pub mod history;
pub mod image;
pub mod job;
pub mod last_good;
pub mod name;
pub mod observed;
pub mod past;
pub mod platform;
pub mod policy;
pub mod quantity;
pub mod registry;
pub mod release;
pub mod revision;
pub mod schedule;
pub mod secret;
pub mod source;
pub mod spec;
pub mod status;
pub mod stopwatch;
pub mod tags;
pub mod text;
pub mod time;
pub mod told;
pub mod view;
pub mod wish;
