//! One CronJob in one pass: which times get a run, which of them are skipped, and what is kept of those that have ended.
//! How a run goes, `runs` knows: the same as a Job's.
//!
//! A time is decided once: `through` moves past it in the same write as the run that it got, so whatever crashes, no time
//! gets two runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::adopt;
use super::build;
use super::follow;
use super::images;
use super::policy;
use super::runs::{Runner, Terms};
use super::wards;
use super::world::{Decided, World};
use crate::model::action::{Call, Stop};
use crate::model::cron::{CronJobHistory, CronRun, run_id};
use crate::model::desired::Declared;
use crate::model::history::History;
use crate::model::job::{JobRun, JobState};
use crate::model::name::Key;
use crate::model::observed::{Container, ContainerState};
use crate::model::revision::{Contents, RevisionId, template_hash};
use crate::model::schedule::Schedule;
use crate::model::spec::{ConcurrencyPolicy, CronJobSpec};
use crate::model::status::Severity;
use crate::model::time::{Span, Timestamp};

/// The most runs side by side, whatever the policy allows: a host has an end.
const SIDE_BY_SIDE: usize = 10;

/// Later than this, a run makes up for a time that was missed.
const ON_TIME: Span = Span::secs(60);

/// Decides for one CronJob.
pub fn cron_job(
    world: World,
    key: &Key,
    declared: &Declared<CronJobSpec>,
    past: &History,
) -> (CronJobHistory, Decided) {
    let spec = &declared.spec;
    let contents = build::contents(world, key, &spec.template);
    let refused = policy::template_refusals(world, key, &spec.template, &contents);
    let mut decided = Decided::default();
    let mut history = past.cron_jobs.get(key).cloned().unwrap_or_default();
    follow::take(world, &mut decided, key, &mut history.choice);
    let pass = Pass { world, key, spec, contents, past, barred: !refused.is_empty() };
    decided.refuse(refused);
    adopt::runs(world, key, spec, &pass.contents, &mut history);
    pass.note_ends(&mut decided, &mut history);
    pass.take_time(&mut decided, &mut history);
    pass.serve_gates(&mut decided, &mut history);
    pass.proceed(&mut decided, &mut history);
    pass.forget(&mut decided, &mut history);
    decided.status = super::status::cron_job(world, key, spec, &history, &decided);
    (history, decided)
}

/// Why no run may begin beside those that are under way.
pub fn occupied<'a>(under_way: impl Iterator<Item = &'a CronRun>, policy: ConcurrencyPolicy) -> Option<String> {
    let under_way: Vec<&CronRun> = under_way.collect();
    let newest = under_way.last()?;
    match policy {
        ConcurrencyPolicy::Forbid => Some(format!("run {} is under way", run_id(newest.scheduled_at))),
        ConcurrencyPolicy::Allow if under_way.len() >= SIDE_BY_SIDE => {
            Some(format!("{SIDE_BY_SIDE} runs are under way"))
        }
        ConcurrencyPolicy::Allow | ConcurrencyPolicy::Replace => None,
    }
}

/// Adds a run for the time `at`, and gives its id.
pub fn begin(history: &mut CronJobHistory, spec: &CronJobSpec, at: Timestamp, by_hand: bool) -> RevisionId {
    if spec.concurrency_policy == ConcurrencyPolicy::Replace {
        history.runs.iter_mut().filter(|run| !run.is_over()).for_each(|run| run.replaced = true);
    }
    let is_free = |at: &Timestamp| !history.runs.iter().any(|run| run.scheduled_at == *at);
    let scheduled_at = (at.0..).map(Timestamp).find(is_free).unwrap_or(at);
    history.runs.push(CronRun {
        scheduled_at,
        by_hand,
        replaced: false,
        backoff_limit: spec.backoff_limit,
        active_deadline: spec.active_deadline,
        resolution: None,
        job: None,
    });
    run_id(scheduled_at)
}

/// When its runs were to begin.
fn beginnings(history: &CronJobHistory) -> Vec<Timestamp> {
    history.runs.iter().map(|run| run.scheduled_at).collect()
}

/// A CronJob in a pass.
struct Pass<'a> {
    world: World<'a>,
    key: &'a Key,
    spec: &'a CronJobSpec,
    contents: Contents,
    past: &'a History,
    /// Whether the policy does not allow what the manifest asks for: nothing begins.
    barred: bool,
}

/// What becomes of a run in a pass.
enum Step {
    /// It is remembered.
    Goes,
    /// It never had a container, and never will.
    Dropped(String),
}

