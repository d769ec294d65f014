//! What is told: a view → how each subject stands, as results. Pure; whether a result is news is for `news` to say.
//!
//! It goes by states and not by events: a lost event, a restart or a view that was missed changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::followed;
use super::message::{Message, Object, Tone};
use crate::model::declaration::Declaration;
use crate::model::name::{Key, Kind, Name};
use crate::model::registry::in_short;
use crate::model::source::called;
use crate::model::status::Status;
use crate::model::time::{Span, Timestamp};
use crate::model::view::{
    Detail, GateView, GateWord, HeldPrune, ObjectView, OutcomeWord, ProblemView, RevisionView, RunWord, SourcePhase,
    SourceState, Trouble, View,
};

/// Trouble that may pass by itself (an engine that restarts, a directory that is not mounted yet) is told after this.
pub const PATIENCE: Span = Span::secs(60);
/// The most problems of a source that are told.
const PROBLEMS: usize = 3;

/// How a subject stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What it is remembered by.
    pub subject: String,
    /// What has come of it, the present result last; empty while it is on its way to one.
    pub results: Vec<Message>,
    /// Whether it was there before now, as far as the engine knows.
    pub is_old: bool,
}

/// Since when trouble that may pass by itself has lasted, by subject.
#[derive(Debug, Default)]
pub struct Lasting(BTreeMap<String, Timestamp>);

impl Lasting {
    /// Whether trouble has lasted long enough to be told.
    pub(super) fn is_enough(&mut self, subject: &str, at: Timestamp, patience: Span) -> bool {
        let since = *self.0.entry(subject.into()).or_insert(at);
        at.since(since) >= patience
    }

    pub(super) fn is_over(&mut self, subject: &str) {
        self.0.remove(subject);
    }
}

/// How everything stands.
pub fn standings(view: &View, lasting: &mut Lasting) -> Vec<Standing> {
    let mut all = vec![engine(view, lasting)];
    all.extend(DAEMON.map(|(subject, about)| daemon(view, lasting, subject, about)));
    all.extend(view.sources.iter().map(|state| source(view, state, lasting)));
    // Before a pass was made, nothing is known of objects.
    if view.passes > 0 {
        all.extend(view.objects.iter().filter_map(|(key, object)| workload(view, key, object)));
        all.extend(namespaces(view).into_iter().map(|namespace| removal(view, namespace)));
        all.extend(followed::standings(view, lasting));
    }
    all
}

fn engine(view: &View, lasting: &mut Lasting) -> Standing {
    let subject = ENGINE.to_string();
    let told = |result, tone, message| Message::new(view.at, Object::other("Engine", ENGINE), result, tone, message);
    let results = if view.engine.connected {
        lasting.is_over(&subject);
        vec![told("EngineReachable", Tone::Recovered, "the engine answers again")]
    } else if !view.engine.message.is_empty() && lasting.is_enough(&subject, view.at, PATIENCE) {
        let message = "the engine does not answer; nothing is changed until it does";
        vec![told("EngineUnreachable", Tone::Bad, message).because(&view.engine.message)]
    } else {
        Vec::new()
    };
    Standing { subject, results, is_old: false }
}

/// What the engine is called, as a subject.
const ENGINE: &str = "engine";

/// Trouble that belongs to no object, of one kind: others neither hide it nor are hidden by it. The end of one is told when
/// none is left; damage is none that anybody waits for the end of.
fn daemon(view: &View, lasting: &mut Lasting, subject: &str, about: Trouble) -> Standing {
    let told =
        |result, tone, message: &str| Message::new(view.at, Object::other("Daemon", UNWRITABLE), result, tone, message);
    let warnings = view.warnings.iter().filter(|warning| warning.about == about);
    let why: Vec<&str> = warnings.map(|warning| warning.message.as_str()).collect();
    let is_over = || view.warnings.iter().all(|warning| warning.about == Trouble::Damage);
    let mut results = Vec::new();
    if why.is_empty() {
        lasting.is_over(subject);
        let over = match about {
            Trouble::Unwritable => "its state directory can be written again",
            Trouble::Policy => "its policy can be read again",
            Trouble::Damage => "nothing of its state is damaged any more",
        };
        results.extend(is_over().then(|| told("DaemonWell", Tone::Recovered, over)));
    } else if lasting.is_enough(subject, view.at, PATIENCE) {
        let message = told("DaemonTroubled", Tone::Bad, &why.join("; "));
        // What is damaged at the next start is other damage; the same trouble in other words is no news.
        let of = if about == Trouble::Damage { message.message.clone() } else { String::new() };
        results.push(Message { of, ..message });
    }
    Standing { subject: subject.into(), results, is_old: false }
}

