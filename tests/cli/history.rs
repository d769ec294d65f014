//! What was before, and what differs: `rollout history` with commits and with `--diff`.

use evenkeel::model::command::{Answer, Command, Refusal, Reply};
use evenkeel::model::revision::ContentId;
use evenkeel::model::view::{Declaration, RevisionParts};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::hostile::{EVIL, obeyed};
use crate::view::{ago, busy, commit, key};

fn parts(number: u64, digest: char, template: &Value, secret: &str) -> RevisionParts {
    RevisionParts {
        number,
        id: digest.to_string().repeat(10),
        created_at: ago(40_000 / number),
        commit: (number == 5).then(|| commit('5')),
        digest: format!("shop/api@sha256:{}", digest.to_string().repeat(64)),
        restarts: 0,
        template: Declaration::of(template),
        taken_over: false,
        contents: [("secret/db".to_string(), ContentId(secret.into()))].into(),
    }
}

fn answer(command: &Command) -> Reply {
    let Command::Revisions(asked) = command else { return Err(Refusal::impossible("not in this test")) };
    assert_eq!(*asked, key("deployment/shop/api"));
    let env = |level: &str| json!({"LEVEL": level, "URL": {"secret": "db", "key": "url"}});
    let fifth = json!({"image": "shop/api:5", "args": ["serve"], "env": env("info")});
    let sixth = json!({"image": "shop/api:6", "args": ["serve", "--evil\u{1b}[2J"], "env": env("debug")});
    let revisions = vec![parts(5, 'e', &fifth, "s-0123"), parts(6, 'f', &sixth, "s-4567")];
    Ok(Answer::Revisions { revisions })
}

async fn screens(lines: &[&str]) -> String {
    let daemon = Daemon::answering(busy(), answer).await;
    let mut text = String::new();
    for line in lines {
        text.push_str(&daemon.says(&format!("rollout history {line}")).await);
        text.push('\n');
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn two_revisions_are_compared_field_by_field_and_secrets_by_id_alone() {
    assert_snapshot!(screens(&["api --diff 5 6", "--diff 6 6 deployment/api", "api --diff 5 6 -o json"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_compared_is_explained() {
    let lines =
        ["api --diff 5 9", "api --diff 5", "api --diff 5 x", "api --diff 5 6 --revision 6", "job/seed --diff 1 2"];
    assert_snapshot!(screens(&lines).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_revisions_of_a_job_have_commits_too_and_no_numbers() {
    assert_snapshot!(screens(&["job/migrate", "job/seed -o json", "job/seed --revision 1"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_alone_tells_its_whole_commit() {
    assert_snapshot!(screens(&["api --revision 5", "api --revision 5 -o json"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_control_character_of_a_template_reaches_the_screen() {
    let answer = |_: &Command| {
        let template = |level: &str| {
            json!({"image": format!("web:{level}{EVIL}"), "env": {format!("A{EVIL}"): format!("{level}{EVIL}")},
                "args": [format!("{level}{EVIL}")], "command": vec![EVIL; level.len()]})
        };
        let evil = |number, level: &str| {
            let parts = parts(number, 'e', &template(level), "s-1");
            RevisionParts { digest: format!("{level}{EVIL}"), id: EVIL.into(), ..parts }
        };
        Ok(Answer::Revisions { revisions: vec![evil(1, "info"), evil(2, "debug")] })
    };
    let daemon = Daemon::answering(busy(), answer).await;
    for format in ["", " -o json", " -o yaml"] {
        let said = daemon.says(&format!("rollout history api --diff 1 2{format}")).await;
        assert!(said.matches("evil").count() >= 9, "{said}");
        assert!(obeyed(&said).is_empty(), "{:?}: {said:?}", obeyed(&said));
    }
}
