//! What a person asks of an object, turned into history; the next pass acts on it. It starts and stops nothing.

use std::collections::BTreeMap;

use super::cron;
use super::follow;
use super::gates;
use super::rollout::newest_completed;
use crate::model::action::Request;
use crate::model::command::Refusal;
use crate::model::desired::Desired;
use crate::model::history::{DeploymentHistory, History, Outcome, Revision, Rollout};
use crate::model::job::JobState;
use crate::model::name::{Key, Kind, Name};
use crate::model::revision::{RevisionId, TemplateHash, revision_id, template_hash};
use crate::model::spec::DeploymentSpec;
use crate::model::time::Timestamp;
use crate::model::wish::Pin;

/// The history after `request`, with a sentence for people; or why it makes no sense.
pub fn request(
    desired: &Desired,
    history: &History,
    key: &Key,
    request: &Request,
    now: Timestamp,
) -> Result<(History, String), Refusal> {
    let mut after = history.clone();
    let sentence = match key.kind {
        Kind::Deployment if desired.declares(key) => {
            let declared = desired.deployments.get(key);
            let attempts = declared.map(|declared| attempts(history, key, &declared.spec)).unwrap_or_default();
            let history = after.deployments.entry(key.clone()).or_default();
            let sentence =
                deployment(history, key, request, &attempts, now, &|history| manifest(desired, key, history))?;
            let waits = match (request, declared.is_some_and(|declared| declared.spec.suspend)) {
                (Request::Pause, _) => "",
                (_, true) => ", once its manifest does not suspend it any more",
                (_, false) if history.paused => ", once it is resumed: it is paused",
                (_, false) => "",
            };
            format!("{sentence}{waits}")
        }
        Kind::Job if desired.declares(key) => job(&mut after, key, request)?,
        Kind::CronJob if desired.declares(key) => cron_job(desired, &mut after, key, request, now)?,
        Kind::Deployment | Kind::Job | Kind::CronJob => {
            return Err(undeclared(desired, key));
        }
        Kind::Namespace | Kind::Network | Kind::Volume | Kind::ConfigMap | Kind::Secret => {
            return Err(Refusal::impossible(format!("{key} has no rollout: only Deployments and Jobs do")));
        }
    };
    Ok((after, sentence))
}

/// Nothing can be asked of what is not declared, as far as the sources are known.
fn undeclared(desired: &Desired, key: &Key) -> Refusal {
    match desired.unknown_sources.first() {
        None => Refusal::not_found(format!("{key} is not declared")),
        Some(why) => Refusal::unavailable(format!("whether {key} is declared is not known: {why}")),
    }
}

/// The hash of an object's template as its manifest has it, if it has been looked at: what a pin holds against.
type Manifest<'a> = &'a dyn Fn(&DeploymentHistory) -> Option<TemplateHash>;

fn manifest(desired: &Desired, key: &Key, history: &DeploymentHistory) -> Option<TemplateHash> {
    let resolution = history.resolution.as_ref()?;
    let written = desired.deployments.get(key).map(|declared| &declared.spec.template);
    // Another image may be chosen by the time that it is asked.
    match written.filter(|template| template.image_policy.is_some()) {
        Some(written) => Some(follow::manifest_hash(desired, key, written, history)),
        None => Some(resolution.template.clone()),
    }
}

fn deployment(
    history: &mut DeploymentHistory,
    key: &Key,
    request: &Request,
    attempts: &BTreeMap<String, u32>,
    now: Timestamp,
    manifest: Manifest,
) -> Result<String, Refusal> {
    match request {
        Request::Pause if history.paused => Err(Refusal::impossible(format!("{key} is paused already"))),
        Request::Pause => {
            history.paused = true;
            Ok(format!("{key} is paused"))
        }
        Request::Resume if !history.paused => Err(Refusal::impossible(format!("{key} is not paused"))),
        Request::Resume => {
            history.paused = false;
            Ok(format!("{key} goes on"))
        }
        Request::Restart => restart(history, key, now, manifest),
        Request::Undo { to } => undo(history, key, *to, manifest),
        Request::Retry => retry(history, key, attempts),
        Request::RunNow => Err(Refusal::impossible(format!("{key} has no runs: only CronJobs do"))),
    }
}