/// What the daemon's troubles are called, as subjects. The first one is its own name.
const DAEMON: [(&str, Trouble); 3] =
    [(UNWRITABLE, Trouble::Unwritable), (POLICY, Trouble::Policy), (DAMAGE, Trouble::Damage)];
const UNWRITABLE: &str = "evenkeel";
const POLICY: &str = "evenkeel policy";
const DAMAGE: &str = "evenkeel damage";

/// Subjects whose trouble is news to a receiver that was never told anything, too.
pub const ALWAYS_NEWS: [&str; 4] = [ENGINE, UNWRITABLE, POLICY, DAMAGE];

fn source(view: &View, state: &SourceState, lasting: &mut Lasting) -> Standing {
    let subject = format!("source {}", called(&state.dir, state.namespace.as_ref()));
    let mut object = Object::other("Source", &state.dir);
    object.namespace = state.namespace.as_ref().map(ToString::to_string).unwrap_or_default();
    let told = |result, tone, message: &str| Message::new(view.at, object.clone(), result, tone, message);
    let in_force = match state.state {
        SourcePhase::LastGood => "its last good manifests stay in force",
        SourcePhase::Reading | SourcePhase::Loaded | SourcePhase::Unknown => "nothing of it is in force",
    };
    let results = match state.state {
        SourcePhase::Reading => Vec::new(),
        SourcePhase::Loaded => {
            lasting.is_over(&subject);
            vec![told("SourceValid", Tone::Recovered, "the newest manifests are in force again")]
        }
        // A mistake does not pass by itself; an unreadable directory or one that is being changed may.
        SourcePhase::LastGood | SourcePhase::Unknown
            if !state.problems.is_empty() || lasting.is_enough(&subject, view.at, PATIENCE) =>
        {
            let message = format!("the newest manifests are not in force, {in_force}");
            vec![told("SourceInvalid", Tone::Bad, &message).because(&problems(state))]
        }
        SourcePhase::LastGood | SourcePhase::Unknown => Vec::new(),
    };
    Standing { subject, results, is_old: true }
}

/// What is wrong with a source, in as many lines as anybody reads.
fn problems(state: &SourceState) -> String {
    let line = |problem: &ProblemView| match problem.line {
        0 => format!("{}: {}", problem.file, problem.message),
        line => format!("{}:{line}:{}: {}", problem.file, problem.column, problem.message),
    };
    let mut lines: Vec<String> = state.problems.iter().take(PROBLEMS).map(line).collect();
    match state.problems.len() {
        0 => return state.message.clone(),
        count if count > PROBLEMS => lines.push(format!("and {} more", count - PROBLEMS)),
        _ => {}
    }
    lines.join("\n")
}

/// How a Deployment, a Job or a CronJob stands; none for what has no rollouts and no end, and for what is not declared any more.
fn workload(view: &View, key: &Key, object: &ObjectView) -> Option<Standing> {
    let is_declared = object.declared != Declaration::none();
    let results = match key.kind {
        Kind::Deployment if is_declared => deployment(view, key, object),
        Kind::Job if is_declared => job(view, key, object).into_iter().collect(),
        Kind::CronJob if is_declared => cron_job(view, key, object).into_iter().collect(),
        Kind::Deployment | Kind::Job | Kind::CronJob => Vec::new(),
        Kind::Namespace | Kind::Network | Kind::Volume | Kind::ConfigMap | Kind::Secret => return None,
    };
    Some(Standing { subject: key.to_string(), results, is_old: !object.status.containers.is_empty() })
}

