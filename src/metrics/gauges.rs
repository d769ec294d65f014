//! Gauges: a view as Prometheus sees it. They are made anew at each scrape, so what is gone leaves no series behind.

use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Opts, Registry};

use super::names::{self, Named};
use crate::model::name::{Key, Kind};
use crate::model::time::Timestamp;
use crate::model::view::{Detail, ObjectView, OutcomeWord, RevisionView, SourcePhase, View};

const OBJECT: [&str; 2] = ["namespace", "name"];
const KIND: [&str; 3] = ["namespace", "kind", "name"];
const SOURCE: [&str; 2] = ["dir", "namespace"];

/// All gauges of a view.
pub fn of(view: &View) -> Result<Vec<MetricFamily>, prometheus::Error> {
    let mut gauges = Gauges::default();
    daemon(&mut gauges, view)?;
    sources(&mut gauges, view)?;
    phases(&mut gauges, view)?;
    deployments(&mut gauges, view)?;
    jobs(&mut gauges, view)?;
    cron_jobs(&mut gauges, view)?;
    held(&mut gauges, view)?;
    refused(&mut gauges, view)?;
    images(&mut gauges, view)?;
    host(&mut gauges, view)?;
    // Gathered by a registry, which sorts what it gives.
    Ok(gauges.registry.gather())
}

/// Gauges so far.
#[derive(Default)]
struct Gauges {
    registry: Registry,
}

impl Gauges {
    /// Adds a gauge with one series per row; a gauge without rows is left out.
    fn add(
        &mut self,
        (name, help): Named,
        labels: &[&str],
        rows: impl IntoIterator<Item = (Vec<String>, f64)>,
    ) -> Result<(), prometheus::Error> {
        let gauge = GaugeVec::new(Opts::new(name, help), labels)?;
        for (values, value) in rows {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            gauge.get_metric_with_label_values(&values)?.set(value);
        }
        self.registry.register(Box::new(gauge))?;
        Ok(())
    }

    /// Adds a gauge without labels.
    fn one(&mut self, named: Named, value: f64) -> Result<(), prometheus::Error> {
        self.add(named, &[], [(Vec::new(), value)])
    }
}

fn daemon(gauges: &mut Gauges, view: &View) -> Result<(), prometheus::Error> {
    gauges.add(names::BUILD, &["version"], [(vec![view.version.clone()], 1.0)])?;
    gauges.one(names::ENGINE_CONNECTED, flag(view.engine.connected))?;
    if !view.engine.version.is_empty() {
        let labels = vec![view.engine.version.clone(), view.engine.api.clone()];
        gauges.add(names::ENGINE, &["version", "api"], [(labels, 1.0)])?;
    }
    gauges.one(names::CONVERGED, flag(view.converged))?;
    gauges.one(names::LAST_PASS, seconds(view.at))?;
    gauges.one(names::PLANNED, view.plan.len() as f64)?;
    gauges.one(names::IN_FLIGHT, view.in_flight.len() as f64)?;
    gauges.one(names::FAILING, view.failures.len() as f64)?;
    gauges.one(names::WARNINGS, view.warnings.len() as f64)
}

fn sources(gauges: &mut Gauges, view: &View) -> Result<(), prometheus::Error> {
    let rows = |value: fn(&crate::model::view::SourceState) -> Option<f64>| {
        view.sources.iter().filter_map(move |source| {
            let namespace = source.namespace.as_ref().map(ToString::to_string).unwrap_or_default();
            Some((vec![source.dir.clone(), namespace], value(source)?))
        })
    };
    gauges.add(names::SOURCE_LOADED, &SOURCE, rows(|source| Some(flag(source.state == SourcePhase::Loaded))))?;
    gauges.add(names::SOURCE_LOAD_TIME, &SOURCE, rows(|source| source.loaded_at.map(seconds)))?;
    gauges.add(names::SOURCE_PROBLEMS, &SOURCE, rows(|source| Some(source.problems.len() as f64)))?;
    gauges.add(names::SOURCE_GENERATION, &SOURCE, rows(|source| Some(source.generation as f64)))
}

