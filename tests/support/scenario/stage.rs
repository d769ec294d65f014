//! The stage: a scenario while it is played. It does what the script says, and lets everything else happen.

// A scenario's directory is its own, and scripts empty parts of it.
#![allow(clippy::disallowed_methods)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use evenkeel::manifest::Source;
use evenkeel::model::action::{Confirmation, VolumeCreate};
use evenkeel::model::command::{Command, Reply};
use evenkeel::model::desired::Settings;
use evenkeel::model::image::CleanUp;
use evenkeel::model::name::{DEFAULT_INSTANCE, Name};
use evenkeel::model::observed::ContainerId;
use evenkeel::model::quantity::{Cpu, Memory};
use evenkeel::model::spec::RestartPolicy;
use evenkeel::model::time::Span;
use evenkeel::model::view::View;
use evenkeel::reconciler::Setup;
use evenkeel::reconciler::rules::Place;
use tokio::time::{Duration, sleep};

use super::canaries::{self, Canaries};
use super::controller::Controller;
use super::disk::FailingDisk;
use super::expectation::{Expectation, Scene};
use super::fault::Fault;
use super::file::Scenario;
use super::invariants::Invariants;
use super::journal::{self, Journal, Told};
use super::names::Names;
use super::step::{Process, Step, Verb, World as WorldLine};
use crate::support::sim::Sim;
use crate::support::sim::app::Millis;
use crate::support::sim::calls::{FaultMode, Rule};
use crate::support::sim::client::{self, Findings};
use crate::support::sim::image::Mood;
use crate::support::sim::world::{Refusal, World};

/// How often a condition is looked at.
const TICK: Millis = 20;
/// How often it is looked at while nothing happens.
const LONG_TICK: Millis = 500;
/// Before this it cannot be known whether a change was noticed.
const NOTICED_AFTER: Millis = 500;
/// How often a person tries a command that a fault has spoiled.
const COMMAND_ATTEMPTS: u32 = 240;
/// How soon a service manager starts a controller that has died.
const RESTART_AFTER: Millis = 1_000;

/// A scenario while it is played.
pub struct Stage {
    pub sim: Sim,
    pub names: Names,
    pub journal: Journal,
    pub invariants: Invariants,
    pub disk: FailingDisk,
    canaries: Canaries,
    /// The files of the scenario, by their paths in it.
    files: Vec<String>,
    /// Whether the history is going to be lost.
    forgets: bool,
    /// Whether something goes wrong that the script does not know of.
    disturbed: bool,
    dir: tempfile::TempDir,
    sources: Vec<Source>,
    clean_up: CleanUp,
    controller: Option<Controller>,
    /// When a controller that a fault has killed is started again.
    restart_at: Option<Millis>,
    told: Arc<Mutex<Told>>,
    findings: Arc<Mutex<Findings>>,
    view: Arc<View>,
    mark: usize,
    /// Passes of processes that have ended.
    earlier_passes: u64,
}

impl Stage {
    /// The world above the first section, the files, and a running controller.
    pub async fn set(scenario: &Scenario) -> Result<Stage, String> {
        let sim = Sim::new(DEFAULT_INSTANCE);
        let instance = Name::new(DEFAULT_INSTANCE).expect("the default instance is a name");
        let invariants = Invariants::new(instance);
        let guard = invariants.clone();
        sim.calls().guard = Some(Arc::new(move |world, call, moment| guard.see(world, call, moment)));
        let floors = invariants.clone();
        let findings = client::follow(&sim, move |key| floors.floor(key) > 0);
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut stage = Stage {
            disk: FailingDisk::new(&sim, dir.path().join("state")),
            canaries: Canaries::of(scenario),
            files: scenario.files.keys().cloned().collect(),
            forgets: false,
            disturbed: false,
            sim,
            names: Names::default(),
            journal: Journal::default(),
            invariants,
            dir,
            sources: Vec::new(),
            clean_up: CleanUp::default(),
            controller: None,
            restart_at: None,
            told: Arc::default(),
            findings,
            view: Arc::new(View::default()),
            mark: 0,
            earlier_passes: 0,
        };
        fs::create_dir_all(stage.path("manifests")).map_err(|error| error.to_string())?;
        for (path, text) in &scenario.files {
            stage.write(path, text)?;
        }
        for (number, line) in &scenario.world {
            stage.world(line).map_err(|problem| format!("{}:{number}: {problem}", scenario.path))?;
        }
        if stage.sources.is_empty() {
            let (dir, namespace, variables) = (stage.path("manifests"), None, Default::default());
            stage.sources.push(Source { dir, namespace, variables });
        }
        stage.sim.with(|world| stage.invariants.remember(world));
        stage.start_controller().await?;
        Ok(stage)
    }