/// Replaces all replicas by new ones of the revision that runs. Where that was undone to, or runs because the manifest's was
/// rejected, the copy is pinned: a restart must not bring back what somebody has just taken away. A revision of the
/// manifest that nobody has taken away is the one that is restarted.
fn restart(history: &mut DeploymentHistory, key: &Key, now: Timestamp, manifest: Manifest) -> Result<String, Refusal> {
    let wanted = history.asked_for();
    let taken_away = history.pin.is_some() || history.rejected().is_some();
    let running = match &history.rollout {
        Rollout::Complete { revision, .. } | Rollout::RollingBack { to: revision, .. } => Some(revision.clone()),
        Rollout::Progressing { to, .. } if history.pin.is_some() => Some(to.clone()),
        Rollout::New | Rollout::Progressing { .. } | Rollout::Stalled { .. } => None,
    };
    // Held, it merely has not gone on yet.
    let is_set_back = !history.paused && !history.held && history.is_behind_its_manifest();
    if !taken_away && is_set_back && matches!(history.rollout, Rollout::Complete { .. }) {
        let message = format!("{key}: its release group went back, and it runs what the manifest does not ask for");
        let way_out = "`evenkeel rollout retry` of the member that failed, or an edit of its manifest, goes on";
        return Err(Refusal::impossible(format!("{message}, so it cannot be restarted; {way_out}")));
    }
    let other = running.filter(|running| taken_away && wanted.as_ref() != Some(running));
    let other = other.and_then(|id| history.revisions.iter().find(|revision| revision.id == id).cloned());
    let (Some(other), Some(template)) = (other, manifest(history)) else {
        history.restarts = history.restarts.saturating_add(1);
        return Ok(format!("{key}: all replicas will be replaced"));
    };
    if other.taken_over {
        let message = format!(
            "{key}: nobody remembers what revision {} was made from, so that its replicas cannot be made again",
            other.number
        );
        let way_out =
            "`evenkeel rollout retry` tries the manifest's revision again, an edit of the manifest another one";
        return Err(Refusal::impossible(format!("{message}; {way_out}")));
    }
    let copy = copy(history, &other, now);
    let lapses = history.pin.as_ref().is_none_or(|pin| pin.lapses);
    history.pin = Some(Pin { revision: copy.id.clone(), template, lapses, restored: false, failed: None });
    let message = format!("{key}: all replicas of revision {} will be replaced", other.number);
    history.revisions.push(copy);
    Ok(message)
}

/// The same revision under another id: nothing but the count of restarts tells them apart.
fn copy(history: &DeploymentHistory, revision: &Revision, now: Timestamp) -> Revision {
    let hash = |restarts| template_hash(&revision.template, &revision.contents, restarts);
    let id = |restarts| revision_id(&hash(restarts), &revision.image);
    let is_free = |restarts: &u64| !history.revisions.iter().any(|known| known.id == id(*restarts));
    let restarts = (history.restarts.saturating_add(1)..).find(is_free).unwrap_or(u64::MAX);
    let number = history.revisions.iter().map(|revision| revision.number).max().unwrap_or(0).saturating_add(1);
    let (id, template_hash, outcome) = (id(restarts), hash(restarts), Outcome::Pending);
    Revision {
        number,
        id,
        template_hash,
        restarts,
        outcome,
        failure: None,
        created_at: now,
        gates: BTreeMap::new(),
        rested_at: None,
        ..revision.clone()
    }
}

/// Pins an earlier revision until the manifest's template changes.
fn undo(history: &mut DeploymentHistory, key: &Key, to: Option<u64>, manifest: Manifest) -> Result<String, Refusal> {
    let Some(current) = history.rollout.revision().cloned() else {
        return Err(Refusal::impossible(format!("{key} has no revision yet")));
    };
    let chosen: Option<Revision> = match to {
        Some(number) => history.revisions.iter().find(|revision| revision.number == number).cloned(),
        None => newest_completed(history, &current)
            .and_then(|id| history.revisions.iter().find(|revision| revision.id == id).cloned()),
    };
    let Some(chosen) = chosen else {
        return Err(Refusal::not_found(match to {
            Some(number) => format!("{key} has no revision {number}: see `evenkeel rollout history`"),
            None => format!("{key} has no earlier revision that completed"),
        }));
    };
    if to.is_none()
        && let Some(why) = is_undone(history)
    {
        let way_out = "`evenkeel rollout undo --to N` goes to another one, `rollout history` lists them";
        return Err(Refusal::impossible(format!("{key}: {why}; {way_out}")));
    }
    let wish = history.asked_for();
    if to.is_none() && history.pin.is_none() && wish.as_ref() == Some(&chosen.id) {
        let message =
            format!("revision {} of {key} is what its manifest asks for, and it was undone already", chosen.number);
        let way_out = "`evenkeel rollout undo --to N` goes to any, `rollout history` lists them";
        return Err(Refusal::impossible(format!("{message}; {way_out}")));
    }
    if let Outcome::Rejected { reason, .. } = &chosen.outcome {
        let message =
            format!("revision {} of {key} was rejected ({reason}); `rollout retry` tries it again", chosen.number);
        return Err(Refusal::impossible(message));
    }
    let Some(template) = manifest(history) else {
        return Err(Refusal::impossible(format!("{key} has not been looked at yet")));
    };
    history.pin = Some(Pin { revision: chosen.id.clone(), template, lapses: false, restored: false, failed: None });
    Ok(format!("{key} goes to revision {} until its manifest's template changes", chosen.number))
}

