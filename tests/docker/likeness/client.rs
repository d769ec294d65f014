//! Somebody who sends a sequence of requests to an engine and writes down what can be seen from outside after each, in
//! words that do not depend on ids and times.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use evenkeel::engine::{Engine, EngineError, EventMark, Provided};
use evenkeel::model::action::{Connection, NetworkCreate, VolumeCreate};
use evenkeel::model::container::{Adjustable, Attachment, ContainerSpec, MountSource, MountSpec};
use evenkeel::model::name::{Name, container_name};
use evenkeel::model::observed::{Container, ContainerId, ContainerState, Health, ImageState, Network, NetworkId};
use evenkeel::model::quantity::Memory;
use evenkeel::model::spec::{Limits, Requests, RestartPolicy};
use evenkeel::model::time::Span;
use serde_json::json;

use super::operation::{NETWORKS, NEVER_MADE, Operation, SLOTS, Wanted};
use super::side::{Deed, Side, reference};
use crate::engine::free;

/// Where a sequence plays: names and addresses that no other one uses.
#[derive(Clone)]
pub struct Place {
    pub instance: String,
    /// The second and third byte of the networks' addresses.
    pub subnets: [String; NETWORKS as usize],
    pub port: u16,
}

/// How long a settled engine may take.
const PATIENCE: u32 = 100;
/// How long no event comes before those after a request, and after the last one, are taken to be all. What comes later is
/// taken with the next.
const HEARD_BETWEEN: Duration = Duration::from_millis(30);
const HEARD_AT_LAST: Duration = Duration::from_millis(300);

/// The client of one engine.
pub struct Client<'a, S> {
    side: &'a S,
    place: &'a Place,
    /// The last container of each name; asked for when it is gone too.
    ids: BTreeMap<String, ContainerId>,
    fingerprints: BTreeMap<String, String>,
    /// Whose start failed: what is left of it in the list depends on chance, and whoever starts one looks at it anyway.
    failed: BTreeSet<String>,
}

impl<'a, S: Side> Client<'a, S> {
    pub fn new(side: &'a S, place: &'a Place) -> Self {
        Client { side, place, ids: BTreeMap::new(), fingerprints: BTreeMap::new(), failed: BTreeSet::new() }
    }

    /// Sends all; a paragraph for each request.
    pub async fn send(mut self, operations: &[Operation]) -> Vec<String> {
        // A stream of events does not outlive the engine.
        let engine_goes =
            operations.iter().any(|operation| matches!(operation, Operation::RestartEngine | Operation::CrashEngine));
        let mut mark = self.side.engine().changed(None).await.expect("the engine answers");
        let (mut told, mut touched) = (Vec::new(), BTreeSet::new());
        for operation in operations {
            let result = self.request(operation).await;
            let seen = self.settled().await;
            told.push(format!("{result}\n{seen}"));
            if !engine_goes {
                mark = self.hear(mark, &mut touched, HEARD_BETWEEN).await;
            }
        }
        if !engine_goes {
            self.hear(mark, &mut touched, HEARD_AT_LAST).await;
            told.push(self.events(&touched));
        }
        told
    }

    async fn request(&self, operation: &Operation) -> String {
        let engine = self.side.engine();
        let done = match operation {
            Operation::Create(slot, wanted) => {
                engine.create(free(&self.spec(*slot, wanted)), &Provided::default()).await
            }
            Operation::Start(slot) => engine.start(&self.id(*slot)).await,
            Operation::Stop(slot) => engine.stop(&self.id(*slot), Span::secs(1)).await,
            Operation::Restart(slot) => engine.restart(&self.id(*slot), Span::secs(1)).await,
            Operation::Remove(slot) => engine.remove(&self.id(*slot)).await,
            Operation::Pause(slot) => engine.pause(&self.id(*slot)).await,
            Operation::Unpause(slot) => engine.unpause(&self.id(*slot)).await,
            Operation::Connect(slot, network, named, address) => {
                engine.connect(&self.connection(*slot, *network, *named, *address)).await
            }
            Operation::Reconnect(slot, network, named, address) => {
                engine.reconnect(&self.connection(*slot, *network, *named, *address)).await
            }
            Operation::Update(slot, memory, pids, policy) => {
                let limits = Limits { cpu: None, memory: memory.map(mebibytes), pids: *pids };
                let adjustable =
                    Adjustable { limits, requests: Requests::default(), restart_policy: policy_of(*policy) };
                engine.update(&self.id(*slot), &adjustable).await
            }
            Operation::CreateNetwork(number) => engine.create_network(free(&self.network_create(*number))).await,
            Operation::RemoveNetwork(number) => engine.remove_network(&self.network_id(*number).await).await,
            Operation::CreateVolume(number) => engine.create_volume(free(&self.volume_create(*number))).await,
            Operation::Image(program) => return image_words(engine.image(&reference(*program)).await),
            Operation::PauseByHand(slot) => return self.by_hand(Deed::Pause(self.id(*slot))),
            Operation::KillByHand(slot) => return self.by_hand(Deed::Kill(self.id(*slot))),
            Operation::RemoveByHand(slot) => return self.by_hand(Deed::Remove(self.id(*slot))),
            Operation::DisconnectByHand(slot, number) => {
                return self.by_hand(Deed::Disconnect(self.id(*slot), self.network_name(*number)));
            }
            Operation::RestartEngine => return self.away_and_back(true).await,
            Operation::CrashEngine => return self.away_and_back(false).await,
        };
        result_words(done)
    }