    /// Lets these things go wrong from now on.
    pub fn spoil(&mut self, faults: &[Fault]) {
        self.disturbed = !faults.is_empty();
        self.forgets = faults.iter().any(Fault::loses_history);
        if self.disturbed {
            self.invariants.expect_trouble();
        }
        for fault in faults {
            match *fault {
                Fault::Call { at, mode } => drop(self.sim.calls().faults.insert(at, mode)),
                Fault::Write { at, mode } => self.disk.spoil(at, mode),
                Fault::State { at, loss } => {
                    let state_dir = self.path("state");
                    let mut calls = self.sim.calls();
                    calls.accidents.insert(at, Box::new(move || loss.befall(&state_dir)));
                    if loss.kills() {
                        calls.faults.insert(at, FaultMode::CrashBefore);
                    }
                }
            }
        }
    }

    /// Where a file of the scenario is.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    fn write(&self, relative: &str, text: &str) -> Result<(), String> {
        let path = self.path(relative);
        let folder = path.parent().unwrap_or(Path::new("/"));
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, text));
        written.map_err(|error| format!("{relative}: {error}"))
    }

    async fn start_controller(&mut self) -> Result<(), String> {
        let state_dir = self.path("state");
        // A pool that no host routes, so that the transcript does not depend on where the test runs.
        let (subnet_pool, images) = ("198.18.0.0/15".into(), self.clean_up);
        let settings = Settings { subnet_pool, images, ..Settings::default() };
        let policy = Place { file: self.path("host/policy.yaml"), is_required: false, guarded: Vec::new() };
        let setup = Setup { settings, sources: self.sources.clone(), state_dir, policy };
        let controller = match Controller::start(setup, &self.sim, &self.disk).await {
            Ok(controller) => controller,
            // A disk that fails at the start: whoever keeps the service tries again.
            Err(_) if self.disturbed => {
                self.restart_at = Some(self.sim.now() + RESTART_AFTER);
                return Ok(());
            }
            Err(problem) => return Err(problem),
        };
        self.invariants.listen_to(controller.views.clone());
        tokio::spawn(journal::follow(self.sim.clone(), controller.views.clone(), self.told.clone()));
        self.earlier_passes += std::mem::take(&mut self.view).passes;
        self.controller = Some(controller);
        self.restart_at = None;
        Ok(())
    }

    /// What is visible now.
    pub fn view(&mut self) -> Arc<View> {
        if let Some(controller) = &mut self.controller {
            self.view = controller.views.borrow_and_update().clone();
        }
        self.view.clone()
    }

    /// Passes so far, by all processes.
    pub fn passes(&mut self) -> u64 {
        self.view().passes + self.earlier_passes
    }

    /// Whether a controller runs, or will be started again by itself.
    pub fn is_running(&self) -> bool {
        self.controller.is_some() || self.restart_at.is_some()
    }

    /// Whether nothing is under way and nothing is in trouble that will pass by itself.
    pub fn is_idle(&mut self) -> bool {
        let view = self.view();
        !self.is_running() || self.restart_at.is_none() && view.in_flight.is_empty() && view.plan.is_empty()
    }

    /// Lets time pass.
    pub async fn wait(&mut self, time: Millis) -> Result<(), String> {
        self.run(None, time).await
    }

    /// Plays one line of the script.
    pub async fn play(&mut self, text: &str, step: &Step) -> Result<(), String> {
        self.catch_up();
        let (began, passes) = (self.sim.now(), self.passes());
        self.journal.step(began, text);
        let done = self.perform(step).await;
        self.catch_up();
        let (lasted, passes) = (self.sim.now() - began, self.passes() - passes);
        self.invariants.not_busy(lasted, passes);
        let mut findings = self.findings.lock().expect("no test panics while it holds this");
        self.sim.with(|world| self.invariants.after_step(world, &mut findings));
        drop(findings);
        self.listen();
        done
    }

    /// No secret is told anywhere.
    fn listen(&mut self) {
        if self.canaries.is_empty() {
            return;
        }
        let now = || self.files.iter().filter_map(|file| fs::read_to_string(self.path(file)).ok());
        let of_now = self.forgets.then(|| self.canaries.of_now(now()));
        let view = serde_json::to_string(&*self.view()).expect("a view can be written");
        let happened = canaries::happened(&self.journal.text);
        let state = canaries::state(&self.path("state"));
        let calls = canaries::calls(&self.sim.calls().made);
        let metrics = self.controller.as_ref().map(|controller| controller.metrics(&self.view)).unwrap_or_default();
        self.sim.with(|world| {
            let labels = canaries::labels(world);
            let told = [
                ("what is shown", view.as_str()),
                ("what happened", &happened),
                ("the state directory", &state),
                ("the calls", &calls),
                ("the labels", &labels),
                ("the metrics", &metrics),
            ];
            for found in of_now.as_ref().unwrap_or(&self.canaries).found_in(told) {
                self.invariants.violated(world, found);
            }
        });
    }

    /// Writes down what has happened.
    pub fn catch_up(&mut self) {
        let told = self.told.lock().expect("no test panics while it holds this");
        let findings = self.findings.lock().expect("no test panics while it holds this");
        self.journal.catch_up(&self.sim, &told, &findings, &mut self.names);
    }

    /// Forgets what has happened, for a play so long that its records would fill the memory. Not while a call is under way.
    pub fn forget(&mut self) -> bool {
        self.catch_up();
        let mut told = self.told.lock().expect("no test panics while it holds this");
        let mut findings = self.findings.lock().expect("no test panics while it holds this");
        let forgotten = self.journal.forget(&self.sim, &mut told, &mut findings);
        if forgotten {
            self.disk.forget();
            self.names = Names::default();
            self.mark = 0;
        }
        forgotten
    }

    async fn perform(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::World(line) => {
                self.world(line)?;
                self.sim.with(|world| self.invariants.remember(world));
                Ok(())
            }
            Step::Run { until, within } => self.run(until.as_ref(), *within).await,
            Step::Expect(expectation) => self.check(expectation),
            Step::Edit { file, from, to } => {
                let text = fs::read_to_string(self.path(file)).map_err(|error| format!("{file}: {error}"))?;
                if !text.contains(from) {
                    return Err(format!("{file} does not contain '{from}'"));
                }
                self.write(file, &text.replace(from, to))?;
                self.files_changed()
            }
            Step::Add { file, from } => {
                let text = fs::read_to_string(self.path(from)).map_err(|error| format!("{from}: {error}"))?;
                self.write(file, &text)?;
                self.files_changed()
            }
            Step::Delete { file } => {
                fs::remove_file(self.path(file)).map_err(|error| format!("{file}: {error}"))?;
                self.files_changed()
            }
            Step::Empty { dir } => {
                let emptied = fs::remove_dir_all(self.path(dir)).and_then(|()| fs::create_dir(self.path(dir)));
                emptied.map_err(|error| format!("{dir}: {error}"))?;
                self.files_changed()
            }
            Step::Unmount { dir } => self.rename(dir, &format!("{dir}.unmounted")),
            Step::Mount { dir } => self.rename(&format!("{dir}.unmounted"), dir),
            Step::Unconfigure { .. } if self.controller.is_some() => Err("stop the controller first".into()),
            Step::Unconfigure { dir } => {
                let dropped = self.path(dir);
                self.sources.retain(|source| source.dir != dropped);
                Ok(())
            }
            Step::Accident { verb, container } => self.accident(*verb, container),
            Step::TagImage { reference, name } => {
                let reference = self.names.image(reference);
                self.sim.with(|world| world.tag_image(&reference, name))
            }
            Step::RemoveImage { reference } => {
                let reference = self.names.image(reference);
                let removed = self.sim.with(|world| {
                    let removed = world.remove_image(&reference);
                    self.invariants.remember(world);
                    removed
                });
                // After a fault it may not have been built yet.
                removed.or_else(|problem| if self.disturbed { Ok(()) } else { Err(problem) })
            }
            Step::RemoveVolume { name } => {
                let removed = self.sim.with(|world| {
                    let removed = world.remove_volume(name);
                    self.invariants.remember(world);
                    removed
                });
                // After a fault it may be in use again.
                removed.or_else(|problem| if self.disturbed { Ok(()) } else { Err(problem) })
            }
            Step::Disconnect { container, network } => {
                self.on_each(container, |world, id| {
                    world.disconnect(id, network)?;
                    // What is open there is cut off with it: nothing is left to drain.
                    world.containers.get_mut(id).into_iter().for_each(|cut_off| cut_off.unnamed_at = None);
                    Ok(())
                })
            }
            Step::Rename { container, to } => self.on_each(container, |world, id| world.rename(id, to)),
            Step::Update { container, what, value } => self.update(container, what, value),
            Step::Engine { graceful, down } => {
                self.sim.with(|world| world.power_down(*graceful, *down));
                Ok(())
            }
            Step::Controller(process) => self.process(*process).await,
            Step::LoseState | Step::LoseHistory | Step::Damage { .. }
                if self.controller.is_some() && !self.disturbed =>
            {
                Err("stop the controller first".into())
            }
            // What was to kill it was kept from it by a fault.
            Step::LoseState | Step::LoseHistory | Step::Damage { .. } if self.controller.is_some() => {
                self.process(Process::Crash).await?;
                Box::pin(self.perform(step)).await
            }
            Step::LoseState => self.lost(fs::remove_dir_all(self.path("state"))),
            Step::LoseHistory => self.lost(lose_history(&self.path("state"))),
            Step::Damage { path } => self.lost(cut_off(&self.path("state").join(path))),
            Step::CrashAtWrite { number, path } => {
                self.disk.crash_at(*number, path);
                Ok(())
            }
            Step::FullDisk(time) => {
                self.disk.fill(*time);
                Ok(())
            }
            Step::Request { key, request } => {
                self.command(Command::Request { key: key.clone(), request: request.clone(), by: "alice".into() }).await
            }
            Step::Confirm(namespace) => {
                let view = self.view();
                let held = view.held.iter().find(|held| held.namespace == *namespace);
                let id = held.ok_or_else(|| format!("nothing is held in {namespace}"))?.id.clone();
                self.invariants.confirm(namespace);
                let confirmation = Confirmation { namespace: namespace.clone(), id };
                self.command(Command::Confirm { confirmation, by: "alice".into() }).await
            }
            Step::Fail { call, target, mode, times } => {
                // The script knows revisions as r1, r2 …; the call will know them as hashes.
                let rule = Rule { call: call.clone(), target: target.clone(), mode: *mode, times: *times };
                self.sim.calls().rules.push(rule);
                Ok(())
            }
            Step::Mark => {
                self.mark = self.sim.calls().made.len();
                Ok(())
            }
        }
    }

    /// What is not there any more in a disturbed play cannot be lost.
    fn lost(&self, done: std::io::Result<()>) -> Result<(), String> {
        done.map_err(|error| error.to_string()).or_else(|error| if self.disturbed { Ok(()) } else { Err(error) })
    }

    async fn run(&mut self, until: Option<&Expectation>, within: Millis) -> Result<(), String> {
        let began = self.sim.now();
        loop {
            self.revive().await?;
            let ran = self.sim.now() - began;
            let of_view = matches!(until, Some(Expectation::Converged | Expectation::Phase { .. }));
            // The last view of a dead controller says nothing.
            let early = of_view && (ran < NOTICED_AFTER || self.restart_at.is_some());
            let instead = match until {
                Some(_) if early => Err("it is too early to tell".into()),
                Some(condition) => self.check(condition),
                None => Err(String::new()),
            };
            match (until, instead) {
                (Some(_), Ok(())) => return Ok(()),
                (Some(_), Err(instead)) if ran >= within => return Err(format!("not within that time: {instead}")),
                (None, _) if ran >= within => return Ok(()),
                (Some(condition), _) if early || self.restart_at.is_some() || condition.comes_with_time() => {
                    sleep(Duration::from_millis(TICK)).await;
                }
                (Some(_), _) => self.until_news(began, within - ran).await,
                (None, _) => sleep(Duration::from_millis((within - ran).min(LONG_TICK))).await,
            }
        }
    }

    /// Lets time pass until something has happened, or for a while; always to a moment at which is looked, and never to
    /// that in which it happens, where all others have yet to hear of it.
    async fn until_news(&mut self, began: Millis, left: Millis) {
        let version = self.sim.with(|world| world.version);
        let moved = self.sim.until(|world| (world.version != version).then_some(()));
        let controller = self.controller.as_mut();
        let told = async {
            match controller {
                Some(controller) => controller.news().await,
                None => std::future::pending().await,
            }
        };
        let news = async {
            tokio::select! {
                biased;
                () = moved => {}
                () = told => {}
            }
        };
        // Whichever comes first, it is looked again.
        let _ = tokio::time::timeout(Duration::from_millis(left.min(LONG_TICK)), news).await;
        sleep(Duration::from_millis(TICK - (self.sim.now() - began) % TICK)).await;
    }

    /// Starts a controller again that a fault has killed, as a service manager does.
    async fn revive(&mut self) -> Result<(), String> {
        if self.controller.as_ref().is_some_and(Controller::is_dead)
            && let Some(dead) = self.controller.take()
        {
            dead.crash().await;
            self.restart_at = Some(self.sim.now() + RESTART_AFTER);
        }
        match self.restart_at {
            Some(at) if at <= self.sim.now() => self.start_controller().await,
            Some(_) | None => Ok(()),
        }
    }

    fn check(&mut self, expectation: &Expectation) -> Result<(), String> {
        let view = self.view();
        self.catch_up();
        let counts = matches!(expectation, Expectation::Calls { .. } | Expectation::Asked { .. });
        let calls = if counts { self.sim.calls().made[self.mark..].to_vec() } else { Vec::new() };
        let (names, instance) = (&self.names, Name::new(DEFAULT_INSTANCE).expect("the default instance is a name"));
        let (view, instance, calls, state) = (&view, &instance, &calls, &self.path("state"));
        self.sim.with(|world| expectation.check(&Scene { world, view, names, instance, calls, state }))
    }

    async fn command(&mut self, command: Command) -> Result<(), String> {
        let before = self.asked_of(&command);
        let mut unanswered = false;
        for _ in 0..COMMAND_ATTEMPTS {
            self.revive().await?;
            if unanswered && self.restart_at.is_none() {
                // Whoever got no answer looks whether it was done: to undo twice would be to redo.
                if self.asked_of(&command) != before {
                    return Ok(());
                }
                unanswered = false;
            }
            match &self.controller {
                None if self.restart_at.is_none() => return Err("no controller runs".into()),
                None => {}
                Some(controller) => match controller.command(command.clone()).await {
                    Some(Ok(_)) => return Ok(()),
                    Some(Err(refusal)) if !self.disturbed => return Err(refusal.message),
                    Some(Err(_)) => {}
                    None => unanswered = true,
                },
            }
            // A person who was told that it did not work tries again.
            sleep(Duration::from_millis(LONG_TICK)).await;
        }
        Err("the command was never carried out".into())
    }

    /// Asks something that changes nothing; none when nobody answers.
    pub async fn ask(&self, command: Command) -> Option<Reply> {
        self.controller.as_ref()?.command(command).await
    }

    /// What the state directory knows of what was asked for earlier: of a request's object, or of removals.
    fn asked_of(&self, command: &Command) -> Option<Vec<serde_json::Value>> {
        let file = match command {
            Command::Request { key, .. } => format!("state/objects/{}/{}.{}.json", key.namespace, key.kind, key.name),
            _ => "state/confirmed.json".to_owned(),
        };
        let file: serde_json::Value = serde_json::from_slice(&std::fs::read(self.path(&file)).ok()?).ok()?;
        let Some(revisions) = file["object"]["revisions"].as_array() else { return Some(vec![file]) };
        let outcomes = revisions.iter().map(|revision| revision["outcome"].clone());
        let asked = ["pin", "paused", "restarts"].map(|what| file["object"][what].clone());
        Some(asked.into_iter().chain(outcomes).collect())
    }

    /// Tells the controller that files have changed, as watching them would.
    pub fn files_changed(&self) -> Result<(), String> {
        if let Some(controller) = &self.controller {
            controller.files_changed();
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), String> {
        fs::rename(self.path(from), self.path(to)).map_err(|error| format!("{from}: {error}"))?;
        self.files_changed()
    }

    async fn process(&mut self, process: Process) -> Result<(), String> {
        match (process, self.controller.take()) {
            (Process::Start, None) => self.start_controller().await,
            (Process::Start, Some(running)) => {
                self.controller = Some(running);
                Err("it runs already".into())
            }
            (Process::Stop, Some(running)) if running.is_dead() => {
                running.crash().await;
                Ok(())
            }
            (Process::Stop, Some(running)) => running.stop().await,
            (Process::Crash, Some(running)) => {
                running.crash().await;
                Ok(())
            }
            // A fault was quicker than the script.
            (Process::Stop | Process::Crash, None) if self.restart_at.take().is_some() => Ok(()),
            (Process::Stop | Process::Crash, None) => Err("no controller runs".into()),
        }
    }

    fn accident(&mut self, verb: Verb, container: &str) -> Result<(), String> {
        if verb == Verb::Unplug && !self.last_reconnection_failed(container) {
            // No engine loses a container's network but in the middle of a reconnection.
            return Ok(());
        }
        self.on_each(container, |world, id| match verb {
            Verb::Crash => world.crash(id),
            Verb::Hang => world.hang(id, true),
            Verb::Unhang => world.hang(id, false),
            Verb::Unplug => world.unplug(id),
            Verb::Spoil => world.spoil(id),
            Verb::Mute => world.mute(id),
            Verb::Kill => world.kill(id),
            Verb::Stop => world.begin_stop(id, 10_000),
            Verb::Start => world.start_by_hand(id),
            Verb::Remove => world.remove_by_force(id),
            Verb::Pause => world.pause(id),
            Verb::Unpause => world.unpause(id),
        })
        // After a fault it may not be there yet, or no longer.
        .or_else(|problem| if self.disturbed { Ok(()) } else { Err(problem) })
    }

    fn last_reconnection_failed(&self, container: &str) -> bool {
        let calls = self.sim.calls();
        let mut reconnections = calls.made.iter().rev().filter(|call| matches!(call.name, "disconnect" | "connect"));
        let last = reconnections.find(|call| self.names.show(&call.target) == container);
        last.is_some_and(|call| !matches!(call.ended, Some((_, Ok(())))))
    }

    fn update(&mut self, container: &str, what: &str, value: &str) -> Result<(), String> {
        let value = value.to_string();
        match what {
            "memory" => {
                let memory = Memory::try_from(value)?;
                self.on_each(container, |world, id| world.adjust(id, |a| a.limits.memory = Some(memory)))
            }
            "cpu" => {
                let cpu = Cpu::try_from(value)?;
                self.on_each(container, |world, id| world.adjust(id, |a| a.limits.cpu = Some(cpu)))
            }
            "restart" => {
                let policy: RestartPolicy = serde_json::from_value(value.into())
                    .map_err(|_| "a restart policy is Always, OnFailure or Never")?;
                self.on_each(container, |world, id| world.adjust(id, |a| a.restart_policy = policy))
            }
            _ => Err(format!("'{what}' is not memory, cpu or restart")),
        }
    }

    /// Does something to every container whose name fits; there must be one.
    fn on_each(
        &mut self,
        pattern: &str,
        act: impl Fn(&mut World, &ContainerId) -> Result<(), Refusal>,
    ) -> Result<(), String> {
        let names = &self.names;
        let invariants = self.invariants.clone();
        self.sim.with(|world| {
            let fits = |name: &str| crate::support::sim::calls::matches_pattern(pattern, &names.show(name));
            let ids: Vec<ContainerId> =
                world.containers.values().filter(|c| fits(&c.name)).map(|c| c.id.clone()).collect();
            if ids.is_empty() {
                return Err(format!("no container is like {pattern}"));
            }
            for id in ids {
                act(world, &id).map_err(|refusal| refusal.message)?;
            }
            invariants.remember(world);
            Ok(())
        })
    }

    fn world(&mut self, line: &WorldLine) -> Result<(), String> {
        let refused = |refusal: Refusal| refusal.message;
        self.sim.with(|world| match line {
            WorldLine::Image { reference, app } => {
                world.push(reference, app.clone());
                Ok(())
            }
            WorldLine::LocalImage { reference, app } => {
                world.build(reference, app.clone());
                Ok(())
            }
            WorldLine::ForeignContainer { name, networks, port } => {
                world.foreign_container(name, networks, *port, Default::default()).map(drop).map_err(refused)
            }
            WorldLine::ForeignNetwork { name, subnet } => {
                world.foreign_network(name, subnet.as_deref()).map_err(refused)
            }
            WorldLine::ForeignVolume { name } => {
                world.create_volume(&VolumeCreate {
                    name: name.clone(),
                    labels: [("somebody".to_string(), "else".to_string())].into(),
                    driver: "local".into(),
                    options: Default::default(),
                });
                Ok(())
            }
            WorldLine::Registry(mood) => {
                world.registry.mood = *mood;
                world.registry.retry_after = None;
                Ok(())
            }
            WorldLine::RetryAfter(time) => {
                world.registry.mood = Mood::RateLimited;
                world.registry.retry_after = Some(*time);
                Ok(())
            }
            WorldLine::Password(password) => {
                world.registry.password = Some(password.clone());
                Ok(())
            }
            WorldLine::Forget(reference) => world.forget(reference),
            WorldLine::Grace(_) => Ok(()),
            WorldLine::Entry(open) => {
                world.no_entry = (!open).then(|| "Evenkeel may not enter the container's network".into());
                Ok(())
            }
            WorldLine::HostMemory(bytes) => {
                world.headroom.memory = Some(*bytes);
                Ok(())
            }
            WorldLine::HostDisk(space) => {
                world.headroom.disk = Some(*space);
                Ok(())
            }
            WorldLine::HostPath(path) => {
                world.host_paths.insert(path.clone());
                Ok(())
            }
            WorldLine::Source { .. } | WorldLine::Allow(_) => Ok(()),
        })?;
        match line {
            WorldLine::Source { dir, namespace, variables } => self.sources.push(Source {
                dir: self.path(dir),
                namespace: namespace.clone(),
                variables: variables.iter().cloned().collect(),
            }),
            WorldLine::Grace(time) => self.clean_up.grace = Span::millis(*time),
            WorldLine::Allow(allowance) => self.invariants.allow(*allowance),
            _ => {}
        }
        Ok(())
    }

    /// The scenario's own directory, which must not show in a transcript.
    pub fn root(&self) -> String {
        self.dir.path().display().to_string()
    }
}

/// Removes all of a state directory but what is kept of the sources: that is what a backup need hold.
fn lose_history(state: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(state)? {
        let path = entry?.path();
        match path.file_name().is_some_and(|name| name == "sources") {
            true => {}
            false if path.is_dir() => fs::remove_dir_all(path)?,
            false => fs::remove_file(path)?,
        }
    }
    Ok(())
}

/// Leaves the first half of a file.
fn cut_off(file: &Path) -> std::io::Result<()> {
    let file = fs::File::options().write(true).open(file)?;
    file.set_len(file.metadata()?.len() / 2)
}
