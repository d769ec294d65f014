//! Health checks that Evenkeel makes itself, so that images need no curl. Results are part of what is observed; what
//! follows from them is decided elsewhere.
//!
//! [`Prober`] keeps the set of running checks, `verdict` applies their thresholds, [`NetDial`] makes one check.

mod net;
mod prober;
mod verdict;

use std::future::Future;

pub use net::NetDial;
pub use prober::Prober;

use crate::model::status::ProbeTask;

/// Makes one check.
pub trait Dial: Send + Sync + 'static {
    /// Checks once, within the probe's `timeout`. The error is a sentence for people.
    fn check(&self, task: &ProbeTask) -> impl Future<Output = Result<(), String>> + Send;
}
