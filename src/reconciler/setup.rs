//! What the loop is given when it begins, and where it shows itself. It does nothing.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::rules::Place;
use crate::manifest::Source;
use crate::metrics::Metrics;
use crate::model::command::{Command, Reply};
use crate::model::desired::Settings;
use crate::model::view::View;
use crate::probe::Dial;
use crate::registry::Registries;

/// What the loop is told by the command line and the configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// What the operator sets for the whole controller.
    pub settings: Settings,
    /// Where manifests come from; directories are absolute.
    pub sources: Vec<Source>,
    /// Where history is kept.
    pub state_dir: PathBuf,
    /// Where the policy is.
    pub policy: Place,
}

/// Where the loop shows itself and is spoken to.
pub struct Desk {
    /// Where a view is published after every pass, and at least every 30 s.
    pub views: watch::Sender<Arc<View>>,
    /// Commands, each with where to answer.
    pub commands: mpsc::Receiver<(Command, oneshot::Sender<Reply>)>,
    /// Where passes, actions and events are counted.
    pub metrics: Arc<Metrics>,
}

/// What the loop reaches beside the engine.
pub struct Outside<D: Dial> {
    /// The containers' ports, for probes.
    pub dial: D,
    /// The registries.
    pub registries: Arc<dyn Registries>,
}

/// Why the loop ended, or could not begin.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RunError(pub String);
