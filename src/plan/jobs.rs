//! One Job in one pass: which revision is to run, once. How a run goes, `runs` knows.

use std::sync::Arc;

use super::adopt;
use super::build;
use super::follow;
use super::images;
use super::policy;
use super::runs::{Runner, Terms};
use super::wards::{self, Role};
use super::world::{Decided, World};
use crate::model::action::Call;
use crate::model::desired::Declared;
use crate::model::history::History;
use crate::model::job::{JobHistory, JobRun, JobState, RemovedJob, RemovedJobs};
use crate::model::name::Key;
use crate::model::observed::{Container, ContainerState};
use crate::model::policy::Refusal;
use crate::model::revision::{Contents, ImageId, TemplateHash, revision_id, template_hash};
use crate::model::spec::JobSpec;
use crate::model::status::Condition;
use crate::model::wish::Resolution;

/// How many runs are remembered: a manifest that goes back to one of these revisions does not run it again.
const RUNS_KEPT: usize = 10;

/// Of how many Jobs that were removed it is remembered what became of them.
const REMOVED_KEPT: usize = 50;

/// Decides for one Job.
pub fn job(world: World, key: &Key, declared: &Declared<JobSpec>, past: &History) -> (JobHistory, Decided) {
    let spec = &declared.spec;
    let mut history = past.jobs.get(key).or_else(|| removed(past, key)).cloned().unwrap_or_default();
    let mut decided = Decided::default();
    follow::take(world, &mut decided, key, &mut history.choice);
    let asked = Asked::of(world, key, spec);
    let role = wards::role(world, past, key);
    let idle = matches!(role, Role::Idle);
    let refused = if idle { Vec::new() } else { asked.refused(world, key, &history) };
    let barred = idle || !refused.is_empty();
    if !spec.suspend {
        decided.refuse(refused);
        if !barred {
            let image = role.revision().filter(|_| spec.image_of.is_some()).map(|revision| revision.image.clone());
            asked.enter(world, &mut decided, key, &mut history, image);
        }
        // Where the manifest's revision may not run now, an earlier one that runs is seen to its end, and none is begun.
        let goes_on = |run: &mut JobRun| !barred || matches!(run.state, JobState::Started { .. });
        let purpose = || purpose(world, key, past);
        let terms = Terms::from(spec);
        let runner = Runner { world, key, past, terms, replaced: false, quiesce: &[], purpose: &purpose };
        see_out(runner, &mut decided, &mut history);
        if let Some(mut run) = history.runs.pop_if(|run| !run.taken_over && goes_on(run)) {
            if let (Role::Gate { again_after: Some(attempt), .. }, JobState::Failed { .. }) = (&role, &run.state)
                && *attempt == run.attempt
            {
                run.try_again();
            }
            runner.advance(&mut decided, &mut run);
            history.runs.push(run);
        }
        remove_old(world, &mut decided, key, &history);
    }
    decided.status = super::status::job(world, key, spec, &history, &decided);
    if let Some(wards) = wards::in_words(world, key) {
        // How a rollout stands that came to it, its Deployment tells.
        let message = format!("a gate of {wards}");
        decided.status.conditions.push(Condition { kind: "Gate".into(), status: true, reason: "Gate".into(), message });
    }
    let state = history.runs.last().map(|run| &run.state);
    let is_under_way = matches!(state, Some(JobState::Started { .. }));
    // What became of a run that nobody knows the end of matters when a rollout comes to the gate, and not before.
    let is_told = asked.is_entered(&history) && !matches!(state, Some(JobState::Unknown { .. }));
    if idle && !is_under_way && !is_told {
        let wards = wards::in_words(world, key).unwrap_or_default();
        decided.status = super::networks::ready(&format!("runs as a gate, when a rollout of {wards} comes to it"));
        return (history, decided);
    }
    let ended = matches!(decided.status.phase.as_str(), "Complete" | "Failed" | "Unknown");
    if ended && !asked.is_entered(&history) {
        // That was an earlier revision's; the one that is asked for has not run.
        decided.status = super::status::job(world, key, spec, &JobHistory::default(), &decided);
    }
    (history, decided)
}

