//! The loop: load, observe, plan, save, apply, sleep. It wires the rooms together and decides nothing itself.

use std::path::PathBuf;

use crate::manifest::Source;
use crate::model::desired::Settings;

pub mod clock;
pub mod offline;

/// What the loop is told by the command line and the configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// What the operator sets for the whole controller.
    pub settings: Settings,
    /// Where manifests come from; directories are absolute.
    pub sources: Vec<Source>,
    /// Where history is kept.
    pub state_dir: PathBuf,
}
