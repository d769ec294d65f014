//! The clock: the one place that reads the time. Everything else gets it as an argument.

#![allow(clippy::disallowed_methods, reason = "this is where the time is read")]

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_with_virtual_time_and_wakes_when_it_shows_the_time_that_was_asked_for() {
        let clock = Clock::starting_at(Timestamp(5_000));
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(clock.now(), Timestamp(6_500));
        tokio::time::sleep_until(clock.instant(Timestamp(9_000))).await;
        assert_eq!(clock.now(), Timestamp(9_000));
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_in_the_past_is_now_and_the_end_of_time_is_no_panic() {
        let clock = Clock::starting_at(Timestamp(5_000));
        tokio::time::sleep_until(clock.instant(Timestamp(1))).await;
        assert_eq!(clock.now(), Timestamp(5_000));
        let _ = clock.instant(Timestamp(i64::MAX));
    }

    #[test]
    fn a_new_clock_shows_the_host_s_time() {
        let year_2020 = Timestamp(1_577_836_800_000);
        assert!(Clock::new().now() > year_2020);
    }
}
