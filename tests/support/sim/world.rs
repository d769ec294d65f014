//! The simulated engine's whole state, its agenda and its events. Synchronous and without a clock: whoever holds it says
//! what time it is. Next: `life` (what happens to containers), `network`, `image`, `create`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;

use evenkeel::model::observed::{ContainerId, Fault, Headroom, NetworkId};
use evenkeel::model::revision::ImageId;
use evenkeel::model::time::Timestamp;

use super::app::Millis;
use super::container::Container;
use super::image::{Image, Registry};
use super::shared::Shared;

/// Virtual time 0: 2026-01-01T00:00:00Z.
pub const EPOCH: i64 = 1_767_225_600_000;

/// The engine keeps this many events.
const EVENTS_KEPT: usize = 256;

/// All that a simulated engine is.
#[derive(Clone)]
pub struct World {
    pub now: Millis,
    pub containers: Shared<ContainerId, Container>,
    pub networks: BTreeMap<NetworkId, Network>,
    /// Which addresses it gives to those that ask for none, the first that is free; after them, the lowest that is free.
    pub next_addresses: Vec<Ipv4Addr>,
    pub volumes: BTreeMap<String, Volume>,
    pub images: Shared<ImageId, Image>,
    /// Local references: what each tag leads to.
    pub tags: BTreeMap<String, ImageId>,
    pub registry: Registry,
    /// How often each image was built.
    pub builds: BTreeMap<String, u32>,
    /// Paths of the host that bind mounts find. Anything under a real directory is found too.
    pub host_paths: BTreeSet<String>,
    /// Why nobody may enter a container's network, if so.
    pub no_entry: Option<String>,
    /// What the host has left.
    pub headroom: Headroom,
    pub power: Power,
    /// Whether it is a 20.10 where that and 26.1 differ.
    pub is_old: bool,
    pub events: VecDeque<EngineEvent>,
    /// What happened outside Evenkeel's own calls, for the transcript: when and what.
    pub notes: Vec<(Millis, String)>,
    /// How often each job's attempt was started, by container name; survives the container.
    pub starts: BTreeMap<String, u32>,
    /// What everybody outside repeats whenever they say something: the engine in its errors, the registry, programs in
    /// their logs and answers.
    pub gossip: Vec<String>,
    /// What happens to events from now on, and those that wait.
    event_fault: EventFault,
    late_events: Vec<(&'static str, Option<ContainerId>)>,
    /// Raised by everything that a client could see, and by every new alarm.
    pub version: u64,
    agenda: BTreeMap<(Millis, u64), Alarm>,
    serial: u64,
}

/// Whether the engine answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    Up,
    /// Until an alarm; how it went down decides what comes back.
    Down {
        graceful: bool,
    },
}

/// What becomes of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventFault {
    None,
    Lost,
    Doubled,
    /// They wait until the fault ends.
    Late,
}

/// Something that is going to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alarm {
    /// The program ends by itself, or after its stop signal.
    Ends { id: ContainerId, run: u32, code: i64 },
    /// The grace period is over.
    Kill { id: ContainerId, run: u32 },
    /// The engine's back-off is over.
    Restart { id: ContainerId, run: u32 },
    /// Docker's health check is made.
    Check { id: ContainerId, run: u32 },
    /// The engine comes back.
    PowerUp,
}

/// What the engine tells its listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    pub nanos: i64,
    pub action: &'static str,
    /// The container, or none for a network, volume or image.
    pub container: Option<ContainerId>,
}

/// A network, anybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    pub id: NetworkId,
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub driver: String,
    pub internal: bool,
    pub subnets: Vec<String>,
    /// Whether the subnet was asked for, so that addresses can be chosen.
    pub chosen_subnet: bool,
    pub options: BTreeMap<String, String>,
}

/// A volume, anybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub driver: String,
    pub options: BTreeMap<String, String>,
    /// Tells this volume from another one of the same name.
    pub serial: u64,
    pub anonymous: bool,
}

/// The engine says no: an HTTP status and its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub message: String,
    pub fault: Fault,
}

/// Refuses with a status, the engine's words, and what the caller makes of it.
pub fn refuse<T>(status: u16, fault: Fault, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { status, fault, message: message.into() })
}

