//! What a decision sees and what it says: the inputs of one pass, and the growing answer for one object.

use std::collections::{BTreeMap, BTreeSet};

use super::follow::Follows;
use super::gates;
use super::headroom::Promised;
use super::holdings::Holdings;
use crate::model::action::{Action, Call, container_target, is_build_target};
use crate::model::desired::Desired;
use crate::model::failure::RolloutFailure;
use crate::model::name::Key;
use crate::model::observed::{Container, Failure, Fault, Observed};
use crate::model::policy::Refusal;
use crate::model::status::{Event, ProbePurpose, ProbeTask, Severity, Shortage, Status};
use crate::model::time::{Span, Timestamp};
use crate::policy::{self, Ground};

/// The inputs of one pass.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// What should be, with every chosen image in its place.
    pub desired: &'a Desired,
    /// What is.
    pub observed: &'a Observed,
    /// The time of the pass.
    pub now: Timestamp,
    /// The containers of every object, by name.
    pub by_owner: &'a BTreeMap<&'a Key, Vec<&'a Container>>,
    /// The Deployments that each Job or CronJob is a gate of.
    pub wards: &'a Wards<'a>,
    /// Who has what only one can have.
    pub holdings: &'a Holdings<'a>,
    /// Memory that is given out already.
    pub promised: &'a Promised,
    /// Whose image is followed in its registry.
    pub follows: &'a Follows,
    /// Volumes that are gone, each with the Deployment that has run with it.
    pub gone: &'a BTreeMap<String, &'a Key>,
}

/// The containers of every object, by name: made once per pass, so that a plan stays linear.
pub fn index(observed: &Observed) -> BTreeMap<&Key, Vec<&Container>> {
    let mut by_owner: BTreeMap<&Key, Vec<&Container>> = BTreeMap::new();
    for container in observed.containers.values() {
        by_owner.entry(&container.owner).or_default().push(container);
    }
    for containers in by_owner.values_mut() {
        containers.sort_by(|a, b| (a.slot, &a.name).cmp(&(b.slot, &b.name)));
    }
    by_owner
}

/// The Deployments that each Job or CronJob is a gate of, in their order.
pub type Wards<'a> = BTreeMap<Key, Vec<&'a Key>>;

/// Those of all gates: made once per pass, so that a plan stays linear.
pub fn wards(desired: &Desired) -> Wards<'_> {
    let mut wards = Wards::new();
    for (key, declared) in &desired.deployments {
        let own: BTreeSet<Key> = gates::all(&declared.spec).filter_map(|(.., gate)| gate.object(key)).collect();
        for job in own {
            wards.entry(job).or_default().push(key);
        }
    }
    wards
}

impl<'a> World<'a> {
    /// The Deployments that a Job or CronJob is a gate of.
    pub fn wards(self, job: &Key) -> &'a [&'a Key] {
        self.wards.get(job).map_or(&[], Vec::as_slice)
    }

    /// Until when it is known that what was found running ran: a look can take long, and more may have happened since it began.
    pub fn as_of(self) -> Timestamp {
        self.observed.looked_at.unwrap_or(self.now)
    }

    /// The containers of an object, by slot.
    pub fn containers(self, owner: &Key) -> &'a [&'a Container] {
        self.by_owner.get(owner).map_or(&[], Vec::as_slice)
    }

    /// What the policy judges by.
    pub fn ground(self) -> Ground<'a> {
        Ground::of(self.desired, self.observed)
    }

    /// Whether something is being done to a container, or the engine does not answer for it.
    pub fn is_busy(self, container: &Container) -> bool {
        let in_flight = &self.observed.in_flight;
        !in_flight.is_empty() && in_flight.contains(&container_target(&container.id))
    }

    /// The last failure of an action on a container, if the last one failed.
    pub fn container_failure(self, container: &Container) -> Option<&'a Failure> {
        // Of thousands of containers hardly any has failed: their targets need not be spelt out.
        if self.observed.failures.is_empty() { None } else { self.failure(&container_target(&container.id)) }
    }

    /// How often in a row what was tried with a container has failed, as far as this process knows.
    pub fn failed_tries(self, container: &Container) -> u32 {
        self.container_failure(container).map_or(0, |failure| failure.count)
    }

    /// The last failure of an action on `target`, if the last one failed.
    pub fn failure(self, target: &str) -> Option<&'a Failure> {
        self.observed.failures.get(target)
    }
}

