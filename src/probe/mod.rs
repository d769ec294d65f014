//! Health checks that Evenkeel makes itself, so that images need no curl. Results are part of what is observed; what
//! follows from them is decided elsewhere.
//!
//! [`Prober`] keeps the set of running checks, on a thread of their own if it has a [`Lane`]; `verdict` applies their
//! thresholds, [`NetDial`] makes one check: it opens a `socket`, on the host or `inside` a container's network, after a `lookup`
//! where a name is to lead there, and speaks `http` or `grpc` on it.

mod grpc;
mod http;
mod inside;
mod lane;
mod lookup;
mod net;
mod prober;
mod socket;
#[cfg(test)]
mod testing;
mod verdict;

use std::future::Future;

pub use lane::Lane;
pub use net::NetDial;
pub use prober::Prober;

use crate::model::status::ProbeTask;

/// What came of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// The program is well.
    Success,
    /// It is not, for this reason: a sentence for people.
    Failure(String),
    /// Nothing was found out, through no fault of the program's. With a reason and the way out, if it will not pass by itself.
    Unmade(Option<String>),
}

/// Makes one check.
pub trait Dial: Send + Sync + 'static {
    /// Checks once, within the probe's `timeout`.
    fn check(&self, task: &ProbeTask) -> impl Future<Output = Check> + Send;
}