impl Default for World {
    fn default() -> Self {
        Self {
            now: 0,
            containers: Shared::default(),
            networks: BTreeMap::new(),
            next_addresses: Vec::new(),
            volumes: BTreeMap::new(),
            images: Shared::default(),
            tags: BTreeMap::new(),
            registry: Registry::default(),
            builds: BTreeMap::new(),
            host_paths: BTreeSet::new(),
            no_entry: None,
            headroom: Headroom::default(),
            power: Power::Up,
            is_old: false,
            events: VecDeque::new(),
            notes: Vec::new(),
            starts: BTreeMap::new(),
            gossip: Vec::new(),
            event_fault: EventFault::None,
            late_events: Vec::new(),
            version: 0,
            agenda: BTreeMap::new(),
            serial: 0,
        }
    }
}

impl World {
    /// What somebody outside says, with the gossip of the day.
    pub fn say(&self, words: &str) -> String {
        [words].into_iter().chain(self.gossip.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
    }

    /// Lets everything happen that is due up to `now`.
    pub fn advance(&mut self, now: Millis) {
        while let Some((&(at, serial), _)) = self.agenda.first_key_value()
            && at <= now
        {
            self.now = self.now.max(at);
            let alarm = self.agenda.remove(&(at, serial)).expect("it was just seen");
            self.ring(alarm);
        }
        self.now = self.now.max(now);
    }

    /// When the next thing happens.
    pub fn next_alarm(&self) -> Option<Millis> {
        self.agenda.first_key_value().map(|((at, _), _)| *at)
    }

    /// What is going to happen, and when.
    pub fn agenda(&self) -> impl Iterator<Item = (Millis, &Alarm)> {
        self.agenda.iter().map(|((at, _), alarm)| (*at, alarm))
    }

    pub(super) fn set_alarm(&mut self, after: Millis, alarm: Alarm) {
        let serial = self.next_serial();
        self.agenda.insert((self.now + after, serial), alarm);
        // Whoever drives the world has to look at its agenda again.
        self.version += 1;
    }

    pub(super) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// A fresh id of 64 hexadecimal digits.
    pub(super) fn next_id(&mut self) -> String {
        let serial = self.next_serial();
        // Spread out, so that the order of ids is not the order of creation and no code can rely on it.
        format!("{:016x}{:048x}", serial.wrapping_mul(0x9E37_79B9_7F4A_7C15), serial)
    }

    pub(super) fn tell(&mut self, action: &'static str, container: Option<&ContainerId>) {
        self.version += 1;
        let copies = match self.event_fault {
            EventFault::None => 1,
            EventFault::Lost => 0,
            EventFault::Doubled => 2,
            EventFault::Late => {
                self.late_events.push((action, container.cloned()));
                0
            }
        };
        for _ in 0..copies {
            let last = self.events.back().map_or(0, |event| event.nanos);
            let nanos = ((EPOCH + self.now as i64) * 1_000_000).max(last + 1);
            self.events.push_back(EngineEvent { nanos, action, container: container.cloned() });
        }
        while self.events.len() > EVENTS_KEPT {
            self.events.pop_front();
        }
    }

    /// Changes what becomes of events. Those that waited come now, the last one first.
    pub fn set_event_fault(&mut self, fault: EventFault) {
        self.event_fault = fault;
        if fault != EventFault::Late {
            for (action, container) in std::mem::take(&mut self.late_events).into_iter().rev() {
                self.tell(action, container.as_ref());
            }
        }
    }

    pub(super) fn note(&mut self, text: impl Into<String>) {
        let at = self.now;
        self.notes.push((at, text.into()));
    }

    /// A point of virtual time as the house writes it.
    pub fn timestamp(at: Millis) -> Timestamp {
        Timestamp(EPOCH + at as i64)
    }

    /// The container of that name, whoever's.
    pub fn by_name(&self, name: &str) -> Option<&Container> {
        self.containers.values().find(|container| container.name == name)
    }

    pub(super) fn get(&self, id: &ContainerId) -> Result<&Container, Refusal> {
        match self.containers.get(id) {
            Some(container) => Ok(container),
            None => refuse(404, Fault::Unavailable, format!("No such container: {id}")),
        }
    }

    /// A container that is known to be there.
    pub(super) fn container(&mut self, id: &ContainerId) -> &mut Container {
        self.containers.get_mut(id).expect("the caller has just found it")
    }
}
