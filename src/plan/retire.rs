//! The way out of a replica: its name goes first, then it drains, then it stops, then it is removed.

use super::converge::Scene;
use super::readiness::is_named;
use super::replica::{Replica, find, template_of};
use super::taken_over;
use super::upkeep::unname;
use super::world::{Decided, World};
use crate::model::action::{Call, Stop, container_target};
use crate::model::history::{DeploymentHistory, Retirement};
use crate::model::name::Key;
use crate::model::observed::{Container, ContainerId, ContainerState};
use crate::model::spec::Template;
use crate::model::time::{Span, Timestamp};

/// The next step of a replica on its way out. With `retain` it is stopped and kept, for a quick way back.
pub fn step(scene: &Scene, decided: &mut Decided, history: &mut DeploymentHistory, replica: &Replica, retain: bool) {
    let stopped = matches!(replica.container.state, ContainerState::Exited(_));
    if retain && stopped {
        return;
    }
    let Some(mut retirement) = history.retiring.remove(&replica.container.id) else {
        return;
    };
    let template = template_of(scene.spec, history, &replica.container.revision);
    let gap = gap(scene, history, replica, template);
    leave(scene.world, decided, scene.key, replica.container, template, &mut retirement, gap);
    history.retiring.insert(replica.container.id.clone(), retirement);
}

/// A Deployment's replica on its way out from now on. It must drain if it can be reached by name, or could be a moment ago: nobody
/// knows that of what was made before its revision is remembered, because the history was lost.
pub fn begin(history: &DeploymentHistory, container: &Container, reason: &str) -> Retirement {
    let is_unremembered = taken_over::is_unremembered(find(history, &container.revision), container);
    Retirement {
        reason: reason.into(),
        drain: is_named(container) || is_unremembered || history.came_back.contains(&container.id),
        unnamed_at: None,
        stopping: false,
    }
}

/// What a stop costs, for people.
#[derive(Debug, Default)]
pub struct Gap {
    /// What nothing serves then.
    pub downtime: Option<String>,
    /// Why fewer serve then than the manifest's strategy asks for.
    fewer: Option<String>,
}

impl Gap {
    /// What a run costs that wants a Deployment quiet.
    pub fn of_quiet(key: &Key, run: &str) -> Self {
        Gap { downtime: Some(format!("nothing serves {key} until {run} has ended")), fewer: None }
    }

    /// Plans the call that costs this.
    pub fn act(self, world: World, decided: &mut Decided, key: &Key, call: Call, reason: &str) {
        let cause = [Some(reason.to_owned()), self.fewer].into_iter().flatten().collect::<Vec<_>>().join("; ");
        decided.act_with_downtime(world, key, call, cause, self.downtime);
    }

    /// What the removal of an object costs, of which `container` is one.
    pub fn of_removal(key: &Key, container: &Container) -> Self {
        let runs = matches!(container.state, ContainerState::Running { .. });
        let downtime = runs.then(|| match key.kind.runs_to_completion() {
            true => format!("the run of {key} that is under way is cut off"),
            false => format!("nothing serves {key} any more"),
        });
        Gap { downtime, fewer: None }
    }
}

/// What is missing once `replica`, made from `template`, has stopped, and for how long.
fn gap(scene: &Scene, history: &DeploymentHistory, replica: &Replica, template: &Template) -> Gap {
    let leaves = |r: &Replica| r.container.id == replica.container.id || history.retiring.contains_key(&r.container.id);
    let others = scene.replicas.iter().any(|r| r.readiness.is_ready() && !leaves(r));
    if !replica.readiness.is_ready() {
        return Gap::default();
    }
    if scene.strategy.replicas == 0 {
        let downtime = Some(format!("nothing serves {}: its manifest asks for no replica", scene.key));
        return Gap { downtime, fewer: None };
    }
    let because = scene.strategy.because.as_deref();
    if others {
        let is_replaced = replica.container.revision != scene.target.id;
        let because = because.filter(|_| is_replaced && scene.strategy.stop_first());
        let fewer = because.map(|because| format!("one fewer serves until its successor is ready: {because}"));
        return Gap { fewer, ..Gap::default() };
    }
    let because = because.unwrap_or("the strategy stops the old replica first");
    // Nothing leads to it from the moment that it loses its name.
    let named = if template.host_network { Span::ZERO } else { template.drain };
    let certain = Span(named.0 + pause_of(template).0 + scene.spec.min_ready.0);
    let (key, grace) = (scene.key, template.termination_grace_period);
    let downtime = format!(
        "nothing serves {key} for {certain}, and while the old replica ends (at most {grace}) and the new one starts: {because}"
    );
    Gap { downtime: Some(downtime), fewer: None }
}

