//! What a person sees. Each test is one screen, or a few that belong together.

use evenkeel::model::status::{Condition, MONITORED};
use evenkeel::model::view::{Detail, Trouble, View, Warning};
use insta::assert_snapshot;

use crate::daemon::{Daemon, says};
use crate::view::{busy, calm, following, key};

/// The screens of these command lines against the busy view.
async fn screens(lines: &[&str]) -> String {
    let daemon = Daemon::showing(busy()).await;
    let mut text = String::new();
    for line in lines {
        text.push_str(&daemon.says(line).await);
        text.push('\n');
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn get_lists_everything_and_says_what_is_wrong_beside_it() {
    assert_snapshot!(screens(&["get"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn get_lists_one_kind_in_the_columns_of_kubectl() {
    let lines = [
        "get deployments",
        "get deploy -n shop",
        "get deploy -n shop -o wide",
        "get jobs -n shop",
        "get cronjobs -n shop",
        "get deploy,job -n shop",
    ];
    assert_snapshot!(screens(&lines).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_objects_are_named_as_in_kubectl() {
    let lines = [
        "get deploy/web job/migrate -n shop",
        "get deploy api web web -n shop",
        "get deploy/web job -n shop",
        "get deploy/web job/nothing -n shop",
        "describe job/migrate cronjob/backup -n shop",
    ];
    assert_snapshot!(screens(&lines).await);
    let said = screens(&["get deploy/web ns/shop -o json"]).await;
    assert!(said.contains(r#""kind": "List""#) && said.contains(r#""kind": "Namespace""#), "{said}");
    let said = screens(&["describe job/migrate cronjob/backup -n shop -o json"]).await;
    assert!(said.contains(r#""kind": "List""#) && said.matches(r#""events": ["#).count() == 2, "{said}");
}

/// A rollout that is complete and may still be rolled back.
fn monitored() -> View {
    let mut view = calm();
    let web = view.objects.get_mut(&key("deployment/shop/web")).unwrap();
    let message = "monitored until 2026-01-02T03:05:05Z: if it fails before that, it is still rolled back".to_string();
    let (kind, reason) = (MONITORED.to_string(), "MonitorTimeOpen".to_string());
    web.status.conditions.push(Condition { kind, status: true, reason, message });
    view
}

#[tokio::test(flavor = "multi_thread")]
async fn that_a_rollout_may_still_be_rolled_back_is_told() {
    let daemon = Daemon::showing(monitored()).await;
    let until = "monitored until 2026-01-02T03:05:05Z: if it fails before that, it is still rolled back";
    assert!(daemon.says("get deploy/web -o wide").await.contains(until));
    let said = daemon.says("describe deploy/web").await;
    let condition = said.lines().find(|line| line.contains("Monitored")).unwrap();
    assert!(condition.contains("MonitorTimeOpen") && condition.ends_with(until), "{said}");
    let said = daemon.says("rollout status web").await;
    assert!(said.contains(&format!("successfully rolled out: revision 2 ({until})\n")), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_restarted_after_a_rollback_is_not_told_as_rolled_back_to_that() {
    let mut view = busy();
    let api = view.objects.get_mut(&key("deployment/shop/api")).unwrap();
    let Detail::Deployment { revisions, .. } = &mut api.detail else { panic!("it is a Deployment") };
    let mut copy = revisions.iter().find(|revision| revision.current).unwrap().clone();
    revisions.iter_mut().for_each(|revision| revision.current = false);
    copy.number = 7;
    revisions.push(copy);
    api.status.revision.as_mut().unwrap().number = 7;
    let said = Daemon::showing(view).await.says("rollout status api").await;
    let expected = "deployment/shop/api was rolled back earlier: revision 6 failed (shop.api.ffffffffff.0 exited with code 1, 3 \
                    times); revision 7 runs now; `evenkeel rollout retry deployment/shop/api` tries it again\n";
    assert!(said.contains(expected), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_followed_is_shown_with_what_was_found_and_when() {
    let daemon = Daemon::showing(following()).await;
    let mut text = String::new();
    for line in ["get deploy", "get deploy -o wide", "describe deploy/web"] {
        text.push_str(&daemon.says(line).await);
        text.push('\n');
    }
    assert_snapshot!(text);
}

#[tokio::test(flavor = "multi_thread")]
async fn get_lists_networks_volumes_and_contents_by_their_names_in_docker() {
    let lines = ["get networks", "get networks -o wide", "get volumes", "get cm", "get secrets", "get ns -o wide"];
    assert_snapshot!(screens(&lines).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn get_lists_replicas_and_sources() {
    let lines = [
        "get replicas",
        "get replicas -n shop -o wide",
        "get sources",
        "get sources -o wide",
        "get sources -n staging",
    ];
    assert_snapshot!(screens(&lines).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn get_gives_machines_the_shape_of_a_kubernetes_object() {
    assert_snapshot!(screens(&["get deploy/api -o yaml", "get secrets -o json"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn describe_tells_why_an_update_is_not_further() {
    assert_snapshot!(screens(&["describe deployment/web"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn describe_shows_what_a_build_that_failed_has_said_last() {
    let mut view = calm();
    let status = &mut view.objects.get_mut(&key("deployment/shop/web")).unwrap().status;
    let failed = "build evenkeel.local/shop:0123456789abcdef: The command '/bin/sh -c npm ci' returned a non-zero code: 1 (failed 1×; again at 2026-01-02T03:05:05Z)";
    status.phase = "Waiting".into();
    status.message = format!("waiting for {failed}");
    status.waiting = vec![failed.into(), "image evenkeel.local/shop:0123456789abcdef to be built".into()];
    status.blocked = true;
    status.build_output = ["Step 4/7 : RUN npm ci", "npm error Cannot find left-pad"].map(String::from).to_vec();
    let daemon = Daemon::showing(view).await;
    assert_snapshot!(daemon.says("describe web").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn describe_tells_why_a_deployment_was_rolled_back_with_its_last_log_lines() {
    assert_snapshot!(screens(&["describe api"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn describe_tells_that_what_was_chosen_failed_and_what_is_there_instead() {
    for (instead, words) in [(true, "revision 5 is there in its place"), (false, "nothing takes its place by itself")] {
        let mut view = busy();
        let api = view.objects.get_mut(&key("deployment/shop/api")).unwrap();
        let Detail::Deployment { revisions, pinned, .. } = &mut api.detail else { panic!("it is a Deployment") };
        *pinned = true;
        // With onFailure: Pause it stays where it is.
        revisions.iter_mut().for_each(|revision| revision.current &= instead);
        let said = Daemon::showing(view).await.says("describe api").await;
        let expected = format!(
            "Pinned:       revision 6 was chosen and failed; {words}, until another one is chosen or the manifest's template \
             changes\n"
        );
        assert!(said.contains(&expected), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn describe_tells_of_a_cronjobs_runs_and_its_next_time() {
    assert_snapshot!(screens(&["describe cronjob/backup"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn describe_tells_of_jobs_secrets_and_sources() {
    assert_snapshot!(
        screens(&["describe job/seed", "describe job/seed -o json", "describe secret db -n shop", "describe sources"])
            .await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_listed_oldest_first_for_all_or_for_one() {
    assert_snapshot!(screens(&["events", "events deployment/web", "events -n other", "events web -o json"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn rollout_tells_how_it_stands_and_what_was_before() {
    let lines = [
        "rollout status web --wait=false",
        "rollout status deploy/api",
        "rollout status job/seed",
        "rollout status job/migrate",
        "rollout history api",
        "rollout history web -o yaml",
    ];
    assert_snapshot!(screens(&lines).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn prune_shows_what_is_held() {
    assert_snapshot!(screens(&["prune", "prune -o json"]).await);
    assert_snapshot!(Daemon::showing(calm()).await.says("prune").await, @"
    $ evenkeel prune
    No removal is held.
    --- exit 0
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_prefixed_and_cannot_command_the_terminal() {
    assert_snapshot!(screens(&["logs web --tail 1", "logs shop.web.aaaaaaaaaa.0", "logs job/seed"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_of_the_runs_before_end_where_the_present_ones_begin() {
    assert_snapshot!(screens(&["logs api --previous --tail 2", "logs web -p", "logs web -p -f"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_can_be_got_by_its_name_alone() {
    assert_snapshot!(screens(&["get web", "get seed -n shop", "get web -n staging", "get wep"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_may_be_named_before_the_command_or_after_it() {
    let daemon = Daemon::showing(calm()).await;
    let (socket, elsewhere) = (daemon.socket(), tempfile::tempdir().unwrap());
    let nobody = elsewhere.path().join("nobody.sock");
    for words in ["--socket SOCKET get web", "get web --socket SOCKET", "--socket SOCKET rollout history web"] {
        let said = says(&words.replace("SOCKET", &socket.display().to_string()), &nobody).await;
        assert!(said.ends_with("--- exit 0\n"), "{said}");
    }
    let said = says(&format!("--socket {} get web --socket {}", nobody.display(), socket.display()), &nobody).await;
    assert!(said.ends_with("--- exit 0\n"), "the nearer one wins: {said}");
    assert!(says("get web", &nobody).await.contains("no daemon answers"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_namespace_may_be_named_before_the_command_or_after_it() {
    let daemon = Daemon::showing(calm()).await;
    let answer = |said: String| said.split_once('\n').unwrap().1.to_owned();
    let after = answer(says("get web -n staging", &daemon.socket()).await);
    assert!(after.contains("there is no 'web' in namespace staging"), "{after}");
    for words in ["-n staging get web", "--namespace staging get web", "--namespace=staging get web"] {
        assert_eq!(answer(says(words, &daemon.socket()).await), after, "{words}");
    }
    let said = says("-n shop validate", &daemon.socket()).await;
    assert!(said.contains("unexpected argument '-n'"), "a command that does not know it says so: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_does_not_fit_is_explained() {
    let lines = [
        "get deploy/nope",
        "get deploy/webb",
        "get deploy/web -n staging",
        "get deploymant",
        "get pods/x",
        "describe web -n other",
        "rollout pause job/seed",
        "logs volume/uploads",
        "logs shop.web.cccccccccc.0",
        "events deploy/nope",
    ];
    assert_snapshot!(screens(&lines).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_does_not_answer_is_said_beside_every_list() {
    let mut view = calm();
    view.engine.connected = false;
    view.engine.message = "no Docker Engine at /var/run/docker.sock".into();
    let message = "the state directory cannot be written: disk full".into();
    view.warnings = vec![Warning { about: Trouble::Unwritable, message }];
    assert_snapshot!(Daemon::showing(view).await.says("get").await);
}

#[tokio::test]
async fn without_a_daemon_the_way_to_start_one_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("evenkeel.sock");
    assert_snapshot!(says("get", &socket).await);
    assert_snapshot!(says("version", &socket).await, @"
    $ evenkeel version
    evenkeel 0.1.0
    --- exit 0
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn version_tells_of_daemon_and_engine() {
    assert_snapshot!(screens(&["version", "version -o json"]).await);
}