    async fn away_and_back(&self, graceful: bool) -> String {
        let told = self.by_hand(Deed::EngineGoes { graceful });
        while self.side.engine().list().await.is_err() {
            self.side.rest().await;
        }
        told
    }

    fn by_hand(&self, deed: Deed) -> String {
        if self.side.by_hand(deed) { "done by hand".to_string() } else { "cannot be done by hand".to_string() }
    }

    // ---- what is asked for ------------------------------------------------------------------------------------------

    fn name(&self, slot: u8) -> String {
        let part = |text: &str| Name::new(text).expect("it is well-formed");
        container_name(&part(&self.place.instance), &part("shop"), &part("web"), "3f9a2c71d0", slot.into())
    }

    /// The container of that slot, or the one that was, or one that never was.
    fn id(&self, slot: u8) -> ContainerId {
        self.ids.get(&self.name(slot)).cloned().unwrap_or_else(|| ContainerId("ab".repeat(32)))
    }

    fn network_name(&self, number: u8) -> String {
        format!("{}.shop.net{number}", self.place.instance)
    }

    async fn network_id(&self, number: u8) -> NetworkId {
        let all = self.side.engine().networks().await.expect("the engine answers");
        let found = all.into_iter().find(|network| network.name == self.network_name(number));
        found.map_or_else(|| NetworkId("ab".repeat(32)), |network| network.id)
    }

    fn labels(&self, more: &[(&str, &str)]) -> BTreeMap<String, String> {
        let all = [("instance", &*self.place.instance)].into_iter().chain(more.iter().copied());
        all.map(|(key, value)| (format!("evenkeel.dev/{key}"), value.to_string())).collect()
    }

    fn spec(&self, slot: u8, wanted: &Wanted) -> ContainerSpec {
        let image = reference(wanted.program);
        let mut template = json!({"image": image, "ports": [{"port": 8080}]});
        if wanted.port {
            template["ports"][0]["hostPort"] = json!(self.place.port);
        }
        if let Some(memory) = wanted.memory {
            template["resources"] = json!({"limits": {"memory": format!("{memory}Mi")}});
        }
        let mount = |path: &str, source| MountSpec { path: path.into(), source, read_only: false };
        let volume = wanted.volume.then(|| mount("/data", MountSource::Volume(self.volume_name(0))));
        let lost = wanted.lost_path.then(|| mount("/lost", MountSource::HostPath("/no/such/path".into())));
        let network = Attachment {
            network: self.network_name(wanted.network),
            aliases: aliases(wanted.named),
            address: wanted.address.map(|last| self.address(wanted.network, last)),
        };
        ContainerSpec {
            name: self.name(slot),
            labels: self.labels(&[
                ("kind", "deployment"),
                ("namespace", "shop"),
                ("name", "web"),
                ("revision", "3f9a2c71d0"),
                ("template", &wanted.template.to_string()),
                ("slot", &slot.to_string()),
            ]),
            image,
            template: serde_json::from_value(template).expect("a template"),
            env: Vec::new(),
            networks: vec![network],
            mounts: volume.into_iter().chain(lost).collect(),
            restart_policy: policy_of(wanted.policy),
        }
    }

    fn address(&self, network: u8, last: u8) -> std::net::Ipv4Addr {
        format!("10.{}.{last}", self.place.subnets[usize::from(network)]).parse().expect("an address")
    }

