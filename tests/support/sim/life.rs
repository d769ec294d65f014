//! What happens to containers: start, end, stop, restart by the engine, health checks, and the engine's own restart.
//! Rules and figures are those of a real engine (20.10 and 26.1 agree unless a comment says otherwise).

use evenkeel::model::observed::{ContainerId, Exit, Fault, StartError};
use evenkeel::model::spec::RestartPolicy;

use super::app::Millis;
use super::container::{Health, State};
use super::world::{Alarm, Power, Refusal, World, refuse};

/// The engine's first pause before it restarts a container; it doubles up to the longest.
const FIRST_BACKOFF: Millis = 100;
const LONGEST_BACKOFF: Millis = 60_000;
/// A run of this length makes the next pause the first one again.
const GOOD_RUN: Millis = 10_000;
/// What `docker stop` and the engine's own shutdown allow unless told otherwise.
const SHUTDOWN_GRACE: Millis = 10_000;
/// A program that finds its port taken gives up this soon.
const PORT_TAKEN_AFTER: Millis = 20;

impl World {
    /// Starts a container. Running and restarting ones are left alone (304); a failed start leaves it `created` (or
    /// exited) with the reason, and no restart policy tries it again.
    pub fn start(&mut self, id: &ContainerId) -> Result<(), Refusal> {
        match self.get(id)?.state {
            State::Running { .. } | State::Restarting { .. } => return Ok(()),
            State::Paused { .. } => {
                return refuse(409, Fault::Conflict, "cannot start a paused container, try unpause instead");
            }
            State::Removing => return refuse(409, Fault::Conflict, "container is marked for removal"),
            State::Created { .. } | State::Exited(_) => {}
        }
        self.container(id).stopped_by_call = false;
        let outcome = self.run(id);
        if let Err(refusal) = &outcome {
            self.start_failed(id, refusal);
        }
        outcome
    }

    /// A start whose caller went away in the middle of it.
    pub fn give_up_start(&mut self, name: &str) {
        let waits = |state: &State| matches!(state, State::Created { .. } | State::Exited(_));
        let found = self.containers.values().find(|container| container.name == name && waits(&container.state));
        if let Some(id) = found.map(|container| container.id.clone()) {
            let message = "context canceled".into();
            self.start_failed(&id, &Refusal { status: 500, fault: Fault::Unavailable, message });
        }
    }

    /// A failed start emits no event; the state says why. A program that cannot be run has a code of its own; for anything
    /// else the code of an earlier end or failed start stays, or is 128.
    fn start_failed(&mut self, id: &ContainerId, refusal: &Refusal) {
        let now = World::timestamp(self.now);
        let container = self.container(id);
        let own = container.app.start_error.as_ref().filter(|_| refusal.fault == Fault::Invalid).map(|(code, _)| *code);
        let code = |before: i64| own.unwrap_or(if before == 0 { 128 } else { before });
        container.state = match &container.state {
            State::Exited(exit) => State::Exited(Exit { code: code(exit.code), ..exit.clone() }),
            State::Restarting { exit_code } => {
                State::Exited(Exit { code: code(*exit_code), out_of_memory: false, started_at: now, finished_at: now })
            }
            State::Created { error } => {
                let exit_code = code(error.as_ref().map_or(0, |error| error.exit_code));
                State::Created { error: Some(StartError { exit_code, message: refusal.message.clone() }) }
            }
            _ => State::Created { error: Some(StartError { exit_code: code(0), message: refusal.message.clone() }) },
        };
        self.version += 1;
    }

    /// Begins a run: addresses, host ports, the program.
    fn run(&mut self, id: &ContainerId) -> Result<(), Refusal> {
        self.attach_all(id)?;
        if let Err(refusal) = self.take_ports(id).and_then(|()| self.program(id)) {
            self.release(id);
            return Err(refusal);
        }
        let now = self.now;
        let port_taken = self.host_port_taken_by_another(id);
        let container = self.container(id);
        container.state = State::Running { since: now };
        container.runs += 1;
        container.hung = false;
        container.ends_when_resumed = None;
        container.log.push((now, "started".into()));
        container.health = match container.health_check {
            Some(_) => Health::Starting { failures: 0 },
            None => Health::None,
        };
        let (name, run) = (container.name.clone(), container.runs);
        let interval = container.health_check.as_ref().map(|check| check.interval);
        let ends = container.app.ends.clone().filter(|ending| run <= ending.runs);
        let ends = if port_taken { Some((PORT_TAKEN_AFTER, 1)) } else { ends.map(|e| (e.after, e.code)) };
        *self.starts.entry(name).or_insert(0) += 1;
        self.tell("start", Some(id));
        if let Some((after, code)) = ends {
            self.set_alarm(after, Alarm::Ends { id: id.clone(), run, code });
        }
        if let Some(interval) = interval {
            self.set_alarm(interval, Alarm::Check { id: id.clone(), run });
        }
        Ok(())
    }

