//! The gate before the engine: whatever would be made there is judged once more, against the host and the engine as they
//! are at that moment. What a plan judged may be some seconds old, and paths can lead elsewhere by now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::timeout;

use super::{host, paths};
use crate::engine::{Engine, EngineError};
use crate::model::action::{Action, Call};
use crate::model::desired::Desired;
use crate::model::name::Name;
use crate::model::observed::{Fault, Network, Volume};
use crate::model::policy::{HostPath, Refusal};
use crate::model::time::Span;
use crate::policy::{self, Approved, Ground, Judged};

/// The longest that looking may take. An action waits for it, and a pull of its own may take a day.
const LOOK_DEADLINE: Span = Span::secs(60);

/// What one action is judged by.
pub struct Gate {
    desired: Arc<Desired>,
    namespace: Name,
    networks: BTreeMap<String, Network>,
    volumes: BTreeMap<String, Volume>,
    host_subnets: BTreeSet<String>,
    paths: BTreeMap<String, HostPath>,
}

impl Gate {
    /// Looks at what the judgement of `action` needs; at nothing where its namespace is free.
    pub async fn open<E: Engine>(engine: &E, desired: Arc<Desired>, action: &Action) -> Result<Gate, EngineError> {
        match timeout(LOOK_DEADLINE.std(), Self::look(engine, desired, action)).await {
            Ok(gate) => gate,
            Err(_) => Err(unjudged(&action.call)),
        }
    }

    async fn look<E: Engine>(engine: &E, desired: Arc<Desired>, action: &Action) -> Result<Gate, EngineError> {
        let namespace = action.object.namespace.clone();
        let (networks, volumes, host_subnets, paths) = Default::default();
        let mut gate = Gate { desired, namespace, networks, volumes, host_subnets, paths };
        if policy::is_free(&gate.desired.policy, &gate.namespace) || !is_judged(&action.call) {
            return Ok(gate);
        }
        gate.host_subnets = host::subnets();
        gate.networks = engine.networks().await?.into_iter().map(|found| (found.name.clone(), found)).collect();
        gate.volumes = engine.volumes().await?.into_iter().map(|found| (found.name.clone(), found)).collect();
        gate.paths = paths::resolve(policy::paths_of_interest(&gate.desired, gate.volumes.values()));
        Ok(gate)
    }

    /// Lets a call pass that makes nothing of its own, such as joining a network.
    pub fn pass(&self, call: &Call) -> Result<(), EngineError> {
        let refused = policy::refusals(self.ground(), &self.namespace, call);
        if refused.is_empty() { Ok(()) } else { Err(refusal(call, &refused)) }
    }

    /// What the engine takes to make something.
    pub fn approve<'a, T: Judged>(&self, call: &Call, subject: &'a T) -> Result<Approved<'a, T>, EngineError> {
        policy::approve(self.ground(), &self.namespace, subject).map_err(|refused| refusal(call, &refused))
    }

    fn ground(&self) -> Ground<'_> {
        let Gate { desired, namespace: _, networks, volumes, host_subnets, paths } = self;
        Ground { desired, networks, volumes, host_subnets, paths: Some(paths) }
    }
}

/// Nothing is made that could not be judged.
fn unjudged(call: &Call) -> EngineError {
    let message = format!("the engine did not say within {LOOK_DEADLINE} what the policy has to judge it by");
    EngineError { attempted: call.to_string(), message, fault: Fault::Timeout }
}

/// Whether a call is judged at all.
fn is_judged(call: &Call) -> bool {
    match call {
        Call::CreateContainer(_)
        | Call::CreateNetwork(_)
        | Call::CreateVolume(_)
        | Call::Pull { .. }
        | Call::Build { .. }
        | Call::Connect(_) => true,
        Call::Reconnect(_)
        | Call::RemoveImage { .. }
        | Call::RemoveNetwork { .. }
        | Call::Start { .. }
        | Call::Stop(_)
        | Call::Restart(_)
        | Call::Pause { .. }
        | Call::Unpause { .. }
        | Call::Remove { .. }
        | Call::Update { .. } => false,
    }
}

/// The revision is not at fault: it is tried again when the policy or the host has changed.
fn refusal(call: &Call, refused: &[Refusal]) -> EngineError {
    let message = refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let message = format!("refused by the policy: {message}");
    EngineError { attempted: call.to_string(), message, fault: Fault::Unavailable }
}
