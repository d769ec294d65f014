//! Probes against the simulated engine's programs: who holds the address now, and does its program answer.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use evenkeel::model::status::ProbeTask;
use evenkeel::probe::{Check, Dial};
use tokio::time::{Duration, sleep};

use super::Sim;
use super::container::Container;
use super::world::World;

/// How long an answer takes.
const ROUND_TRIP: Duration = Duration::from_millis(1);

/// What a connection meets.
enum Answer {
    Accepts,
    Refuses,
    NotReady,
    Fails,
    Silence,
    Nobody,
    /// The name leads to nobody.
    NoName(String),
    /// There was none, for this reason.
    NoWay(String),
}

impl Dial for Sim {
    async fn check(&self, task: &ProbeTask) -> Check {
        sleep(ROUND_TRIP).await;
        let Some(address) = task.address else { return Check::Unmade(None) };
        let is_grpc = task.probe.grpc.is_some();
        let why = match self.with(|world| world.answer(address, task)) {
            Answer::Accepts => return Check::Success,
            Answer::NoWay(why) => return Check::Unmade(Some(self.with(|world| world.say(&why)))),
            Answer::Refuses => format!("connect to {address}:{}: connection refused", task.port),
            Answer::NotReady | Answer::Fails if is_grpc => "gRPC health: NOT_SERVING".into(),
            Answer::NotReady => "HTTP status 503".into(),
            Answer::Fails => "HTTP status 500".into(),
            Answer::NoName(name) => format!("nobody is called {name} here"),
            Answer::Nobody => format!("connect to {address}:{}: no route to host", task.port),
            Answer::Silence => {
                sleep(task.probe.timeout.std()).await;
                format!("no answer within {}", task.probe.timeout)
            }
        };
        Check::Failure(self.with(|world| world.say(&why)))
    }
}

impl World {
    fn answer(&self, address: IpAddr, task: &ProbeTask) -> Answer {
        match (&task.name, task.process) {
            (Some(name), Some(process)) => self.called(name.as_str(), process, task),
            _ => self.answer_at(address, task),
        }
    }

    /// The worst answer of all addresses that a name leads to within a container's networks.
    fn called(&self, name: &str, process: u32, task: &ProbeTask) -> Answer {
        let container = match self.within(task, process) {
            Ok(container) => container,
            Err(why) => return Answer::NoWay(why),
        };
        let networks = container.endpoints.keys();
        let found: BTreeSet<Ipv4Addr> = networks.flat_map(|network| self.resolve(network, name).into_keys()).collect();
        if found.is_empty() {
            return Answer::NoName(name.into());
        }
        let from_outside = ProbeTask { process: None, ..task.clone() };
        let answers = found.into_iter().map(|address| self.answer_at(address.into(), &from_outside));
        answers.into_iter().find(|answer| !matches!(answer, Answer::Accepts)).unwrap_or(Answer::Accepts)
    }

    fn answer_at(&self, address: IpAddr, task: &ProbeTask) -> Answer {
        let container = match task.process {
            None => self.who_answers(address, task.port),
            Some(process) => match self.within(task, process) {
                Ok(container) => Some(container),
                Err(why) => return Answer::NoWay(why),
            },
        };
        let Some(container) = container else { return Answer::Nobody };
        if container.app.hides && task.process.is_none() && !container.host_network {
            return Answer::Refuses;
        }
        let path = task.probe.http_get.as_ref().map(|get| get.path.as_str());
        let asked = path.or_else(|| task.probe.grpc.as_ref().map(|grpc| grpc.service.as_str()));
        let refuses_for_good = container.app.ready_after.is_none();
        match container.serves(self.now) {
            true if asked.is_some_and(|asked| container.app.fails_at.contains(asked)) => Answer::Fails,
            true => Answer::Accepts,
            false if container.hangs(self.now) => Answer::Silence,
            false if refuses_for_good && asked.is_some() => Answer::NotReady,
            false => Answer::Refuses,
        }
    }

    /// The container whose network is entered by its process. One that has ended meanwhile is not there to be entered.
    fn within(&self, task: &ProbeTask, process: u32) -> Result<&Container, String> {
        if let Some(why) = &self.no_entry {
            return Err(why.clone());
        }
        let container = self.containers.get(&task.container);
        let run = container.filter(|container| container.is_alive() && container.runs == process);
        run.ok_or_else(|| format!("process {process} is not seen here"))
    }

    /// Whoever holds an address now; on the host's own, whoever listens on or has published the port.
    fn who_answers(&self, address: IpAddr, port: u16) -> Option<&Container> {
        let mut alive = self.containers.values().filter(|container| container.is_alive());
        match address {
            IpAddr::V4(v4) if !v4.is_loopback() => {
                alive.find(|c| c.endpoints.values().any(|endpoint| endpoint.plugged && endpoint.address == Some(v4)))
            }
            host => alive.find(|c| {
                c.host_network && c.listens.contains(&port)
                    || c.holds.iter().any(|(held, taken)| *taken == port && (*held == host || held.is_unspecified()))
            }),
        }
    }
}
