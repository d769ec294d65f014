//! What `describe` and `rollout history --revision` print for people, part by part. It lays out what the view says and asks
//! nothing.

use super::age;
use super::events;
use super::image_policy;
use super::past::{gate_table, job_table, pinned_words, revision_table, run_table};
use super::screen::{Paint, Tone, lines, phase_tone};
use super::table::{Table, cell};
use super::yaml;
use crate::model::name::{Key, Kind};
use crate::model::revision::Checkout;
use crate::model::status::{ContainerStatus, Event};
use crate::model::text::printable;
use crate::model::time::Timestamp;
use crate::model::view::{Detail, GateView, ObjectView, RevisionView, RunWord, SourceState, View};

/// How many events of an object are shown.
const EVENTS_SHOWN: usize = 20;

/// The description so far.
pub struct Sheet {
    paint: Paint,
    now: Timestamp,
    text: String,
}

impl Sheet {
    /// An empty one.
    pub fn new(paint: Paint, now: Timestamp) -> Self {
        Self { paint, now, text: String::new() }
    }

    /// All about one object.
    pub fn object(mut self, key: &Key, object: &ObjectView, view: &View, about: &[&Event]) -> String {
        self.head(key, object);
        self.image_policy(object);
        self.detail(&object.detail);
        self.list("Waiting for", &object.status.waiting);
        self.section("Last lines of the build", &object.status.build_output);
        self.conditions(object);
        self.revisions(&object.detail);
        self.runs(&object.detail);
        self.containers(&object.status.containers);
        self.under_way(key, view);
        self.spec(object);
        self.events(about);
        self.text
    }

    fn head(&mut self, key: &Key, object: &ObjectView) {
        self.field("Name", key.name.as_str());
        if key.kind != Kind::Namespace {
            self.field("Namespace", key.namespace.as_str());
        }
        self.field("Kind", &yaml::text(&serde_json::json!(key.kind)));
        self.field("Manifest", &object.place);
        let labels: Vec<String> = object.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.field("Labels", &labels.join(", "));
        if let Some(created) = object.created_at {
            self.field("Created", &format!("{created} ({} ago)", age::since(created, self.now)));
        }
        let status = &object.status;
        self.toned_field("Status", &status.phase, phase_tone(&status.phase));
        self.field("Message", &status.message);
        if let Some(r) = status.replicas {
            let counts = format!(
                "{} desired, {} current, {} updated, {} ready, {} available",
                r.desired, r.current, r.updated, r.ready, r.available
            );
            self.field("Replicas", &counts);
        }
        if let Some(revision) = &status.revision {
            let number = if revision.number > 0 { format!("{} ", revision.number) } else { String::new() };
            self.field("Revision", &format!("{number}({}), image {}", revision.id, revision.image));
        }
    }

    fn image_policy(&mut self, object: &ObjectView) {
        let Some(status) = &object.status.image_policy else { return };
        self.field("Image policy", &format!("{} of {}", status.policy, status.repository));
        let since = status.chosen_at.map(|at| format!(", {} ago", age::since(at, self.now))).unwrap_or_default();
        let chosen = [&status.tag, &status.digest].into_iter().flatten().map(String::as_str).collect::<Vec<_>>();
        let chosen = if chosen.is_empty() { "nothing yet".into() } else { format!("{}{since}", chosen.join(" ")) };
        self.field("Chosen", &chosen);
        self.field("Asked", &image_policy::times(status, self.now));
    }

    fn detail(&mut self, detail: &Detail) {
        match detail {
            Detail::Namespace => {}
            Detail::Deployment { paused, pinned, revisions } => {
                if *paused {
                    self.field("Paused", "yes; go on with `evenkeel rollout resume`");
                }
                if *pinned {
                    self.field("Pinned", &pinned_words(revisions));
                }
            }
            Detail::Job { attempt, started_at, finished_at, exit_code, last_log, revisions } => {
                if let Some(newest) = revisions.last() {
                    self.field("Digest", &newest.digest);
                    self.field("Commit", &newest.commit.as_ref().map(Checkout::to_string).unwrap_or_default());
                }
                self.field("Attempt", &(attempt + 1).to_string());
                self.time("Started", *started_at);
                self.time("Finished", *finished_at);
                self.field("Exit code", &exit_code.map(|code| code.to_string()).unwrap_or_default());
                self.section("Last log lines", last_log);
            }
            Detail::CronJob { schedule, time_zone, suspend, last_schedule, next_schedule, last_success, .. } => {
                self.field("Schedule", schedule);
                self.field("Time zone", time_zone);
                self.field("Suspended", if *suspend { "yes" } else { "" });
                self.time("Last time", *last_schedule);
                self.time("Last success", *last_success);
                if let Some(next) = next_schedule {
                    self.field("Next time", &format!("{next} (in {})", age::span(next.since(self.now))));
                }
            }
            Detail::Network { engine_name, driver, subnets } => {
                self.field("Docker name", engine_name);
                self.field("Driver", driver);
                self.field("Subnets", &subnets.join(", "));
            }
            Detail::Volume { engine_name, driver } => {
                self.field("Docker name", engine_name);
                self.field("Driver", driver);
            }
            Detail::Content { id, keys } => {
                self.field("Content", id);
                self.list("Keys", keys);
            }
        }
    }