/// Why there is nothing to undo: that has happened by itself, and one step further back is not what is meant.
fn is_undone(history: &DeploymentHistory) -> Option<String> {
    let number = |id: &RevisionId| history.revisions.iter().find(|r| r.id == *id).map_or(0, |revision| revision.number);
    match &history.rollout {
        Rollout::RollingBack { to, from, .. } => {
            Some(format!("revision {} is being undone already, revision {} comes back", number(from), number(to)))
        }
        Rollout::Complete { revision, .. } => {
            let failed = history.rejected_wish().filter(|failed| failed.id != *revision)?;
            Some(format!("revision {} failed and was undone, revision {} runs", failed.number, number(revision)))
        }
        Rollout::New | Rollout::Progressing { .. } | Rollout::Stalled { .. } => None,
    }
}

/// Forgives the rejected revision that the manifest asks for, and asks for its gates again that failed. All of that is one
/// file's, so that a crash leaves no half of it.
fn retry(history: &mut DeploymentHistory, key: &Key, attempts: &BTreeMap<String, u32>) -> Result<String, Refusal> {
    // A first revision that fails is not rejected: there is none to go back to. Its gates may be run again.
    let has_failed = |r: &Revision| r.gates.values().any(|record| record.result.is_some() && !record.is_passed());
    let (current, wish) = (history.rollout.revision().cloned(), history.asked_for());
    // What somebody chose, if it failed, is meant before any other that did.
    let chosen = history.pin.as_ref().and(history.rejected_wish()).map(|revision| revision.id.clone());
    let is_to_forgive = |r: &&mut Revision| match &chosen {
        Some(chosen) => r.id == *chosen,
        // One of long ago that nobody asks for stays rejected.
        None => r.is_rejected() && Some(&r.id) == wish.as_ref() || Some(&r.id) == current.as_ref() && has_failed(r),
    };
    let Some(revision) = history.revisions.iter_mut().rev().find(is_to_forgive) else {
        let why = match matches!(history.rollout, Rollout::Complete { .. }) && history.is_behind_its_manifest() {
            true => {
                "that of another member of its release group failed, and is the one to retry: `evenkeel rollout status` names it"
            }
            false => "`evenkeel rollout status` says what it waits for",
        };
        return Err(Refusal::impossible(format!("no revision that {key} is asked for was rejected: {why}")));
    };
    revision.outcome = Outcome::Pending;
    // Whoever wants the manifest's revision to be tried does not want another one to stay.
    let is_wanted = wish.as_ref() == Some(&revision.id);
    let dropped = history.pin.take_if(|_| is_wanted);
    if let (Some(pin), Some(chosen)) = (&mut history.pin, chosen) {
        (pin.revision, pin.failed) = (chosen, None);
    }
    // Whatever is no Job's is asked for anew.
    revision.gates.retain(|title, record| record.is_passed() || attempts.contains_key(title));
    for (title, record) in revision.gates.iter_mut().filter(|(_, record)| !record.is_passed()) {
        record.again_after = attempts.get(title).copied().filter(|_| record.result.is_some());
        record.result = None;
    }
    let number = revision.number;
    let dropped = dropped.and_then(|pin| no_longer_stays(history, &pin, number)).unwrap_or_default();
    if let Rollout::Stalled { revision, .. } = &history.rollout
        && history.revisions.iter().any(|r| r.id == *revision && matches!(r.outcome, Outcome::Pending))
    {
        history.rollout = Rollout::New;
    }
    Ok(format!("revision {number} of {key} is tried again{dropped}"))
}

