//! Watches manifests and the files that they read, and rings. It reads no content and decides nothing.

use std::convert::Infallible;
use std::path::PathBuf;

use super::Wake;

/// Watches `paths` for ever and rings [`super::Reason::Files`] when something in them changes.
pub async fn watch(paths: impl Fn() -> Vec<PathBuf>, wake: Wake) -> Infallible {
    let _ = (paths(), wake);
    todo!()
}