    fn conditions(&mut self, object: &ObjectView) {
        let mut table = Table::new(vec!["TYPE", "STATUS", "REASON", "MESSAGE"]);
        for condition in &object.status.conditions {
            let word = if condition.status { "True" } else { "False" };
            table.row(vec![cell(&condition.kind), cell(word), cell(&condition.reason), cell(&condition.message)]);
        }
        self.table("Conditions", &table);
    }

    /// The runs of a CronJob, with the last words of the newest that has ended, and of the newest that failed.
    fn runs(&mut self, detail: &Detail) {
        let Detail::CronJob { runs, .. } = detail else { return };
        self.table("Runs", &run_table(runs, self.now));
        let newest = runs.iter().rev().find(|run| run.result.is_over());
        let failed = runs.iter().rev().find(|run| run.result == RunWord::Failed);
        let is_other = failed.map(|run| &run.id) != newest.map(|run| &run.id);
        for run in newest.into_iter().chain(failed.filter(|_| is_other)) {
            self.section(&format!("Last log lines of run {}", run.id), &run.last_log);
        }
    }

    fn revisions(&mut self, detail: &Detail) {
        if let Detail::Job { revisions, .. } = detail {
            self.table("Revisions", &job_table(revisions, self.now));
        }
        let Detail::Deployment { revisions, .. } = detail else { return };
        self.table("Revisions", &revision_table(revisions, self.now));
        if let Some(newest) = revisions.iter().rfind(|revision| !revision.gates.is_empty()) {
            self.gates(newest);
        }
        let failed = revisions.iter().filter(|revision| !revision.last_log.is_empty());
        for revision in failed.rev().take(1) {
            self.section(&format!("Last log lines of revision {}", revision.number), &revision.last_log);
        }
    }

    /// The gates of a revision, each with the last that it wrote.
    fn gates(&mut self, revision: &RevisionView) {
        self.table(&format!("Gates of revision {}", revision.number), &gate_table(&revision.gates, self.now));
        self.gate_logs(&revision.gates);
    }

    fn gate_logs(&mut self, gates: &[GateView]) {
        for gate in gates {
            for attempt in &gate.earlier {
                let title = format!("{}, attempt {}: {}", gate.gate, attempt.attempt + 1, attempt.reason);
                let nothing = vec!["(it wrote nothing)".to_owned()];
                let lines = if attempt.last_log.is_empty() { &nothing } else { &attempt.last_log };
                self.section(&format!("Last log lines of {title}"), lines);
            }
            self.section(&format!("Last log lines of {}", gate.gate), &gate.last_log);
        }
    }

    fn containers(&mut self, containers: &[ContainerStatus]) {
        if containers.is_empty() {
            return;
        }
        self.heading("Containers");
        for container in containers {
            self.container(container);
        }
    }

    fn container(&mut self, container: &ContainerStatus) {
        let (word, tone) = if container.ready { ("ready", Tone::Good) } else { ("not ready", Tone::Busy) };
        let mut facts = vec![printable(&container.state), self.paint.paint(tone, word)];
        if container.retiring {
            facts.push("on its way out".into());
        }
        facts.push(format!("{} restarts", container.restarts));
        facts.extend(container.address.map(|address| address.to_string()));
        facts.extend(container.since.map(|since| format!("for {}", age::since(since, self.now))));
        let name = self.paint.paint(Tone::Strong, &printable(&container.name));
        self.text.push_str(&format!("  {name}  {}\n", facts.join(", ")));
        if !container.message.is_empty() {
            self.text.push_str(&format!("    {}\n", lines(&container.message)));
        }
        self.log(&container.last_log);
    }

