//! The view: all that the daemon tells about itself and its objects, as data. The reconciler publishes one after every
//! pass; the command line, `/metrics` and `/readyz` only ever read it. It holds no secret content and decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use super::declaration::Declaration;
pub use super::past::{GateView, GateWord, JobRunView, OutcomeWord, RevisionParts, RevisionView, RunView, RunWord};
pub use super::source::{SourcePhase, SourceState};

use super::action::Action;
use super::name::{DEFAULT_INSTANCE, Instance, Key, Name};
use super::observed::{Fault, Headroom};
use super::status::{Event, Status};
use super::time::{Span, Timestamp};

/// How many events are kept in memory and shown.
pub const EVENTS_MAX: usize = 1000;

/// What the daemon sees and means to do, as of its last pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// When the last pass ended, also one that could not reach the engine. `/healthz` fails when this is a minute old.
    pub at: Timestamp,
    /// When the daemon started.
    pub started_at: Timestamp,
    /// Evenkeel's version.
    pub version: String,
    /// The instance whose containers it owns.
    pub instance: Instance,
    /// How the engine is.
    pub engine: EngineState,
    /// The sources, in the order of the command line.
    pub sources: Vec<SourceState>,
    /// Every declared object, and those on their way out.
    pub objects: BTreeMap<Key, ObjectView>,
    /// Actions under way.
    pub in_flight: Vec<InFlight>,
    /// Actions that failed last time and wait for their back-off.
    pub failures: Vec<FailureView>,
    /// Removals that a brake holds until somebody confirms them.
    pub held: Vec<HeldPrune>,
    /// What the last pass decided to do next; empty when there is nothing to do.
    pub plan: Vec<PlanStep>,
    /// Trouble that belongs to no object, that which may end first.
    pub warnings: Vec<Warning>,
    /// What the host had left at the last look.
    #[serde(default)]
    pub headroom: Headroom,
    /// Passes made since the start.
    pub passes: u64,
    /// Whether there is nothing to do, nothing under way and nothing to wait for.
    pub converged: bool,
    /// The last events, oldest first, at most [`EVENTS_MAX`]. Served on their own, not with the view.
    #[serde(skip)]
    pub events: Arc<Vec<Event>>,
}

/// Without a pass for this long, the daemon is not well. The loop looks at least every 30 s, engine or no engine.
const STUCK_AFTER: Span = Span::secs(60);

impl View {
    /// The view before the first pass.
    pub fn starting(instance: Instance, started_at: Timestamp) -> Self {
        Self {
            at: started_at,
            started_at,
            version: env!("CARGO_PKG_VERSION").into(),
            instance,
            engine: EngineState::default(),
            sources: Vec::new(),
            objects: BTreeMap::new(),
            in_flight: Vec::new(),
            failures: Vec::new(),
            held: Vec::new(),
            plan: Vec::new(),
            warnings: Vec::new(),
            headroom: Headroom::default(),
            passes: 0,
            converged: false,
            events: Arc::default(),
        }
    }

    /// Whether passes are being made.
    pub fn healthy(&self, now: Timestamp) -> Result<(), String> {
        let still = now.since(self.at);
        if still > STUCK_AFTER {
            return Err(format!("no pass for {} s", still.0 / 1000));
        }
        Ok(())
    }

    /// Whether the engine answers, every source is in force, and a pass was made with them.
    pub fn ready(&self) -> Result<(), String> {
        if !self.engine.connected {
            return Err(format!("the engine does not answer: {}", self.engine.message));
        }
        if let Some(source) = self.sources.iter().find(|source| !source.in_force()) {
            return Err(format!("source {} is {}: {}", source.dir, source.state.word(), source.message));
        }
        if let Some(warning) = self.warnings.first() {
            return Err(warning.message.clone());
        }
        if self.passes == 0 {
            return Err("the first pass is not finished".into());
        }
        Ok(())
    }
}

impl Default for View {
    fn default() -> Self {
        Self::starting(Name::new(DEFAULT_INSTANCE).expect("the default instance is a name"), Timestamp::default())
    }
}

/// Trouble that belongs to no object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Warning {
    /// What it is about.
    pub about: Trouble,
    /// A sentence for people.
    pub message: String,
}

/// What trouble that belongs to no object is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Trouble {
    /// The state directory cannot be written: nothing is changed, or a restart would know nothing.
    Unwritable,
    /// The policy cannot be read.
    Policy,
    /// Something in the state directory was damaged when this process began, which is so for as long as it runs.
    Damage,
}

/// How the engine is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EngineState {
    /// Whether it answered the last time.
    pub connected: bool,
    /// Its version, such as `26.1.5`; empty until it has answered once.
    pub version: String,
    /// The API version that is spoken, such as `1.45`.
    pub api: String,
    /// What is wrong with it; empty when nothing is.
    pub message: String,
}

/// Something wrong in a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProblemView {
    /// The file, as a person would open it; empty for a problem of the source as a whole.
    pub file: String,
    /// The line, from 1; 0 when there is none.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// The line's text.
    pub source_line: String,
    /// What would be right; may be empty.
    pub hint: String,
    /// All of it as `validate` prints it, caret included; printable, without colour.
    pub rendered: String,
}

