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

/// What one check found. The error is a sentence for people.
pub type Check = Result<(), String>;

/// Makes one check.
pub trait Dial: Send + Sync + 'static {
    /// Checks once, within the probe's `timeout`. None when nothing was found out, through no fault of the program's.
    fn check(&self, task: &ProbeTask) -> impl Future<Output = Option<Check>> + Send;
}