fn phases(gauges: &mut Gauges, view: &View) -> Result<(), prometheus::Error> {
    let rows = view.objects.iter().map(|(key, object)| {
        let mut labels = kind_labels(key);
        labels.push(object.status.phase.clone());
        (labels, 1.0)
    });
    gauges.add(names::OBJECT_PHASE, &["namespace", "kind", "name", "phase"], rows)?;
    let with_containers = |key: &Key| Kind::WORKLOADS.contains(&key.kind);
    let restarts = view.objects.iter().filter(|(key, _)| with_containers(key)).map(|(key, object)| {
        let sum: u64 = object.status.containers.iter().map(|container| u64::from(container.restarts)).sum();
        (kind_labels(key), sum as f64)
    });
    gauges.add(names::RESTARTS, &KIND, restarts)
}

fn deployments(gauges: &mut Gauges, view: &View) -> Result<(), prometheus::Error> {
    let rows = |value: fn(&ObjectView) -> Option<f64>| {
        let deployments = view.objects.iter().filter(|(key, _)| key.kind == Kind::Deployment);
        deployments.filter_map(move |(key, object)| Some((object_labels(key), value(object)?)))
    };
    gauges.add(names::REPLICAS_DESIRED, &OBJECT, rows(|o| o.status.replicas.map(|r| f64::from(r.desired))))?;
    gauges.add(names::REPLICAS_CURRENT, &OBJECT, rows(|o| o.status.replicas.map(|r| f64::from(r.current))))?;
    gauges.add(names::REPLICAS_UPDATED, &OBJECT, rows(|o| o.status.replicas.map(|r| f64::from(r.updated))))?;
    gauges.add(names::REPLICAS_READY, &OBJECT, rows(|o| o.status.replicas.map(|r| f64::from(r.ready))))?;
    gauges.add(names::REPLICAS_AVAILABLE, &OBJECT, rows(|o| o.status.replicas.map(|r| f64::from(r.available))))?;
    gauges.add(names::REVISION, &OBJECT, rows(|o| o.status.revision.as_ref().map(|r| r.number as f64)))?;
    gauges.add(names::REVISION_REJECTED, &OBJECT, rows(|o| Some(flag(wants_rejected(o)))))?;
    gauges.add(
        names::PAUSED,
        &OBJECT,
        rows(|o| Some(flag(matches!(o.detail, Detail::Deployment { paused: true, .. })))),
    )
}

fn wants_rejected(object: &ObjectView) -> bool {
    let Detail::Deployment { revisions, .. } = &object.detail else { return false };
    let is_asked_for = |revision: &RevisionView| revision.wanted || revision.declared;
    revisions.iter().any(|revision| is_asked_for(revision) && revision.outcome == OutcomeWord::Rejected)
}

fn jobs(gauges: &mut Gauges, view: &View) -> Result<(), prometheus::Error> {
    let rows = |value: fn(&Detail) -> Option<f64>| {
        view.objects.iter().filter_map(move |(key, object)| Some((object_labels(key), value(&object.detail)?)))
    };
    gauges.add(names::JOB_SUCCEEDED, &OBJECT, rows(job_success))?;
    gauges.add(names::JOB_DURATION, &OBJECT, rows(job_duration))
}

fn job_success(detail: &Detail) -> Option<f64> {
    match detail {
        Detail::Job { exit_code: Some(code), .. } => Some(flag(*code == 0)),
        _ => None,
    }
}

fn job_duration(detail: &Detail) -> Option<f64> {
    match detail {
        Detail::Job { started_at: Some(start), finished_at: Some(end), .. } => {
            Some(end.since(*start).0 as f64 / 1000.0)
        }
        _ => None,
    }
}