/// One object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectView {
    /// Its spec after substitution and defaults, without secret content; `null` for one that is no longer declared.
    pub declared: Declaration,
    /// Where its manifest stands: `shop/web.yaml:3`.
    pub place: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// When Evenkeel first made something of it, as far as it remembers.
    pub created_at: Option<Timestamp>,
    /// How it stands.
    pub status: Status,
    /// What only its kind has.
    pub detail: Detail,
}

/// What only one kind of object has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Detail {
    /// A Namespace.
    Namespace,
    /// A Deployment's history.
    #[serde(rename_all = "camelCase")]
    Deployment {
        /// Its revisions, oldest first.
        revisions: Vec<RevisionView>,
        /// Whether `rollout pause` holds it.
        paused: bool,
        /// Whether `rollout undo` chose its revision, or a rebuilt machine its last good one.
        pinned: bool,
    },
    /// A Job's newest run, and its history.
    #[serde(rename_all = "camelCase")]
    Job {
        /// The attempt, from 0.
        attempt: u32,
        /// When it started.
        started_at: Option<Timestamp>,
        /// When it ended.
        finished_at: Option<Timestamp>,
        /// How it ended.
        exit_code: Option<i64>,
        /// Its last log lines.
        last_log: Vec<String>,
        /// The revisions that are remembered, oldest first.
        #[serde(default)]
        revisions: Vec<JobRunView>,
    },
    /// A CronJob's times and runs.
    #[serde(rename_all = "camelCase")]
    CronJob {
        /// The fields of its schedule.
        schedule: String,
        /// The time zone of its schedule.
        time_zone: String,
        /// Whether no runs begin at their times.
        suspend: bool,
        /// How many runs are under way.
        active: u32,
        /// The newest time of the schedule that got a run.
        last_schedule: Option<Timestamp>,
        /// The next time of the schedule; none while it is suspended.
        next_schedule: Option<Timestamp>,
        /// When the newest run that ended well did so.
        last_success: Option<Timestamp>,
        /// The runs that are kept, oldest first.
        runs: Vec<RunView>,
    },
    /// A Network.
    #[serde(rename_all = "camelCase")]
    Network {
        /// Its name in the engine.
        engine_name: String,
        /// Its driver.
        driver: String,
        /// Its subnets in CIDR form.
        subnets: Vec<String>,
    },
    /// A Volume.
    #[serde(rename_all = "camelCase")]
    Volume {
        /// Its name in the engine.
        engine_name: String,
        /// Its driver.
        driver: String,
    },
    /// A ConfigMap or Secret: never its values.
    #[serde(rename_all = "camelCase")]
    Content {
        /// The id of its content.
        id: String,
        /// Its keys.
        keys: Vec<String>,
    },
}

/// An action under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InFlight {
    /// The object that it is for.
    pub object: Key,
    /// What it does: `pull shop:2`.
    pub action: String,
    /// Since when.
    pub since: Timestamp,
    /// How far it is, for people; may be empty.
    pub progress: String,
}

/// An action that failed and is tried again later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureView {
    /// What it acts on: `image shop:2`.
    pub target: String,
    /// How often in a row.
    pub count: u32,
    /// When last.
    pub at: Timestamp,
    /// What sort of failure.
    pub fault: Fault,
    /// What was attempted and what came of it.
    pub message: String,
}

/// A removal that a brake holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldPrune {
    /// The namespace.
    pub namespace: Name,
    /// What `prune confirm` wants; changes when what would be removed changes.
    pub id: String,
    /// Why it is held, for people.
    pub reason: String,
    /// What would be removed.
    pub removes: Vec<Key>,
}

/// One step of a plan, as `plan` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanStep {
    /// The object that it is for.
    pub object: Key,
    /// What is done.
    pub action: String,
    /// Why.
    pub cause: String,
    /// What nothing serves during it; none when it is free of downtime.
    pub downtime: Option<String>,
}

impl From<&Action> for PlanStep {
    fn from(action: &Action) -> Self {
        Self {
            object: action.object.clone(),
            action: action.call.to_string(),
            cause: action.cause.clone(),
            downtime: action.downtime.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_without_a_pass_is_not_healthy() {
        let view = View { at: Timestamp(1_000_000), ..View::default() };
        assert_eq!(view.healthy(Timestamp(1_060_000)), Ok(()));
        assert_eq!(view.healthy(Timestamp(1_061_000)), Err("no pass for 61 s".into()));
        assert_eq!(view.healthy(Timestamp(0)), Ok(()), "a clock that was set back is not our illness");
    }

    #[test]
    fn a_daemon_is_ready_after_its_first_pass_with_engine_and_sources() {
        let mut view = View::default();
        assert!(view.ready().unwrap_err().contains("engine"));
        view.engine.connected = true;
        assert!(view.ready().unwrap_err().contains("first pass"));
        view.passes = 1;
        assert_eq!(view.ready(), Ok(()));
    }
}