/// Notes what becomes of runs that nobody remembered, unless they are what is asked for. None of them is tried again: nobody knows
/// what they were made from.
fn see_out(runner: Runner, decided: &mut Decided, history: &mut JobHistory) {
    let runner = Runner { terms: Terms { backoff_limit: 0, ..runner.terms }, ..runner };
    let is_under_way = |run: &&mut JobRun| run.taken_over && matches!(run.state, JobState::Started { .. });
    for run in history.runs.iter_mut().filter(is_under_way) {
        match runner.container(run) {
            Some(_) => runner.advance(decided, run),
            None => run.state = JobState::Unknown { at: runner.world.now },
        }
    }
}

/// What had been of a Job that was removed, and is declared again.
fn removed<'a>(past: &'a History, key: &Key) -> Option<&'a JobHistory> {
    past.removed_jobs.get(key).map(|removed| &removed.history)
}

/// What stays remembered of Jobs that are removed: of those that had been, and of those that are `gone` now, the newest.
pub fn still_removed(world: World, past: &History, gone: &[Key]) -> RemovedJobs {
    // One that is declared again is known until its own file is written: a power cut may keep either.
    let comes_back = |key: &Key| world.desired.declares(key) && past.jobs.contains_key(key);
    let before = past.removed_jobs.iter().filter(|(key, _)| !comes_back(key));
    let mut after: RemovedJobs = before.map(|(key, removed)| (key.clone(), removed.clone())).collect();
    let has_run = |key: &&Key| past.jobs.get(key).is_some_and(|history| !history.runs.is_empty());
    for key in gone.iter().filter(has_run) {
        after.insert(key.clone(), RemovedJob { at: world.now, history: past.jobs[key].clone() });
    }
    while after.len() > REMOVED_KEPT {
        let oldest = after.iter().min_by_key(|(_, removed)| removed.at).map(|(key, _)| key.clone());
        after.remove(&oldest.expect("there are more than some"));
    }
    after
}

/// What the manifest asks for.
pub struct Asked<'a> {
    spec: &'a JobSpec,
    contents: Contents,
    hash: TemplateHash,
}

impl<'a> Asked<'a> {
    /// Its template and contents, and their hash.
    pub fn of(world: World, key: &Key, spec: &'a JobSpec) -> Self {
        let contents = build::contents(world, key, &spec.template);
        let hash = template_hash(&spec.template, &contents, 0);
        Self { spec, contents, hash }
    }

    /// Whether the newest run is of it.
    pub fn is_entered(&self, history: &JobHistory) -> bool {
        history.runs.last().is_some_and(|run| run.template_hash == self.hash)
    }

    /// What the policy does not allow of it, unless it has been entered already.
    fn refused(&self, world: World, key: &Key, history: &JobHistory) -> Vec<Refusal> {
        match self.is_entered(history) {
            true => Vec::new(),
            false => policy::template_refusals(world, key, &self.spec.template, &self.contents),
        }
    }

    /// Makes it the newest run, once its image is known and an older run has ended.
    /// `given` is the image of the revision that it is a gate of.
    fn enter(&self, world: World, decided: &mut Decided, key: &Key, history: &mut JobHistory, given: Option<ImageId>) {
        let Self { spec, contents, hash } = self;
        adopt::job_runs(world, key, spec, contents, history);
        let known = history.runs.last().filter(|run| run.template_hash == *hash).map(|run| run.image.clone());
        let same = |container: &&&Container| container.template == *hash;
        let adopted =
            known.or_else(|| world.containers(key).iter().find(same).map(|container| container.image.clone()));
        let resolution = images::carry(world, history.resolution.as_ref(), hash, adopted);
        let resolution = match given {
            Some(image) => Resolution { image: Some(image), ..resolution },
            None => images::resolve(world, decided, key, &spec.template, resolution),
        };
        history.resolution = Some(resolution.clone());
        let Some(image) = resolution.image else {
            return;
        };
        let revision = revision_id(hash, &image);
        if let Some(run) = history.runs.last_mut() {
            if run.revision == revision {
                claim(run, spec, contents);
                images::learn_digest(world, &run.template, &run.image, &mut run.digest);
                return;
            }
            if matches!(run.state, JobState::Started { .. }) {
                decided.wait("the run of the previous revision to end: a job is never killed by an update");
                return;
            }
        }
        if let Some(earlier) = history.runs.iter().position(|run| run.revision == revision) {
            // What became of it is known.
            let mut run = history.runs.remove(earlier);
            claim(&mut run, spec, contents);
            history.runs.push(run);
            return;
        }
        // Containers of another template and no memory of them: the history was lost, and with it the key that makes
        // the ids of secrets, so this may be the very revision that ran. A person decides.
        let containers = world.containers(key);
        let is_traced = !history.runs.is_empty() || !containers.is_empty();
        let lost = is_traced && history.runs.iter().all(|run| run.taken_over) && !spec.idempotent;
        let state = if lost && !containers.iter().any(|container| container.template == *hash) {
            JobState::Unknown { at: world.now }
        } else {
            JobState::Pending
        };
        // The same with its newest attempt: it is seen to its end, and none that there was is made again.
        let attempts = containers.iter().filter(|container| container.revision == revision);
        let attempt = attempts.map(|container| container.slot).max().unwrap_or(0);
        history.runs.push(JobRun {
            revision,
            template_hash: hash.clone(),
            template: Arc::clone(&spec.template),
            contents: contents.clone(),
            digest: images::digest_of(world, &spec.template, &image),
            image,
            commit: world.desired.commits.get(key).cloned(),
            created_at: world.now,
            attempt,
            state,
            taken_over: false,
            earlier: Vec::new(),
        });
        let surplus = history.runs.len().saturating_sub(RUNS_KEPT);
        history.runs.drain(..surplus);
    }
}

