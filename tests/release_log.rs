//! The release log as it is after a story: what began, what came of it, and who began it, each once, whatever became of the
//! controller or its disk meanwhile.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests and their helpers may")]

mod support;

use std::collections::BTreeSet;

use evenkeel::model::command::{Answer, Command};
use evenkeel::model::release::{Release, Step};
use evenkeel::store::Operation;
use support::parallel::on_all_cores;
use support::scenario::disk::{WriteFault, WriteRecord};
use support::scenario::fault::Fault;
use support::scenario::file::{Scenario, paths};
use support::scenario::stage::Stage;

/// An update, one that fails, and a person who goes back.
const STORY: &str = "
image web:1 ready after 1s
image web:2 ready after 1s
image web:3 exits with 1 after 1s

--- manifests/web.yaml
apiVersion: evenkeel.dev/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  minReady: 1s
  template:
    image: web:1
    ports: [{name: http, port: 80}]
    drain: 1s
    readinessProbe: {httpGet: {port: http}, period: 1s}
--- script
run until converged within 2m
edit manifests/web.yaml s/web:1/web:2/
run until converged within 5m
edit manifests/web.yaml s/web:2/web:3/
run until deployment/shop/web is RolledBack within 5m
run until converged within 5m
request deployment/shop/web undo to 1
run until converged within 5m
--- transcript
";

/// Plays a scenario with faults, and gives the log at its end and the changes of the state directory.
fn played(name: &str, text: &str, faults: &[Fault]) -> (Vec<Release>, Vec<WriteRecord>) {
    played_with(name, text, faults, None)
}

/// The same; a person sets this image where the script says `mark`.
fn played_with(name: &str, text: &str, faults: &[Fault], image: Option<&str>) -> (Vec<Release>, Vec<WriteRecord>) {
    let scenario = Scenario::parse(name, text).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut stage = Stage::set(&scenario).await.unwrap();
        stage.spoil(faults);
        for line in &scenario.script {
            stage.play(&line.text, &line.step).await.unwrap_or_else(|why| panic!("{name}: {}: {why}", line.text));
            if let Some(image) = image.filter(|_| line.text == "mark") {
                let (key, change) = ("deployment/shop/web".to_owned().try_into().unwrap(), format!("-> {image}"));
                let by = "root".to_owned();
                stage.ask(Command::ImageSet { key, change, image: Some(image.into()), by }).await.unwrap().unwrap();
            }
        }
        let Some(Ok(Answer::Releases { releases, .. })) = stage.ask(Command::Releases).await else {
            panic!("{name}: the log is not told")
        };
        (releases, stage.disk.made())
    })
}

/// `RolledBack of 3 by manifest, back to 2: why`.
fn line(release: &Release) -> String {
    let of = release.revision.as_ref().map(|of| format!(" of {}", of.number)).unwrap_or_default();
    let back = release.back_to.as_ref().map(|to| format!(", back to {}", to.number)).unwrap_or_default();
    let why = if release.reason.is_empty() { String::new() } else { format!(": {}", release.reason) };
    format!("{:?}{of} by {}{back}{why}", release.step, release.by)
}

fn scenario(name: &str) -> (String, String) {
    let path = paths(name).into_iter().find(|path| path.file_stem().is_some_and(|stem| stem == name)).unwrap();
    (name.to_owned(), std::fs::read_to_string(path).unwrap())
}

/// A tag in a range that is followed, an edit of the manifest with the same tag, and another range.
const FOLLOWED: &str = "\
image web:1.0.0 ready after 1s
image web:2.0.0 ready after 1s

--- manifests/web.yaml
apiVersion: evenkeel.dev/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  minReady: 1s
  monitor: 0s
  template:
    image: web
    imagePolicy: {semver: ^1, interval: 10s}
    env: {SIZE: small}
    drain: 1s
    readinessProbe: {tcpSocket: {port: 80}, period: 1s}
