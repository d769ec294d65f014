//! `log`: the release log as a table and for machines.

use evenkeel::model::command::{Answer, Command, Refusal, Reply};
use evenkeel::model::release::{MANIFEST, Release, Step};
use evenkeel::model::status::RevisionSummary;
use insta::assert_snapshot;

use crate::daemon::Daemon;
use crate::hostile::{EVIL, obeyed};
use crate::view::{NOW, ago, busy};

fn entry(seconds: u64, object: &str, step: Step, by: &str, number: Option<u64>) -> Release {
    let revision = |number: u64| RevisionSummary {
        number,
        id: number.to_string().repeat(10),
        image: format!("shop/web:{number}"),
    };
    let is_back = matches!(step, Step::RollbackStarted | Step::RolledBack);
    Release {
        id: format!("{object} {step:?} {seconds}"),
        at: ago(seconds),
        object: object.to_owned().try_into().unwrap(),
        step,
        by: by.into(),
        revision: number.map(revision),
        back_to: number.filter(|_| is_back).map(|number| revision(number - 1)),
        wanted: None,
        reason: if is_back { "shop.web.1 exited with 1".into() } else { String::new() },
    }
}

fn answer(command: &Command) -> Reply {
    let Command::Releases = command else { return Err(Refusal::impossible("not in this test")) };
    let web = "deployment/shop/web";
    let asked = entry(600, web, Step::UndoRequested, "alice (as root)", None);
    let releases = vec![
        entry(90_000, "deployment/staging/a", Step::RolloutStarted, MANIFEST, Some(1)),
        entry(8_000, web, Step::RolloutStarted, "commit 1a2b3c4", Some(8)),
        entry(7_900, web, Step::RollbackStarted, "commit 1a2b3c4", Some(8)),
        entry(7_890, web, Step::RolledBack, "commit 1a2b3c4", Some(8)),
        Release { reason: "goes to revision 6".into(), ..asked },
        entry(599, web, Step::RolloutStarted, "alice (as root)", Some(6)),
        entry(500, web, Step::RolloutComplete, "alice (as root)", Some(6)),
        entry(490, "job/shop/migrate", Step::JobFailed, "commit 1a2b3c4", Some(0)),
        entry(480, "source:/srv/shop", Step::SourceInvalid, "commit 2b3c4d5", None),
        entry(470, "source:/srv/staging=staging", Step::SourceInvalid, "commit 3c4d5e6", None),
    ];
    Ok(Answer::Releases { now: NOW, releases })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_release_log_is_listed_for_all_for_one_and_for_a_time() {
    let daemon = Daemon::answering(busy(), answer).await;
    let mut text = String::new();
    for line in ["log", "log -n staging", "log deployment/web --since 10m -o json", "log job/seed", "log deploy/nope"] {
        text.push_str(&daemon.says(line).await);
        text.push('\n');
    }
    assert_snapshot!(text);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_control_character_of_the_release_log_reaches_the_screen() {
    let evil = |_: &Command| {
        let mut release = entry(5, "deployment/shop/web", Step::RolledBack, EVIL, Some(2));
        release.reason = EVIL.into();
        release.id = EVIL.into();
        for revision in [&mut release.revision, &mut release.back_to].into_iter().flatten() {
            revision.image = EVIL.into();
        }
        Ok(Answer::Releases { now: NOW, releases: vec![release] })
    };
    let daemon = Daemon::answering(busy(), evil).await;
    for format in ["", " -o json", " -o yaml"] {
        let said = daemon.says(&format!("log{format}")).await;
        assert!(said.matches("evil").count() >= 3, "{said}");
        assert!(obeyed(&said).is_empty(), "{said:?}");
    }
}