impl Pass<'_> {
    /// Notes which runs have ended since they were last seen: what has ended is in nobody's way.
    fn note_ends(&self, decided: &mut Decided, history: &mut CronJobHistory) {
        let begun = beginnings(history);
        for run in history.runs.iter_mut().filter(|run| !run.is_over()) {
            let Some(attempt) = run.job.as_ref().map(|job| job.attempt) else { continue };
            let id = run_id(run.scheduled_at);
            let is_present = |container: &&&Container| container.revision == id && container.slot == attempt;
            let container = self.world.containers(self.key).iter().find(is_present);
            if container.is_some_and(|container| matches!(container.state, ContainerState::Exited(_))) {
                self.step(decided, run, &begun, false);
            }
        }
    }

    /// Decides about the time that has come, if one has, and asks for a look at the next.
    fn take_time(&self, decided: &mut Decided, history: &mut CronJobHistory) {
        let Self { world, spec, .. } = *self;
        let counts_by = (!spec.suspend).then(|| format!("{} {}", spec.schedule, spec.time_zone));
        if history.counts_by != counts_by || history.through == Timestamp::default() {
            // What came before it was known, was asked for otherwise or was suspended is not made up for.
            history.counts_by = counts_by;
            history.through = world.now;
        }
        if spec.suspend {
            return;
        }
        let Ok(schedule) = Schedule::parse(&spec.schedule, &spec.time_zone) else {
            decided.trouble = Some(format!("'{}' is no schedule", spec.schedule));
            return;
        };
        if let Some(at) = schedule.newest(history.through, world.now) {
            let is_first = schedule.next(history.through) == Some(at);
            history.through = at;
            self.decide(decided, history, at, is_first);
        }
        if let Some(next) = schedule.next(history.through.max(world.now)) {
            decided.wake(next);
        }
    }

    /// Begins a run for a rollout that has come to a gate and needs one.
    fn serve_gates(&self, decided: &mut Decided, history: &mut CronJobHistory) {
        let Self { world, key, spec, past, .. } = *self;
        if self.barred || history.under_way().next().is_some() {
            return;
        }
        if let Some((ward, number)) = wards::run_wanted(world, past, key) {
            let id = begin(history, spec, world.now, true);
            let message = format!("run {id} is for the gate of revision {number} of {ward}");
            decided.tell(world, key, Severity::Normal, "CronJobScheduled", message);
        }
    }

    fn decide(&self, decided: &mut Decided, history: &mut CronJobHistory, at: Timestamp, is_first: bool) {
        let Self { world, key, spec, .. } = *self;
        let late = world.now.since(at);
        let deadline = spec.starting_deadline.filter(|deadline| late > *deadline);
        let why_not = match deadline {
            Some(deadline) => Some(format!("nobody was there to begin it within its startingDeadline of {deadline}")),
            None if self.barred => Some("the policy does not allow it".into()),
            None => occupied(history.runs.iter().filter(|run| self.lives(run)), spec.concurrency_policy),
        };
        if let Some(why) = why_not {
            let message = format!("the run for {at} is skipped: {why}");
            return decided.tell(world, key, Severity::Warning, "CronJobSkipped", message);
        }
        let id = begin(history, spec, at, false);
        history.last_scheduled = Some(at);
        let missed = match (late > ON_TIME, is_first) {
            (false, _) => "",
            (true, true) => ", which was missed",
            (true, false) => ", the newest of those that were missed",
        };
        decided.tell(world, key, Severity::Normal, "CronJobScheduled", format!("run {id} is for {at}{missed}"));
    }

    /// One step of every run.
    fn proceed(&self, decided: &mut Decided, history: &mut CronJobHistory) {
        let begun = beginnings(history);
        for mut run in std::mem::take(&mut history.runs) {
            let leaves = history.runs.iter().any(|earlier| earlier.replaced && self.lives(earlier));
            match self.step(decided, &mut run, &begun, leaves) {
                Step::Goes => history.runs.push(run),
                Step::Dropped(why) => {
                    let message = format!("run {} is skipped: {why}", run_id(run.scheduled_at));
                    decided.tell(self.world, self.key, Severity::Warning, "CronJobSkipped", message);
                }
            }
        }
        for run in &history.runs {
            if let Some(JobState::Succeeded { exit, .. }) = run.job.as_ref().map(|job| &job.state) {
                history.last_success = history.last_success.max(Some(exit.finished_at));
            }
        }
    }

    /// One step of a run. `begun`: when all of them were to begin; `leaves`: another one that has to leave first still runs.
    fn step(&self, decided: &mut Decided, run: &mut CronRun, begun: &[Timestamp], leaves: bool) -> Step {
        let overdue = self.overdue(decided, run);
        if run.job.is_none() {
            if run.replaced {
                return Step::Dropped("a newer one took its place before it began".into());
            }
            if let Some(why) = overdue {
                return Step::Dropped(why);
            }
            self.resolve(decided, run);
        }
        let waits = run.has_not_begun() && (self.barred || leaves);
        let Some(job) = &mut run.job else { return Step::Goes };
        images::learn_digest(self.world, &job.template, &job.image, &mut job.digest);
        let (by_hand, at) = (run.by_hand, run.scheduled_at);
        let purpose = || if by_hand { "it was asked for".into() } else { format!("its time has come: {at}") };
        let terms = Terms { backoff_limit: run.backoff_limit, active_deadline: run.active_deadline, idempotent: false };
        let Self { world, key, past, spec, .. } = *self;
        let replaced = run.replaced;
        let runner = Runner { world, key, past, terms, replaced, quiesce: &spec.quiesce, purpose: &purpose };
        if matches!(job.state, JobState::Unknown { .. }) && runner.container(job).is_some() {
            // It was out of sight, and is back.
            job.state = JobState::Started { at: self.world.now };
        }
        match overdue {
            _ if replaced => {
                let since = begun.iter().copied().filter(|newer| *newer > at).min();
                runner.give_way(decided, job, since, "a newer run takes its place");
            }
            Some(why) => runner.give_way(decided, job, None, &why),
            None if waits && leaves => decided.wait("the run before it to end, whose place it takes"),
            None if waits => {}
            None => runner.advance(decided, job),
        }
        Step::Goes
    }

    /// Why a run that has not begun never will, if it is too late for it.
    fn overdue(&self, decided: &mut Decided, run: &CronRun) -> Option<String> {
        let limit = self.spec.starting_deadline.filter(|_| run.has_not_begun() && !run.by_hand)?;
        let deadline = run.scheduled_at + limit;
        if deadline >= self.world.now {
            decided.wake(deadline + Span::millis(1));
            return None;
        }
        Some(format!("it could not begin within its startingDeadline of {limit}"))
    }

    /// Finds the run's image by the manifest of now; from then on nothing of the run changes any more.
    fn resolve(&self, decided: &mut Decided, run: &mut CronRun) {
        let Self { world, key, spec, .. } = *self;
        if self.barred {
            return;
        }
        let hash = template_hash(&spec.template, &self.contents, 0);
        let resolution = images::carry(world, run.resolution.as_ref(), &hash, None);
        let resolution = images::resolve(world, decided, key, &spec.template, resolution);
        if let Some(image) = resolution.image.clone() {
            (run.backoff_limit, run.active_deadline) = (spec.backoff_limit, spec.active_deadline);
            run.job = Some(JobRun {
                revision: run_id(run.scheduled_at),
                template_hash: hash,
                template: Arc::clone(&spec.template),
                contents: self.contents.clone(),
                digest: images::digest_of(world, &spec.template, &image),
                image,
                commit: world.desired.commits.get(key).cloned(),
                created_at: world.now,
                attempt: 0,
                state: JobState::Pending,
                taken_over: false,
                earlier: Vec::new(),
            });
        }
        run.resolution = Some(resolution);
    }

    /// Whether a run has not ended, or its container runs in spite of that: a person started it, or a list was short.
    fn lives(&self, run: &CronRun) -> bool {
        let id = run_id(run.scheduled_at);
        let own = self.world.containers(self.key).iter().filter(|container| container.revision == id);
        !run.is_over() || own.into_iter().any(|container| !has_ended(container))
    }

    /// Removes what is left of runs that the limits do not keep, and forgets those of which nothing is left.
    fn forget(&self, decided: &mut Decided, history: &mut CronJobHistory) {
        let kept = self.kept(history);
        for container in self.world.containers(self.key) {
            let id = &container.revision;
            let run = history.runs.iter().find(|run| run_id(run.scheduled_at) == *id);
            match run.and_then(|run| Some((run, run.job.as_ref()?))) {
                None => self.remove(decided, container, "nobody remembers its run"),
                Some((run, job)) if run.replaced && job.state.is_over() && !has_ended(container) => {
                    self.stop(decided, container, &job.template);
                }
                Some((_, job)) if container.slot < job.attempt && begun(job) => {
                    self.remove(decided, container, "a newer run has taken its place");
                }
                Some((_, job)) if job.state.is_over() && container.state == ContainerState::Created { error: None } => {
                    self.remove(decided, container, "it has never run, and never will");
                }
                Some((run, _)) if !kept.contains(&run.scheduled_at) => {
                    self.remove(decided, container, "newer runs are kept");
                }
                Some(_) => {}
            }
        }
        let has_containers = |run: &CronRun| {
            let id = run_id(run.scheduled_at);
            self.world.containers(self.key).iter().any(|container| container.revision == id)
        };
        history.runs.retain(|run| kept.contains(&run.scheduled_at) || has_containers(run));
    }

    /// The runs that are kept: those under way, the newest that has ended, and as many as the limits say.
    fn kept(&self, history: &CronJobHistory) -> BTreeSet<Timestamp> {
        let state = |run: &&CronRun| run.job.as_ref().map(|job| job.state.clone());
        let went_well = |run: &&CronRun| matches!(state(run), Some(JobState::Succeeded { .. }));
        let ended = || history.runs.iter().rev().filter(|run| run.is_over());
        let well = ended().filter(went_well).take(self.spec.successful_runs_history_limit as usize);
        let badly = ended().filter(|run| !went_well(run)).take(self.spec.failed_runs_history_limit as usize);
        let kept = history.runs.iter().filter(|run| self.lives(run)).chain(ended().take(1)).chain(well).chain(badly);
        kept.map(|run| run.scheduled_at).collect()
    }

    fn remove(&self, decided: &mut Decided, container: &Container, cause: &str) {
        if has_ended(container) {
            let call = Call::Remove { container: container.id.clone(), name: container.name.clone() };
            decided.act(self.world, self.key, call, cause);
        }
    }

    fn stop(&self, decided: &mut Decided, container: &Container, template: &crate::model::spec::Template) {
        let call = Call::Stop(Stop {
            container: container.id.clone(),
            name: container.name.clone(),
            pre_stop: Vec::new(),
            grace: template.termination_grace_period,
        });
        decided.act(self.world, self.key, call, "a newer run takes its place");
    }
}