fn deployment(view: &View, key: &Key, object: &ObjectView) -> Vec<Message> {
    let Detail::Deployment { revisions, .. } = &object.detail else { return Vec::new() };
    let wanted = revisions.iter().find(|revision| revision.wanted);
    let current = revisions.iter().find(|revision| revision.current);
    let rejected = wanted.filter(|revision| revision.outcome == OutcomeWord::Rejected);
    let gate = wanted.and_then(|revision| failed_gate(view, key, revision));
    let end = match object.status.phase.as_str() {
        "Complete" => current.map(|revision| complete(view, key, revision)),
        "RolledBack" => {
            let by_itself = rejected.map(|failed| rolled_back(view, key, failed, current));
            by_itself.or_else(|| Some(set_back(view, key, wanted?, current, &object.status)))
        }
        "Stalled" => rejected.or(current).map(|revision| stalled(view, key, revision, &object.status)),
        // The first revision: there is none to go back to.
        "Degraded" => {
            let first = current.filter(|revision| revision.outcome == OutcomeWord::Pending && object.status.blocked);
            first.map(|revision| failed(view, key, revision, &object.status))
        }
        _ => None,
    };
    gate.into_iter().chain(end).collect()
}

fn complete(view: &View, key: &Key, revision: &RevisionView) -> Message {
    let message = format!("revision {} ({}) is rolled out", revision.number, in_short(&revision.image));
    about(view, key, "RolloutComplete", Tone::Good, &message, revision)
}

fn rolled_back(view: &View, key: &Key, failed: &RevisionView, current: Option<&RevisionView>) -> Message {
    let back = current.map(|current| {
        // A younger one is a restart's, of what had come back.
        let way = if current.number > failed.number { "; now it is" } else { " to" };
        format!("{way} revision {} ({})", current.number, in_short(&current.image))
    });
    let message = format!(
        "revision {} ({}) failed and was rolled back{}",
        failed.number,
        in_short(&failed.image),
        back.unwrap_or_default()
    );
    about(view, key, "RolledBack", Tone::Bad, &message, failed).because(&failed.reason).with_log(&failed.last_log)
}

/// Another member of its release group failed.
fn set_back(view: &View, key: &Key, wanted: &RevisionView, current: Option<&RevisionView>, status: &Status) -> Message {
    let back = current.map(|current| format!(", and revision {} ({}) runs", current.number, in_short(&current.image)));
    let message = format!("revision {} ({}) waits{}", wanted.number, in_short(&wanted.image), back.unwrap_or_default());
    about(view, key, "RolledBack", Tone::Bad, &message, wanted).because(&status.message)
}

fn failed(view: &View, key: &Key, revision: &RevisionView, status: &Status) -> Message {
    let message = format!("revision {} ({}) does not become available", revision.number, in_short(&revision.image));
    let failed = about(view, key, "RolloutFailed", Tone::Bad, &message, revision).because(&status.message);
    failed.with_log(log_of_replicas(status))
}

/// The last log lines of the replica that said the most.
fn log_of_replicas(status: &Status) -> &[String] {
    let logs = status.containers.iter().map(|container| &container.last_log);
    logs.max_by_key(|log| log.len()).map(Vec::as_slice).unwrap_or_default()
}

fn stalled(view: &View, key: &Key, revision: &RevisionView, status: &Status) -> Message {
    let message = format!("the rollout of revision {} ({}) is stalled", revision.number, in_short(&revision.image));
    let log = if revision.last_log.is_empty() { log_of_replicas(status) } else { &revision.last_log[..] };
    let stalled = about(view, key, "Stalled", Tone::Bad, &message, revision).because(&status.message);
    stalled.with_log(log)
}

fn failed_gate(view: &View, key: &Key, revision: &RevisionView) -> Option<Message> {
    let is_failed = |gate: &&GateView| gate.result == GateWord::Failed;
    let gate = revision.gates.iter().find(is_failed)?;
    let message =
        format!("revision {} ({}) failed its gate: {}", revision.number, in_short(&revision.image), gate.gate);
    let failed = about(view, key, "GateFailed", Tone::Bad, &message, revision);
    Some(failed.because(&gate.reason).with_log(&gate.last_log))
}

fn about(view: &View, key: &Key, result: &'static str, tone: Tone, message: &str, revision: &RevisionView) -> Message {
    let message = Message::new(view.at, key.into(), result, tone, message);
    message.of_revision(&revision.id, Some(revision.number), &revision.image)
}

