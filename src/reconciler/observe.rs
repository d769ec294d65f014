//! How the loop sees the engine: it meets it, looks at it, and says so when it does not answer. It changes nothing there.

use tokio::time::timeout;

use super::sole::Claim;
use super::words::hear;
use super::{Reconciler, RunError, TROUBLE_PAUSE, publish};
use crate::engine::{Engine, EngineError};
use crate::model::observed::{ContainerState, Fault, Observed};
use crate::model::time::{Span, Timestamp};
use crate::plan;
use crate::probe::Dial;

/// The longest that a look may take. The engine's own limits are shorter; this one makes sure that the loop goes on.
const LOOK_DEADLINE: Span = Span::secs(120);

impl<E: Engine, D: Dial> Reconciler<E, D> {
    /// Claims an engine that is new or came back. One that does not answer is met at the next look.
    pub(super) async fn meet_engine(&mut self) -> Result<Result<(), EngineError>, RunError> {
        // Before it has said which one it is, nobody knows whether another controller has it.
        let identity = match timeout(LOOK_DEADLINE.std(), self.engine.identify()).await {
            Ok(Ok(identity)) => identity,
            Ok(Err(error)) => return Ok(Err(error)),
            Err(_) => return Ok(Err(too_late())),
        };
        let held = self.claim.as_ref().is_some_and(|claim| claim.is_on(&identity));
        if !held && !identity.id.is_empty() {
            let claim = Claim::make(&identity, &self.desired.settings.instance).map_err(RunError)?;
            self.claim = Some(claim);
        }
        self.platform = identity.version.platform;
        self.engine_state.version = identity.version.version;
        self.engine_state.api = identity.version.api;
        Ok(Ok(()))
    }

    /// The world as it is, with what is under way and what the probes found.
    pub(super) async fn observe(&mut self, now: Timestamp) -> Result<Observed, EngineError> {
        // Before the look: an action that ends during it must still count as under way, because the list may be older.
        let progress = self.executor.progress();
        self.remember(&self.executor.news());
        let images = plan::images_of_interest(&self.desired, &self.history);
        let (engine, redactor) = (self.engine.as_ref(), &self.redactor);
        let to_hear = self.looker.to_hear(&publish::unready(&self.plan), now);
        let look = self.looker.look(engine, &self.hints, &images, &progress.in_flight, redactor, now);
        // Beside the look: one of them may just have become ready, and that does not wait for its log.
        let (look, heard) = tokio::join!(timeout(LOOK_DEADLINE.std(), look), hear(engine, to_hear, redactor));
        let mut observed = look.map_err(|_| too_late())??;
        self.looker.keep_heard(heard, &mut observed);
        observed.looked_at = Some(now);
        observed.in_flight.extend(progress.in_flight);
        observed.failures = progress.failures;
        observed.pulled = progress.pulled;
        observed.arrivals = progress.arrivals;
        observed.departed = progress.departed;
        for container in observed.containers.values_mut() {
            if let ContainerState::Running { since } = container.state {
                container.probes = self.redactor.clean_probes(self.prober.results(&container.id, since));
            }
        }
        if !self.engine_state.connected {
            tracing::info!("the engine answers");
            self.watched_since = now;
        }
        observed.watched_since = self.watched_since;
        observed.platform = self.platform.clone();
        observed.registries = self.inquirer.known();
        observed.headroom = self.engine.headroom();
        self.headroom = observed.headroom;
        observed.host_paths = self.host_paths(&observed);
        self.engine_state.connected = true;
        self.engine_state.message.clear();
        Ok(observed)
    }

    /// Says once that the engine does not answer. Returns when to try again.
    pub(super) fn engine_failed(&mut self, error: &EngineError) -> Timestamp {
        let message = self.redactor.clean(&error.to_string());
        if self.engine_state.connected || self.engine_state.message.is_empty() {
            tracing::warn!("the engine does not answer, nothing is changed: {message}");
        }
        self.engine_state.connected = false;
        self.engine_state.message = message;
        self.looker.start_over();
        self.clock.now() + TROUBLE_PAUSE
    }
}

/// A state directory that is new although containers run was lost, or is not the one that was meant.
pub(super) fn say_what_is_forgotten(observed: &Observed) {
    if observed.containers.is_empty() {
        return;
    }
    tracing::warn!(
        containers = observed.containers.len(),
        "there is no history, although containers of this instance run: the state directory was lost, or is not the one \
         that was meant (--state-dir). What runs goes on. It is forgotten what `rollout undo` and `pause` chose, which \
         revisions failed, and which Jobs and gates have run: those whose containers are gone run again"
    );
}

fn too_late() -> EngineError {
    let message = format!("no answer within {LOOK_DEADLINE}");
    EngineError { attempted: "look at the engine".into(), message, fault: Fault::Timeout }
}
