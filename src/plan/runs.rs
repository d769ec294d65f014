//! One run of a Job or CronJob: its container is created, started and seen to its end. "Started" is written down before
//! the start is asked for, and the container is the ledger, so whatever crashes, an attempt is started at most once.
//!
//! When there is to be a run, `jobs` and `cron` decide.

use super::build::{self, Source};
use super::images;
use super::needs;
use super::quiet;
use super::readiness::exit_text;
use super::replica::{is_own_fault, is_refused, last_words};
use super::world::{Decided, World, pause};
use crate::model::action::{Call, Connection, Stop, create_target};
use crate::model::history::History;
use crate::model::job::{JobRun, JobState};
use crate::model::name::{Key, Kind};
use crate::model::observed::{Container, ContainerState, Exit};
use crate::model::spec::{JobSpec, Quiesce};
use crate::model::status::Severity;
use crate::model::time::{Span, Timestamp};

/// What bounds a run.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How often it is tried again.
    pub backoff_limit: u32,
    /// How long one try may take.
    pub active_deadline: Option<Span>,
    /// Whether to run it again where nobody knows whether it ran.
    pub idempotent: bool,
}

impl From<&JobSpec> for Terms {
    fn from(spec: &JobSpec) -> Self {
        Self { backoff_limit: spec.backoff_limit, active_deadline: spec.active_deadline, idempotent: spec.idempotent }
    }
}

/// The one whose run is seen to, and what is known around it.
#[derive(Clone, Copy)]
pub struct Runner<'a> {
    /// The pass.
    pub world: World<'a>,
    /// The Job or CronJob.
    pub key: &'a Key,
    /// The memory of before this pass.
    pub past: &'a History,
    /// What bounds the run.
    pub terms: Terms,
    /// Whether a newer run takes its place: that it ends then is no failure.
    pub replaced: bool,
    /// The Deployments that are kept quiet while it runs.
    pub quiesce: &'a [Quiesce],
    /// Why it runs, for people.
    pub purpose: &'a dyn Fn() -> String,
}