fn job(view: &View, key: &Key, object: &ObjectView) -> Option<Message> {
    let Detail::Job { attempt, started_at, finished_at, last_log, .. } = &object.detail else { return None };
    let (status, at) = (&object.status, view.at);
    let told = |result, tone, message: &str| Message::new(at, key.into(), result, tone, message);
    let message = match status.phase.as_str() {
        "Complete" => {
            let took = started_at.zip(*finished_at).map(|(start, end)| format!(" after {}", end.since(start)));
            told("JobComplete", Tone::Good, &format!("it ended well{}", took.unwrap_or_default()))
        }
        "Failed" => {
            let message = match attempt {
                0 => "it failed".to_string(),
                attempt => format!("it failed, and so did all {} attempts", u64::from(*attempt) + 1),
            };
            told("JobFailed", Tone::Bad, &message).because(&status.message).with_log(last_log)
        }
        "Unknown" => told("JobUnknown", Tone::Bad, "whether it has run is not known; it is not run again unasked")
            .because(&status.message),
        _ => return None,
    };
    let revision = status.revision.as_ref()?;
    Some(message.of_revision(&revision.id, None, &revision.image))
}

/// The newest run that has come to an end of its own. Each one is a result.
fn cron_job(view: &View, key: &Key, object: &ObjectView) -> Option<Message> {
    let Detail::CronJob { runs, .. } = &object.detail else { return None };
    let run = runs.iter().rfind(|run| run.result.is_over() && run.result != RunWord::Replaced)?;
    let told = |result, tone, message: &str| Message::new(view.at, key.into(), result, tone, message);
    let message = match run.result {
        RunWord::Succeeded => told("JobComplete", Tone::Good, &format!("the run of {} ended well", run.scheduled_at)),
        RunWord::Failed => told("JobFailed", Tone::Bad, &format!("the run of {} failed", run.scheduled_at)),
        RunWord::Unknown => {
            let message = format!("whether the run of {} has run to its end is not known", run.scheduled_at);
            told("JobUnknown", Tone::Bad, &message)
        }
        RunWord::Waiting | RunWord::Running | RunWord::Retrying | RunWord::Replaced => return None,
    };
    let failed = run.result != RunWord::Succeeded;
    let log = if failed { run.last_log.as_slice() } else { &[] };
    Some(Message { of: run.id.clone(), ..message.because(&run.reason).with_log(log) })
}

/// The namespaces of all that there is.
fn namespaces(view: &View) -> BTreeSet<&Name> {
    view.objects.keys().map(|key| &key.namespace).chain(view.held.iter().map(|held| &held.namespace)).collect()
}

fn removal(view: &View, namespace: &Name) -> Standing {
    let key = Key::new(Kind::Namespace, namespace.clone(), namespace.clone());
    let told = |result, tone, message: &str| Message::new(view.at, (&key).into(), result, tone, message);
    let result = match view.held.iter().find(|held| held.namespace == *namespace) {
        Some(held) => told("RemovalHeld", Tone::Bad, &way_out(held)).because(&held.reason),
        None => told("RemovalNotHeld", Tone::Recovered, "no removal is held any more"),
    };
    Standing { subject: format!("removal {namespace}"), results: vec![result], is_old: true }
}

fn way_out(held: &HeldPrune) -> String {
    let count = match held.removes.len() {
        1 => "the removal of 1 object is".to_string(),
        count => format!("the removal of {count} objects is"),
    };
    format!("{count} held until somebody confirms it: evenkeel prune confirm {} {}", held.namespace, held.id)
}

#[cfg(test)]
mod tests {
    use super::super::news::{Wish, news};
    use super::*;
    use crate::model::status::{Replicas, RevisionSummary};
    use crate::model::told::Subjects;
    use crate::model::view::{Detail, Warning};

    fn key(kind: Kind, name: &str) -> Key {
        Key::new(kind, Name::new("shop").unwrap(), Name::new(name).unwrap())
    }

    /// A view in which all is well and there is nothing.
    fn well() -> View {
        let mut view = View { passes: 1, at: Timestamp(1_000), ..View::default() };
        view.engine.connected = true;
        view
    }

