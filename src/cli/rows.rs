//! The rows of tables: one function per kind of thing. They lay out what the view says and ask nothing.

use super::age;
use super::image_policy;
use super::screen::{Screen, Tone, phase_tone};
use super::table::{Cell, Table, cell, toned};
use crate::model::name::{Key, Kind, Name};
use crate::model::registry::in_short;
use crate::model::status::{ContainerStatus, MONITORED};
use crate::model::time::Timestamp;
use crate::model::view::{Detail, ObjectView, RunWord, SourcePhase, SourceState, View};

/// Which columns a table has.
#[derive(Debug, Clone, Copy)]
pub struct Columns {
    /// The namespace.
    pub namespace: bool,
    /// Those for a wide screen.
    pub wide: bool,
    /// The kind before the name: `deployment/web`.
    pub prefixed: bool,
    /// The time that ages count to.
    pub now: Timestamp,
}

/// Objects of one kind.
pub fn objects(kind: Kind, objects: &[(&Key, &ObjectView)], columns: &Columns) -> Table {
    let mut header = lead(columns, kind != Kind::Namespace);
    header.extend(titles(kind));
    let follows = objects.iter().any(|(_, object)| object.status.image_policy.is_some());
    if columns.wide {
        header.extend(if has_revisions(kind) { &["REVISION"][..] } else { &[] });
        header.extend(if follows { &["IMAGE POLICY"][..] } else { &[] });
        header.extend(if kind == Kind::Namespace { &["MESSAGE"][..] } else { &["MANIFEST", "MESSAGE"] });
    }
    let mut table = Table::new(header);
    for (key, object) in objects {
        let mut row = if kind == Kind::Namespace { vec![] } else { namespace(key, columns) };
        row.push(name(key, columns));
        row.extend(cells(object, columns.now));
        if columns.wide {
            row.extend(has_revisions(kind).then(|| cell(revision(object))));
            row.extend(follows.then(|| policy(object, columns.now)));
            row.extend((kind != Kind::Namespace).then(|| cell(&object.place)));
            row.push(cell(message(kind, object)));
        }
        table.row(row);
    }
    table
}

fn has_revisions(kind: Kind) -> bool {
    matches!(kind, Kind::Deployment | Kind::Job)
}

/// What there is to say. Of a network or volume that is ready, the other columns have said it; of a Deployment of which there
/// is nothing else, that it may still be rolled back.
fn message(kind: Kind, object: &ObjectView) -> &str {
    let is_told = matches!(kind, Kind::Network | Kind::Volume) && object.status.phase == "Ready";
    let monitored = object.status.conditions.iter().find(|condition| condition.kind == MONITORED);
    match monitored.filter(|_| object.status.message.is_empty()) {
        _ if is_told => "",
        Some(monitored) => &monitored.message,
        None => &object.status.message,
    }
}

fn lead(columns: &Columns, namespaced: bool) -> Vec<&'static str> {
    if columns.namespace && namespaced { vec!["NAMESPACE", "NAME"] } else { vec!["NAME"] }
}

fn titles(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Deployment => &["READY", "UP-TO-DATE", "AVAILABLE", "AGE", "STATUS", "IMAGE"],
        Kind::CronJob => {
            &["SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST-SCHEDULE", "NEXT", "LAST-RESULT", "STATUS"]
        }
        Kind::Job => &["STATUS", "ATTEMPTS", "DURATION", "AGE", "IMAGE"],
        Kind::Network => &["STATUS", "DRIVER", "SUBNETS", "DOCKER NAME"],
        Kind::Volume => &["STATUS", "DRIVER", "DOCKER NAME"],
        Kind::ConfigMap | Kind::Secret => &["STATUS", "KEYS", "CONTENT"],
        Kind::Namespace => &["STATUS"],
    }
}