/// The next step of a container on its way out.
pub fn leave(
    world: World,
    decided: &mut Decided,
    key: &Key,
    container: &Container,
    template: &Template,
    retirement: &mut Retirement,
    gap: Gap,
) {
    match &container.state {
        ContainerState::Created { .. } | ContainerState::Exited(_) => {
            let call = Call::Remove { container: container.id.clone(), name: container.name.clone() };
            decided.act(world, key, call, retirement.reason.clone());
        }
        ContainerState::Running { .. } => {
            // To take the name away stalls open connections for a moment: done only if something is waited for after it.
            let waits = template.drain.max(pause_of(template)) > Span::ZERO;
            if !waits || is_drained(world, decided, key, container, template, retirement) {
                end(world, decided, key, stop(container, template), retirement, gap);
            }
        }
        ContainerState::Restarting { .. } | ContainerState::Paused => {
            end(world, decided, key, stop(container, template), retirement, gap);
        }
        ContainerState::Removing => {}
    }
}

/// Whether a running container has neither a name any more nor anything to drain; if not, the next step towards that.
pub fn is_drained(
    world: World,
    decided: &mut Decided,
    key: &Key,
    container: &Container,
    template: &Template,
    retirement: &mut Retirement,
) -> bool {
    if let Some(call) = unname(container) {
        (retirement.drain, retirement.unnamed_at, retirement.stopping) = (true, None, false);
        decided.act(world, key, call, format!("{}; its name goes first", retirement.reason));
        return false;
    }
    let wait = drain(world, template, retirement);
    if let Some(wait) = wait {
        decided.wait(format!("{} to drain", container.name));
        decided.wake(wait);
    }
    wait.is_none()
}

/// Stops what is on its way out, and remembers that it was told to.
fn end(world: World, decided: &mut Decided, key: &Key, stop: Stop, retirement: &mut Retirement, gap: Gap) {
    let target = container_target(&stop.container);
    gap.act(world, decided, key, Call::Stop(stop), &retirement.reason);
    retirement.stopping |= decided.acts_on(&target);
}

/// Until when the container drains; none when it is done, or has nothing to drain.
fn drain(world: World, template: &Template, retirement: &mut Retirement) -> Option<Timestamp> {
    let since = *retirement.unnamed_at.get_or_insert(world.now);
    let drain = if retirement.drain { template.drain } else { Span::ZERO };
    Some(since + drain + pause_of(template)).filter(|until| *until > world.now)
}

/// How long the hook before the stop sleeps.
fn pause_of(template: &Template) -> Span {
    template.lifecycle.pre_stop.as_ref().and_then(|hook| hook.sleep).unwrap_or(Span::ZERO)
}

/// How many replicas have been told to stop.
pub fn stopping(scene: &Scene, history: &DeploymentHistory) -> u32 {
    scene.replicas.iter().filter(|replica| is_stopping(scene.world, history, replica)).count() as u32
}

/// Whether a replica that runs has been told to stop: what is under way with one whose stop was asked for is that.
pub fn is_stopping(world: World, history: &DeploymentHistory, replica: &Replica) -> bool {
    let id = &replica.container.id;
    // A stop that failed leaves it running, although what does not answer counts as busy.
    let has_failed = world.container_failure(replica.container).is_some_and(|failure| failure.ending);
    let is_busy = world.is_busy(replica.container) && !has_failed;
    replica.runs() && is_busy && is_told_to_stop(history, id)
}

/// Whether a container was told to stop, whatever has come of it.
pub fn is_told_to_stop(history: &DeploymentHistory, id: &ContainerId) -> bool {
    history.retiring.get(id).is_some_and(|retirement| retirement.stopping)
}

fn stop(container: &Container, template: &Template) -> Stop {
    let command = template.lifecycle.pre_stop.as_ref().and_then(|hook| hook.exec.clone());
    Stop {
        container: container.id.clone(),
        name: container.name.clone(),
        pre_stop: command.map(|exec| exec.command).unwrap_or_default(),
        grace: template.termination_grace_period,
    }
}