    fn revision(number: u64, outcome: OutcomeWord) -> RevisionView {
        let is_rejected = outcome == OutcomeWord::Rejected;
        RevisionView {
            number,
            id: format!("r{number}"),
            image: format!("web:{number}"),
            digest: String::new(),
            commit: None,
            outcome,
            reason: if is_rejected { "shop.web.r2.0 exited with 7".into() } else { String::new() },
            last_log: if is_rejected { vec!["told to crash".into()] } else { Vec::new() },
            created_at: Timestamp(0),
            current: false,
            wanted: false,
            declared: false,
            gates: Vec::new(),
        }
    }

    fn good(number: u64) -> RevisionView {
        revision(number, OutcomeWord::Completed)
    }

    fn bad(number: u64) -> RevisionView {
        revision(number, OutcomeWord::Rejected)
    }

    fn with(view: View, key: Key, phase: &str, detail: Detail) -> View {
        let status = Status {
            phase: phase.into(),
            message: "why it is so".into(),
            replicas: Some(Replicas::default()),
            revision: Some(RevisionSummary { number: 0, id: "j1".into(), image: "job:1".into() }),
            ..Status::default()
        };
        let object = ObjectView {
            declared: Declaration::of(&1),
            place: String::new(),
            labels: BTreeMap::new(),
            created_at: None,
            status,
            detail,
        };
        View { objects: view.objects.into_iter().chain([(key, object)]).collect(), ..view }
    }

    /// A Deployment that runs `current` and is asked for `wanted`.
    fn web(phase: &str, mut revisions: Vec<RevisionView>, current: u64, wanted: u64) -> View {
        for revision in &mut revisions {
            revision.current = revision.number == current;
            revision.wanted = revision.number == wanted;
        }
        let detail = Detail::Deployment { revisions, paused: false, pinned: false };
        with(well(), key(Kind::Deployment, "web"), phase, detail)
    }

    fn job(phase: &str) -> View {
        let detail = Detail::Job {
            attempt: 1,
            started_at: Some(Timestamp(0)),
            finished_at: Some(Timestamp(3_000)),
            exit_code: Some(0),
            last_log: vec!["the last line".into()],
            revisions: Vec::new(),
        };
        with(well(), key(Kind::Job, "migrate"), phase, detail)
    }

    /// What is told of everything in a view, in words.
    fn said(view: &View) -> String {
        said_after(view, &mut Lasting::default())
    }

    fn said_after(view: &View, lasting: &mut Lasting) -> String {
        let mut text = String::new();
        for standing in standings(view, lasting) {
            for m in standing.results.iter().filter(|m| m.tone != Tone::Recovered) {
                let revision = m.revision.as_ref().map(|r| format!(" [{:?} {}]", r.number, r.image));
                let (revision, log) = (revision.unwrap_or_default(), m.last_log.join("|"));
                text += &format!("{}: {}{revision}: {}; {}; {log}\n", standing.subject, m.result, m.message, m.reason);
            }
        }
        text
    }

    #[test]
    fn rollouts_are_told_by_how_they_ended() {
        insta::assert_snapshot!(said(&web("Complete", vec![good(1), good(2)], 2, 2)), @"deployment/shop/web: RolloutComplete [Some(2) web:2]: revision 2 (web:2) is rolled out; ;");
        insta::assert_snapshot!(said(&web("RolledBack", vec![good(1), bad(2)], 1, 2)), @"deployment/shop/web: RolledBack [Some(2) web:2]: revision 2 (web:2) failed and was rolled back to revision 1 (web:1); shop.web.r2.0 exited with 7; told to crash");
        insta::assert_snapshot!(said(&web("Stalled", vec![good(1), bad(2)], 1, 2)), @"deployment/shop/web: Stalled [Some(2) web:2]: the rollout of revision 2 (web:2) is stalled; why it is so; told to crash");
        for on_its_way in ["Progressing", "RollingBack", "Degraded", "Waiting", "Paused", "Suspended", "Refused"] {
            assert_eq!(said(&web(on_its_way, vec![good(1), bad(2)], 1, 2)), "", "{on_its_way}");
        }
    }