    /// Whether there is a program that can be run.
    fn program(&self, id: &ContainerId) -> Result<(), Refusal> {
        match &self.get(id)?.app.start_error {
            Some((code, message)) => refuse(400, Fault::Invalid, format!("{message}: exit code {code}")),
            None => Ok(()),
        }
    }

    /// Two programs in the host's network cannot listen on one port: the second one gives up.
    fn host_port_taken_by_another(&self, id: &ContainerId) -> bool {
        let mine = &self.containers[id];
        mine.host_network
            && self.containers.values().any(|other| {
                other.id != *id
                    && other.host_network
                    && other.is_alive()
                    && other.listens.iter().any(|port| mine.listens.contains(port))
            })
    }

    /// What an alarm does, if it still means this run.
    pub(super) fn ring(&mut self, alarm: Alarm) {
        match alarm {
            Alarm::Ends { id, run, code } if self.is_run(&id, run) => self.ends(&id, code),
            Alarm::Kill { id, run } if self.is_run(&id, run) => self.ended(&id, 137),
            Alarm::Restart { id, run } => self.restart_by_policy(&id, run),
            Alarm::Check { id, run } if self.is_run(&id, run) => self.check(&id, run),
            Alarm::PowerUp => self.power_up(),
            Alarm::Ends { .. } | Alarm::Kill { .. } | Alarm::Check { .. } => {}
        }
    }

    fn is_run(&self, id: &ContainerId, run: u32) -> bool {
        self.containers.get(id).is_some_and(|container| container.runs == run && container.is_alive())
    }

    /// The program ends, unless it is paused and nobody has told it to: an engine resumes what it stops.
    fn ends(&mut self, id: &ContainerId, code: i64) {
        let container = self.container(id);
        match container.state {
            State::Paused { .. } if !container.stopped_by_call => container.ends_when_resumed = Some(code),
            _ => self.ended(id, code),
        }
    }

    /// The program has ended: the address and ports are free, and the restart policy decides.
    pub(super) fn ended(&mut self, id: &ContainerId, code: i64) {
        let now = self.now;
        let up = self.power == Power::Up;
        let container = self.container(id);
        let (State::Running { since } | State::Paused { since }) = container.state else { return };
        container.served |= container.app.ready_after.is_some_and(|after| now >= since + after);
        let by_itself = !container.stopped_by_call;
        if by_itself && !container.app.last_words.is_empty() {
            let words = container.app.last_words.clone();
            container.log.extend(words.into_iter().map(|line| (now, line)));
        }
        container.ended_at = Some(now);
        container.state = State::Exited(Exit {
            code,
            out_of_memory: false,
            started_at: World::timestamp(since),
            finished_at: World::timestamp(now),
        });
        let (name, run) = (container.name.clone(), container.runs);
        let again = up && by_itself && wants_restart(&container.adjustable.restart_policy, code);
        let mut pause = 0;
        if again {
            pause = match now - since >= GOOD_RUN || container.backoff == 0 {
                true => FIRST_BACKOFF,
                false => (container.backoff * 2).min(LONGEST_BACKOFF),
            };
            container.backoff = pause;
            container.state = State::Restarting { exit_code: code };
        }
        self.release(id);
        if by_itself {
            self.note(format!("{name} exits with {code}"));
        }
        self.tell("die", Some(id));
        if again {
            self.set_alarm(pause, Alarm::Restart { id: id.clone(), run });
        }
    }

    fn restart_by_policy(&mut self, id: &ContainerId, run: u32) {
        let due = self.containers.get(id).is_some_and(|c| c.runs == run && matches!(c.state, State::Restarting { .. }));
        if !due || self.power != Power::Up {
            return;
        }
        self.container(id).restart_count += 1;
        self.run_again(id);
    }

