//! Which states are the same: all that a later decision or promise can depend on, with names in the place of ids. Of times it
//! keeps what the plan asks of them: which of two came first, and how much of a back-off is over. No back-off is forgotten
//! and no deadline passes here, because time goes on only where the plan waits. It changes nothing.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::net::Ipv4Addr;

use evenkeel::model::action::Call;
use evenkeel::model::history::{DeploymentHistory, History, Outcome, Rollout};
use evenkeel::model::job::{JobHistory, JobState};
use evenkeel::model::name::Key;
use evenkeel::model::observed::ContainerId;
use evenkeel::model::time::Timestamp;
use sha2::{Digest, Sha256};

use crate::state::{Failed, State, UnderWay};
use crate::support::sim::container::{Container, Health, State as ContainerState};
use crate::support::sim::world::{Alarm, World};

/// The first back-off of a failed action; each further one is at most twice as long.
const FIRST_PAUSE: u64 = 5_000;

/// What two states have in common if they are the same: half of a SHA-256, so that none collide by chance.
pub fn likeness(state: &State) -> u128 {
    let mut sketch = Sketch {
        now: state.now(),
        world: &state.world,
        written: Written(Vec::with_capacity(4096)),
        addresses: Vec::new(),
    };
    sketch.state(state);
    let hash = Sha256::digest(&sketch.written.0);
    u128::from_le_bytes(std::array::from_fn(|n| hash[n]))
}

/// All that is told of a state, one after the other: hashed as a whole, which is quick also where our own code is not optimised.
struct Written(Vec<u8>);

impl Hasher for Written {
    fn finish(&self) -> u64 {
        unreachable!("it is hashed as a whole")
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

struct Sketch<'a> {
    now: Timestamp,
    world: &'a World,
    written: Written,
    /// Addresses in the order in which they were told: as names they all are alike.
    addresses: Vec<Ipv4Addr>,
}

impl Sketch<'_> {
    fn add(&mut self, part: impl Hash) {
        part.hash(&mut self.written);
    }

    fn address(&mut self, address: Option<Ipv4Addr>) {
        let number = address.map(|address| match self.addresses.iter().position(|told| *told == address) {
            Some(number) => number,
            None => {
                self.addresses.push(address);
                self.addresses.len() - 1
            }
        });
        self.add(number);
    }

    /// How much of the back-off after that many failures in a row is over.
    fn back_off(&self, at: Timestamp, count: u32) -> u64 {
        self.now.since(at).0.min(FIRST_PAUSE << count.min(6))
    }

    fn name(&self, id: &ContainerId) -> Option<&str> {
        self.world.containers.get(id).map(|container| container.name.as_str())
    }

    fn state(&mut self, state: &State) {
        let State { world, edit, history, probes, under_way, failures, watched_since, left, rejected } = state;
        self.add((edit, left, rejected));
        self.world(world, *watched_since, &began(history));
        self.history(history);
        // A probe of a container that is gone, or of an earlier run, has no result.
        let of_this_run = probes.iter().filter_map(|probe| {
            let container = self.world.containers.get(&probe.container)?;
            let since = matches!(container.state, ContainerState::Running { since } if World::timestamp(since) == probe.started_at);
            since.then_some((&container.name, probe.purpose))
        });
        let mut of_this_run: Vec<_> = of_this_run.collect();
        of_this_run.sort();
        self.add(of_this_run);
        for UnderWay { action, halfway, decided_at, was_ready } in under_way {
            self.add((action.call.to_string(), halfway, decided_at, was_ready));
            if let Call::Connect(c) | Call::Reconnect(c) = &action.call {
                self.address(c.address);
            }
        }
        let failed = failures.iter().map(|(target, Failed { failure, .. })| {
            let id = target.strip_prefix("container ").map(|id| ContainerId(id.to_string()));
            let target = id.map_or(Some(target.as_str()), |id| self.world.containers.get(&id).map(|c| c.name.as_str()));
            (
                target.map(str::to_string),
                failure.count,
                failure.fault as u8,
                failure.ending,
                &failure.cut,
                self.back_off(failure.at, failure.count),
            )
        });
        let failed: Vec<_> = failed.filter(|(target, ..)| target.is_some()).collect();
        self.add(failed);
    }

    fn world(&mut self, world: &World, watched_since: Timestamp, began: &BTreeMap<Key, Timestamp>) {
        let by_name: BTreeMap<&str, &Container> = world.containers.values().map(|c| (c.name.as_str(), c)).collect();
        for container in by_name.values() {
            let owner = container.name.split('.').nth(1).unwrap_or_default();
            let began = began.iter().find(|(key, _)| key.name.as_str() == owner).map(|(_, at)| *at);
            self.container(container, watched_since, began);
        }
        let networks: Vec<_> = world.networks.values().map(|network| &network.name).collect();
        self.add((networks, world.volumes.keys().collect::<Vec<_>>(), &world.starts));
        for (at, alarm) in world.agenda() {
            let (id, run, kind) = match alarm {
                Alarm::Ends { id, run, .. } => (id, run, 0),
                Alarm::Kill { id, run } => (id, run, 1),
                Alarm::Restart { id, run } => (id, run, 2),
                Alarm::Check { id, run } => (id, run, 3),
                Alarm::PowerUp => unreachable!("the engine is up again at once"),
            };
            let is_of_this_run = world.containers.get(id).is_some_and(|c| c.runs == *run);
            self.add((at - world.now, self.name(id).map(str::to_string), is_of_this_run, kind));
        }
    }