/// The shortest and longest pause after a failed action (product: 5 s to 5 min). A conflict is often over at once.
const FIRST_PAUSE: Span = Span::secs(5);
const LONGEST_PAUSE: Span = Span::secs(300);

/// How long to wait after the `count`th failure in a row: doubling from `first`, at most [`LONGEST_PAUSE`].
pub fn pause(first: Span, count: u32) -> Span {
    doubled(first, count, LONGEST_PAUSE)
}

fn doubled(first: Span, count: u32, longest: Span) -> Span {
    let doubled = first.0.saturating_mul(1 << count.saturating_sub(1).min(20));
    Span(doubled.min(longest.0))
}

/// The shortest and longest pause after a build that failed for what it is built from. Another content is another build, which
/// waits for nothing; the same one costs minutes of all processors, and goes well only if what failed was far away.
const FIRST_BUILD_PAUSE: Span = Span::secs(60);
const LONGEST_BUILD_PAUSE: Span = Span::secs(3600);

/// When a failed action on `target` may be tried again.
pub fn retry_at(target: &str, failure: &Failure) -> Timestamp {
    if failure.fault == Fault::Invalid && is_build_target(target) {
        return failure.at + doubled(FIRST_BUILD_PAUSE, failure.count, LONGEST_BUILD_PAUSE);
    }
    let first = match failure.fault {
        Fault::Conflict => Span::secs(1),
        Fault::RateLimited => Span::secs(60),
        Fault::Invalid | Fault::ImageMissing | Fault::Unauthorized | Fault::Unavailable | Fault::Timeout => FIRST_PAUSE,
    };
    failure.at + pause(first, failure.count)
}

/// The growing answer for one object.
#[derive(Default)]
pub struct Decided {
    /// What to do now.
    pub actions: Vec<Action>,
    targets: BTreeSet<String>,
    /// What to tell.
    pub events: Vec<Event>,
    /// What to probe.
    pub probes: Vec<ProbeTask>,
    /// What is wrong and will not mend itself, for people.
    pub trouble: Option<String>,
    /// Why it runs another revision than its manifest's, which did not fail: its release group went back.
    pub set_back: Option<String>,
    /// Why its replicas are stopped for a while.
    pub quiet: Option<String>,
    /// What it waits for, for people.
    pub waiting: Vec<String>,
    /// Whether it waits for what will not come about without a person.
    pub blocked: bool,
    /// The last lines of the build that failed.
    pub build_output: Vec<String>,
    /// What the policy does not allow.
    pub refused: Vec<Refusal>,
    /// What the host lacks.
    pub shortage: Option<Shortage>,
    /// When to look again.
    pub wake_at: Option<Timestamp>,
    /// When what is told of it changes by itself, though there is nothing to do.
    pub retell_at: Option<Timestamp>,
    /// How it stands.
    pub status: Status,
}

impl Decided {
    /// Checks no program whose container is to be reconnected: by the time that anybody looks again it may be back already, and
    /// a check that was cut off between would count. Readiness goes on, as for what is worked on already.
    pub fn pause_checks(&mut self) {
        let reconnected = |action: &Action| matches!(action.call, Call::Reconnect(_));
        let actions = self.actions.iter().filter(|action| reconnected(action));
        let containers: BTreeSet<&str> = actions.filter_map(|action| Some(action.call.existing()?.0)).collect();
        let checks = self.probes.iter_mut().filter(|task| task.purpose != ProbePurpose::Readiness);
        checks.filter(|task| containers.contains(&*task.container.0)).for_each(|task| task.address = None);
    }

    /// Plans `call`, unless its target is busy or its last failure is too recent; then it says what is waited for. What
    /// the policy does not allow is not planned either.
    pub fn act(&mut self, world: World, object: &Key, call: Call, cause: impl Into<String>) {
        self.act_with_downtime(world, object, call, cause, None);
    }

