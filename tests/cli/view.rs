//! A view with one of everything: a Deployment in the middle of an update, one that was rolled back, a Job that failed,
//! a source that is invalid, a removal that is held.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel::model::cron::run_id;
use evenkeel::model::failure::FailureReason;
use evenkeel::model::job::FailedAttempt;
use evenkeel::model::name::{Key, Kind, Name};
use evenkeel::model::registry::ImagePolicyStatus;
use evenkeel::model::revision::{Checkout, Commit};
use evenkeel::model::status::{Condition, ContainerStatus, Event, Replicas, RevisionSummary, Severity, Status};
use evenkeel::model::time::{Span, Timestamp};
use evenkeel::model::view::*;
use serde_json::json;

/// The daemon's time in these tests.
pub const NOW: Timestamp = Timestamp(1_790_000_000_000);

pub fn ago(seconds: u64) -> Timestamp {
    NOW - Span::secs(seconds)
}

pub fn key(text: &str) -> Key {
    Key::try_from(text.to_string()).unwrap()
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// One of everything.
pub fn busy() -> View {
    View {
        at: ago(1),
        started_at: ago(3 * 86400),
        version: "0.1.0".into(),
        engine: EngineState { connected: true, version: "26.1.5".into(), api: "1.45".into(), message: String::new() },
        sources: vec![loaded(), invalid()],
        objects: objects(),
        in_flight: vec![InFlight {
            object: key("deployment/shop/web"),
            action: "create shop.web.bbbbbbbbbb.1".into(),
            since: ago(2),
            progress: String::new(),
        }],
        failures: vec![],
        held: vec![HeldPrune {
            namespace: name("staging"),
            id: "5f3a9c".into(),
            reason: "4 of 5 workloads would be removed at once".into(),
            removes: vec![key("deployment/staging/a"), key("deployment/staging/b")],
        }],
        plan: vec![],
        warnings: vec![],
        passes: 7,
        converged: false,
        events: Arc::new(events()),
        ..View::default()
    }
}

/// All is well: one Deployment, complete at its newest revision.
pub fn calm() -> View {
    let mut view = busy();
    view.sources = vec![loaded()];
    view.held.clear();
    view.in_flight.clear();
    view.objects.retain(|key, _| key.kind == Kind::Deployment && key.name.as_str() == "web");
    view.sources[0].declares = view.objects.keys().cloned().collect();
    complete(&mut view, "deployment/shop/web");
    view.converged = true;
    view
}

/// A Deployment whose image is followed, while its registry is in trouble.
pub fn following() -> View {
    let mut view = calm();
    let object = view.objects.get_mut(&key("deployment/shop/web")).unwrap();
    let digest = format!("sha256:{}", "1a2b3c4d".repeat(8));
    object.status.revision.as_mut().unwrap().image = format!("shop/web:1.4.2@{digest}");
    let message = "registry docker.io: it answered 429 Too Many Requests (failed 2×; what runs goes on)".to_string();
    object.status.image_policy = Some(ImagePolicyStatus {
        policy: "semver >=1.4 <2".into(),
        repository: "shop/web".into(),
        tag: Some("1.4.2".into()),
        digest: Some(digest),
        chosen_at: Some(ago(7200)),
        asked_at: Some(ago(400)),
        next_at: Some(NOW + Span::secs(90)),
        reason: "RateLimited".into(),
        message: message.clone(),
    });
    let (kind, reason) = ("ImageFollowed".to_string(), "RateLimited".to_string());
    object.status.conditions.push(Condition { kind, status: false, reason, message });
    view
}

/// Makes a Deployment complete at its newest revision.
pub fn complete(view: &mut View, object: &str) {
    let object = view.objects.get_mut(&key(object)).unwrap();
    object.status.phase = "Complete".into();
    object.status.message.clear();
    object.status.waiting.clear();
    let desired = object.status.replicas.unwrap().desired;
    object.status.replicas =
        Some(Replicas { desired, current: desired, updated: desired, ready: desired, available: desired });
    if let Detail::Deployment { revisions, .. } = &mut object.detail {
        revisions.last_mut().unwrap().outcome = OutcomeWord::Completed;
    }
}

fn loaded() -> SourceState {
    SourceState {
        dir: "/srv/shop".into(),
        namespace: None,
        variables: BTreeMap::new(),
        state: SourcePhase::Loaded,
        message: String::new(),
        held: false,
        rejected: None,
        problems: vec![],
        loaded_at: Some(ago(300)),
        digest: "8e1f00aa11bb22cc33".into(),
        commit: Some(commit('5')),
        generation: 4,
        declares: objects().into_keys().collect(),
    }
}

fn invalid() -> SourceState {
    SourceState {
        dir: "/srv/staging".into(),
        namespace: Some(name("staging")),
        variables: BTreeMap::new(),
        state: SourcePhase::LastGood,
        message: "1 problem in its newest manifests".into(),
        held: false,
        rejected: None,
        problems: vec![ProblemView {
            file: "/srv/staging/app.yaml".into(),
            line: 7,
            column: 3,
            message: "unknown field 'replica'".into(),
            source_line: "  replica: 3".into(),
            hint: "did you mean 'replicas'?".into(),
            rendered: "/srv/staging/app.yaml:7:3: error: unknown field 'replica'\n 7 |   replica: 3\n   |   ^^^^^^^\nhint: did you mean 'replicas'?".into(),
        }],
        loaded_at: Some(ago(4000)),
        digest: "1234567890abcdef".into(),
        commit: None,
        generation: 2,
        declares: [].into(),
    }
}

fn objects() -> BTreeMap<Key, ObjectView> {
    [
        ("deployment/shop/web", web()),
        ("deployment/shop/api", api()),
        ("job/shop/migrate", job("Complete", "", Some(0), &["3 migrations applied"])),
        ("job/shop/seed", job("Failed", "exit code 1 after 1 attempt", Some(1), &["connecting to db", "refused"])),
        ("cronjob/shop/backup", backup()),
        (
            "network/shop/default",
            simple(Detail::Network {
                engine_name: "shop.default".into(),
                driver: "bridge".into(),
                subnets: vec!["10.201.0.0/24".into()],
            }),
        ),
        ("volume/shop/uploads", simple(Detail::Volume { engine_name: "shop.uploads".into(), driver: "local".into() })),
        ("configmap/shop/web", simple(Detail::Content { id: "c-0123".into(), keys: vec!["nginx.conf".into()] })),
        (
            "secret/shop/db",
            simple(Detail::Content { id: "s-4567".into(), keys: vec!["password".into(), "url".into()] }),
        ),
        ("namespace/shop/shop", simple(Detail::Namespace)),
    ]
    .into_iter()
    .map(|(text, object)| (key(text), object))
    .collect()
}

fn simple(detail: Detail) -> ObjectView {
    ObjectView {
        declared: Declaration::of(&json!({})),
        place: "shop/base.yaml:1".into(),
        labels: BTreeMap::new(),
        created_at: None,
        status: Status { phase: "Ready".into(), ..Status::default() },
        detail,
    }
}

fn deployment(phase: &str, replicas: Replicas, revisions: Vec<RevisionView>) -> ObjectView {
    let current = revisions.iter().find(|revision| revision.current).unwrap();
    let revision = RevisionSummary { number: current.number, id: current.id.clone(), image: current.image.clone() };
    ObjectView {
        declared: Declaration::of(&json!({
            "replicas": replicas.desired,
            "strategy": {"type": "RollingUpdate", "maxSurge": 1, "maxUnavailable": 0},
            "template": {"image": revisions.last().unwrap().image, "args": ["serve", "--port", "80"]},
        })),
        place: "shop/web.yaml:3".into(),
        labels: [("tier".to_string(), "front".to_string())].into(),
        created_at: Some(ago(90_000)),
        status: Status { phase: phase.into(), replicas: Some(replicas), revision: Some(revision), ..Status::default() },
        detail: Detail::Deployment { revisions, paused: false, pinned: false },
    }
}

/// A Deployment that is complete with an image, of which a registry has this digest.
pub fn complete_with(image: &str, digest: &str) -> ObjectView {
    let replicas = Replicas { desired: 1, current: 1, updated: 1, ready: 1, available: 1 };
    let (current, wanted, declared) = (true, true, true);
    let done = revision(1, 'a', OutcomeWord::Completed, 600, image);
    deployment("Complete", replicas, vec![RevisionView { digest: digest.into(), current, wanted, declared, ..done }])
}

/// In the middle of an update from revision 1 to 2.
fn web() -> ObjectView {
    let replicas = Replicas { desired: 3, current: 4, updated: 1, ready: 3, available: 3 };
    let revisions = vec![
        revision(1, 'a', OutcomeWord::Completed, 90_000, "shop/web:1"),
        RevisionView {
            current: true,
            wanted: true,
            declared: true,
            ..revision(2, 'b', OutcomeWord::Pending, 42, "shop/web:2")
        },
    ];
    let mut object = deployment("Progressing", replicas, revisions);
    object.status.message = "waiting for shop.web.bbbbbbbbbb.0 to become ready".into();
    object.status.waiting = vec!["shop.web.bbbbbbbbbb.0 to become ready".into()];
    object.status.conditions = vec![
        condition("Available", true, "MinimumReplicasAvailable", "3 of 3 replicas are available"),
        condition("Progressing", true, "Progressing", "1 of 3 updated"),
    ];
    object.status.containers = vec![
        ready("shop.web.aaaaaaaaaa.0", 'a', 90_000, "10.201.0.2"),
        ready("shop.web.aaaaaaaaaa.1", 'a', 90_000, "10.201.0.3"),
        ready("shop.web.aaaaaaaaaa.2", 'a', 90_000, "10.201.0.4"),
        ContainerStatus {
            ready: false,
            message: "GET http://10.201.0.5:80/: connection refused".into(),
            last_log: vec!["warming up \u{1b}[31m10 %".into()],
            ..ready("shop.web.bbbbbbbbbb.0", 'b', 40, "10.201.0.5")
        },
    ];
    object
}

/// Rolled back from revision 6 to 5.
fn api() -> ObjectView {
    let replicas = Replicas { desired: 2, current: 2, updated: 2, ready: 2, available: 2 };
    let revisions = vec![
        RevisionView {
            current: true,
            commit: Some(commit('5')),
            ..revision(5, 'e', OutcomeWord::Completed, 40_000, "shop/api:5")
        },
        RevisionView {
            wanted: true,
            declared: true,
            reason: "shop.api.ffffffffff.0 exited with code 1, 3 times".into(),
            last_log: vec!["Error: DATABASE_URL is not set".into(), "    at boot (main.js:3)".into()],
            gates: vec![gate("job migrate", GateWord::Passed), gate("GET /health afterwards", GateWord::Failed)],
            ..revision(6, 'f', OutcomeWord::Rejected, 500, "shop/api:6")
        },
    ];
    let mut object = deployment("RolledBack", replicas, revisions);
    object.status.message = "revision 6 was rejected: shop.api.ffffffffff.0 exited with code 1, 3 times".into();
    object.status.conditions = vec![condition("Degraded", true, "RolledBack", &object.status.message)];
    object.status.containers = vec![
        ready("shop.api.eeeeeeeeee.0", 'e', 40_000, "10.201.0.8"),
        ContainerStatus {
            restarts: 2,
            ended_at: Some(ago(401)),
            ..ready("shop.api.eeeeeeeeee.1", 'e', 400, "10.201.0.9")
        },
    ];
    object
}

fn gate(title: &str, result: GateWord) -> GateView {
    let failed = result == GateWord::Failed;
    let reason = if failed { "its gate GET /health failed at shop.api.ffffffffff.0: 500" } else { "" };
    let last_log = vec!["migrated 3 tables".to_string(); usize::from(!failed)];
    let earlier =
        [(0, vec!["the database is busy".to_string()]), (1, Vec::new())].into_iter().map(|(attempt, last_log)| {
            FailedAttempt { attempt, at: ago(540), reason: "exited with code 1".into(), last_log }
        });
    let earlier = if title.starts_with("job") { earlier.collect() } else { Vec::new() };
    GateView { gate: title.into(), result, at: ago(510), reason: reason.into(), last_log, earlier }
}

fn revision(number: u64, letter: char, outcome: OutcomeWord, age: u64, image: &str) -> RevisionView {
    RevisionView {
        number,
        id: letter.to_string().repeat(10),
        image: image.into(),
        digest: format!("sha256:{}", letter.to_string().repeat(64)),
        commit: None,
        outcome,
        reason: String::new(),
        last_log: vec![],
        created_at: ago(age),
        current: false,
        wanted: false,
        declared: false,
        gates: vec![],
    }
}

pub fn commit(digit: char) -> Checkout {
    // What 'd' names was edited since.
    Checkout { commit: Commit::parse(&digit.to_string().repeat(40)).unwrap(), uncommitted: digit == 'd' }
}

fn ready(name: &str, letter: char, age: u64, address: &str) -> ContainerStatus {
    ContainerStatus {
        name: name.into(),
        id: name.bytes().map(|byte| format!("{byte:02x}")).collect::<String>(),
        revision: letter.to_string().repeat(10),
        state: "Running".into(),
        ready: true,
        retiring: false,
        restarts: 0,
        since: Some(ago(age)),
        ended_at: None,
        address: Some(address.parse().unwrap()),
        message: String::new(),
        last_log: vec![],
    }
}

fn condition(kind: &str, status: bool, reason: &str, message: &str) -> Condition {
    Condition { kind: kind.into(), status, reason: reason.into(), message: message.into() }
}

fn job(phase: &str, message: &str, exit_code: Option<i64>, log: &[&str]) -> ObjectView {
    ObjectView {
        declared: Declaration::of(&json!({"template": {"image": "shop/api:5", "args": ["migrate"]}})),
        place: "shop/jobs.yaml:1".into(),
        labels: BTreeMap::new(),
        created_at: Some(ago(600)),
        status: Status {
            phase: phase.into(),
            message: message.into(),
            revision: Some(RevisionSummary { number: 0, id: "cccccccccc".into(), image: "shop/api:5".into() }),
            ..Status::default()
        },
        detail: Detail::Job {
            attempt: 0,
            started_at: Some(ago(600)),
            finished_at: Some(ago(588)),
            exit_code,
            last_log: log.iter().map(ToString::to_string).collect(),
            revisions: vec![
                job_run('b', 5_000, RunWord::Succeeded, Some(0), "", None),
                match exit_code {
                    Some(0) => job_run('c', 600, RunWord::Succeeded, exit_code, "", Some(commit('c'))),
                    _ => job_run('c', 600, RunWord::Failed, exit_code, message, Some(commit('c'))),
                },
            ],
        },
    }
}

fn job_run(
    id: char,
    age: u64,
    result: RunWord,
    exit_code: Option<i64>,
    reason: &str,
    commit: Option<Checkout>,
) -> JobRunView {
    JobRunView {
        id: id.to_string().repeat(10),
        image: "shop/api:5".into(),
        digest: format!("shop/api@sha256:{}", id.to_string().repeat(64)),
        commit,
        created_at: ago(age),
        result,
        attempt: 0,
        started_at: Some(ago(age)),
        finished_at: Some(ago(age - 12)),
        exit_code,
        reason: reason.into(),
    }
}

fn backup() -> ObjectView {
    let run = |age: u64, by_hand, result, exit_code: i64, reason: &str, log: &str| RunView {
        id: run_id(ago(age)).0,
        scheduled_at: ago(age),
        by_hand,
        image: "shop/dump:1".into(),
        digest: format!("shop/dump@sha256:{}", "d".repeat(64)),
        commit: by_hand.then(|| commit('d')),
        result,
        attempt: 0,
        started_at: Some(ago(age - 2)),
        finished_at: Some(ago(age - 95)),
        exit_code: Some(exit_code),
        reason: reason.into(),
        last_log: vec![log.into()],
    };
    ObjectView {
        declared: Declaration::of(&json!({"schedule": "30 2 * * *", "template": {"image": "shop/dump:1"}})),
        status: Status { phase: "Scheduled".into(), message: "30 2 * * * (Europe/Berlin)".into(), ..Status::default() },
        detail: Detail::CronJob {
            schedule: "30 2 * * *".into(),
            time_zone: "Europe/Berlin".into(),
            suspend: false,
            active: 0,
            last_schedule: Some(ago(36_000)),
            next_schedule: Some(ago(0) + Span::secs(50_400)),
            last_success: Some(ago(3_505)),
            runs: vec![
                run(36_000, false, RunWord::Failed, 1, "exited with code 1", "no space left on device"),
                run(3_600, true, RunWord::Succeeded, 0, "", "dumped 12 tables"),
            ],
        },
        ..simple(Detail::Namespace)
    }
}

fn events() -> Vec<Event> {
    let event = |age, object: &str, severity, reason: &str, message: &str| Event {
        at: ago(age),
        object: key(object),
        severity,
        reason: reason.into(),
        message: message.into(),
        failure: (reason == "RolledBack").then_some(FailureReason::CrashLoopBackOff),
    };
    vec![
        event(500, "deployment/shop/api", Severity::Normal, "RolloutStarted", "revision 6 (shop/api:6) begins"),
        event(450, "deployment/shop/api", Severity::Warning, "RollingBack", "revision 6 failed: exited with code 1"),
        event(440, "deployment/shop/api", Severity::Normal, "RolledBack", "revision 5 is complete again"),
        event(42, "deployment/shop/web", Severity::Normal, "RolloutStarted", "revision 2 (shop/web:2) begins"),
    ]
}
