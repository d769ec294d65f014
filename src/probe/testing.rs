//! What the tests of this room share.

use std::net::SocketAddr;

use crate::model::observed::ContainerId;
use crate::model::spec::Probe;
use crate::model::status::{ProbePurpose, ProbeTask};
use crate::model::time::{Span, Timestamp};

/// A readiness check every second of the container `c1`, which can be reached there.
pub fn task(address: SocketAddr, probe: Probe) -> ProbeTask {
    ProbeTask {
        container: ContainerId("c1".into()),
        started_at: Timestamp(0),
        purpose: ProbePurpose::Readiness,
        address: Some(address.ip()),
        process: None,
        name: None,
        port: address.port(),
        probe,
        period: Span::secs(1),
    }
}