    /// A start by the engine itself.
    fn run_again(&mut self, id: &ContainerId) {
        match self.run(id) {
            Ok(()) => self.container(id).revivals += 1,
            Err(refusal) => self.start_failed(id, &refusal),
        }
    }

    /// One of Docker's health checks: first after one interval, then an interval after the last.
    fn check(&mut self, id: &ContainerId, run: u32) {
        let now = self.now;
        let container = self.container(id);
        let Some(check) = container.health_check.clone() else { return };
        let State::Running { since } = container.state else {
            // A paused container's check fails; its health is not to be read anyway.
            self.set_alarm(check.interval, Alarm::Check { id: id.clone(), run });
            return;
        };
        let before = container.health.clone();
        let failures = match before {
            Health::Starting { failures } | Health::Healthy { failures } => failures,
            Health::None | Health::Unhealthy => check.retries,
        };
        container.health = match container.serves(now) {
            true => Health::Healthy { failures: 0 },
            false if now - since < check.start_period => before.clone(),
            false if failures + 1 >= check.retries => Health::Unhealthy,
            false if matches!(before, Health::Starting { .. }) => Health::Starting { failures: failures + 1 },
            false => Health::Healthy { failures: failures + 1 },
        };
        let changed = std::mem::discriminant(&before) != std::mem::discriminant(&container.health);
        if changed {
            self.tell("health_status", Some(id));
        }
        self.set_alarm(check.interval, Alarm::Check { id: id.clone(), run });
    }

    /// Sends the stop signal, and SIGKILL after `grace`. Whether it is over is seen by looking again.
    pub fn begin_stop(&mut self, id: &ContainerId, grace: Millis) -> Result<(), Refusal> {
        let container = match self.containers.get_mut(id) {
            Some(container) => container,
            None => return refuse(404, Fault::Unavailable, format!("No such container: {id}")),
        };
        container.stopped_by_call = true;
        container.stops += 1;
        let (run, stops_after, code) = (container.runs, container.app.stops_after, container.app.stop_code);
        match container.state {
            State::Running { .. } | State::Paused { .. } => {
                if let Some(after) = stops_after.filter(|after| *after < grace && !container.hung) {
                    self.set_alarm(after, Alarm::Ends { id: id.clone(), run, code });
                }
                self.set_alarm(grace, Alarm::Kill { id: id.clone(), run });
            }
            State::Restarting { exit_code } => {
                let now = World::timestamp(self.now);
                container.state =
                    State::Exited(Exit { code: exit_code, out_of_memory: false, started_at: now, finished_at: now });
                self.tell("die", Some(id));
            }
            State::Created { .. } | State::Exited(_) | State::Removing => {}
        }
        Ok(())
    }

    /// Suspends the processes. The engine calls its health "unhealthy" from here to the first check after it is resumed.
    pub fn pause(&mut self, id: &ContainerId) -> Result<(), Refusal> {
        let since = match self.get(id)?.state {
            State::Running { since } => since,
            State::Paused { .. } => return refuse(409, Fault::Conflict, "container is already paused"),
            State::Restarting { .. } => return refuse(409, Fault::Conflict, "container is restarting"),
            State::Created { .. } | State::Exited(_) | State::Removing => {
                return refuse(409, Fault::Conflict, "container is not running");
            }
        };
        let container = self.container(id);
        container.state = State::Paused { since };
        if container.health_check.is_some() {
            container.health = Health::Unhealthy;
        }
        self.tell("pause", Some(id));
        Ok(())
    }

    /// Resumes the processes.
    pub fn unpause(&mut self, id: &ContainerId) -> Result<(), Refusal> {
        match self.get(id)?.state {
            State::Paused { since } => self.container(id).state = State::Running { since },
            State::Created { .. }
            | State::Running { .. }
            | State::Restarting { .. }
            | State::Exited(_)
            | State::Removing => return refuse(500, Fault::Conflict, "container is not paused"),
        }
        self.tell("unpause", Some(id));
        // Its clock went on, so what was due meanwhile is due now.
        if let Some(code) = self.container(id).ends_when_resumed.take() {
            self.ended(id, code);
        }
        Ok(())
    }