    /// As [`Decided::act`], for a call during which something does not serve.
    pub fn act_with_downtime(
        &mut self,
        world: World,
        object: &Key,
        call: Call,
        cause: impl Into<String>,
        downtime: Option<String>,
    ) {
        let target = call.target();
        if world.observed.in_flight.contains(&target) {
            if let Some(failure) = world.failure(&target) {
                self.wait_above_all(format!("{} (failed {}×; trying again)", failure.message, failure.count));
            }
            return;
        }
        if self.targets.contains(&target) {
            return;
        }
        let is_new = |failure: &Failure| call.ends() && !failure.ending;
        if !world.failure(&target).is_some_and(is_new) && self.is_held_back(world, &target) {
            return;
        }
        let refused = policy::refusals(world.ground(), &object.namespace, &call);
        if !refused.is_empty() {
            return self.refuse(refused);
        }
        self.targets.insert(target);
        self.actions.push(Action { object: object.clone(), cause: cause.into(), downtime, call });
    }

    /// Whether the last failure of an action on `target` is too recent for another one; then it says what is waited for.
    pub fn is_held_back(&mut self, world: World, target: &str) -> bool {
        let Some(failure) = world.failure(target) else { return false };
        let at = retry_at(target, failure);
        if at <= world.now {
            return false;
        }
        self.wait_above_all(format!("{} (failed {}×; again at {at})", failure.message, failure.count));
        self.wake(at);
        true
    }

    /// Whether something is planned for `target`.
    pub fn acts_on(&self, target: &str) -> bool {
        self.targets.contains(target)
    }

    /// Asks for another look at `at`, or earlier if something asked for that already.
    pub fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Says what is waited for.
    pub fn wait(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.waiting.contains(&what) {
            self.waiting.push(what);
        }
    }

    /// Says what the host lacks, which explains the rest; it is looked at again at `again`.
    pub fn short(&mut self, again: Timestamp, shortage: Shortage) {
        self.wait_above_all(shortage.message.clone());
        self.wake(again);
        self.shortage = Some(shortage);
    }

    /// The same, for what explains the rest: a failure, or what it came of.
    pub fn wait_above_all(&mut self, what: String) {
        self.waiting.retain(|other| *other != what);
        self.waiting.insert(0, what);
    }

    /// Says what the policy does not allow.
    pub fn refuse(&mut self, refused: Vec<Refusal>) {
        let news = refused.into_iter().filter(|refusal| !self.refused.contains(refusal)).collect::<Vec<_>>();
        self.refused.extend(news);
    }

    /// Tells something.
    pub fn tell(&mut self, world: World, object: &Key, severity: Severity, reason: &str, message: impl Into<String>) {
        let (at, object, reason, message) = (world.now, object.clone(), reason.into(), message.into());
        self.events.push(Event { at, object, severity, reason, message, failure: None });
    }

    /// Tells that a rollout has failed, and of what.
    pub fn tell_failure(
        &mut self,
        world: World,
        object: &Key,
        severity: Severity,
        reason: &str,
        failure: RolloutFailure,
    ) {
        self.tell(world, object, severity, reason, failure.message);
        if let Some(event) = self.events.last_mut() {
            event.failure = Some(failure.reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::action::{build_target, pull_target};

    #[test]
    fn what_explains_the_rest_is_said_first_and_once_and_the_rest_stays() {
        let mut decided = Decided::default();
        decided.wait("the image");
        decided.wait("a port");
        decided.wait_above_all("a port".into());
        assert_eq!(decided.waiting, ["a port", "the image"]);
    }

    #[test]
    fn a_build_that_is_to_blame_is_tried_after_minutes_and_all_else_after_seconds() {
        let pause = |target: &str, fault, count| {
            let at = Timestamp(1_000);
            let failure =
                Failure { count, at, fault, message: String::new(), ending: false, cut: None, output: Vec::new() };
            retry_at(target, &failure).since(at)
        };
        let (build, pull) = (build_target("evenkeel.local/shop:1"), pull_target("web:1"));
        for (count, seconds) in [(1, 60), (2, 120), (6, 1920), (7, 3600), (1000, 3600)] {
            assert_eq!(pause(&build, Fault::Invalid, count), Span::secs(seconds), "{count}");
        }
        for (count, seconds) in [(1, 5), (2, 10), (1000, 300)] {
            assert_eq!(pause(&build, Fault::Unavailable, count), Span::secs(seconds), "{count}");
            assert_eq!(pause(&pull, Fault::Invalid, count), Span::secs(seconds), "{count}");
        }
    }
}
