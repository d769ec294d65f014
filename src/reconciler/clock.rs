//! The clock: the one place that reads the time. Everything else gets it as an argument.

use tokio::time::Instant;

use crate::model::time::{Span, Timestamp};

/// The host's time when the process started, plus the monotonic time since: a jump of the host's clock moves nothing,
/// and virtual time in tests moves it.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began_at: Timestamp,
    began: Instant,
}

impl Clock {
    /// The host's clock.
    pub fn new() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self::starting_at(Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
    }

    /// A clock that shows `at` now.
    pub fn starting_at(at: Timestamp) -> Self {
        Self { began_at: at, began: Instant::now() }
    }

    /// The present time.
    pub fn now(&self) -> Timestamp {
        self.began_at + Span(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// When the clock shows `at`, for sleeping until then.
    pub fn instant(&self, at: Timestamp) -> Instant {
        self.began + at.since(self.began_at).std()
    }
}

/// The present time of the host's clock, for a process that lives for one command only.
pub fn now() -> Timestamp {
    Clock::new().now()
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
