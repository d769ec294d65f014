//! One check over the network: a TCP connection or an HTTP GET. It knows no thresholds.

use super::Dial;
use crate::model::status::ProbeTask;

/// Checks over the real network, from the host's point of view.
#[derive(Debug, Clone, Copy, Default)]
pub struct NetDial;

impl Dial for NetDial {
    async fn check(&self, task: &ProbeTask) -> Result<(), String> {
        let _ = task;
        todo!()
    }
}
