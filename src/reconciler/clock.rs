//! The clock: the one place that reads the time. Everything else gets it as an argument.

use crate::model::time::Timestamp;

/// The present time of the host's clock.
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