/// Makes a run that is known the one that is asked for.
fn claim(run: &mut JobRun, spec: &JobSpec, contents: &Contents) {
    run.template = Arc::clone(&spec.template);
    if std::mem::take(&mut run.taken_over) {
        run.contents = contents.clone();
    }
}

/// Why it runs.
fn purpose(world: World, key: &Key, past: &History) -> String {
    match wards::role(world, past, key) {
        Role::Gate { ward, revision, .. } => format!("a gate of revision {} of {ward}", revision.number),
        Role::Own | Role::Idle => "the job has not run in this revision".into(),
    }
}

/// Removes containers of older revisions and attempts once the newest has been started; the newest keeps its log.
fn remove_old(world: World, decided: &mut Decided, key: &Key, history: &JobHistory) {
    let Some(run) = history.runs.last() else {
        return;
    };
    // While what is asked for is not known, nothing of it is old.
    let undecided = run.taken_over || matches!(run.state, JobState::Unknown { .. });
    if undecided || matches!(run.state, JobState::Pending) && run.attempt == 0 {
        return;
    }
    for container in world.containers(key) {
        let newest = container.revision == run.revision && container.slot == run.attempt;
        let ended = matches!(container.state, ContainerState::Exited(_) | ContainerState::Created { .. });
        if !newest && ended {
            let call = Call::Remove { container: container.id.clone(), name: container.name.clone() };
            decided.act(world, key, call, "a newer run has taken its place");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::desired::{Declared, Desired};
    use crate::model::name::{Kind, Name};
    use crate::model::observed::Observed;
    use crate::model::time::Timestamp;

    #[test]
    fn of_the_jobs_that_were_removed_the_newest_are_remembered() {
        let key = |n: i64| Key::new(Kind::Job, Name::new("shop").unwrap(), Name::new(format!("j{n}")).unwrap());
        let removed = |n| (key(n), RemovedJob { at: Timestamp(n), history: JobHistory::default() });
        let removed_jobs = (0..=REMOVED_KEPT as i64).map(removed).collect();
        let history = History { removed_jobs, ..History::default() };
        let plan = crate::plan::plan(&Desired::default(), &Observed::default(), &history, Timestamp(99));
        let kept = plan.history.removed_jobs;
        assert_eq!(kept.len(), REMOVED_KEPT);
        assert!(!kept.contains_key(&key(0)) && kept.contains_key(&key(1)));
    }

    #[test]
    fn one_that_comes_back_is_remembered_as_removed_until_its_own_file_is_written() {
        let key = Key::new(Kind::Job, Name::new("shop").unwrap(), Name::new("migrate").unwrap());
        let removed = RemovedJob { at: Timestamp(1), history: JobHistory::default() };
        let before = History { removed_jobs: [(key.clone(), removed)].into(), ..History::default() };
        let mut desired = Desired::default();
        let spec = serde_json::json!({"template": {"image": "migrate:1"}});
        desired.jobs.insert(key.clone(), Declared::bare(serde_json::from_value(spec).unwrap()));
        let plan = |history: &History| crate::plan::plan(&desired, &Observed::default(), history, Timestamp(2)).history;
        let first = plan(&before);
        assert!(first.jobs.contains_key(&key) && first.removed_jobs.contains_key(&key));
        assert!(!plan(&first).removed_jobs.contains_key(&key));
    }
}