    /// Marks a container for removal; its name stays taken until [`World::removed`].
    pub fn begin_remove(&mut self, id: &ContainerId) -> Result<(), Refusal> {
        match self.get(id)?.state {
            State::Running { .. } | State::Paused { .. } | State::Restarting { .. } => {
                refuse(409, Fault::Conflict, "cannot remove a running container: stop the container before removing it")
            }
            State::Removing if !self.containers[id].dead => {
                refuse(409, Fault::Conflict, format!("removal of container {id} is already in progress"))
            }
            State::Removing => {
                self.container(id).dead = false;
                Ok(())
            }
            State::Created { .. } | State::Exited(_) => {
                self.container(id).state = State::Removing;
                self.version += 1;
                Ok(())
            }
        }
    }

    /// A removal that breaks off half-way: the container cannot be started any more, and has its name until it is removed again.
    pub fn half_remove(&mut self, name: &str) {
        let found = self.containers.values().find(|container| container.name == name).map(|found| found.id.clone());
        if let Some(id) = found.filter(|id| self.begin_remove(id).is_ok()) {
            self.container(&id).dead = true;
        }
    }

    /// Ends a removal: the name is free, the anonymous volumes are gone.
    pub fn removed(&mut self, id: &ContainerId) {
        if let Some(container) = self.containers.remove(id) {
            for volume in &container.anonymous_volumes {
                self.volumes.remove(volume);
            }
            self.tell("destroy", Some(id));
        }
    }

    /// Takes the engine down for `down`: gracefully (every program gets its signal) or by a crash (they go on running,
    /// and get it when the engine comes back).
    pub fn power_down(&mut self, graceful: bool, down: Millis) {
        self.power = Power::Down { graceful };
        let ids: Vec<ContainerId> = self.containers.keys().cloned().collect();
        for id in ids {
            let container = self.container(&id);
            container.ran_at_shutdown = container.is_alive() || matches!(container.state, State::Restarting { .. });
            let code = container.app.code_at_shutdown(SHUTDOWN_GRACE);
            if graceful && container.is_alive() {
                self.ended(&id, code);
            }
        }
        self.events.clear();
        self.version += 1;
        self.set_alarm(down, Alarm::PowerUp);
    }

    /// The engine is back: what runs again is told by policy, by who stopped it, and by how the engine went down.
    fn power_up(&mut self) {
        let Power::Down { graceful } = std::mem::replace(&mut self.power, Power::Up) else { return };
        self.note("the engine is up again");
        // What is half removed is removed first.
        let dead = self.containers.values().filter(|container| container.dead).map(|dead| dead.id.clone());
        for id in dead.collect::<Vec<_>>() {
            self.removed(&id);
        }
        let ids: Vec<ContainerId> = self.containers.keys().cloned().collect();
        for id in &ids {
            // What outlived a crash of the engine gets its stop signal now; the policy is then asked with that exit code.
            self.power = Power::Down { graceful };
            let container = self.container(id);
            if container.is_alive() {
                let code = container.app.code_at_shutdown(SHUTDOWN_GRACE);
                container.endpoints.values_mut().for_each(|endpoint| endpoint.recorded = endpoint.address);
                self.ended(id, code);
            }
            self.power = Power::Up;
        }
        for id in &ids {
            if self.comes_back(id, graceful) {
                let container = self.container(id);
                container.backoff = 0;
                container.stopped_by_call = false;
                self.run_again(id);
            } else if let State::Restarting { exit_code } = self.containers[id].state {
                let now = World::timestamp(self.now);
                let exit = Exit { code: exit_code, out_of_memory: false, started_at: now, finished_at: now };
                self.container(id).state = State::Exited(exit);
            }
        }
        self.events.clear();
        self.version += 1;
    }

    fn comes_back(&self, id: &ContainerId, graceful: bool) -> bool {
        let container = &self.containers[id];
        let code = match &container.state {
            State::Exited(exit) => exit.code,
            State::Restarting { exit_code } => *exit_code,
            State::Created { .. } | State::Running { .. } | State::Paused { .. } | State::Removing => return false,
        };
        match container.adjustable.restart_policy {
            // After a crash the engine takes a container that it killed itself for one that was stopped (20.10, 26.1).
            RestartPolicy::Always => container.ran_at_shutdown && graceful && !container.stopped_by_call,
            // Also one that was stopped through the API, when its exit code was not 0.
            RestartPolicy::OnFailure => code != 0,
            RestartPolicy::Never => false,
        }
    }
}

fn wants_restart(policy: &RestartPolicy, code: i64) -> bool {
    match policy {
        RestartPolicy::Always => true,
        RestartPolicy::OnFailure => code != 0,
        RestartPolicy::Never => false,
    }
}