    #[test]
    fn a_gate_that_failed_is_told_while_it_is_rolled_back_and_before_that_is_told() {
        let mut failed = bad(2);
        failed.gates.push(GateView {
            gate: "job migrate".into(),
            result: GateWord::Failed,
            at: Timestamp(0),
            reason: "its gate job migrate failed".into(),
            last_log: vec!["no such table".into()],
            earlier: Vec::new(),
        });
        let gate = "deployment/shop/web: GateFailed [Some(2) web:2]: revision 2 (web:2) failed its gate: job migrate; \
                    its gate job migrate failed; no such table\n";
        let revisions = || vec![good(1), failed.clone()];
        assert_eq!(said(&web("RollingBack", revisions(), 1, 2)), gate);
        let both = said(&web("RolledBack", revisions(), 1, 2));
        assert!(both.starts_with(gate) && both.contains("RolledBack"), "{both}");
    }

    #[test]
    fn jobs_are_told_when_they_have_ended() {
        insta::assert_snapshot!(said(&job("Complete")), @"job/shop/migrate: JobComplete [None job:1]: it ended well after 3s; ;");
        insta::assert_snapshot!(said(&job("Failed")), @"job/shop/migrate: JobFailed [None job:1]: it failed, and so did all 2 attempts; why it is so; the last line");
        insta::assert_snapshot!(said(&job("Unknown")), @"job/shop/migrate: JobUnknown [None job:1]: whether it has run is not known; it is not run again unasked; why it is so;");
        assert_eq!(said(&job("Running")), "");
        let mut gone = job("Unknown");
        gone.objects.values_mut().for_each(|object| object.declared = Declaration::none());
        assert_eq!(said(&gone), "", "one that is not declared any more");
    }

    #[test]
    fn a_removal_is_told_while_it_is_held() {
        let mut view = well();
        view.held.push(HeldPrune {
            namespace: Name::new("shop").unwrap(),
            id: "3f9a".into(),
            reason: "more than half of its workloads would go".into(),
            removes: vec![key(Kind::Deployment, "web")],
        });
        insta::assert_snapshot!(said(&view), @"removal shop: RemovalHeld: the removal of 1 object is held until somebody confirms it: evenkeel prune confirm shop 3f9a; more than half of its workloads would go;");
    }

    fn source(phase: SourcePhase, problems: usize) -> View {
        let problem = |n| ProblemView {
            file: "web.yaml".into(),
            line: n as u32 + 1,
            column: 1,
            message: "this is wrong".into(),
            ..ProblemView::default()
        };
        let mut view = well();
        view.sources.push(SourceState {
            dir: "/srv/shop".into(),
            namespace: None,
            variables: BTreeMap::new(),
            state: phase,
            message: "the directory is empty".into(),
            problems: (0..problems).map(problem).collect(),
            held: false,
            rejected: None,
            loaded_at: None,
            digest: String::new(),
            commit: None,
            generation: 1,
            declares: BTreeSet::new(),
        });
        view
    }