fn cells(object: &ObjectView, now: Timestamp) -> Vec<Cell> {
    let status = phase(object);
    let age = cell(age::since_some(object.created_at, now));
    match &object.detail {
        Detail::Deployment { .. } => {
            let mut row = replica_counts(object);
            row.extend([age, status, cell(image(object))]);
            row
        }
        Detail::Job { attempt, started_at, finished_at, .. } => {
            let begun =
                started_at.or(*finished_at).is_some() || matches!(object.status.phase.as_str(), "Retrying" | "Unknown");
            let attempts = attempt + u32::from(begun);
            let took = started_at.map(|start| age::span(finished_at.unwrap_or(now).since(start)));
            vec![status, cell(attempts.to_string()), cell(took.unwrap_or_default()), age, cell(image(object))]
        }
        Detail::CronJob { .. } => {
            let mut row = schedule(&object.detail, now);
            row.push(status);
            row
        }
        Detail::Network { engine_name, driver, subnets } => {
            vec![status, cell(driver), cell(subnets.join(",")), cell(engine_name)]
        }
        Detail::Volume { engine_name, driver } => vec![status, cell(driver), cell(engine_name)],
        Detail::Content { id, keys } => vec![status, cell(keys.len().to_string()), cell(id)],
        Detail::Namespace => vec![status],
    }
}

/// What a CronJob does when.
fn schedule(detail: &Detail, now: Timestamp) -> Vec<Cell> {
    let Detail::CronJob { schedule, time_zone, suspend, active, last_schedule, next_schedule, runs, .. } = detail
    else {
        return Vec::new();
    };
    let last = runs.iter().rev().find(|run| run.result.is_over());
    vec![
        cell(schedule),
        cell(time_zone),
        toned(if *suspend { "yes" } else { "no" }, if *suspend { Tone::Busy } else { Tone::Plain }),
        cell(active.to_string()),
        cell(last_schedule.map(|at| format!("{} ago", age::since(at, now))).unwrap_or_default()),
        cell(next_schedule.map(|at| format!("in {}", age::span(at.since(now)))).unwrap_or_default()),
        last.map_or_else(|| cell(""), |run| toned(format!("{:?}", run.result), run_tone(run.result))),
    ]
}

/// How the result of a run is coloured.
pub fn run_tone(result: RunWord) -> Tone {
    match result {
        RunWord::Succeeded => Tone::Good,
        RunWord::Failed | RunWord::Unknown => Tone::Bad,
        RunWord::Waiting | RunWord::Running | RunWord::Retrying => Tone::Busy,
        RunWord::Replaced => Tone::Plain,
    }
}

fn replica_counts(object: &ObjectView) -> Vec<Cell> {
    let replicas = object.status.replicas.unwrap_or_default();
    let tone = if replicas.ready < replicas.desired { Tone::Busy } else { Tone::Plain };
    vec![
        toned(format!("{}/{}", replicas.ready, replicas.desired), tone),
        cell(replicas.updated.to_string()),
        cell(replicas.available.to_string()),
    ]
}

fn phase(object: &ObjectView) -> Cell {
    toned(&object.status.phase, phase_tone(&object.status.phase))
}

fn image(object: &ObjectView) -> String {
    let declared = || object.declared.value()["template"]["image"].as_str().unwrap_or_default().to_string();
    object.status.revision.as_ref().map_or_else(declared, |revision| in_short(&revision.image).to_string())
}

fn policy(object: &ObjectView, now: Timestamp) -> Cell {
    let status = object.status.image_policy.as_ref();
    let tone = if status.is_none_or(image_policy::is_well) { Tone::Plain } else { Tone::Busy };
    toned(status.map(|status| image_policy::brief(status, now)).unwrap_or_default(), tone)
}

fn revision(object: &ObjectView) -> String {
    match &object.status.revision {
        Some(revision) if revision.number > 0 => format!("{} ({})", revision.number, revision.id),
        Some(revision) => revision.id.clone(),
        None => String::new(),
    }
}

fn namespace(key: &Key, columns: &Columns) -> Vec<Cell> {
    if columns.namespace { vec![cell(key.namespace.as_str())] } else { Vec::new() }
}

fn name(key: &Key, columns: &Columns) -> Cell {
    if columns.prefixed { cell(format!("{}/{}", key.kind, key.name)) } else { cell(key.name.as_str()) }
}