fn cron_jobs(gauges: &mut Gauges, view: &View) -> Result<(), prometheus::Error> {
    let rows = |value: fn(&Detail) -> Option<f64>| {
        let cron_jobs = view.objects.iter().filter(|(key, _)| key.kind == Kind::CronJob);
        cron_jobs.filter_map(move |(key, object)| Some((object_labels(key), value(&object.detail)?)))
    };
    gauges.add(names::CRON_LAST_SUCCESS, &OBJECT, rows(|detail| cron_times(detail)[0].map(seconds)))?;
    gauges.add(names::CRON_LAST_SCHEDULE, &OBJECT, rows(|detail| cron_times(detail)[1].map(seconds)))?;
    gauges.add(names::CRON_NEXT_SCHEDULE, &OBJECT, rows(|detail| cron_times(detail)[2].map(seconds)))?;
    gauges.add(names::CRON_LAST_DURATION, &OBJECT, rows(cron_duration))?;
    gauges.add(names::CRON_ACTIVE, &OBJECT, rows(cron_active))
}

/// The last success, the last time and the next one of a CronJob.
fn cron_times(detail: &Detail) -> [Option<Timestamp>; 3] {
    match detail {
        Detail::CronJob { last_success, last_schedule, next_schedule, .. } => {
            [*last_success, *last_schedule, *next_schedule]
        }
        _ => [None; 3],
    }
}

fn cron_duration(detail: &Detail) -> Option<f64> {
    let Detail::CronJob { runs, .. } = detail else { return None };
    let last = runs.iter().rev().find(|run| run.result.is_over() && run.finished_at.is_some())?;
    Some(last.finished_at?.since(last.started_at?).0 as f64 / 1000.0)
}

fn cron_active(detail: &Detail) -> Option<f64> {
    match detail {
        Detail::CronJob { active, .. } => Some(f64::from(*active)),
        _ => None,
    }
}

fn held(gauges: &mut Gauges, view: &View) -> Result<(), prometheus::Error> {
    let rows = view.held.iter().map(|held| (vec![held.namespace.to_string()], held.removes.len() as f64));
    gauges.add(names::PRUNE_HELD, &["namespace"], rows)
}

fn refused(gauges: &mut Gauges, view: &View) -> Result<(), prometheus::Error> {
    gauges.add(names::REFUSED, &["namespace", "kind", "name", "reason"], with_condition(view, "Refused"))
}

fn images(gauges: &mut Gauges, view: &View) -> Result<(), prometheus::Error> {
    let followed = view.objects.iter().filter_map(|(key, object)| Some((key, object.status.image_policy.as_ref()?)));
    let rows = followed.filter(|(_, followed)| followed.is_trouble()).map(|(key, followed)| {
        let mut labels = kind_labels(key);
        labels.push(followed.reason.clone());
        (labels, 1.0)
    });
    gauges.add(names::IMAGE_TROUBLE, &["namespace", "kind", "name", "reason"], rows)
}

fn host(gauges: &mut Gauges, view: &View) -> Result<(), prometheus::Error> {
    gauges.add(names::HOST_SHORT, &["namespace", "kind", "name", "reason"], with_condition(view, "HostShort"))?;
    if let Some(bytes) = view.headroom.memory {
        gauges.one(names::HOST_MEMORY, bytes as f64)?;
    }
    if let Some(disk) = view.headroom.disk {
        gauges.one(names::HOST_DISK_FREE, disk.free as f64)?;
    }
    Ok(())
}

/// Objects with a condition, and its reason.
fn with_condition<'a>(view: &'a View, kind: &'a str) -> impl Iterator<Item = (Vec<String>, f64)> + 'a {
    view.objects.iter().filter_map(move |(key, object)| {
        let condition = object.status.conditions.iter().find(|condition| condition.kind == kind)?;
        let mut labels = kind_labels(key);
        labels.push(condition.reason.clone());
        Some((labels, 1.0))
    })
}

fn object_labels(key: &Key) -> Vec<String> {
    vec![key.namespace.to_string(), key.name.to_string()]
}

fn kind_labels(key: &Key) -> Vec<String> {
    vec![key.namespace.to_string(), key.kind.to_string(), key.name.to_string()]
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

fn seconds(at: Timestamp) -> f64 {
    at.0 as f64 / 1000.0
}