--- script
run until converged within 2m
image web:1.1.0 ready after 1s
run until image of shop.web.* is web:1.1.0 within 2m
run until converged within 2m
edit manifests/web.yaml s/small/large/
run until 1 running containers like shop.web.r3.* within 2m
run until converged within 2m
edit manifests/web.yaml s/^1/^2/
run until image of shop.web.* is web:2.0.0 within 2m
run until converged within 2m
--- transcript
";

#[test]
fn what_a_registry_began_is_told_apart_from_what_the_manifest_did() {
    let (log, _) = played("followed", FOLLOWED, &[]);
    let lines: Vec<String> = log.iter().map(line).collect();
    assert_eq!(lines.len(), 8, "{lines:#?}");
    let began: Vec<&str> = lines.iter().step_by(2).map(String::as_str).collect();
    assert_eq!(
        [began[0], began[2], began[3]],
        [1, 3, 4].map(|number| format!("RolloutStarted of {number} by manifest"))
    );
    let found = began[1].strip_prefix("RolloutStarted of 2 by image policy: semver ^1: 1.0.0@sha256:").expect(began[1]);
    assert!(found.contains(" -> 1.1.0@sha256:"), "{found}");
    assert_eq!(lines[3], "RolloutComplete of 2 by image policy");
}

#[test]
fn every_rollout_is_logged_with_what_came_of_it_and_who_began_it() {
    let (log, _) = played("story", STORY, &[]);
    let lines: Vec<String> = log.iter().map(line).collect();
    assert_eq!(lines.len(), 10, "{lines:#?}");
    assert_eq!(
        lines[..5],
        [
            "RolloutStarted of 1 by manifest",
            "RolloutComplete of 1 by manifest",
            "RolloutStarted of 2 by manifest",
            "RolloutComplete of 2 by manifest",
            "RolloutStarted of 3 by manifest",
        ]
    );
    assert!(lines[5].starts_with("RollbackStarted of 3 by manifest, back to 2: "), "{}", lines[5]);
    assert!(lines[6].starts_with("RolledBack of 3 by manifest, back to 2: "), "{}", lines[6]);
    assert_eq!(
        lines[7..],
        [
            "UndoRequested by alice: goes to revision 1 until its manifest's template changes",
            "RolloutStarted of 1 by alice",
            "RolloutComplete of 1 by alice",
        ]
    );
}

#[test]
fn a_first_revision_that_fails_and_one_that_is_overtaken_are_logged() {
    let (name, text) = scenario("first-deployment-fails");
    let steps: Vec<Step> = played(&name, &text, &[]).0.iter().map(|release| release.step).collect();
    use Step::{RolloutComplete, RolloutFailed, RolloutStarted, Superseded};
    assert_eq!(steps, [RolloutStarted, RolloutFailed, RolloutStarted, RolloutComplete]);
    let (name, text) = scenario("supersede-mid-rollout");
    let steps: Vec<Step> = played(&name, &text, &[]).0.iter().map(|release| release.step).collect();
    assert_eq!(steps, [RolloutStarted, RolloutComplete, RolloutStarted, Superseded, RolloutStarted, RolloutComplete]);
}

#[test]
fn a_rollout_has_one_beginning_and_one_end_in_every_story() {
    let names = [
        "bad-image-never-ready",
        "controller-crash-mid-rollout",
        "digest-moves-mid-rollout",
        "disk-full-at-the-deadline",
        "engine-crash-mid-rollout",
        "monitor-collapse",
        "on-failure-pause",
        "release-group-collapse",
        "restart-after-rollback",
        "retry-of-a-rejected-revision",
        "rollback-after-undo",
        "rollback-that-fails",
        "supersede-back-to-the-old-one",
        "try-again-after-rollback",
        "undo-after-rollback",
    ];
    on_all_cores(&names.map(scenario), |(name, text)| {
        let (log, _) = played(name, text, &[]);
        let told: Vec<String> = log.iter().map(line).collect();
        let ids: BTreeSet<&str> = log.iter().map(|release| release.id.as_str()).collect();
        assert_eq!(ids.len(), log.len(), "{name}: {told:#?}");
        let objects: BTreeSet<_> = log.iter().map(|release| &release.object).collect();
        for object in objects {
            let steps = log.iter().filter(|release| release.object == *object && release.step.is_of_a_rollout());
            let mut open = false;
            for release in steps {
                let begins = release.step == Step::RolloutStarted;
                assert!(!(begins && open), "{name}: {object} begins twice: {told:#?}");
                assert!(begins || open || release.step != Step::Superseded, "{name}: {object} ends twice: {told:#?}");
                open = matches!(release.step, Step::RolloutStarted | Step::RollbackStarted);
            }
            assert!(!open, "{name}: {object} has no end: {told:#?}");
        }
    });
}

