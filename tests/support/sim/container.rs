//! A container of the simulated engine: its state and what can be read from it. The transitions are in `life`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use evenkeel::model::container::{Adjustable, ContainerSpec};
use evenkeel::model::observed::{ContainerId, Exit, NetworkId, StartError};
use evenkeel::model::revision::ImageId;

use super::app::{App, HealthCheck, Millis};

/// A container, anybody's.
#[derive(Debug, Clone)]
pub struct Container {
    pub id: ContainerId,
    pub name: String,
    /// The image's labels with the container's own on top, as the engine merges them.
    pub labels: BTreeMap<String, String>,
    pub image: ImageId,
    /// The reference it was created from.
    pub reference: String,
    pub created_at: Millis,
    pub state: State,
    pub health: Health,
    /// How often it was started; tells an alarm set in an earlier run from one of this run.
    pub runs: u32,
    pub restart_count: u32,
    /// Those of its starts that the engine made by itself.
    pub revivals: u32,
    /// The last pause before a restart by the engine.
    pub backoff: Millis,
    /// Stopped or killed through the API: the engine does not start it again.
    pub stopped_by_call: bool,
    /// How often it was.
    pub stops: u32,
    /// Was running when the engine went down.
    pub ran_at_shutdown: bool,
    pub endpoints: BTreeMap<String, Endpoint>,
    pub adjustable: Adjustable,
    pub app: App,
    pub health_check: Option<HealthCheck>,
    pub host_network: bool,
    /// Ports that the program listens on.
    pub listens: Vec<u16>,
    /// Ports to publish: address, first and last of the range.
    pub publishes: Vec<Publish>,
    /// Host ports that it holds while it runs.
    pub holds: Vec<(IpAddr, u16)>,
    pub env: BTreeMap<String, String>,
    pub volumes: Vec<String>,
    pub anonymous_volumes: Vec<String>,
    /// When a run of it ended last.
    pub ended_at: Option<Millis>,
    /// Each line with when it was written.
    pub log: Vec<(Millis, String)>,
    /// Its program was to end, with this code, while it was paused: it does as soon as it is resumed.
    pub ends_when_resumed: Option<i64>,
    /// A person made it hang.
    pub hung: bool,
    /// Its removal was begun and could not be ended: it is [`State::Removing`] until somebody removes it again.
    pub dead: bool,
    /// What it was created from; none for somebody else's.
    pub spec: Option<ContainerSpec>,
    /// When it last lost the last of its names on a network, for the check of the drain.
    pub unnamed_at: Option<Millis>,
    /// Whether it answered at any time in its life.
    pub served: bool,
}

/// A port to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    pub container_port: u16,
    pub address: IpAddr,
    pub first: u16,
    pub last: u16,
}

/// What a container is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Created { error: Option<StartError> },
    Running { since: Millis },
    Paused { since: Millis },
    Restarting { exit_code: i64 },
    Exited(Exit),
    Removing,
}

/// Docker's health check of this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    None,
    Starting { failures: u32 },
    Healthy { failures: u32 },
    Unhealthy,
}

/// An attachment to a network.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub network: NetworkId,
    /// Changes with every attachment and every start; 0 while it is not attached.
    pub serial: u64,
    pub address: Option<Ipv4Addr>,
    /// What the records still say of a container that an engine killed when it came back from a crash. Nobody holds it.
    pub recorded: Option<Ipv4Addr>,
    /// An address that was asked for.
    pub fixed: Option<Ipv4Addr>,
    pub aliases: std::collections::BTreeSet<String>,
    /// Whether the container really is on it, whatever the records say.
    pub plugged: bool,
}

impl Endpoint {
    /// The address that an inspect or a list tells.
    pub fn told_address(&self) -> Option<Ipv4Addr> {
        self.address.or(self.recorded)
    }
}

impl Container {
    /// Whether it is there, and not just being removed.
    pub fn is_there(&self) -> bool {
        self.state != State::Removing || self.dead
    }

    /// Whether it has a process: running, paused, or about to be started again counts not.
    pub fn is_alive(&self) -> bool {
        matches!(self.state, State::Running { .. } | State::Paused { .. })
    }

    /// Whether its program would answer now.
    pub fn serves(&self, now: Millis) -> bool {
        let State::Running { since } = self.state else { return false };
        let ready = self.app.ready_after.is_some_and(|after| now >= since + after);
        ready && !self.hung && self.app.hangs_after.is_none_or(|after| now < since + after)
    }

    /// Whether its program has answered since its last start.
    pub fn served_in_this_run(&self, now: Millis) -> bool {
        let (State::Running { since } | State::Paused { since }) = self.state else { return false };
        self.app.ready_after.is_some_and(|after| now >= since + after)
    }

    /// Whether its program is stuck: it accepts connections and never answers.
    pub fn hangs(&self, now: Millis) -> bool {
        match self.state {
            State::Running { since } => self.hung || self.app.hangs_after.is_some_and(|after| now >= since + after),
            State::Paused { .. } => true,
            State::Created { .. } | State::Restarting { .. } | State::Exited(_) | State::Removing => false,
        }
    }

    /// The word that a list shows.
    pub fn state_word(&self) -> &'static str {
        match self.state {
            State::Created { .. } => "created",
            State::Running { .. } => "running",
            State::Paused { .. } => "paused",
            State::Restarting { .. } => "restarting",
            State::Exited(_) => "exited",
            State::Removing if self.dead => "dead",
            State::Removing => "removing",
        }
    }

    /// What a list tells apart: state with exit code, health, image, endpoints. Not the aliases, not the limits.
    pub fn fingerprint(&self) -> String {
        let exit_code = match &self.state {
            State::Exited(exit) => exit.code,
            State::Restarting { exit_code } => *exit_code,
            State::Created { .. } | State::Running { .. } | State::Paused { .. } | State::Removing => 0,
        };
        let endpoints: Vec<String> = self
            .endpoints
            .iter()
            .map(|(name, endpoint)| {
                format!("{name}:{}:{}:{:?}", endpoint.network, endpoint.serial, endpoint.told_address())
            })
            .collect();
        let health = match self.health {
            Health::None => "none",
            Health::Starting { .. } => "starting",
            Health::Healthy { .. } => "healthy",
            Health::Unhealthy => "unhealthy",
        };
        // A list goes on saying that it is being removed.
        let word = if self.dead { "removing" } else { self.state_word() };
        format!("{word}({exit_code}) {health} {} {}", self.image, endpoints.join(","))
    }
}
