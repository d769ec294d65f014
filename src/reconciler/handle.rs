//! How others wake the loop: the bell, and what watches the manifests for it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::wake::{Interest, Wake, files};

/// How others wake the loop.
#[derive(Clone)]
pub struct Handle {
    /// The bell.
    pub wake: Wake,
    pub(super) paths: Arc<Mutex<Vec<Interest>>>,
}

impl Handle {
    /// Watches the manifests for ever; to be spawned beside the loop.
    pub async fn watch_files(self) {
        let paths = self.paths.clone();
        let paths = move || paths.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match files::watch(paths, self.wake).await {}
    }
}
