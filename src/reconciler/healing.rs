//! Healing told: what was mended outside of an update, by us or by the engine. It only tells.

use crate::model::action::{Action, Call};
use crate::model::history::History;
use crate::model::name::{Key, Kind};
use crate::model::status::{ContainerStatus, Event, Plan, Severity, Status};
use crate::model::text::{last_word, printable};
use crate::model::time::Timestamp;

/// The event of an action that mends something outside a rollout: a person should see that there was something to mend.
pub(super) fn of(plan: &Plan, history: &History, action: &Action, now: Timestamp) -> Option<Event> {
    let at_rest = plan.status.get(&action.object)?;
    let mends = match &action.call {
        Call::Start { .. } | Call::Restart(_) | Call::Unpause { .. } | Call::Update { .. } | Call::Connect(_) => true,
        Call::CreateContainer(_)
        | Call::CreateNetwork(_)
        | Call::RemoveNetwork { .. }
        | Call::CreateVolume(_)
        | Call::Pull { .. }
        | Call::Build { .. }
        | Call::RemoveImage { .. }
        | Call::Reconnect(_)
        | Call::Stop(_)
        | Call::Pause { .. }
        | Call::Remove { .. } => false,
    };
    let phase = at_rest.phase.as_str();
    let is_told = mends && action.object.kind == Kind::Deployment;
    let is_told = is_told && !wakes(history, at_rest, action);
    (is_told && matches!(phase, "Degraded" | "Complete" | "RolledBack")).then(|| Event {
        at: now,
        object: action.object.clone(),
        severity: Severity::Normal,
        reason: if scales(history, at_rest, action) { "Scaling" } else { "Healing" }.into(),
        message: format!("{}: {}", action.call, action.cause),
        failure: None,
    })
}

/// Whether an action brings a replica back that was quiet for a run: that is no mending, and told once for all of them.
fn wakes(history: &History, status: &Status, action: &Action) -> bool {
    let Some(woken_at) = history.deployments.get(&action.object).and_then(|known| known.woken_at) else { return false };
    match &action.call {
        Call::Unpause { .. } => true,
        Call::Start { container, .. } => {
            // What has ended since has ended by itself.
            let ended =
                |known: &ContainerStatus| known.state == "Exited" && known.since.is_some_and(|at| at <= woken_at);
            status.containers.iter().any(|known| known.id == container.0 && ended(known))
        }
        _ => false,
    }
}

/// Whether an action is the first start of a replica that there is because more are wanted than before.
fn scales(history: &History, status: &Status, action: &Action) -> bool {
    let before = history.deployments.get(&action.object).and_then(|known| known.whole);
    let is_more = status.replicas.is_some_and(|replicas| before.is_some_and(|before| before < replicas.desired));
    let Call::Start { container, .. } = &action.call else { return false };
    let never_ran = |known: &ContainerStatus| known.id == container.0 && known.state == "Created";
    is_more && status.containers.iter().any(never_ran)
}

/// The events of replicas that have ended since the last plan and were started again by the engine itself: the first time, and
/// then each time that there are twice as many.
pub(super) fn restarted(before: &Plan, plan: &Plan, now: Timestamp) -> Vec<Event> {
    let deployments = plan.status.iter().filter(|(key, _)| key.kind == Kind::Deployment);
    // What we start ourselves is told as healing.
    let untold = deployments.filter(|(key, _)| !plan.actions.iter().any(|action| action.object == **key));
    let news = untold.flat_map(|(key, status)| {
        let known = before.status.get(key).map(|status| status.containers.as_slice()).unwrap_or_default();
        let counts = |id: &str| known.iter().find(|container| container.id == id).map(|container| container.restarts);
        status.containers.iter().filter_map(move |container| {
            let earlier = counts(&container.id)?;
            let is_told = container.restarts > earlier && (earlier + 1..=container.restarts).any(u32::is_power_of_two);
            is_told.then(|| restart_of(key, container, now))
        })
    });
    news.collect()
}

fn restart_of(key: &Key, container: &ContainerStatus, now: Timestamp) -> Event {
    let times = if container.restarts == 1 { "once".into() } else { format!("{} times", container.restarts) };
    let last = last_word(&container.last_log).map(|line| format!("; its log ends with: {line}")).unwrap_or_default();
    Event {
        at: now,
        object: key.clone(),
        severity: Severity::Warning,
        reason: "Restarted".into(),
        message: printable(&format!("{} has ended and was started again, {times} so far{last}", container.name)),
        failure: None,
    }
}
