//! What a person asks for reaches the reconciler, and its answer reaches the person.

use evenkeel::model::action::{Confirmation, Request};
use evenkeel::model::command::{Answer, Command, Refusal};
use evenkeel::model::name::Name;

use crate::daemon::Daemon;
use crate::view::{busy, key};

async fn obedient() -> Daemon {
    Daemon::answering(busy(), |_| Ok(Answer::Done { message: "deployment/shop/web: it is done".into() })).await
}

/// Who runs these tests, as the system calls him.
fn me() -> String {
    let id = |flag| std::process::Command::new("id").arg(flag).output().unwrap().stdout;
    let name = String::from_utf8(id("-un")).unwrap().trim().to_owned();
    match std::fs::read_to_string("/proc/self/loginuid").map(|uid| uid.trim().to_owned()) {
        Ok(login) if login != u32::MAX.to_string() && login.as_bytes() != id("-u").trim_ascii() => {
            panic!("run the tests without sudo: {login} is not {name}")
        }
        _ => name,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_reaches_the_reconciler() {
    let daemon = obedient().await;
    let lines = [
        "restart web",
        "pause deployment/web",
        "resume deploy web",
        "undo web -n shop",
        "undo web --to 1",
        "retry job/seed",
    ];
    for line in lines {
        let said = daemon.says(&format!("rollout {line}")).await;
        assert!(said.ends_with("deployment/shop/web: it is done\n--- exit 0\n"), "{said}");
    }
    let asked = |object, request| Command::Request { key: key(object), request, by: me() };
    let web = |request| asked("deployment/shop/web", request);
    let expected = vec![
        web(Request::Restart),
        web(Request::Pause),
        web(Request::Resume),
        web(Request::Undo { to: None }),
        web(Request::Undo { to: Some(1) }),
        asked("job/shop/seed", Request::Retry),
    ];
    assert_eq!(*daemon.asked.lock().unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_a_cronjob_is_asked_for_by_its_name() {
    let daemon = obedient().await;
    let said = daemon.says("run-now backup").await;
    assert!(said.ends_with("--- exit 0\n"), "{said}");
    let expected = Command::Request { key: key("cronjob/shop/backup"), request: Request::RunNow, by: me() };
    assert_eq!(*daemon.asked.lock().unwrap(), [expected]);
    let said = daemon.says("run-now job/seed").await;
    assert!(said.contains("--- exit 1"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_removal_is_confirmed_by_the_id_that_was_shown() {
    let daemon = obedient().await;
    let said = daemon.says("prune confirm staging 5f3a9c").await;
    assert!(said.ends_with("--- exit 0\n"), "{said}");
    let confirmation = Confirmation { namespace: Name::new("staging").unwrap(), id: "5f3a9c".into() };
    assert_eq!(*daemon.asked.lock().unwrap(), [Command::Confirm { confirmation, by: me() }]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_an_error_in_the_reconcilers_words() {
    let daemon = Daemon::answering(busy(), |_| Err(Refusal::impossible("deployment/shop/web is paused already"))).await;
    insta::assert_snapshot!(daemon.says("rollout pause web").await, @"
    $ evenkeel rollout pause web
    --- stderr
    error: deployment/shop/web is paused already
    --- exit 1
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_comes_with_the_view_that_shows_what_came_of_it() {
    let daemon = obedient().await;
    let mut child = daemon.start("rollout restart web");
    while daemon.asked.lock().unwrap().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(child.try_wait().unwrap().is_none(), "it waits for the next pass");
    daemon.views.send_modify(|view| std::sync::Arc::make_mut(view).passes += 1);
    assert!(child.wait().await.unwrap().success());
}