    fn under_way(&mut self, key: &Key, view: &View) {
        let own = view.in_flight.iter().filter(|action| action.object == *key);
        let now = self.now;
        let text = |action: &crate::model::view::InFlight| {
            let progress = if action.progress.is_empty() { "" } else { ": " };
            format!("{} (for {}){progress}{}", action.action, age::since(action.since, now), action.progress)
        };
        let actions: Vec<String> = own.map(text).collect();
        self.list("Under way", &actions);
        let next = view.plan.iter().filter(|step| step.object == *key);
        let next: Vec<String> = next.map(|step| format!("{}: {}", step.action, step.cause)).collect();
        self.list("Next", &next);
    }

    fn spec(&mut self, object: &ObjectView) {
        let spec = object.declared.value();
        if spec.is_null() {
            self.field("Spec", "no manifest declares it any more");
            return;
        }
        self.heading("Spec");
        for line in yaml::text(&spec).lines() {
            self.text.push_str(&format!("  {line}\n"));
        }
    }

    fn events(&mut self, about: &[&Event]) {
        let shown = about.iter().skip(about.len().saturating_sub(EVENTS_SHOWN)).copied();
        let table = events::table(shown, self.now, false);
        self.table("Events", &table);
    }

    fn field(&mut self, name: &str, value: &str) {
        self.toned_field(name, value, Tone::Plain);
    }

    fn toned_field(&mut self, name: &str, value: &str, tone: Tone) {
        let value = printable(value.trim_end());
        if !value.is_empty() {
            self.text.push_str(&format!("{:<14}{}\n", format!("{name}:"), self.paint.paint(tone, &value)));
        }
    }

    fn time(&mut self, name: &str, at: Option<Timestamp>) {
        if let Some(at) = at {
            self.field(name, &format!("{at} ({} ago)", age::since(at, self.now)));
        }
    }

    fn heading(&mut self, title: &str) {
        self.text.push_str(&format!("{}\n", self.paint.paint(Tone::Strong, &format!("{}:", printable(title)))));
    }

    fn list(&mut self, title: &str, items: &[String]) {
        if items.is_empty() {
            return;
        }
        self.heading(title);
        for item in items {
            self.text.push_str(&format!("  - {}\n", printable(item)));
        }
    }

    fn section(&mut self, title: &str, log: &[String]) {
        if !log.is_empty() {
            self.heading(title);
            self.log(log);
        }
    }

    fn log(&mut self, log: &[String]) {
        for line in log {
            self.text.push_str(&format!("    {} {}\n", self.paint.paint(Tone::Dim, "|"), printable(line)));
        }
    }

    fn table(&mut self, title: &str, table: &Table) {
        if table.is_empty() {
            return;
        }
        self.heading(title);
        for line in table.render(self.paint).lines() {
            self.text.push_str(&format!("  {line}\n"));
        }
    }
}

/// One revision with all that is known of it.
pub fn revision(revision: &RevisionView, now: Timestamp, paint: Paint) -> String {
    let mut sheet = Sheet::new(paint, now);
    sheet.field("Revision", &revision.number.to_string());
    sheet.field("Id", &revision.id);
    sheet.field("Image", &revision.image);
    sheet.field("Digest", &revision.digest);
    sheet.field("Commit", &revision.commit.as_ref().map(Checkout::to_string).unwrap_or_default());
    sheet.time("First seen", Some(revision.created_at));
    sheet.field("Outcome", &format!("{:?}", revision.outcome));
    sheet.field("Reason", &revision.reason);
    sheet.section("Last log lines", &revision.last_log);
    sheet.table("Gates", &gate_table(&revision.gates, now));
    sheet.gate_logs(&revision.gates);
    sheet.text
}

/// The sources with every problem.
pub fn sources<'a>(sources: impl Iterator<Item = &'a SourceState>, now: Timestamp, paint: Paint) -> String {
    let one = |source: &SourceState| {
        let mut sheet = Sheet::new(paint, now);
        sheet.field("Source", &source.dir);
        sheet.field("Namespace", source.namespace.as_ref().map_or("", |name| name.as_str()));
        let state = format!("{:?}", source.state);
        sheet.toned_field("State", &state, phase_tone(&state));
        sheet.field("Message", &source.message);
        sheet.time("Loaded", source.loaded_at);
        sheet.field("Generation", &source.generation.to_string());
        sheet.field("Digest", &source.digest);
        sheet.field("Commit", &source.commit.as_ref().map(Checkout::to_string).unwrap_or_default());
        sheet.field("Objects", &source.declares.len().to_string());
        for problem in &source.problems {
            sheet.text.push_str(&format!("\n{}\n", lines(&problem.rendered)));
        }
        sheet.text
    };
    sources.map(one).collect::<Vec<_>>().join("\n")
}