    fn container(&mut self, c: &Container, watched_since: Timestamp, began: Option<Timestamp>) {
        let since = match c.state {
            ContainerState::Running { since } | ContainerState::Paused { since } => Some(since),
            _ => None,
        };
        let exit = match &c.state {
            ContainerState::Exited(exit) => Some(exit.code),
            _ => None,
        };
        let failed = matches!(c.state, ContainerState::Created { error: Some(_) });
        let healthy = matches!(c.health, Health::Healthy { .. });
        self.add((
            &c.name,
            c.state_word(),
            exit,
            failed,
            healthy,
            since.map(|since| World::timestamp(since) < watched_since),
        ));
        self.add((c.runs, c.restart_count, c.stopped_by_call, c.ran_at_shutdown, c.backoff));
        self.add(began.map(|began| World::timestamp(c.created_at) < began));
        for (network, endpoint) in &c.endpoints {
            self.add((network, &endpoint.aliases));
            self.address(endpoint.address);
            self.address(endpoint.fixed);
        }
    }

    fn history(&mut self, history: &History) {
        let History { deployments, jobs, cron_jobs, removed_jobs, confirmed, images } = history;
        // These worlds have no CronJobs: their times never end.
        self.add((confirmed.len(), cron_jobs.len(), removed_jobs.len()));
        self.add(images.values().map(|image| image.unused_since.is_some()).collect::<Vec<_>>());
        deployments.values().for_each(|deployment| self.deployment(deployment));
        jobs.values().for_each(|job| self.job(job));
    }

    fn deployment(&mut self, history: &DeploymentHistory) {
        let DeploymentHistory {
            revisions,
            // For people.
            created_at: _,
            begun: _,
            ended: _,
            whole: _,
            rollout,
            resolution,
            choice,
            restarts,
            paused,
            held,
            pin,
            quiet,
            woken_at,
            retiring,
            restarted,
            restarted_before,
            ready_since,
            judged,
            came_back,
            told_unmade,
        } = history;
        self.add((
            restarts,
            paused,
            held,
            quiet,
            told_unmade,
            woken_at.is_some(),
            pin.as_ref().map(|pin| (&pin.revision, pin.lapses)),
        ));
        self.add(resolution.as_ref().map(|r| (&r.template, &r.image)));
        self.add(choice.as_ref().map(|choice| &choice.tagged));
        // Of completions only the order counts.
        let mut completions: Vec<(Timestamp, u64)> = Vec::new();
        for revision in revisions {
            let kind = match revision.outcome {
                Outcome::Pending => 0,
                Outcome::Completed { at } => {
                    completions.push((at, revision.number));
                    1
                }
                Outcome::Rejected { .. } => 2,
                Outcome::Superseded { .. } => 3,
            };
            self.add((revision.number, &revision.id, kind, revision.rested_at.is_some()));
        }
        completions.sort();
        self.add(completions.iter().map(|(_, number)| *number).collect::<Vec<_>>());
        self.rollout(rollout);
        for (id, retirement) in retiring {
            self.add((self.name(id).map(str::to_string), retirement.drain, retirement.stopping));
            self.add(retirement.unnamed_at.is_some());
        }
        for (id, restarts) in restarted {
            let back_off = self.back_off(restarts.at, restarts.count);
            self.add((self.name(id).map(str::to_string), restarts.count, back_off));
        }
        for (id, count) in restarted_before {
            self.add((self.name(id).map(str::to_string), count));
        }
        for known in [ready_since.keys().collect::<Vec<_>>(), judged.iter().collect(), came_back.iter().collect()] {
            let mut names: Vec<_> = known.iter().filter_map(|id| self.name(id)).map(str::to_string).collect();
            names.sort();
            self.add(names);
        }
    }

    fn rollout(&mut self, rollout: &Rollout) {
        match rollout {
            Rollout::New => self.add(0),
            Rollout::Complete { revision, .. } => self.add((1, revision)),
            Rollout::Progressing { to, available, stepped_at, before, excused_at, failed_at, .. } => {
                self.add((2, to, available, before, stepped_at.is_some(), excused_at, failed_at.is_some()));
            }
            Rollout::RollingBack { to, from, available, .. } => self.add((3, to, from, available)),
            Rollout::Stalled { revision, .. } => self.add((4, revision)),
        }
    }

    fn job(&mut self, history: &JobHistory) {
        let JobHistory { runs, resolution, choice } = history;
        self.add(choice.as_ref().map(|choice| &choice.tagged));
        self.add(resolution.as_ref().map(|r| (&r.template, &r.image)));
        for run in runs {
            let kind = match &run.state {
                JobState::Pending => 0,
                JobState::Started { .. } => 1,
                JobState::Retrying { .. } => 2,
                JobState::Succeeded { .. } => 3,
                JobState::Failed { .. } => 4,
                JobState::Unknown { .. } => 5,
            };
            self.add((&run.revision, run.attempt, kind));
        }
    }
}

/// When the rollouts under way began.
fn began(history: &History) -> BTreeMap<Key, Timestamp> {
    let began = |rollout: &Rollout| match rollout {
        Rollout::Progressing { started_at, .. } | Rollout::RollingBack { started_at, .. } => Some(*started_at),
        Rollout::New | Rollout::Complete { .. } | Rollout::Stalled { .. } => None,
    };
    let deployments = history.deployments.iter();
    deployments.filter_map(|(key, deployment)| Some((key.clone(), began(&deployment.rollout)?))).collect()
}