    fn connection(&self, slot: u8, network: u8, named: bool, address: Option<u8>) -> Connection {
        Connection {
            container: self.id(slot),
            name: self.name(slot),
            network: self.network_name(network),
            aliases: aliases(named),
            address: address.map(|last| self.address(network, last)),
        }
    }

    fn network_create(&self, number: u8) -> NetworkCreate {
        assert!(number != NEVER_MADE, "this one is never made");
        NetworkCreate {
            name: self.network_name(number),
            labels: self.labels(&[("spec", "1")]),
            driver: "bridge".into(),
            internal: false,
            subnets: vec![format!("10.{}.0/24", self.place.subnets[usize::from(number)])],
            options: BTreeMap::new(),
        }
    }

    fn volume_name(&self, number: u8) -> String {
        format!("{}.shop.vol{number}", self.place.instance)
    }

    fn volume_create(&self, number: u8) -> VolumeCreate {
        let (labels, options) = (self.labels(&[("spec", "1")]), BTreeMap::new());
        VolumeCreate { name: self.volume_name(number), labels, driver: "local".into(), options }
    }

    // ---- what is seen -----------------------------------------------------------------------------------------------

    /// What is seen when it no longer changes. Whatever ends again and again is stopped then: how far the engine's pauses
    /// have grown depends on how fast the machine is.
    async fn settled(&mut self) -> String {
        let mut text = self.at_rest().await;
        if text.contains(AGAIN) {
            for slot in 0..SLOTS {
                let id = self.id(slot);
                let found = self.side.engine().inspect(&id).await.expect("the engine answers");
                if found.is_some_and(|container| state_words(&container) == AGAIN) {
                    self.side.by_hand(Deed::Stop(id));
                }
            }
            text += &self.at_rest().await;
        }
        let changed = self.changed_fingerprints().await;
        format!("{text}  list changed: {changed}\n")
    }

    async fn at_rest(&mut self) -> String {
        let (mut last, mut alike) = (self.look().await, 0);
        for _ in 0..PATIENCE {
            self.side.rest().await;
            let now = self.look().await;
            alike = if now == last && !now.contains(UNDECIDED) { alike + 1 } else { 0 };
            last = now;
            // Between two of the engine's own health checks everything looks alike.
            let enough = if last.contains(CHECKED) { S::ALIKE * CHECKS } else { S::ALIKE };
            if alike >= enough {
                break;
            }
        }
        last
    }

    async fn look(&mut self) -> String {
        let engine = self.side.engine();
        let mut text = String::new();
        for listed in engine.list().await.expect("the engine answers") {
            if listed.name.starts_with(&format!("{}.", self.place.instance)) {
                self.ids.insert(listed.name, listed.id);
            }
        }
        let networks = engine.networks().await.expect("the engine answers");
        self.failed.clear();
        for slot in 0..SLOTS {
            if let Some(found) = engine.inspect(&self.id(slot)).await.expect("the engine answers") {
                if has_failed(&found) {
                    self.failed.insert(found.name.clone());
                }
                text += &format!("  container {slot}: {}\n", self.container_words(&found, &networks));
            }
        }
        let mut ours: Vec<_> = networks.iter().filter(|n| n.name.starts_with(&self.place.instance)).collect();
        ours.sort_by(|a, b| a.name.cmp(&b.name));
        for network in ours {
            text +=
                &format!("  network {}: {} {:?} {:?}\n", network.name, network.driver, network.subnets, network.labels);
        }
        let mut volumes = engine.volumes().await.expect("the engine answers");
        volumes.retain(|volume| volume.name.starts_with(&self.place.instance));
        volumes.sort_by(|a, b| a.name.cmp(&b.name));
        for volume in volumes {
            text += &format!("  volume {}: {} {:?} {:?}\n", volume.name, volume.driver, volume.labels, volume.options);
        }
        text
    }

    fn container_words(&self, container: &Container, all: &[Network]) -> String {
        let networks: Vec<String> = container
            .networks
            .iter()
            .map(|(name, e)| {
                let there = all.iter().any(|network| network.id == e.network && network.name == *name);
                let which = if has_failed(container) {
                    // How many it was attached to before one failed depends on chance.
                    "perhaps"
                } else if e.network.0.is_empty() {
                    "no"
                } else if there {
                    "this"
                } else {
                    "a former"
                };
                format!("{which} {name} at {:?} fixed {:?} as {:?}", e.address, e.fixed, e.aliases)
            })
            .collect();
        let template = &container.template;
        format!(
            "{}{} template {template:?} {:?} on [{}]",
            state_words(container),
            health_words(container),
            container.adjustable,
            networks.join("; ")
        )
    }