    #[test]
    fn mistakes_of_a_source_are_told_at_once_and_what_may_pass_after_a_minute() {
        insta::assert_snapshot!(said(&source(SourcePhase::LastGood, 5)), @r"
        source /srv/shop: SourceInvalid: the newest manifests are not in force, its last good manifests stay in force; web.yaml:1:1: this is wrong
        web.yaml:2:1: this is wrong
        web.yaml:3:1: this is wrong
        and 2 more;
        ");
        let mut lasting = Lasting::default();
        let at = |seconds: i64, phase| View { at: Timestamp(seconds * 1_000), ..source(phase, 0) };
        assert_eq!(said_after(&at(0, SourcePhase::Unknown), &mut lasting), "");
        assert_eq!(said_after(&at(59, SourcePhase::Unknown), &mut lasting), "");
        let told = said_after(&at(60, SourcePhase::Unknown), &mut lasting);
        assert!(told.contains("SourceInvalid") && told.contains("the directory is empty"), "{told}");
        assert_eq!(said_after(&at(61, SourcePhase::Loaded), &mut lasting), "");
        assert_eq!(said_after(&at(62, SourcePhase::Unknown), &mut lasting), "", "the minute begins anew");
    }

    #[test]
    fn a_state_directory_that_cannot_be_written_for_a_minute_is_told() {
        let mut lasting = Lasting::default();
        let full = warning(Trouble::Unwritable, FULL);
        assert_eq!(said_after(&warned(0, &[&full]), &mut lasting), "");
        let told = said_after(&warned(60, &[&full]), &mut lasting);
        insta::assert_snapshot!(told, @"evenkeel: DaemonTroubled: nothing is changed, because the history cannot be written: No space left on device; ;");
        assert_eq!(said_after(&warned(61, &[]), &mut lasting), "");
        assert_eq!(said_after(&warned(62, &[&full]), &mut lasting), "", "the minute begins anew");
    }

    const FULL: &str = "nothing is changed, because the history cannot be written: No space left on device";

    fn warning(about: Trouble, message: &str) -> Warning {
        Warning { about, message: message.into() }
    }

    fn warned(seconds: i64, warnings: &[&Warning]) -> View {
        let warnings = warnings.iter().map(|warning| (*warning).clone()).collect();
        View { at: Timestamp(seconds * 1_000), warnings, ..View::default() }
    }

    /// What a receiver is told as these views come one after the other.
    fn heard(views: &[View]) -> Vec<String> {
        let (mut lasting, mut known, mut heard) = (Lasting::default(), Subjects::new(), Vec::new());
        for view in views {
            for standing in standings(view, &mut lasting) {
                let (messages, last) = news(known.get(&standing.subject), &standing, Wish::Failures);
                heard.extend(messages.iter().map(|message| format!("{}: {}", message.result, message.message)));
                known.extend(last.map(|last| (standing.subject.clone(), last)));
            }
        }
        heard
    }

    #[test]
    fn no_trouble_of_the_daemon_hides_another_one_and_damage_does_not_hide_that_the_others_are_over() {
        let damage = warning(Trouble::Damage, "deployment.web.json is not used: its end is missing");
        let policy = warning(Trouble::Policy, "the policy cannot be read, the last good one stays in force: line 3");
        let full = warning(Trouble::Unwritable, FULL);
        let again = warning(Trouble::Unwritable, "nothing is changed, because the history cannot be written: EIO");
        let views = [
            warned(0, &[&damage]),
            warned(60, &[&damage]),
            warned(100, &[&policy, &damage]),
            warned(160, &[&policy, &damage]),
            warned(200, &[&full, &policy, &damage]),
            warned(260, &[&full, &policy, &damage]),
            warned(300, &[&again, &damage]),
            warned(301, &[&damage]),
            warned(302, &[&damage]),
            warned(400, &[]),
        ];
        insta::assert_snapshot!(heard(&views).join("\n"), @r"
        DaemonTroubled: deployment.web.json is not used: its end is missing
        DaemonTroubled: the policy cannot be read, the last good one stays in force: line 3
        DaemonTroubled: nothing is changed, because the history cannot be written: No space left on device
        DaemonWell: its state directory can be written again
        DaemonWell: its policy can be read again
        DaemonWell: nothing of its state is damaged any more
        ");
        let other = warning(Trouble::Damage, "key is not used: it is empty");
        let heard =
            heard(&[warned(0, &[&damage]), warned(60, &[&damage]), warned(61, &[&other]), warned(62, &[&other])]);
        assert_eq!(heard.len(), 2, "as a process may find it that begins after another one: {heard:?}");
    }

    #[test]
    fn an_engine_that_is_gone_for_a_minute_is_told_also_before_the_first_pass() {
        let mut lasting = Lasting::default();
        let gone = |seconds: i64, message: &str| {
            let mut view = View { at: Timestamp(seconds * 1_000), ..View::default() };
            view.engine.message = message.into();
            view
        };
        assert_eq!(said_after(&gone(0, ""), &mut lasting), "", "nobody has asked it yet");
        assert_eq!(said_after(&gone(1, "connection refused"), &mut lasting), "");
        let told = said_after(&gone(61, "connection refused"), &mut lasting);
        insta::assert_snapshot!(told, @"engine: EngineUnreachable: the engine does not answer; nothing is changed until it does; connection refused;");
    }
}