/// Whether the present attempt of a run was started, or an earlier one was.
fn begun(job: &JobRun) -> bool {
    job.attempt > 0 || !matches!(job.state, JobState::Pending)
}

fn has_ended(container: &Container) -> bool {
    matches!(container.state, ContainerState::Exited(_) | ContainerState::Created { .. })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::action::Request;
    use crate::model::desired::Desired;
    use crate::model::name::{Kind, Name};
    use crate::model::observed::Observed;

    /// 2026-03-29T00:59:00Z: a minute before the clock in Berlin goes from 02:00 to 03:00.
    const BEFORE_THE_GAP: Timestamp = Timestamp(1_774_745_940_000);

    fn key() -> Key {
        Key::new(Kind::CronJob, Name::new("shop").unwrap(), Name::new("backup").unwrap())
    }

    /// A CronJob with these further fields.
    fn desired(fields: serde_json::Value) -> Desired {
        let template = json!({"image": "dump:1", "hostNetwork": true});
        let mut spec = json!({"schedule": "30 2 * * *", "timeZone": "Europe/Berlin", "template": template});
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let mut desired = Desired::default();
        desired.cron_jobs.insert(key(), Declared::bare(serde_json::from_value(spec).unwrap()));
        desired
    }

    /// The reasons of the events of a pass at `at`, and what is remembered then.
    fn pass(desired: &Desired, history: &History, at: Timestamp) -> (Vec<String>, History) {
        let plan = crate::plan::plan(desired, &Observed::default(), history, at);
        let told = plan.events.iter().map(|event| format!("{}: {}", event.reason, event.message));
        (told.collect(), plan.history)
    }

    #[test]
    fn a_time_that_does_not_exist_gets_one_run_after_the_gap() {
        let desired = desired(json!({}));
        let (told, history) = pass(&desired, &History::default(), BEFORE_THE_GAP);
        assert!(told.is_empty(), "{told:?}");
        let plan = crate::plan::plan(&desired, &Observed::default(), &history, BEFORE_THE_GAP);
        assert_eq!(plan.wake_at, Some(BEFORE_THE_GAP + Span::secs(60)), "it sleeps until then");
        let (told, history) = pass(&desired, &history, BEFORE_THE_GAP + Span::secs(60));
        assert_eq!(told, ["CronJobScheduled: run 20260329-010000 is for 2026-03-29T01:00:00Z"]);
        let (told, _) = pass(&desired, &history, BEFORE_THE_GAP + Span::secs(7200));
        assert!(told.is_empty(), "{told:?}");
    }

    #[test]
    fn only_so_many_runs_are_under_way_side_by_side() {
        let desired = desired(json!({"schedule": "* * * * *", "concurrencyPolicy": "Allow"}));
        let (_, mut history) = pass(&desired, &History::default(), BEFORE_THE_GAP);
        let mut told: Vec<String> = Vec::new();
        // Their image is not known, so none of them ends.
        for minute in 1..=SIDE_BY_SIDE as u64 + 1 {
            assert!(!told.concat().contains("CronJobSkipped"), "{told:?}");
            (told, history) = pass(&desired, &history, BEFORE_THE_GAP + Span::secs(60 * minute));
        }
        assert!(told.concat().ends_with(&format!("is skipped: {SIDE_BY_SIDE} runs are under way")), "{told:?}");
        assert_eq!(history.cron_jobs[&key()].runs.len(), SIDE_BY_SIDE);
    }

    #[test]
    fn of_the_times_that_were_missed_the_newest_gets_a_run_unless_it_is_too_late() {
        let five_days = BEFORE_THE_GAP + Span::secs(5 * 86_400);
        for (deadline, expected) in [
            (
                "1d",
                "CronJobScheduled: run 20260403-003000 is for 2026-04-03T00:30:00Z, the newest of those that were missed",
            ),
            (
                "10m",
                "CronJobSkipped: the run for 2026-04-03T00:30:00Z is skipped: nobody was there to begin it within its startingDeadline of 10m",
            ),
        ] {
            let desired = desired(json!({"startingDeadline": deadline}));
            let (_, history) = pass(&desired, &History::default(), BEFORE_THE_GAP);
            let (told, _) = pass(&desired, &history, five_days);
            assert_eq!(told, [expected]);
        }
    }

    #[test]
    fn another_schedule_makes_up_for_nothing() {
        let (_, history) = pass(&desired(json!({})), &History::default(), BEFORE_THE_GAP);
        let hourly = desired(json!({"schedule": "@hourly"}));
        let (told, _) = pass(&hourly, &history, BEFORE_THE_GAP + Span::secs(3 * 3600));
        assert!(told.is_empty(), "{told:?}");
    }

    #[test]
    fn a_clock_that_goes_back_brings_no_time_twice() {
        let desired = desired(json!({"concurrencyPolicy": "Allow"}));
        let (_, history) = pass(&desired, &History::default(), BEFORE_THE_GAP);
        let (_, history) = pass(&desired, &history, BEFORE_THE_GAP + Span::secs(60));
        let (_, history) = pass(&desired, &history, BEFORE_THE_GAP);
        let (told, history) = pass(&desired, &history, BEFORE_THE_GAP + Span::secs(61));
        assert_eq!((told.len(), history.cron_jobs[&key()].runs.len()), (0, 1));
    }

    #[test]
    fn a_run_that_a_person_asks_for_is_refused_as_the_policy_says() {
        let asked = |desired: &Desired, history: &History| {
            crate::plan::request(desired, history, &key(), &Request::RunNow, BEFORE_THE_GAP)
        };
        for (policy, count) in [("Forbid", 1), ("Allow", SIDE_BY_SIDE), ("Replace", 30)] {
            let desired = desired(json!({"concurrencyPolicy": policy}));
            let mut history = History::default();
            for _ in 0..30 {
                history = asked(&desired, &history).map_or(history, |(after, _)| after);
            }
            let times: BTreeSet<Timestamp> =
                history.cron_jobs[&key()].runs.iter().map(|run| run.scheduled_at).collect();
            assert_eq!(times.len(), count, "{policy}: no two runs have the same time");
        }
    }

    #[test]
    fn a_plan_shows_no_times_that_are_to_come() {
        let desired = desired(json!({}));
        let (_, history) = pass(&desired, &History::default(), BEFORE_THE_GAP);
        let ahead = |at| {
            let plan = crate::plan::plan(&desired, &Observed::default(), &history, at);
            crate::plan::forecast(&desired, &Observed::default(), &history, at, &plan).steps.len()
        };
        assert_eq!(ahead(BEFORE_THE_GAP), 0);
    }
}
