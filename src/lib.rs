//! Evenkeel keeps a Docker host on an even keel: it compares a directory of manifests with what Docker runs, and keeps
//! converging. Start reading here; then [`model`] for the nouns, [`plan`] for the decisions, [`reconciler`] for the loop.
//!
//! ```text
//!    manifests          Docker           history
//!        │ load            │ observe        │ load
//!     Desired          Observed         History         now
//!        └────────────────┬┴────────────────┴────────────┘
//!                      plan()          pure: no clock, no I/O, no async, no logging
//!                         │
//!       Plan { history, actions, status, probes, wake_at }
//!            │ save      │ apply   │ show    │ probe    │ sleep
//!         history     Docker    status,   readiness   timer
//!                               metrics
//! ```
//!
//! Three things come in, one pure function decides, and what comes out is done, shown, and looked at again. No action in
//! a plan depends on another one of the same plan: the next pass sees the result and plans the next bit, so a crash is
//! just another pass.
//!
//! | room | what it is | what it must not do |
//! |---|---|---|
//! | [`model`] | the nouns: plain data | I/O, async, a clock |
//! | [`manifest`] | files in: YAML text → `Desired`, or every mistake with its place | speak to Docker |
//! | [`policy`] | what the operator allows, judged; pure | decide what follows |
//! | [`plan`] | decisions, pure | anything but decide |
//! | [`engine`] | Docker: the only door | decide |
//! | [`probe`] | health checks made by us | decide what follows from them |
//! | [`registry`] | image registries, asked about tags | pull; decide what to ask, or what follows |
//! | [`store`] | history, contents and the release log on disk | lose what runs when a file is damaged |
//! | [`notification`] | what came of it, told to webhooks | hold up a pass; say more of a URL than its host |
//! | [`wake`] | file changes and engine events → "look again" | carry data into a decision |
//! | [`reconciler`] | the loop: load, observe, plan, save, apply, sleep | decide |
//! | [`metrics`] | every metric's name | count what has no bound |
//! | [`server`] | the Unix socket, `/metrics`, `/healthz`, `/readyz` | know Docker |
//! | [`cli`] | one file per subcommand | decide |
//!
//! `model` imports nothing of ours; `policy`, `manifest`, `probe`, `registry`, `store`, `notification`, `metrics` and `wake` import `model` and never
//! each other, `plan` and `engine` that and `policy`; `reconciler` wires them; `server` and `cli` sit on top. `tests/tidy.rs` holds everyone to it.
//!
//! Words: a *manifest* is a YAML document that the user wrote; *desired* is what should be, *observed* a snapshot of what
//! is; a *pass* is one observe, plan, apply round; an *action* is one engine call with its *cause*; a *template* is the
//! part of a Deployment that forces a new container; a *revision* is a template's content hash with image and
//! configuration; a *replica* is one running copy, its *slot* the numbered place it occupies; a *rejected* revision failed
//! its rollout and is not tried again; a replica is *ready* when it passes its check and *available* when it has done so
//! for `minReady`; *drift* is a difference between declared and live; an *orphan* is ours but undeclared, and *prune*
//! removes it; to *drain* is to take new traffic away before stopping.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests look at virtual time and make worlds of their own")
)]

pub mod cli;
pub mod engine;
pub mod manifest;
pub mod metrics;
pub mod model;
pub mod notification;
pub mod plan;
pub mod policy;
pub mod probe;
pub mod reconciler;
pub mod registry;
pub mod server;
pub mod store;
pub mod wake;