    /// Whose line of the list says something else than after the last request.
    async fn changed_fingerprints(&mut self) -> String {
        let all = self.side.engine().list().await.expect("the engine answers");
        let ours = all.into_iter().filter(|listed| listed.name.starts_with(&format!("{}.", self.place.instance)));
        let now: BTreeMap<String, String> = ours
            .map(|listed| (listed.name, format!("{} {:?} {}", listed.id, listed.whose, listed.fingerprint)))
            .collect();
        let before = std::mem::replace(&mut self.fingerprints, now);
        let names: BTreeSet<&String> = before.keys().chain(self.fingerprints.keys()).collect();
        let changed = names
            .into_iter()
            .filter(|name| before.get(*name) != self.fingerprints.get(*name) && !self.failed.contains(*name));
        changed.map(|name| name.rsplit('.').next().unwrap_or_default().to_string()).collect::<Vec<_>>().join(" ")
    }

    /// Takes the events that have come until none comes for a while. The engine keeps the last 256 for who asks late, and
    /// each of its health checks is three of them.
    async fn hear(&self, mut mark: EventMark, touched: &mut BTreeSet<ContainerId>, pause: Duration) -> EventMark {
        while let Ok(Ok(news)) = tokio::time::timeout(pause, self.side.engine().changed(Some(mark.clone()))).await {
            touched.extend(news.touched.iter().cloned());
            mark = news;
        }
        mark
    }

    /// The slots that all events together speak of.
    fn events(&self, touched: &BTreeSet<ContainerId>) -> String {
        let known = self.ids.iter().filter(|(_, id)| touched.contains(id));
        let names: Vec<&str> = known.map(|(name, _)| name.rsplit('.').next().unwrap_or_default()).collect();
        format!("events touched {}\n", names.join(" "))
    }
}

fn has_failed(container: &Container) -> bool {
    matches!(container.state, ContainerState::Created { error: Some(_) })
}

fn aliases(named: bool) -> BTreeSet<String> {
    if named { BTreeSet::from(["web".to_string()]) } else { BTreeSet::new() }
}

fn mebibytes(count: u64) -> Memory {
    Memory(count << 20)
}

fn policy_of(number: u8) -> RestartPolicy {
    [RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never][usize::from(number)]
}

/// What the engine's health check says of one that runs.
const CHECKED: &str = ", checked: ";
const UNDECIDED: &str = ", checked: not yet";
/// How much longer it must look alike where one is checked.
const CHECKS: u32 = 4;

/// The engine's word on one that does not run is of no use to anybody, nor is it on one that is paused.
fn health_words(container: &Container) -> String {
    match (&container.state, &container.health) {
        (ContainerState::Running { .. }, Health::Starting) => UNDECIDED.to_string(),
        (ContainerState::Running { .. }, Health::Healthy) => format!("{CHECKED}healthy"),
        (ContainerState::Running { .. }, Health::Unhealthy { .. }) => format!("{CHECKED}unhealthy"),
        _ => String::new(),
    }
}

/// A container that the engine starts again and again is in no state for long.
const AGAIN: &str = "started again and again";

fn state_words(container: &Container) -> String {
    match &container.state {
        ContainerState::Restarting { .. } => AGAIN.to_string(),
        ContainerState::Running { .. } if container.restart_count > 0 => AGAIN.to_string(),
        ContainerState::Running { .. } => "running".to_string(),
        ContainerState::Paused => "paused".to_string(),
        ContainerState::Created { error } => {
            format!("created {:?}", error.as_ref().map(|error| error.exit_code))
        }
        ContainerState::Exited(exit) => format!("exited {}", exit.code),
        ContainerState::Removing => "removing".to_string(),
    }
}

fn result_words(done: Result<(), EngineError>) -> String {
    done.map_or_else(|error| format!("{:?}", error.fault), |()| "Ok".to_string())
}

fn image_words(found: Result<ImageState, EngineError>) -> String {
    match found {
        Ok(ImageState::Present(image)) => {
            format!("present, check {}, volumes {:?}", image.has_health_check, image.volumes)
        }
        Ok(ImageState::Missing) => "missing".to_string(),
        Err(error) => format!("{:?}", error.fault),
    }
}