/// The containers of objects.
pub fn replicas(owners: &[(&Key, &ObjectView)], columns: &Columns) -> (Vec<String>, Table) {
    let mut header = lead(columns, true);
    header.extend(["READY", "STATUS", "RESTARTS", "AGE", "ADDRESS"]);
    if columns.wide {
        header.extend(["REVISION", "ID", "MESSAGE"]);
    }
    let mut table = Table::new(header);
    let mut ids = Vec::new();
    for (key, container) in
        owners.iter().flat_map(|(key, object)| object.status.containers.iter().map(move |c| (key, c)))
    {
        let mut row = namespace(key, columns);
        row.extend(container_cells(container, columns));
        table.row(row);
        ids.push(container.id.clone());
    }
    (ids, table)
}

fn container_cells(container: &ContainerStatus, columns: &Columns) -> Vec<Cell> {
    let (ready, tone) = if container.ready { ("yes", Tone::Good) } else { ("no", Tone::Busy) };
    let state = if container.retiring { format!("{},Retiring", container.state) } else { container.state.clone() };
    let mut row = vec![
        cell(&container.name),
        toned(ready, tone),
        cell(state),
        cell(container.restarts.to_string()),
        cell(age::since_some(container.since, columns.now)),
        cell(container.address.map(|address| address.to_string()).unwrap_or_default()),
    ];
    if columns.wide {
        let short: String = container.id.chars().take(12).collect();
        row.extend([cell(&container.revision), cell(short), cell(&container.message)]);
    }
    row
}

/// The sources; with a namespace, those whose objects it has.
pub fn sources_of<'a>(view: &'a View, namespace: Option<&'a Name>) -> impl Iterator<Item = &'a SourceState> {
    view.sources.iter().filter(move |source| {
        namespace.is_none_or(|name| {
            source.namespace.as_ref() == Some(name) || source.declares.iter().any(|key| key.namespace == *name)
        })
    })
}

/// A table of sources.
pub fn sources<'a>(sources: impl Iterator<Item = &'a SourceState>, columns: &Columns) -> (Vec<String>, Table) {
    let mut header = vec!["SOURCE", "NAMESPACE", "STATE", "GENERATION", "OBJECTS", "PROBLEMS", "AGE"];
    if columns.wide {
        header.extend(["DIGEST", "MESSAGE"]);
    }
    let mut table = Table::new(header);
    let mut ids = Vec::new();
    for source in sources {
        let tone = match source.state {
            SourcePhase::Loaded => Tone::Good,
            SourcePhase::Reading => Tone::Busy,
            SourcePhase::LastGood | SourcePhase::Unknown => Tone::Bad,
        };
        let mut row = vec![
            cell(&source.dir),
            cell(source.namespace.as_ref().map_or("", |name| name.as_str())),
            toned(format!("{:?}", source.state), tone),
            cell(source.generation.to_string()),
            cell(source.declares.len().to_string()),
            cell(source.problems.len().to_string()),
            cell(age::since_some(source.loaded_at, columns.now)),
        ];
        if columns.wide {
            row.extend([cell(source.digest.get(..12).unwrap_or(&source.digest)), cell(&source.message)]);
        }
        table.row(row);
        ids.push(source.dir.clone());
    }
    (ids, table)
}

/// Says beside any screen what is wrong with the daemon as a whole.
pub fn warn(view: &View, screen: &Screen) {
    if !view.engine.connected {
        screen.warn(&format!("the engine does not answer; this is how things stood before: {}", view.engine.message));
    }
    for source in view.sources.iter().filter(|source| !source.is_current()) {
        screen.warn(&format!("{} (see `evenkeel describe sources`)", source.trouble()));
    }
    for held in &view.held {
        screen.warn(&format!(
            "in namespace {} the removal of {} objects is held: {} (see `evenkeel prune`)",
            held.namespace,
            held.removes.len(),
            held.reason
        ));
    }
    view.warnings.iter().for_each(|warning| screen.warn(&warning.message));
}
