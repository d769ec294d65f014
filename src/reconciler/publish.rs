//! Publishing: the view that a pass leaves behind, for the command line and `/metrics`. It only tells.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Reconciler, detail};
use crate::engine::Engine;
use crate::model::action::Call;
use crate::model::desired::{Declared, Desired};
use crate::model::history::{DeploymentHistory, Rollout};
use crate::model::name::{Key, Kind, engine_name};
use crate::model::observed::ContainerId;
use crate::model::policy::Refusal;
use crate::model::registry::ImagePolicyStatus;
use crate::model::revision::{Content, ContentId};
use crate::model::spec::RestartPolicy;
use crate::model::status::{Event, Plan, RENAMED, Severity, Shortage, Status};
use crate::model::text::printable;
use crate::model::time::Timestamp;
use crate::model::view::{Declaration, Detail, EVENTS_MAX, HeldPrune, ObjectView, PlanStep, Trouble, View, Warning};
use crate::probe::Dial;

/// What manifests say of each object, made once per load.
#[derive(Default)]
pub(super) struct Declarations {
    objects: BTreeMap<Key, Manifest>,
}

/// One object's manifest, as far as the view shows it.
struct Manifest {
    spec: Declaration,
    place: String,
    labels: BTreeMap<String, String>,
    /// For networks, volumes and contents; the others' details are in the history.
    detail: Option<Detail>,
}

impl Declarations {
    pub(super) fn of(desired: &Desired, contents: &BTreeMap<ContentId, Content>) -> Self {
        let mut objects = BTreeMap::new();
        for (name, spec) in &desired.namespaces {
            let key = Key::new(Kind::Namespace, name.clone(), name.clone());
            let entry = entry(&Declared::bare(spec), Some(Detail::Namespace));
            objects.insert(key, entry);
        }
        for (key, declared) in &desired.networks {
            let name = declared.spec.name.clone();
            let detail = Detail::Network {
                engine_name: name.unwrap_or_else(|| engine_name(&desired.settings.instance, &key.namespace, &key.name)),
                driver: declared.spec.driver.clone().unwrap_or_else(|| "bridge".into()),
                subnets: declared.spec.subnets.clone(),
            };
            objects.insert(key.clone(), entry(declared, Some(detail)));
        }
        for (key, declared) in &desired.volumes {
            let name = declared.spec.name.clone();
            let detail = Detail::Volume {
                engine_name: name.unwrap_or_else(|| engine_name(&desired.settings.instance, &key.namespace, &key.name)),
                driver: declared.spec.driver.clone().unwrap_or_else(|| "local".into()),
            };
            objects.insert(key.clone(), entry(declared, Some(detail)));
        }
        for (key, declared) in &desired.contents {
            let keys = contents.get(&declared.spec).map(|content| content.entries.keys().cloned().collect());
            let detail = Detail::Content { id: declared.spec.to_string(), keys: keys.unwrap_or_default() };
            objects.insert(key.clone(), entry(declared, Some(detail)));
        }
        for (key, declared) in &desired.jobs {
            let mut declared = declared.clone();
            // As it is: a Job is never restarted by the engine, whatever a template's default is.
            Arc::make_mut(&mut declared.spec.template).restart_policy = RestartPolicy::Never;
            objects.insert(key.clone(), entry(&declared, None));
        }
        for (key, declared) in &desired.cron_jobs {
            let mut declared = declared.clone();
            Arc::make_mut(&mut declared.spec.template).restart_policy = RestartPolicy::Never;
            objects.insert(key.clone(), entry(&declared, None));
        }
        objects.extend(desired.deployments.iter().map(|(key, declared)| (key.clone(), entry(declared, None))));
        Self { objects }
    }
}

fn entry<T: serde::Serialize>(declared: &Declared<T>, detail: Option<Detail>) -> Manifest {
    Manifest {
        spec: Declaration::of(&declared.spec),
        place: declared.place.clone(),
        labels: declared.labels.clone(),
        detail,
    }
}

impl<E: Engine, D: Dial> Reconciler<E, D> {
    /// Logs, counts and keeps what happened.
    pub(super) fn remember(&mut self, events: &[Event]) {
        for event in events {
            self.metrics.event(event);
            match event.severity {
                Severity::Normal => {
                    tracing::info!(object = %event.object, reason = %event.reason, "{}", event.message);
                }
                Severity::Warning => {
                    tracing::warn!(object = %event.object, reason = %event.reason, "{}", event.message);
                }
            }
        }
        if events.is_empty() {
            return;
        }
        if let Err(error) = self.store.append_events(events) {
            tracing::warn!(%error, "events cannot be kept for a restart");
        }
        let all = Arc::make_mut(&mut self.events);
        all.extend_from_slice(events);
        all.drain(..all.len().saturating_sub(EVENTS_MAX));
    }

    /// Measures the rollouts that have ended, by the history of before.
    pub(super) fn time_rollouts(&self, events: &[Event]) {
        for event in events {
            let rollout = self.history.deployments.get(&event.object).map(|history| &history.rollout);
            if let Some(Rollout::Progressing { started_at, .. } | Rollout::RollingBack { started_at, .. }) = rollout {
                self.metrics.rollout(event, event.at.since(*started_at));
            }
        }
    }