/// The commits of a checkout, one by one: the third goes back to what the first said.
const COMMITS: &str = "
image web:1 ready after 1s
image web:2 ready after 1s
source repo/manifests

--- repo/.git/HEAD
ref: refs/heads/main
--- repo/.git/refs/heads/main
aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
--- repo/manifests/web.yaml
apiVersion: evenkeel.dev/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  minReady: 1s
  monitor: 0s
  template:
    image: web:2
    ports: [{name: http, port: 80}]
    drain: 1s
    readinessProbe: {httpGet: {port: http}, period: 1s}
--- script
run until converged within 2m
";

fn after_commits(script: &str, faults: &[Fault], image: Option<&str>) -> (Vec<String>, Vec<WriteRecord>) {
    let (log, writes) = played_with("commits", &format!("{COMMITS}{script}--- transcript\n"), faults, image);
    (log.iter().map(line).collect(), writes)
}

#[test]
fn a_rollout_is_of_the_commit_that_asks_for_it_now() {
    let script = "
edit repo/manifests/web.yaml s/web:2/web:1/
edit repo/.git/refs/heads/main s/a/b/
run until image of shop.web.* is web:1 within 2m
run until converged within 2m
edit repo/manifests/web.yaml s/web:1/web:2/
edit repo/.git/refs/heads/main s/b/c/
run until image of shop.web.* is web:2 within 2m
edit repo/.git/refs/heads/main s/c/d/
run until converged within 2m
request deployment/shop/web undo to 2
run until converged within 2m
";
    let expected = [
        "RolloutStarted of 1 by commit aaaaaaa",
        "RolloutComplete of 1 by commit aaaaaaa",
        "RolloutStarted of 2 by commit bbbbbbb",
        "RolloutComplete of 2 by commit bbbbbbb",
        "RolloutStarted of 1 by commit ccccccc",
        "RolloutComplete of 1 by commit ccccccc",
        "UndoRequested by alice: goes to revision 2 until its manifest's template changes",
        "RolloutStarted of 2 by alice",
        "RolloutComplete of 2 by alice",
    ];
    let (log, writes) = after_commits(script, &[], None);
    assert_eq!(log, expected);
    // Wherever the daemon dies before it has written who began it, it knows that from the Deployment's own file.
    let appends = writes.iter().enumerate().filter(|(_, write)| write.operation == Operation::Append);
    let faults: Vec<usize> = appends.map(|(at, _)| at).collect();
    assert!(faults.len() > 8, "{}", faults.len());
    on_all_cores(&faults, |&at| {
        let (log, _) = after_commits(script, &[Fault::Write { at, mode: WriteFault::Crash }], None);
        let mut by: Vec<&str> = log.iter().map(|line| line.split(": ").next().unwrap()).collect();
        by.dedup();
        let whole: Vec<&str> = expected.iter().map(|line| line.split(": ").next().unwrap()).collect();
        assert_eq!(by, whole, "write {at}");
    });
}

#[test]
fn a_revision_that_a_person_chose_is_that_persons_however_long_it_was_paused() {
    let (log, _) = after_commits(
        "
edit repo/manifests/web.yaml s/web:2/web:1/
edit repo/.git/refs/heads/main s/a/b/
run until image of shop.web.* is web:1 within 2m
run until converged within 2m
request deployment/shop/web pause
request deployment/shop/web undo to 1
run for 15m
controller stop
controller start
run for 1s
request deployment/shop/web resume
run until image of shop.web.* is web:2 within 2m
run until converged within 2m
",
        &[],
        None,
    );
    assert_eq!(log[log.len() - 2..], ["RolloutStarted of 1 by alice", "RolloutComplete of 1 by alice"], "{log:#?}");
}