/// What a retry takes away with it: that another revision was to stay. A restart's copy was to stay for its rollout only.
fn no_longer_stays(history: &DeploymentHistory, pin: &Pin, tried: u64) -> Option<String> {
    let chosen = history.revisions.iter().find(|revision| revision.id == *pin.chosen())?;
    let what = if pin.restored { "the stay at" } else { "the undo to" };
    let is_told = !pin.lapses && chosen.number != tried;
    is_told.then(|| format!("; {what} revision {} ends with that", chosen.number))
}

/// The attempts of the Jobs that a Deployment's gates are, by the gates' titles.
fn attempts(history: &History, key: &Key, spec: &DeploymentSpec) -> BTreeMap<String, u32> {
    let attempt = |job: &Name| Some(history.jobs.get(&key.sibling(Kind::Job, job))?.runs.last()?.attempt);
    gates::titles(spec).filter_map(|(title, job)| Some((title, attempt(job)?))).collect()
}

fn cron_job(
    desired: &Desired,
    history: &mut History,
    key: &Key,
    request: &Request,
    now: Timestamp,
) -> Result<String, Refusal> {
    match (request, desired.cron_jobs.get(key)) {
        (Request::RunNow, Some(declared)) => {
            let history = history.cron_jobs.entry(key.clone()).or_default();
            if let Some(why) = cron::occupied(history.under_way(), declared.spec.concurrency_policy) {
                return Err(Refusal::impossible(format!("{key} is not run now: {why}")));
            }
            let id = cron::begin(history, &declared.spec, now, true);
            Ok(format!("{key}: run {id} begins"))
        }
        (Request::RunNow, None) => Err(undeclared(desired, key)),
        (Request::Pause | Request::Resume | Request::Restart | Request::Undo { .. } | Request::Retry, _) => {
            Err(Refusal::impossible(format!("{key} is a CronJob: `evenkeel run-now` is all that it can be asked for")))
        }
    }
}