    /// Makes the view of this moment the one that everybody reads.
    pub(super) fn publish(&self) {
        let plan = &self.plan;
        let in_flight = self.executor.in_flight();
        let settled = plan.status.values().all(is_settled);
        let view = View {
            at: self.clock.now(),
            started_at: self.started_at,
            version: env!("CARGO_PKG_VERSION").into(),
            instance: self.desired.settings.instance.clone(),
            engine: self.engine_state.clone(),
            sources: self.sources.states(),
            objects: plan.status.iter().map(|(key, status)| (key.clone(), self.object(key, status))).collect(),
            converged: self.passes > 0
                && self.engine_state.connected
                && !self.sources.wait()
                && !self.half_saved
                && !self.undecided
                && plan.actions.is_empty()
                && in_flight.is_empty()
                && settled,
            in_flight,
            failures: self.executor.failures(),
            held: plan.held.clone(),
            plan: plan.actions.iter().map(PlanStep::from).collect(),
            warnings: self.troubles(),
            headroom: self.headroom,
            passes: self.passes,
            events: self.events.clone(),
        };
        self.views.send_replace(Arc::new(view));
    }

    fn troubles(&self) -> Vec<Warning> {
        let about = |about| move |message| Warning { about, message };
        let unwritable = self.warnings.iter().cloned().map(about(Trouble::Unwritable));
        let policy = self.rules.warning().into_iter().map(about(Trouble::Policy));
        unwritable.chain(policy).chain(self.damage.iter().cloned().map(about(Trouble::Damage))).collect()
    }

    fn object(&self, key: &Key, status: &Status) -> ObjectView {
        let declared = self.declared.objects.get(key);
        ObjectView {
            declared: declared.map_or_else(Declaration::none, |declared| declared.spec.clone()),
            place: declared.map(|declared| declared.place.clone()).unwrap_or_default(),
            labels: declared.map(|declared| declared.labels.clone()).unwrap_or_default(),
            created_at: self.created_at(key),
            status: status.clone(),
            detail: match declared.and_then(|declared| declared.detail.clone()) {
                Some(detail) => self.as_it_is(detail),
                None => self.detail(key),
            },
        }
    }

    /// A network's subnets as they are: most manifests leave them to us.
    fn as_it_is(&self, detail: Detail) -> Detail {
        match detail {
            Detail::Network { engine_name, driver, subnets } => match self.looker.network(&engine_name) {
                Some(live) => {
                    Detail::Network { engine_name, driver: live.driver.clone(), subnets: live.subnets.clone() }
                }
                None => Detail::Network { engine_name, driver, subnets },
            },
            Detail::Namespace
            | Detail::Deployment { .. }
            | Detail::Job { .. }
            | Detail::CronJob { .. }
            | Detail::Volume { .. }
            | Detail::Content { .. } => detail,
        }
    }

    fn created_at(&self, key: &Key) -> Option<Timestamp> {
        let oldest = |history: &DeploymentHistory| history.revisions.first().map(|revision| revision.created_at);
        let deployment = self.history.deployments.get(key);
        let deployment = deployment.and_then(|history| history.created_at.or_else(|| oldest(history)));
        let job = self.history.jobs.get(key).and_then(|history| history.runs.first());
        deployment.or(job.map(|run| run.created_at))
    }

    fn detail(&self, key: &Key) -> Detail {
        let history = &self.history;
        match key.kind {
            Kind::Deployment => detail::deployment(history.deployments.get(key)),
            Kind::Job => detail::job(history.jobs.get(key)),
            Kind::CronJob => {
                let spec = self.desired.cron_jobs.get(key).map(|declared| &declared.spec);
                detail::cron_job(history.cron_jobs.get(key), spec, self.clock.now())
            }
            Kind::Network => Detail::Network { engine_name: String::new(), driver: String::new(), subnets: Vec::new() },
            Kind::Volume => Detail::Volume { engine_name: String::new(), driver: String::new() },
            Kind::ConfigMap | Kind::Secret => Detail::Content { id: String::new(), keys: Vec::new() },
            Kind::Namespace => Detail::Namespace,
        }
    }
}

/// The reason of the event that a call failed.
pub(super) fn failed_word(call: &Call) -> &'static str {
    match call {
        Call::CreateNetwork(_) | Call::CreateVolume(_) | Call::CreateContainer(_) => "CreateFailed",
        Call::Pull { .. } => "PullFailed",
        Call::Build { .. } => "BuildFailed",
        Call::Connect(_) | Call::Reconnect(_) => "ConnectFailed",
        Call::Start { .. } | Call::Restart(_) | Call::Unpause { .. } => "StartFailed",
        Call::Stop(_) => "StopFailed",
        Call::Pause { .. } => "PauseFailed",
        Call::RemoveNetwork { .. } | Call::RemoveImage { .. } | Call::Remove { .. } => "RemoveFailed",
        Call::Update { .. } => "UpdateFailed",
    }
}