#[test]
fn a_person_is_named_only_for_the_rollout_of_what_was_asked_for() {
    let script = |image: &str| {
        format!(
            "
edit repo/manifests/web.yaml s/web:2/{image}/
mark
run for 30s
edit repo/manifests/web.yaml s/{image}/web:1/
edit repo/.git/refs/heads/main s/a/b/
run until image of shop.web.* is web:1 within 2m
run until converged within 2m
"
        )
    };
    let (log, _) = after_commits(&script("web:9"), &[], Some("web:9"));
    assert_eq!(
        log[2..],
        [
            "ImageSet by root: -> web:9",
            "RolloutStarted of 2 by commit bbbbbbb",
            "RolloutComplete of 2 by commit bbbbbbb",
        ]
    );
    let (log, _) = after_commits(&script("web:1"), &[], Some("web:1"));
    assert_eq!(log[3..], ["RolloutStarted of 2 by root", "RolloutComplete of 2 by root"]);
}

/// A restart is of what ran: an edit that comes with it is its commit's.
#[test]
fn a_restart_is_of_the_revision_that_it_was_asked_for() {
    let (log, _) = after_commits(
        "
request deployment/shop/web restart
run until converged within 2m
request deployment/shop/web pause
request deployment/shop/web restart
edit repo/manifests/web.yaml s/web:2/web:1/
edit repo/.git/refs/heads/main s/a/b/
run for 10s
request deployment/shop/web resume
run until image of shop.web.* is web:1 within 2m
run until converged within 2m
",
        &[],
        None,
    );
    let began: Vec<&String> = log.iter().filter(|line| line.starts_with("RolloutStarted")).collect();
    assert_eq!(began[1..2], ["RolloutStarted of 2 by alice"]);
    assert!(began.last().unwrap().ends_with(" by commit bbbbbbb"), "{log:#?}");
}

/// A migration before each rollout, and a seed that runs by itself.
const JOBS: &str = "
image web:1 ready after 1s, as a job exits with 0 after 2s
image web:2 ready after 1s, as a job exits with 3
image seed:1 as a job exits with 0

--- manifests/web.yaml
apiVersion: evenkeel.dev/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  minReady: 1s
  monitor: 0s
  gates: {before: [{job: migrate}]}
  template:
    image: web:1
    drain: 1s
    readinessProbe: {tcpSocket: {port: 80}, period: 1s}
---
apiVersion: evenkeel.dev/v1
kind: Job
metadata: {name: migrate, namespace: shop}
spec: {template: {args: [migrate]}}
---
apiVersion: evenkeel.dev/v1
kind: Job
metadata: {name: seed, namespace: shop}
spec: {template: {image: seed:1}}
---
apiVersion: evenkeel.dev/v1
kind: CronJob
metadata: {name: backup, namespace: shop}
spec: {schedule: '* * * * *', template: {image: seed:1}}
--- script
run until converged within 2m
controller crash
controller start
run for 3m
edit manifests/web.yaml s/web:1/web:2/
run until deployment/shop/web is RolledBack within 5m
request deployment/shop/web retry
run for 1m
controller stop
controller start
run for 2m
--- transcript
";

#[test]
fn what_jobs_came_to_is_logged_once_and_runs_of_cron_jobs_are_not() {
    let (log, _) = played("jobs", JOBS, &[]);
    let of = |what: &str| -> Vec<String> {
        let own = log.iter().filter(|release| release.object.to_string() == what);
        own.map(|release| line(release).replace(" of 0", "")).collect()
    };
    assert_eq!(of("job/shop/seed").len(), 2, "{:#?}", of("job/shop/seed"));
    let expected = [
        "JobStarted by manifest",
        "JobComplete by manifest: it ended well after 2s",
        "JobStarted by manifest",
        "JobFailed by manifest: exited with code 3",
        "JobStarted by alice",
        "JobFailed by alice: exited with code 3",
    ];
    assert_eq!(of("job/shop/migrate"), expected, "{:#?}", log.iter().map(line).collect::<Vec<_>>());
    assert!(log.iter().all(|release| !release.object.to_string().starts_with("cronjob/")));
}