fn job(history: &mut History, key: &Key, request: &Request) -> Result<String, Refusal> {
    let run = history.jobs.get_mut(key).and_then(|job| job.runs.last_mut());
    match (request, run) {
        (Request::Retry, Some(run)) if run.taken_over => Err(Refusal::impossible(format!(
            "{key} has not run yet as its manifest asks, and nobody remembers what ran before: the history was lost"
        ))),
        (Request::Retry, Some(run)) => match run.state {
            JobState::Failed { .. } | JobState::Unknown { .. } => {
                run.try_again();
                Ok(format!("{key} runs again"))
            }
            JobState::Succeeded { .. } => Err(Refusal::impossible(format!(
                "{key} has succeeded in this revision; change its template to run it again"
            ))),
            JobState::Pending | JobState::Started { .. } | JobState::Retrying { .. } => {
                Err(Refusal::impossible(format!("{key} has not ended yet")))
            }
        },
        (Request::Retry, None) => Err(Refusal::impossible(format!("{key} has not run yet"))),
        (Request::Pause | Request::Resume | Request::Restart | Request::Undo { .. } | Request::RunNow, _) => {
            Err(Refusal::impossible(format!("{key} is a Job: only `retry` makes sense for it")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::command::RefusalKind;
    use crate::model::gate::{GateRecord, GateResult};
    use crate::model::revision::{Contents, ImageId};
    use crate::model::wish::Resolution;

    /// A revision of the template and image with that number.
    fn revision(number: u64, outcome: Outcome) -> Revision {
        let (hash, image) = (TemplateHash(format!("t{number}")), ImageId(format!("sha256:{number}")));
        Revision {
            number,
            id: revision_id(&hash, &image),
            template_hash: hash,
            template: serde_json::from_value(serde_json::json!({"image": format!("web:{number}")})).unwrap(),
            taken_over: false,
            contents: Contents::default(),
            restarts: 0,
            image,
            digest: None,
            commit: None,
            created_at: Timestamp(0),
            outcome,
            failure: None,
            gates: BTreeMap::new(),
            rested_at: None,
        }
    }

    /// Revisions 1 and 2 completed, and 3, which the manifest asks for, did not.
    fn history(rollout: impl Fn(&[Revision]) -> Rollout) -> DeploymentHistory {
        let rejected =
            Outcome::Rejected { at: Timestamp(3), reason: "it crashed".into(), last_log: Vec::new(), failure: None };
        let completed = |at| Outcome::Completed { at: Timestamp(at) };
        let revisions = vec![revision(1, completed(1)), revision(2, completed(2)), revision(3, rejected)];
        let newest = &revisions[2];
        let (template, image) = (newest.template_hash.clone(), Some(newest.image.clone()));
        let resolution = Some(Resolution { template, seen_at: Timestamp(3), image });
        DeploymentHistory { rollout: rollout(&revisions), revisions, resolution, ..DeploymentHistory::default() }
    }

    fn undo_of(history: &mut DeploymentHistory, to: Option<u64>) -> Result<String, String> {
        let key = Key::try_from("deployment/shop/web".to_string()).unwrap();
        let template = |history: &DeploymentHistory| Some(history.resolution.as_ref()?.template.clone());
        undo(history, &key, to, &template).map_err(|refusal| refusal.message)
    }

    #[test]
    fn what_was_undone_by_itself_is_not_undone_again() {
        let mut back = history(|revisions| Rollout::Complete { revision: revisions[1].id.clone(), monitored: None });
        let why = undo_of(&mut back, None).unwrap_err();
        assert!(
            why.contains("revision 3 failed and was undone, revision 2 runs; `evenkeel rollout undo --to N`"),
            "{why}"
        );
        assert_eq!(back.pin, None);
        assert!(undo_of(&mut back, Some(1)).unwrap().contains("goes to revision 1"));
        assert_eq!(back.pin.unwrap().revision, back.revisions[0].id);
    }

    #[test]
    fn what_went_back_with_its_release_group_is_not_undone_forward() {
        let mut back = history(|revisions| Rollout::Complete { revision: revisions[1].id.clone(), monitored: None });
        back.revisions[2].outcome = Outcome::Completed { at: Timestamp(3) };
        let why = undo_of(&mut back, None).unwrap_err();
        assert!(
            why.contains("revision 3 of deployment/shop/web is what its manifest asks for, and it was undone"),
            "{why}"
        );
        assert!(undo_of(&mut back, Some(3)).unwrap().contains("goes to revision 3"), "who names it means it");
    }

    #[test]
    fn what_went_back_with_its_release_group_cannot_be_restarted_and_nobody_is_told_that_it_is() {
        let mut back = history(|revisions| Rollout::Complete { revision: revisions[1].id.clone(), monitored: None });
        back.revisions[2].outcome = Outcome::Completed { at: Timestamp(3) };
        let key = Key::try_from("deployment/shop/web".to_string()).unwrap();
        let before = back.clone();
        let why = restart(&mut back, &key, Timestamp(9), &|_| None).unwrap_err().message;
        assert!(why.contains("its release group went back") && why.contains("rollout retry"), "{why}");
        assert_eq!(back, before);
        // Paused, it is restarted as what its manifest asks for as soon as it goes on.
        back.paused = true;
        assert_eq!(restart_of(&mut back), "deployment/shop/web: all replicas will be replaced");
    }

    #[test]
    fn what_was_taken_over_cannot_be_restarted_because_that_makes_it_anew() {
        let mut back = history(|revisions| Rollout::Complete { revision: revisions[1].id.clone(), monitored: None });
        let key = Key::try_from("deployment/shop/web".to_string()).unwrap();
        let template = |history: &DeploymentHistory| Some(history.resolution.as_ref()?.template.clone());
        let mut taken_over = back.clone();
        taken_over.revisions[1].taken_over = true;
        let before = taken_over.clone();
        let refusal = restart(&mut taken_over, &key, Timestamp(9), &template).unwrap_err();
        assert!(refusal.message.contains("nobody remembers what revision 2 was made from"), "{}", refusal.message);
        assert_eq!(taken_over, before);
        assert!(restart(&mut back, &key, Timestamp(9), &template).unwrap().contains("all replicas of revision 2"));
    }

    #[test]
    fn a_revision_of_long_ago_that_nobody_asks_for_stays_rejected() {
        let key = Key::try_from("deployment/shop/web".to_string()).unwrap();
        let retried = |history: &mut DeploymentHistory| retry(history, &key, &BTreeMap::new());
        let runs = |revisions: &[Revision]| Rollout::Complete { revision: revisions[1].id.clone(), monitored: None };
        // The manifest was put back to revision 2.
        let mut put_back = history(runs);
        let second = &put_back.revisions[1];
        let (template, image) = (second.template_hash.clone(), Some(second.image.clone()));
        put_back.resolution = Some(Resolution { template, seen_at: Timestamp(4), image });
        let before = put_back.clone();
        let why = retried(&mut put_back).unwrap_err().message;
        assert!(why.contains("no revision that deployment/shop/web is asked for was rejected"), "{why}");
        assert!(why.contains("`evenkeel rollout status` says what it waits for"), "{why}");
        assert_eq!(put_back, before);
        assert!(retried(&mut history(runs)).unwrap().contains("revision 3 of deployment/shop/web is tried again"));
    }

    #[test]
    fn nothing_is_asked_of_what_is_not_declared() {
        for (key, asked) in [
            ("deployment/shop/web", Request::Pause),
            ("job/shop/migrate", Request::Retry),
            ("cronjob/shop/backup", Request::RunNow),
        ] {
            let key = Key::try_from(key.to_string()).unwrap();
            let refusal = request(&Desired::default(), &History::default(), &key, &asked, Timestamp(9)).unwrap_err();
            assert_eq!(refusal.message, format!("{key} is not declared"));
            let unread =
                Desired { unknown_sources: vec!["source /etc is not readable: gone".into()], ..Desired::default() };
            let refusal = request(&unread, &History::default(), &key, &asked, Timestamp(9)).unwrap_err();
            let words = format!("whether {key} is declared is not known: source /etc is not readable: gone");
            assert_eq!((refusal.kind, refusal.message), (RefusalKind::Unavailable, words));
        }
    }

    #[test]
    fn what_is_paused_is_not_paused_again_and_what_goes_on_is_not_resumed() {
        let mut web = history(|revisions| Rollout::Complete { revision: revisions[1].id.clone(), monitored: None });
        let mut asked = |asked| {
            let key = Key::try_from("deployment/shop/web".to_string()).unwrap();
            deployment(&mut web, &key, &asked, &BTreeMap::new(), Timestamp(9), &|_| None).map_err(|why| why.message)
        };
        assert_eq!(asked(Request::Resume), Err("deployment/shop/web is not paused".into()));
        assert_eq!(asked(Request::Pause), Ok("deployment/shop/web is paused".into()));
        assert_eq!(asked(Request::Pause), Err("deployment/shop/web is paused already".into()));
        assert_eq!(asked(Request::Resume), Ok("deployment/shop/web goes on".into()));
        assert_eq!(asked(Request::Resume), Err("deployment/shop/web is not paused".into()));
    }

    fn progressing(revisions: &[Revision]) -> Rollout {
        Rollout::Progressing {
            to: revisions[1].id.clone(),
            started_at: Timestamp(4),
            waited: Default::default(),
            available: 0,
            stepped_at: None,
            before: 1,
            excused_at: None,
            failed_at: None,
        }
    }

    fn restart_of(history: &mut DeploymentHistory) -> String {
        let key = Key::try_from("deployment/shop/web".to_string()).unwrap();
        let template = |history: &DeploymentHistory| Some(history.resolution.as_ref()?.template.clone());
        restart(history, &key, Timestamp(9), &template).unwrap()
    }

    #[test]
    fn an_undo_that_is_under_way_is_restarted_as_what_it_goes_to() {
        let mut undoing = history(progressing);
        undo_of(&mut undoing, Some(2)).unwrap();
        assert_eq!(restart_of(&mut undoing), "deployment/shop/web: all replicas of revision 2 will be replaced");
        assert_eq!(undoing.pin.map(|pin| pin.revision), Some(undoing.revisions[3].id.clone()));
        let mut on_its_way = history(progressing);
        assert_eq!(restart_of(&mut on_its_way), "deployment/shop/web: all replicas will be replaced");
        assert_eq!((on_its_way.pin, on_its_way.revisions.len(), on_its_way.restarts), (None, 3, 1));
    }

    #[test]
    fn a_restarted_revision_has_everything_of_the_one_that_runs_and_has_still_to_prove_itself() {
        let mut back = history(|revisions| Rollout::Complete { revision: revisions[1].id.clone(), monitored: None });
        let result = GateResult { at: Timestamp(2), failure: None, last_log: Vec::new() };
        let gate = GateRecord { asked_at: Timestamp(2), result: Some(result), again_after: None, earlier: Vec::new() };
        back.revisions[1].gates.insert("job migrate".into(), gate);
        back.revisions[1].rested_at = Some(Timestamp(3));
        back.revisions[1].failure = Some("it collapsed".into());
        restart_of(&mut back);
        let [copy, running] = [&back.revisions[3], &back.revisions[1]];
        assert_eq!((copy.number, copy.restarts, copy.created_at), (4, 1, Timestamp(9)));
        assert_eq!((&copy.template, &copy.image), (&running.template, &running.image));
        assert_eq!(copy.template_hash, template_hash(&running.template, &running.contents, 1));
        assert_eq!(copy.id, revision_id(&copy.template_hash, &copy.image));
        assert_eq!((&copy.outcome, &copy.failure, copy.rested_at), (&Outcome::Pending, &None, None));
        assert!(copy.gates.is_empty());
    }

    #[test]
    fn a_gate_of_a_first_revision_that_failed_is_asked_again_and_one_that_is_under_way_is_not() {
        let key = Key::try_from("deployment/shop/web".to_string()).unwrap();
        let first = |failure: Option<&str>| {
            let mut first = history(progressing);
            first.revisions = vec![first.revisions.remove(1)];
            first.revisions[0].outcome = Outcome::Pending;
            let failure = failure.map(ToString::to_string);
            let result = GateResult { at: Timestamp(5), failure, last_log: Vec::new() };
            let result = result.failure.is_some().then_some(result);
            let gate = GateRecord { asked_at: Timestamp(4), result, again_after: None, earlier: Vec::new() };
            first.revisions[0].gates.insert("check".into(), gate);
            first
        };
        let mut failed = first(Some("it answered 500"));
        assert!(retry(&mut failed, &key, &BTreeMap::new()).unwrap().contains("revision 2 of deployment/shop/web"));
        assert!(failed.revisions[0].gates.is_empty());
        assert!(retry(&mut first(None), &key, &BTreeMap::new()).is_err());
    }

    #[test]
    fn what_stalled_at_another_revision_stays_there_until_the_one_that_is_retried_begins() {
        let key = Key::try_from("deployment/shop/web".to_string()).unwrap();
        let at = |revision: usize| {
            history(move |revisions| Rollout::Stalled {
                revision: revisions[revision].id.clone(),
                at: Timestamp(4),
                reason: "it crashed".into(),
            })
        };
        let mut other = at(1);
        retry(&mut other, &key, &BTreeMap::new()).unwrap();
        assert!(matches!(other.rollout, Rollout::Stalled { .. }));
        let mut same = at(2);
        retry(&mut same, &key, &BTreeMap::new()).unwrap();
        assert_eq!(same.rollout, Rollout::New);
    }

    #[test]
    fn a_retry_says_which_undo_ends_with_it_and_nothing_of_a_restart() {
        let key = Key::try_from("deployment/shop/web".to_string()).unwrap();
        let runs = |revisions: &[Revision]| Rollout::Complete { revision: revisions[1].id.clone(), monitored: None };
        let mut undone = history(runs);
        undo_of(&mut undone, Some(1)).unwrap();
        let told = retry(&mut undone, &key, &BTreeMap::new()).unwrap();
        assert!(told.ends_with("is tried again; the undo to revision 1 ends with that"), "{told}");
        let mut restarted = history(runs);
        restart_of(&mut restarted);
        let told = retry(&mut restarted, &key, &BTreeMap::new()).unwrap();
        assert!(told.ends_with("is tried again"), "{told}");
    }

    #[test]
    fn what_is_being_undone_is_not_undone_further() {
        let mut going = history(|revisions| Rollout::RollingBack {
            to: revisions[1].id.clone(),
            from: revisions[2].id.clone(),
            started_at: Timestamp(4),
            waited: Default::default(),
            available: 0,
        });
        let why = undo_of(&mut going, None).unwrap_err();
        assert!(why.contains("revision 3 is being undone already, revision 2 comes back"), "{why}");
    }

    #[test]
    fn what_stalled_goes_back_to_what_completed_last() {
        let mut stalled = history(|revisions| Rollout::Stalled {
            revision: revisions[2].id.clone(),
            at: Timestamp(4),
            reason: "it crashed".into(),
        });
        assert!(undo_of(&mut stalled, None).unwrap().contains("goes to revision 2"));
    }
}
