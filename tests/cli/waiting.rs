//! Commands that wait: what they say on the way, and how they exit.

use std::sync::Arc;
use std::time::Duration;

use evenkeel::model::command::{Answer, Reply};
use evenkeel::model::name::Name;
use evenkeel::model::view::{Detail, OutcomeWord, ProblemView, RunWord, SourcePhase, View};
use tokio::io::AsyncReadExt;

use crate::daemon::Daemon;
use crate::view::{NOW, busy, calm, complete, key};

/// A view in which `web` alone is declared, in the middle of its update.
pub fn web_alone() -> View {
    let mut view = busy();
    view.sources.truncate(1);
    view.held.clear();
    view.objects.retain(|object, _| *object == key("deployment/shop/web"));
    view.sources[0].declares = [key("deployment/shop/web")].into();
    view
}

fn synced(view: &View) -> Reply {
    Ok(Answer::Synced { sources: view.sources.clone(), pass: view.passes, started_at: view.started_at })
}

async fn applying(view: View) -> Daemon {
    let answer = view.clone();
    Daemon::answering(view, move |_| synced(&answer)).await
}

/// Runs a command, changes the view each time that it has said something more, and gives all that it said.
async fn watch(daemon: &Daemon, words: &str, changes: Vec<(&str, View)>) -> (String, i32) {
    let mut child = daemon.start(words);
    let mut out = child.stdout.take().unwrap();
    let mut said = String::new();
    for (awaited, view) in changes {
        while !said.contains(awaited) {
            let mut buffer = [0; 4096];
            let read = tokio::time::timeout(Duration::from_secs(20), out.read(&mut buffer)).await.unwrap().unwrap();
            assert_ne!(read, 0, "it ended without saying '{awaited}': {said}");
            said.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        daemon.views.send_replace(Arc::new(view));
    }
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), out.read_to_end(&mut rest)).await.unwrap().unwrap();
    said.push_str(&String::from_utf8_lossy(&rest));
    (said, child.wait().await.unwrap().code().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn rollout_status_waits_until_the_update_is_complete() {
    let daemon = Daemon::showing(web_alone()).await;
    let (said, code) = watch(&daemon, "rollout status web", vec![("progressing", calm())]).await;
    assert_eq!(code, 0);
    insta::assert_snapshot!(said, @"
    deployment/shop/web is progressing: 1 of 3 replicas updated, 3 available, waiting for shop.web.bbbbbbbbbb.0 to become ready
    deployment/shop/web successfully rolled out: revision 2
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_engine_does_not_answer_nothing_counts_as_rolled_out() {
    let mut blind = calm();
    blind.engine.connected = false;
    blind.engine.message = "connection refused".into();
    let daemon = Daemon::showing(blind).await;
    let (said, code) = watch(&daemon, "rollout status web --timeout 1s", Vec::new()).await;
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("the engine does not answer: connection refused"), "{said}");
}

/// The view while the run that was asked for stands so.
fn running(result: RunWord) -> View {
    let mut view = busy();
    view.passes += 1;
    let object = view.objects.get_mut(&key("cronjob/shop/backup")).unwrap();
    if let Detail::CronJob { runs, .. } = &mut object.detail {
        let mut run = runs[1].clone();
        (run.id, run.scheduled_at, run.result) = ("20260921-133320-001".into(), NOW, result);
        run.reason = if result == RunWord::Failed { "exited with code 3".into() } else { String::new() };
        runs.push(run);
    }
    view
}

#[tokio::test(flavor = "multi_thread")]
async fn run_now_follows_its_run_to_the_end() {
    for (result, expected) in [(RunWord::Succeeded, 0), (RunWord::Failed, 3)] {
        let begins = |_: &_| Ok(Answer::Done { message: "cronjob/shop/backup: run 20260921-133320-001 begins".into() });
        let daemon = Daemon::answering(busy(), begins).await;
        let views = daemon.views.clone();
        // The answer comes with the pass after it.
        let next = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            views.send_replace(Arc::new(running(RunWord::Running)));
        });
        let (said, code) = watch(&daemon, "run-now backup --wait", vec![("under way", running(result))]).await;
        next.await.unwrap();
        assert_eq!(code, expected, "{said}");
        let end = if result == RunWord::Failed {
            "failed: exited with code 3; its log ends with"
        } else {
            "ended well after"
        };
        assert!(said.contains(&format!("cronjob/shop/backup: run 20260921-133320-001 {end}")), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_ends_the_wait_with_2_and_a_stall_with_3() {
    let daemon = Daemon::showing(web_alone()).await;
    let (said, code) = watch(&daemon, "rollout status web", vec![("progressing", rolled_back())]).await;
    assert_eq!(code, 2, "{said}");
    let mut stalled = web_alone();
    let status = &mut stalled.objects.get_mut(&key("deployment/shop/web")).unwrap().status;
    status.phase = "Stalled".into();
    status.message = "revision 1 does not become ready either".into();
    let (said, code) = watch(&Daemon::showing(stalled).await, "rollout status web", vec![]).await;
    assert_eq!(code, 3);
    assert_eq!(said, "deployment/shop/web needs attention: Stalled (revision 1 does not become ready either)\n");
}

pub fn rolled_back() -> View {
    let mut view = web_alone();
    complete(&mut view, "deployment/shop/web");
    let object = view.objects.get_mut(&key("deployment/shop/web")).unwrap();
    object.status.phase = "RolledBack".into();
    object.status.revision.as_mut().unwrap().number = 1;
    if let Detail::Deployment { revisions, .. } = &mut object.detail {
        revisions[0].current = true;
        revisions[1].current = false;
        revisions[1].outcome = OutcomeWord::Rejected;
        revisions[1].reason = "not ready within 5m".into();
    }
    view
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_failed_is_told_as_what_somebody_chose() {
    let mut view = rolled_back();
    if let Detail::Deployment { pinned, .. } = &mut view.objects.get_mut(&key("deployment/shop/web")).unwrap().detail {
        *pinned = true;
    }
    insta::assert_snapshot!(Daemon::showing(view).await.says("rollout status web").await, @"
    $ evenkeel rollout status web
    deployment/shop/web was rolled back to revision 1: revision 2, which was chosen, failed (not ready within 5m); `evenkeel rollout retry deployment/shop/web` tries it again
    --- exit 2
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_force_is_not_rolled_out() {
    let mut view = calm();
    let source = &mut view.sources[0];
    source.declares = [key("deployment/shop/web")].into();
    source.state = SourcePhase::LastGood;
    source.message = "1 problem".into();
    let daemon = Daemon::showing(view.clone()).await;
    insta::assert_snapshot!(daemon.says("rollout status web").await, @"
    $ evenkeel rollout status web
    deployment/shop/web is as its manifests in force ask, which are not the newest
    source /srv/shop is held at its last good state: 1 problem
    --- exit 5
    ");
    // Another source's mistakes are nothing to it.
    view.sources[0].declares.clear();
    assert!(Daemon::showing(view).await.says("rollout status web").await.ends_with("--- exit 0\n"));
    // Worse news stay what they are.
    let mut view = rolled_back();
    view.sources[0].state = SourcePhase::LastGood;
    let said = Daemon::showing(view).await.says("rollout status web").await;
    assert!(said.contains("held at its last good state") && said.ends_with("--- exit 2\n"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rollout_status_waits_for_what_is_about_to_come_into_force() {
    let mut soon = calm();
    soon.sources[0].declares = [key("deployment/shop/web")].into();
    soon.sources[0].message = "fewer files than before".into();
    let daemon = Daemon::showing(soon).await;
    let (said, code) = watch(&daemon, "rollout status web", vec![("what is new", calm())]).await;
    assert_eq!(code, 0, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_takes_too_long_ends_with_4() {
    let daemon = applying(web_alone()).await;
    let said = daemon.says("rollout status web --timeout 300ms").await;
    assert!(said.ends_with("timed out after 300ms; the daemon goes on with it\n--- exit 4\n"), "{said}");
    let said = daemon.says("apply --wait --timeout 300ms").await;
    let end = "timed out after 300ms; the daemon goes on with it\nnot finished: deployment/shop/web\n--- exit 4\n";
    assert!(said.ends_with(end), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_takes_too_long_names_what_has_failed_meanwhile() {
    let mut view = web_alone();
    let mut api = view.objects[&key("deployment/shop/web")].clone();
    api.status.phase = "Stalled".into();
    view.objects.insert(key("deployment/shop/api"), api);
    view.sources[0].declares.insert(key("deployment/shop/api"));
    let said = applying(view).await.says("apply --wait --timeout 300ms").await;
    let end = "not finished: deployment/shop/web\nfailed: deployment/shop/api\n--- exit 4\n";
    assert!(said.ends_with(end), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_waits_for_what_its_sources_declare() {
    let daemon = applying(web_alone()).await;
    let (said, code) = watch(&daemon, "apply --wait", vec![("in force", web_alone()), ("progressing", calm())]).await;
    assert_eq!(code, 0);
    insta::assert_snapshot!(said, @"
    source /srv/shop: generation 4 with 1 object is in force
    deployment/shop/web is progressing: 1 of 3 replicas updated, 3 available, waiting for shop.web.bbbbbbbbbb.0 to become ready
    deployment/shop/web successfully rolled out: revision 2
    ");
    let daemon = applying(rolled_back()).await;
    insta::assert_snapshot!(daemon.says("apply --wait").await, @"
    $ evenkeel apply --wait
    source /srv/shop: generation 4 with 1 object is in force
    deployment/shop/web was rolled back to revision 1: revision 2 failed (not ready within 5m); `evenkeel rollout retry deployment/shop/web` tries it again
    --- exit 2
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_reads_the_result_of_a_wait_on_standard_output() {
    let daemon = applying(rolled_back()).await;
    insta::assert_snapshot!(daemon.says("rollout status web -o json").await);
    let said = daemon.says("apply --wait -o json").await;
    let (out, err) = said.split_once("--- stderr\n").unwrap();
    let result: serde_json::Value = serde_json::from_str(out.split_once('\n').unwrap().1).unwrap();
    assert_eq!((&result["result"], &result["sources"][0]["generation"]), (&"rolledBack".into(), &4.into()), "{said}");
    assert!(result["objects"]["deployment/shop/web"].as_str().unwrap().contains("was rolled back"), "{said}");
    assert!(err.starts_with("source /srv/shop: generation 4"), "{said}");
    let mut view = web_alone();
    view.sources[0].problems = vec![ProblemView { rendered: "a.yaml:1:1: error: no".into(), ..ProblemView::default() }];
    let said = applying(view).await.says("apply -o json").await;
    assert!(said.contains("\"result\": \"invalid\"") && said.ends_with("--- exit 5\n"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_is_held_keeps_apply_from_being_done() {
    let mut view = calm();
    view.held = busy().held;
    view.held[0].namespace = Name::new("shop").unwrap();
    let said = applying(view.clone()).await.says("apply --wait").await;
    assert!(said.contains("in namespace shop the removal of 2 objects is held: 4 of 5"), "{said}");
    assert!(said.ends_with("--- exit 3\n"), "{said}");
    // All of a namespace was taken out of its manifests: nobody declares it any more.
    view.held[0].namespace = Name::new("gone").unwrap();
    let said = applying(view).await.says("apply --wait").await;
    assert!(said.ends_with("--- exit 3\n"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_in_the_middle_of_a_change_keeps_apply_from_being_done() {
    let mut view = calm();
    view.sources[0].message = "a git operation is under way (.git/index.lock)".into();
    let said = applying(view.clone()).await.says("apply --wait --timeout 1s").await;
    let told = "what is new in source /srv/shop waits: a git operation is under way (.git/index.lock)";
    assert!(said.contains(told) && said.ends_with("--- exit 4\n"), "{said}");
    let said = Daemon::showing(view).await.says("get sources").await;
    assert!(said.contains(&format!("warning: {told}")), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_was_paused_half_way_waits_for_a_person() {
    let mut view = web_alone();
    view.objects.get_mut(&key("deployment/shop/web")).unwrap().status.phase = "Paused".into();
    let (said, code) = watch(&Daemon::showing(view).await, "rollout status web", vec![]).await;
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("1 of 3 replicas updated, 3 available; go on with `evenkeel rollout resume`"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_does_not_wait_for_what_a_failed_job_holds_up() {
    let mut view = busy();
    view.sources.truncate(1);
    let web = view.objects.get_mut(&key("deployment/shop/web")).unwrap();
    web.status.phase = "Waiting".into();
    web.status.waiting = vec!["job/shop/seed to complete".into()];
    web.status.blocked = true;
    let said = applying(view).await.says("apply --wait").await;
    assert!(said.ends_with("--- exit 3\n"), "{said}");
    assert!(said.contains("job/shop/seed needs attention: Failed (exit code 1 after 1 attempt)"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_waits_for_what_only_waits_though_something_else_has_failed() {
    let mut view = rolled_back();
    let mut job = view.objects[&key("deployment/shop/web")].clone();
    job.status.phase = "Waiting".into();
    view.objects.insert(key("job/shop/new"), job);
    view.sources[0].declares.insert(key("job/shop/new"));
    let mut done = view.clone();
    let job = done.objects.get_mut(&key("job/shop/new")).unwrap();
    job.status.phase = "Failed".into();
    let (said, code) = watch(&applying(view).await, "apply --wait", vec![("was rolled back", done)]).await;
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("job/shop/new needs attention: Failed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_ends_with_5_when_the_daemon_finds_the_manifests_invalid() {
    let mut view = web_alone();
    view.sources[0].state = SourcePhase::LastGood;
    view.sources[0].problems = vec![ProblemView { rendered: "a.yaml:1:1: error: no".into(), ..ProblemView::default() }];
    insta::assert_snapshot!(applying(view).await.says("apply").await, @"
    $ evenkeel apply
    --- stderr
    a.yaml:1:1: error: no

    error: source /srv/shop is invalid: 1 problem; its last good state stays in force
    --- exit 5
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn get_with_watch_prints_the_rows_that_change() {
    let daemon = Daemon::showing(web_alone()).await;
    let mut child = daemon.start("get deployments -n shop --watch");
    let mut out = child.stdout.take().unwrap();
    let mut said = String::new();
    loop {
        let mut buffer = [0; 4096];
        let read = tokio::time::timeout(Duration::from_secs(20), out.read(&mut buffer)).await.unwrap().unwrap();
        said.push_str(&String::from_utf8_lossy(&buffer[..read]));
        if said.contains("Complete") {
            break;
        }
        // A view in which only the time is another prints nothing.
        daemon.views.send_replace(Arc::new(web_alone()));
        tokio::time::sleep(Duration::from_millis(300)).await;
        daemon.views.send_replace(Arc::new(calm()));
    }
    insta::assert_snapshot!(said, @"
    NAME   READY   UP-TO-DATE   AVAILABLE   AGE   STATUS        IMAGE
    web    3/3     1            3           25h   Progressing   shop/web:2
    web    3/3     3            3           25h   Complete   shop/web:2
    ");
}
