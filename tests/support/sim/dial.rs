//! Probes against the simulated engine's programs: who holds the address now, and does its program answer.

use std::net::IpAddr;

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
}

impl Dial for Sim {
    async fn check(&self, task: &ProbeTask) -> Option<Check> {
        sleep(ROUND_TRIP).await;
        let address = task.address?;
        let path = task.probe.http_get.as_ref().map(|get| get.path.as_str());
        let checked = match self.with(|world| world.answer(address, task.port, path)) {
            Answer::Accepts => Ok(()),
            Answer::Refuses => Err(format!("connect to {address}:{}: connection refused", task.port)),
            Answer::NotReady => Err("HTTP status 503".into()),
            Answer::Fails => Err("HTTP status 500".into()),
            Answer::Nobody => Err(format!("connect to {address}:{}: no route to host", task.port)),
            Answer::Silence => {
                sleep(task.probe.timeout.std()).await;
                Err(format!("no answer within {}", task.probe.timeout))
            }
        };
        Some(checked.map_err(|message| self.with(|world| world.say(&message))))
    }
}

impl World {
    fn answer(&self, address: IpAddr, port: u16, path: Option<&str>) -> Answer {
        let Some(container) = self.who_answers(address, port) else { return Answer::Nobody };
        let refuses_for_good = container.app.ready_after.is_none();
        match container.serves(self.now) {
            true if path.is_some_and(|path| container.app.fails_at.contains(path)) => Answer::Fails,
            true => Answer::Accepts,
            false if container.hangs(self.now) => Answer::Silence,
            false if refuses_for_good && path.is_some() => Answer::NotReady,
            false => Answer::Refuses,
        }
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