/// Containers that ran and were not ready when the plan was made.
pub(super) fn unready(plan: &Plan) -> BTreeSet<ContainerId> {
    let deployments = plan.status.iter().filter(|(key, _)| key.kind == Kind::Deployment);
    let containers = deployments.flat_map(|(_, status)| &status.containers);
    let unready =
        containers.filter(|container| container.state == "Running" && !container.ready && !container.retiring);
    unready.map(|container| ContainerId(container.id.clone())).collect()
}

/// The events of removals that the brake holds now and did not before.
pub(super) fn newly_held(before: &Plan, plan: &Plan, now: Timestamp) -> Vec<Event> {
    let news = plan.held.iter().filter(|held| !before.held.iter().any(|b| b.namespace == held.namespace));
    let event = |held: &HeldPrune| Event {
        at: now,
        object: Key::new(Kind::Namespace, held.namespace.clone(), held.namespace.clone()),
        severity: Severity::Warning,
        reason: "RemovalHeld".into(),
        message: held.reason.clone(),
        failure: None,
    };
    news.map(event).collect()
}

/// The events of what the policy refuses now and did not before, or for other reasons.
pub(super) fn newly_refused(before: &Plan, plan: &Plan, now: Timestamp) -> Vec<Event> {
    let news = plan.refused.iter().filter(|(key, refused)| before.refused.get(*key) != Some(refused));
    let event = |(key, refused): (&Key, &Vec<Refusal>)| Event {
        at: now,
        object: key.clone(),
        severity: Severity::Warning,
        reason: "Refused".into(),
        message: printable(&refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
        failure: None,
    };
    news.map(event).collect()
}

/// The events of what the host lacks now and did not before: how much it lacks changes all the time.
pub(super) fn newly_short(before: &Plan, plan: &Plan, now: Timestamp) -> Vec<Event> {
    let was_short =
        |key: &Key, shortage: &Shortage| before.shortages.get(key).map(|s| s.reason) == Some(shortage.reason);
    let news = plan.shortages.iter().filter(|(key, shortage)| !was_short(key, shortage));
    let event = |(key, shortage): (&Key, &Shortage)| Event {
        at: now,
        object: key.clone(),
        severity: Severity::Warning,
        reason: shortage.reason.into(),
        message: format!("waiting for {}", shortage.message),
        failure: None,
    };
    news.map(event).collect()
}

/// The events of containers that somebody has renamed since the last plan.
pub(super) fn newly_renamed(before: &Plan, plan: &Plan, now: Timestamp) -> Vec<Event> {
    let renamed = |status: &Status| status.conditions.iter().find(|condition| condition.kind == RENAMED).cloned();
    let known = |key: &Key| before.status.get(key).and_then(renamed);
    let news = plan.status.iter().filter_map(|(key, status)| {
        let condition = renamed(status).filter(|condition| known(key).as_ref() != Some(condition))?;
        let (reason, message) = (condition.reason, condition.message);
        Some(Event { at: now, object: key.clone(), severity: Severity::Warning, reason, message, failure: None })
    });
    news.collect()
}

/// The events of images that cannot be followed now and could before, or for another reason. That nothing is newer than what
/// was chosen, and that something waits on purpose, is none.
pub(super) fn newly_unfollowed(before: &Plan, plan: &Plan, now: Timestamp) -> Vec<Event> {
    let reason = |plan: &Plan, key: &Key| Some(plan.status.get(key)?.image_policy.as_ref()?.reason.clone());
    let followed = plan.status.iter().filter_map(|(key, status)| Some((key, status.image_policy.as_ref()?)));
    let news = followed
        .filter(|(key, followed)| followed.is_trouble() && reason(before, key).as_ref() != Some(&followed.reason));
    let event = |(key, followed): (&Key, &ImagePolicyStatus)| Event {
        at: now,
        object: key.clone(),
        severity: Severity::Warning,
        reason: followed.reason.clone(),
        message: followed.message.clone(),
        failure: None,
    };
    news.map(event).collect()
}

/// How objects stand while nothing can be done: what is on its way says why it does not go on.
pub(super) fn held_up(mut statuses: BTreeMap<Key, Status>, why: &str) -> BTreeMap<Key, Status> {
    for status in statuses.values_mut().filter(|status| !is_settled(status)) {
        let moving =
            status.conditions.iter_mut().filter(|condition| condition.kind == "Progressing" && condition.status);
        moving.for_each(|condition| condition.message = why.into());
        status.waiting.insert(0, why.into());
        status.message = why.into();
    }
    statuses
}

/// Whether an object is where it should be, or where it will stay until a person acts.
fn is_settled(status: &Status) -> bool {
    !matches!(
        status.phase.as_str(),
        "Progressing"
            | "RollingBack"
            | "Degraded"
            | "Waiting"
            | "Pending"
            | "Running"
            | "Retrying"
            | "Terminating"
            | "Quiesced"
    ) && status.waiting.is_empty()
}
