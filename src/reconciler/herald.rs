//! What notifications ask of the rest: the clock, files, the memory on disk, the counts. It decides nothing.

use std::path::Path;
use std::sync::Arc;

use super::clock::Clock;
use crate::manifest;
use crate::metrics::{Metrics, NotificationResult};
use crate::model::time::Timestamp;
use crate::model::told::Told;
use crate::notification::{End, Outside};
use crate::store::Store;

/// The rest of the daemon, as notifications see it.
pub struct Rest {
    /// The clock.
    pub clock: Clock,
    /// Where what was told is kept.
    pub store: Arc<Store>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
}

impl Outside for Rest {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        manifest::read_outside(path)
    }

    fn load(&self) -> Option<Told> {
        self.store.load_told()
    }

    fn save(&self, told: &Told) -> Result<(), String> {
        self.store.save_told(told).map_err(|error| error.to_string())
    }

    fn ended(&self, receiver: &str, end: End) {
        let result = match end {
            End::Delivered => NotificationResult::Delivered,
            End::Failed => NotificationResult::Failed,
            End::Dropped => NotificationResult::Dropped,
        };
        self.metrics.notification(receiver, result);
    }

    fn queued(&self, receiver: &str, count: usize) {
        self.metrics.notifications_queued(receiver, count);
    }
}

/// The same for a message that is sent without a daemon: nothing is remembered or counted.
pub struct Alone;

impl Outside for Alone {
    fn now(&self) -> Timestamp {
        super::clock::now()
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        manifest::read_outside(path)
    }

    fn load(&self) -> Option<Told> {
        None
    }

    fn save(&self, _told: &Told) -> Result<(), String> {
        Ok(())
    }

    fn ended(&self, _receiver: &str, _end: End) {}

    fn queued(&self, _receiver: &str, _count: usize) {}
}