/// A build that fails for what it is built from is tried again and again.
const BUILD: &str = "
image base:1 ready after 1s

--- app/Dockerfile
FROM base:1
RUN exit 3
--- manifests/web.yaml
apiVersion: evenkeel.dev/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  minReady: 1s
  template: {build: {context: ../app}}
---
apiVersion: evenkeel.dev/v1
kind: Job
metadata: {name: migrate, namespace: shop}
spec: {template: {build: {context: ../app}}}
--- script
run until event BuildFailed within 1m
run for 15m
controller stop
controller start
run for 5m
edit app/Dockerfile s/exit 3/exit 4/
run for 15m
--- transcript
";

#[test]
fn a_build_that_fails_is_logged_once_for_each_content() {
    let (log, _) = played("build", BUILD, &[]);
    let lines: Vec<String> = log.iter().map(|entry| format!("{} {}", entry.object, line(entry))).collect();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    for (line, code) in lines.iter().zip([3, 4]) {
        let wanted = "deployment/shop/web BuildFailed by manifest: build evenkeel.local/shop:";
        assert!(line.starts_with(wanted) && line.ends_with(&format!("Step 2/2 : RUN exit {code}")), "{lines:#?}");
    }
}

#[test]
fn a_commit_that_nothing_could_be_applied_from_is_logged_once_and_that_it_is_mended() {
    let script = "
edit repo/manifests/web.yaml s/minReady/minimumReady/
edit repo/.git/refs/heads/main s/a/b/
run until problem contains minimumReady within 1m
run for 2m
edit repo/manifests/web.yaml s/minimumReady/leastReady/
controller stop
controller start
run for 2m
edit repo/.git/refs/heads/main s/b/c/
edit repo/manifests/web.yaml s/leastReady/lastReady/
run for 1m
edit repo/manifests/web.yaml s/lastReady/minReady/
edit repo/.git/refs/heads/main s/c/d/
run for 1m
";
    let (log, _) = after_commits(script, &[], None);
    let ends =
        |text: &str| log.iter().find(|line| line.starts_with(text)).unwrap_or_else(|| panic!("{text}: {log:#?}"));
    assert_eq!(log.len(), 5, "{log:#?}");
    assert!(
        ends("SourceInvalid by commit bbbbbbb: ").contains("web.yaml:5:3: spec has no field 'minimumReady'"),
        "{log:#?}"
    );
    assert!(ends("SourceInvalid by commit ccccccc: ").contains("spec has no field 'lastReady'"), "{log:#?}");
    assert_eq!(log[4], "SourceValid by commit ddddddd");
}

/// The most valuable promise: neither lost nor doubled, wherever the controller dies and whenever the disk is full.
#[test]
fn the_log_is_the_same_wherever_the_controller_dies_or_the_disk_refuses() {
    let (whole, writes) = played("story", STORY, &[]);
    let entries = |log: &[Release]| -> Vec<(Step, Option<u64>, String)> {
        log.iter().map(|one| (one.step, one.revision.as_ref().map(|of| of.number), one.by.clone())).collect()
    };
    let faults = writes.iter().enumerate().flat_map(|(at, write)| {
        let modes: &[WriteFault] = match write.operation {
            Operation::Append => &[WriteFault::Crash, WriteFault::Torn, WriteFault::NoSpace, WriteFault::Full],
            Operation::Rename => &[WriteFault::Crash],
            _ => &[],
        };
        modes.iter().map(move |mode| (at, *mode))
    });
    let faults: Vec<_> = faults.collect();
    assert!(faults.len() > 50, "{}", faults.len());
    on_all_cores(&faults, |&(at, mode)| {
        let (log, _) = played("story", STORY, &[Fault::Write { at, mode }]);
        // What a person asked for and got no answer to is asked again, and stands there again.
        let mut found = entries(&log);
        found.dedup();
        found.retain(|(step, ..)| *step != Step::NotDone);
        assert_eq!(found, entries(&whole), "write {at} {}: {log:#?}", mode.word());
    });
}