impl Runner<'_> {
    /// The container of the run's present attempt.
    pub fn container(&self, run: &JobRun) -> Option<&Container> {
        let all = self.world.containers(self.key).iter();
        all.copied().find(|c| c.revision == run.revision && c.slot == run.attempt)
    }

    /// One step.
    pub fn advance(&self, decided: &mut Decided, run: &mut JobRun) {
        let before = run.state.clone();
        self.step(decided, run);
        self.tell(decided, &before, run);
    }

    fn step(&self, decided: &mut Decided, run: &mut JobRun) {
        match (&run.state, self.container(run)) {
            (JobState::Succeeded { .. } | JobState::Failed { .. } | JobState::Unknown { .. }, _) => {}
            (JobState::Retrying { at }, _) => {
                let again = *at + pause(Span::secs(10), run.attempt.saturating_add(1));
                if again > self.world.now {
                    let why = self.last_failure(run).map(|why| format!(", which failed: {why}")).unwrap_or_default();
                    decided.wait(format!("the back-off after {}{why} (until {again})", self.attempt(run)));
                    return decided.wake(again);
                }
                run.attempt = run.attempt.saturating_add(1);
                run.state = JobState::Pending;
                self.step(decided, run);
            }
            (JobState::Pending, None) => self.create(decided, run),
            (JobState::Started { .. }, None) => self.vanished(decided, run),
            (JobState::Pending | JobState::Started { .. }, Some(container)) => {
                self.with_container(decided, run, container);
            }
        }
    }

    fn create(&self, decided: &mut Decided, run: &mut JobRun) {
        let Self { world, key, past, .. } = *self;
        let name = build::name(world, source(key, run), run.attempt);
        if let Some(failure) = world.failure(&create_target(&name)).filter(|failure| is_refused(failure.fault)) {
            run.state =
                JobState::Failed { at: world.now, reason: failure.message.clone(), exit: None, last_log: Vec::new() };
            return;
        }
        if world.observed.foreign_names.contains(&name) {
            return decided.wait(format!("the name {name}, which a container that is not ours has"));
        }
        let template = run.template.clone();
        if let Some(reason) = images::lost(world, &template, &run.image, run.digest.as_ref()) {
            run.state = JobState::Failed { at: world.now, reason, exit: None, last_log: Vec::new() };
            return;
        }
        let places = needs::places_exist(world, decided, key, &template);
        let image = images::ensure(world, decided, key, &template, &run.image, run.digest.as_ref());
        let dependencies = needs::dependencies_met(world, decided, past, key, &template);
        if places && image && dependencies {
            let spec = build::container(world, source(key, run), run.attempt, false);
            decided.act(world, key, Call::CreateContainer(Box::new(spec)), (self.purpose)());
        }
    }

    /// The start was decided, and the container is gone: nobody knows whether it ran.
    fn vanished(&self, decided: &mut Decided, run: &mut JobRun) {
        if self.terms.idempotent {
            run.state = JobState::Pending;
            return self.create(decided, run);
        }
        run.state = JobState::Unknown { at: self.world.now };
    }

    fn with_container(&self, decided: &mut Decided, run: &mut JobRun, container: &Container) {
        match &container.state {
            ContainerState::Created { error: Some(error) }
                if is_own_fault(&error.message, self.world.failed_tries(container)) =>
            {
                self.fail(run, format!("cannot start: {}", error.message), container);
            }
            ContainerState::Created { .. } => self.start(decided, run, container),
            ContainerState::Running { since } => {
                // A lost history: the container tells that it runs.
                if matches!(run.state, JobState::Pending) {
                    run.state = JobState::Started { at: *since };
                }
                self.limit(decided, run, container, *since);
            }
            ContainerState::Exited(exit) => self.end(run, exit, container),
            ContainerState::Paused => {
                let call = Call::Unpause { container: container.id.clone(), name: container.name.clone() };
                decided.act(self.world, self.key, call, "somebody paused it");
            }
            ContainerState::Restarting { .. } | ContainerState::Removing => decided.wait("its container to settle"),
        }
    }

    /// A container that is created has never run, so starting it is safe, also after a start whose reply was lost.
    fn start(&self, decided: &mut Decided, run: &mut JobRun, container: &Container) {
        let Self { world, key, past, .. } = *self;
        let attachments = build::attachments(world, key, &run.template);
        if let Some(missing) = attachments.into_iter().find(|a| !container.networks.contains_key(&a.network)) {
            let call = Call::Connect(Connection {
                container: container.id.clone(),
                name: container.name.clone(),
                network: missing.network,
                aliases: missing.aliases,
                address: missing.address,
            });
            return decided.act(world, key, call, "the job joins its networks before it starts");
        }
        let template = run.template.clone();
        if !needs::dependencies_met(world, decided, past, key, &template) {
            return;
        }
        if !needs::is_free_for(world, decided, container, &template) {
            return;
        }
        if let Some(awaited) = quiet::awaited(world, past, key, container, self.quiesce) {
            return decided.wait(awaited);
        }
        let call = Call::Start { container: container.id.clone(), name: container.name.clone(), files: Vec::new() };
        let planned = decided.actions.len();
        decided.act(world, key, call, (self.purpose)());
        // Written down before it is done; the container's own state tells whether it was.
        if decided.actions.len() > planned && matches!(run.state, JobState::Pending) {
            run.state = JobState::Started { at: world.now };
        }
    }

    fn limit(&self, decided: &mut Decided, run: &JobRun, container: &Container, since: Timestamp) {
        let Some(limit) = self.terms.active_deadline else {
            return;
        };
        let deadline = since + limit;
        if deadline > self.world.now {
            return decided.wake(deadline);
        }
        let killed_at = deadline + run.template.termination_grace_period;
        decided.wait(format!(
            "its program to end: its activeDeadline of {limit} is over, it is told to stop and killed about {killed_at}"
        ));
        self.stop(decided, run, container, format!("it has run for its activeDeadline of {limit}"));
    }

    /// Stops the run's container, as it is to be stopped.
    fn stop(&self, decided: &mut Decided, run: &JobRun, container: &Container, cause: String) {
        let call = Call::Stop(Stop {
            container: container.id.clone(),
            name: container.name.clone(),
            pre_stop: Vec::new(),
            grace: run.template.termination_grace_period,
        });
        decided.act(self.world, self.key, call, cause);
    }

    fn end(&self, run: &mut JobRun, exit: &Exit, container: &Container) {
        let limit = self.terms.active_deadline;
        let overdue = limit.is_some_and(|limit| exit.finished_at.since(exit.started_at) >= limit);
        if exit.code == 0 && !overdue {
            run.state = JobState::Succeeded { exit: exit.clone(), last_log: container.last_log.clone() };
        } else if overdue {
            self.fail(run, "it did not end within its activeDeadline".into(), container);
        } else {
            self.fail(run, exit_text(exit), container);
        }
    }

    fn fail(&self, run: &mut JobRun, reason: String, container: &Container) {
        if run.attempt >= self.terms.backoff_limit {
            run.state = failed(self.world.now, reason, container);
            return;
        }
        run.note_failure(self.world.now, reason, container.last_log.clone());
        run.state = JobState::Retrying { at: self.world.now };
    }

    /// One step towards the end of a run that is not to go on, `since` then. What ends well after that has not done its work: a
    /// backup that is cut off and says nothing of it is none.
    pub fn give_way(&self, decided: &mut Decided, run: &mut JobRun, since: Option<Timestamp>, why: &str) {
        let before = run.state.clone();
        let reason = why.to_string();
        match (&run.state, self.container(run)) {
            (JobState::Succeeded { .. } | JobState::Failed { .. } | JobState::Unknown { .. }, _) => {}
            (JobState::Started { .. }, None) => run.state = JobState::Unknown { at: self.world.now },
            (JobState::Pending | JobState::Retrying { .. }, None) => {
                run.state = JobState::Failed { at: self.world.now, reason, exit: None, last_log: Vec::new() };
            }
            (_, Some(container)) if self.world.is_busy(container) => {}
            (_, Some(container)) => match &container.state {
                ContainerState::Running { .. } => self.stop(decided, run, container, reason),
                ContainerState::Exited(exit)
                    if exit.code == 0 && since.is_some_and(|since| exit.finished_at <= since) =>
                {
                    self.end(run, exit, container);
                }
                ContainerState::Exited(_) | ContainerState::Created { .. } => {
                    run.state = failed(self.world.now, reason, container);
                }
                ContainerState::Paused | ContainerState::Restarting { .. } | ContainerState::Removing => {
                    self.with_container(decided, run, container);
                }
            },
        }
        self.tell(decided, &before, run);
    }

    /// The present attempt, in words. A person may have asked for more than there were to be.
    fn attempt(&self, run: &JobRun) -> String {
        let (attempt, all) = (run.attempt.saturating_add(1), self.terms.backoff_limit.saturating_add(1));
        if attempt > all { format!("attempt {attempt}") } else { format!("attempt {attempt} of {all}") }
    }

    /// How the present attempt failed, with what it said last: `exited with code 1: "no such table"`.
    fn last_failure(&self, run: &JobRun) -> Option<String> {
        let failed = run.earlier.last().filter(|failed| failed.attempt == run.attempt)?;
        Some(format!("{}{}", failed.reason, last_words(&failed.last_log)))
    }

    fn tell(&self, decided: &mut Decided, before: &JobState, run: &JobRun) {
        if *before == run.state {
            return;
        }
        let (word, of) = match self.key.kind {
            Kind::CronJob => (format!("run {}", run.revision), format!("run {}: ", run.revision)),
            _ => (format!("revision {}", run.revision), String::new()),
        };
        let (severity, reason, message) = match &run.state {
            JobState::Pending => return,
            JobState::Started { .. } => {
                let commit = run.commit.as_ref().map(|commit| format!(", {}", commit.in_words()));
                let again = if run.attempt > 0 { format!(", {}", self.attempt(run)) } else { String::new() };
                (Severity::Normal, "JobStarted", format!("{word} was started{again}{}", commit.unwrap_or_default()))
            }
            JobState::Retrying { .. } => {
                let why = self.last_failure(run).map(|why| format!(": {why}")).unwrap_or_default();
                let message = format!("{of}{} failed{why}; it is tried again", self.attempt(run));
                (Severity::Warning, "JobRetrying", message)
            }
            JobState::Succeeded { exit, .. } => {
                let took = exit.finished_at.since(exit.started_at);
                (Severity::Normal, "JobComplete", format!("{of}it ended well after {took}"))
            }
            JobState::Failed { reason, .. } if self.replaced => {
                (Severity::Normal, "JobReplaced", format!("{of}{reason}"))
            }
            JobState::Failed { reason, .. } if run.attempt > 0 => {
                (Severity::Warning, "JobFailed", format!("{of}{}: {reason}", self.attempt(run)))
            }
            JobState::Failed { reason, .. } => (Severity::Warning, "JobFailed", format!("{of}{reason}")),
            JobState::Unknown { .. } => {
                let way_out = match self.key.kind {
                    Kind::CronJob => "the next one comes at its time",
                    _ => "`evenkeel rollout retry` runs it again",
                };
                (Severity::Warning, "JobUnknown", format!("{of}whether it has run is not known; {way_out}"))
            }
        };
        decided.tell(self.world, self.key, severity, reason, message);
    }
}

fn failed(at: Timestamp, reason: String, container: &Container) -> JobState {
    let exit = match &container.state {
        ContainerState::Exited(exit) => Some(exit.clone()),
        ContainerState::Created { .. }
        | ContainerState::Running { .. }
        | ContainerState::Paused
        | ContainerState::Restarting { .. }
        | ContainerState::Removing => None,
    };
    JobState::Failed { at, reason, exit, last_log: container.last_log.clone() }
}

fn source<'a>(key: &'a Key, run: &'a JobRun) -> Source<'a> {
    Source {
        owner: key,
        revision: &run.revision,
        template_hash: &run.template_hash,
        template: &run.template,
        contents: &run.contents,
        image: &run.image,
    }
}
