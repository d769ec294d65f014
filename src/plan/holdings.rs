//! What only one container can have at a time: a fixed host port, a fixed address, a volume for one writer. Who still holds what
//! another one is to have, and who waits for whom in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::replica::find;
use super::world::World;
use crate::model::action::{Action, Call, container_target};
use crate::model::desired::Desired;
use crate::model::history::{DeploymentHistory, History, Rollout};
use crate::model::name::{Key, Kind, Name};
use crate::model::observed::{Container, ContainerId, ContainerState, ForeignPort, Observed};
use crate::model::revision::RevisionId;
use crate::model::spec::{HostPort, NetworkAttachment, Port, Template};

/// What containers have or had of such things, in one pass. Most worlds have hardly any.
#[derive(Debug, Default)]
pub struct Holdings<'a> {
    places: Vec<Place<'a>>,
    circles: BTreeMap<&'a Key, Circle<'a>>,
}

/// What only one can have.
#[derive(Debug, Clone, Copy)]
pub enum Thing<'a> {
    /// A port of the host.
    Port(&'a Port, u16),
    /// An address on a network, by its name in Docker.
    Address(&'a str, Ipv4Addr),
    /// The right to write to a volume, by its name in Docker.
    Volume(&'a str),
}

/// Such a thing, and the container that was started with it.
#[derive(Debug)]
pub struct Place<'a> {
    /// The object that the container belongs to.
    pub owner: &'a Key,
    /// What it is.
    pub thing: Thing<'a>,
    /// The container.
    container: &'a ContainerId,
    /// Whether it has the thing now, or is about to.
    is_held: bool,
    /// Whether its update is to take it away.
    is_left: bool,
}

/// Deployments that wait for each other, each for what the next one has.
#[derive(Debug)]
struct Circle<'a> {
    /// The one that it waits for.
    next: &'a Key,
    /// All of them.
    members: BTreeSet<&'a Key>,
    /// Whether each of them has a container that lacks nothing but its start, and may go on.
    is_ready: bool,
}

impl<'a> Holdings<'a> {
    /// Who has what, as the engine tells, and who waits in a circle, by what the Deployments' memory says of their updates.
    pub fn of(
        desired: &'a Desired,
        observed: &'a Observed,
        past: &'a History,
        by_owner: &BTreeMap<&'a Key, Vec<&'a Container>>,
    ) -> Holdings<'a> {
        let mut holdings = Holdings { places: places(desired, observed, past, by_owner), ..Holdings::default() };
        if holdings.places.is_empty() {
            return holdings;
        }
        let mut targets: BTreeMap<&Key, &Template> = BTreeMap::new();
        let mut waits: BTreeMap<&Key, BTreeSet<&Key>> = BTreeMap::new();
        let mut movable: BTreeSet<&Key> = BTreeSet::new();
        for (key, history) in &past.deployments {
            let Some(target) = target(history).and_then(|id| find(history, id)) else { continue };
            let left = holdings.others(desired, key, &target.template).filter(|place| place.is_left);
            waits.insert(key, left.map(|place| place.owner).collect());
            targets.insert(key, &target.template);
            let is_prepared =
                by_owner.get(key).is_some_and(|all| all.iter().any(|container| container.revision == target.id));
            let may_go = !history.paused && desired.deployments.get(key).is_some_and(|declared| !declared.spec.suspend);
            if is_prepared && may_go && foreign_holder(observed, &target.template).is_none() {
                movable.insert(key);
            }
        }
        let mut circles = circles(&waits);
        for circle in circles.values_mut() {
            let is_kept = |place: &Place| place.is_held && !circle.members.contains(place.owner);
            let lacks_nothing = |member: &Key| {
                targets.get(member).is_some_and(|target| !holdings.others(desired, member, target).any(is_kept))
            };
            circle.is_ready = circle.members.iter().all(|member| movable.contains(member) && lacks_nothing(member));
        }
        holdings.circles = circles;
        holdings
    }

    /// Who it is that `owner` has to exchange something with: each waits for the other, so one must stop first.
    pub fn exchanged_with(&self, owner: &Key) -> Option<&'a Key> {
        self.circles.get(owner).map(|circle| circle.next)
    }

    /// Whether any other container may write to a volume for one writer.
    fn has_other_writer(&self, volume: &str, than: &Container) -> bool {
        let mut others = self.places.iter().filter(|place| *place.container != than.id && place.is_held);
        others.any(|place| matches!(place.thing, Thing::Volume(name) if name == volume))
    }

    /// What others have or had of the things that a template asks for.
    fn others(&self, desired: &Desired, owner: &Key, template: &Template) -> impl Iterator<Item = &Place<'a>> {
        let wants = if self.places.is_empty() { Wants::default() } else { Wants::of(desired, owner, template) };
        self.places.iter().filter(move |place| place.owner != owner && wants.has(&place.thing))
    }
}

/// Who keeps a container of `owner` from starting by holding something that its template asks for.
pub fn holder<'a>(world: World<'a>, owner: &Key, template: &Template) -> Option<&'a Place<'a>> {
    world.holdings.others(world.desired, owner, template).find(|place| place.is_held)
}

/// Whether any other container, be it of the same object, has a volume for one writer that a container is to write to.
pub fn is_written(world: World, container: &Container, template: &Template) -> bool {
    if world.holdings.places.is_empty() {
        return false;
    }
    let volumes = single(world.desired, &container.owner, template);
    volumes.iter().any(|volume| world.holdings.has_other_writer(volume, container))
}

/// Whether a replica of `owner` would stop in vain: its successor could not start, because another one holds what it needs and is
/// not about to give it up.
pub fn bar(world: World, owner: &Key, template: &Template) -> bool {
    let circle = world.holdings.circles.get(owner).filter(|circle| circle.is_ready);
    let gives_up = |place: &Place| circle.is_some_and(|circle| circle.members.contains(place.owner));
    let mut held = world.holdings.others(world.desired, owner, template).filter(|place| place.is_held);
    held.any(|place| !gives_up(place))
}

/// The last word on starts with a volume that only one may write to: none while another container may, whoever decided it, and one
/// in a pass, because two objects that find it free do not know of each other. What has run with it comes first.
pub fn one_writer(
    desired: &Desired,
    observed: &Observed,
    holdings: &Holdings,
    mut actions: Vec<Action>,
) -> Vec<Action> {
    let single = single_writers(desired);
    if single.is_empty() {
        return actions;
    }
    let started = |action: &Action| match &action.call {
        Call::Start { container, .. } => observed.containers.get(container),
        _ => None,
    };
    let mut first: BTreeMap<&String, (bool, &ContainerId)> = BTreeMap::new();
    for container in actions.iter().filter_map(started) {
        let place = (matches!(container.state, ContainerState::Created { .. }), &container.id);
        for volume in container.volumes.intersection(&single) {
            let best = first.entry(volume).or_insert(place);
            *best = place.min(*best);
        }
    }
    let may_start = |container: &Container| {
        let mut written = container.volumes.intersection(&single);
        written.all(|volume| first[volume].1 == &container.id && !holdings.has_other_writer(volume, container))
    };
    actions.retain(|action| started(action).is_none_or(may_start));
    actions
}

/// Whether a volume that an object mounts may have one writer only.
pub fn is_single_writer(desired: &Desired, owner: &Key, volume: &Name) -> bool {
    let declared = desired.volumes.get(&owner.sibling(Kind::Volume, volume));
    declared.is_some_and(|declared| declared.spec.has_one_writer())
}

/// What a template asks for of the things that only one can have.
#[derive(Default)]
struct Wants<'t> {
    ports: Vec<(&'t Port, u16)>,
    addresses: Vec<(String, Ipv4Addr)>,
    volumes: Vec<String>,
}

impl<'t> Wants<'t> {
    fn of(desired: &Desired, owner: &Key, template: &'t Template) -> Self {
        let address = |network: &NetworkAttachment| {
            let name = desired.network_name(&owner.sibling(Kind::Network, network.name()));
            Some((name, network.address()?))
        };
        Self {
            ports: fixed(&template.ports).collect(),
            addresses: template.networks.iter().filter_map(address).collect(),
            volumes: single(desired, owner, template),
        }
    }

    fn has(&self, thing: &Thing) -> bool {
        match *thing {
            Thing::Port(port, number) => self.ports.iter().any(|wanted| clash(*wanted, (port, number))),
            Thing::Address(network, address) => self.addresses.iter().any(|(n, a)| n == network && *a == address),
            Thing::Volume(name) => self.volumes.iter().any(|volume| volume == name),
        }
    }
}

/// The volumes for one writer that a template mounts to write to, by their names in Docker.
fn single(desired: &Desired, owner: &Key, template: &Template) -> Vec<String> {
    let volumes = template.mounts.iter().filter(|mount| !mount.read_only).filter_map(|mount| mount.volume.as_ref());
    let single = volumes.filter(|volume| is_single_writer(desired, owner, volume));
    single.map(|volume| desired.volume_name(&owner.sibling(Kind::Volume, volume))).collect()
}

/// All volumes for one writer, by their names in Docker.
fn single_writers(desired: &Desired) -> BTreeSet<String> {
    let single = desired.volumes.iter().filter(|(_, declared)| declared.spec.has_one_writer());
    single.map(|(key, _)| desired.volume_name(key)).collect()
}

/// Everything that containers have or had of such things.
fn places<'a>(
    desired: &Desired,
    observed: &'a Observed,
    past: &'a History,
    by_owner: &BTreeMap<&'a Key, Vec<&'a Container>>,
) -> Vec<Place<'a>> {
    let single = single_writers(desired);
    let addressed = |template: &Template| template.networks.iter().any(|network| network.address().is_some());
    let remembered = past.deployments.values().flat_map(|history| &history.revisions);
    let is_addressed = desired.templates().any(|(_, template)| addressed(template))
        || remembered.into_iter().any(|revision| addressed(&revision.template));
    let mut all = Vec::new();
    for (owner, containers) in by_owner {
        let target = past.deployments.get(*owner).and_then(target);
        for container in containers {
            let ports = fixed(&container.published).map(|(port, number)| Thing::Port(port, number));
            let volumes =
                container.volumes.iter().filter(|name| single.contains(*name)).map(|name| Thing::Volume(name));
            let networks = container.networks.iter().filter(|_| is_addressed);
            let addresses = networks
                .filter_map(|(network, endpoint)| Some(Thing::Address(network, endpoint.address.or(endpoint.fixed)?)));
            let mut things = ports.chain(volumes).chain(addresses).peekable();
            if things.peek().is_none() {
                continue;
            }
            let Some(is_held) = is_held(observed, container) else { continue };
            let is_left = target.is_some_and(|target| *target != container.revision);
            let container = &container.id;
            all.extend(things.map(|thing| Place { owner, thing, container, is_held, is_left }));
        }
    }
    all
}

/// Whether a container has what it was made with, now or in a moment; none if it never had.
fn is_held(observed: &Observed, container: &Container) -> Option<bool> {
    let is_busy = || observed.in_flight.contains(&container_target(&container.id));
    match container.state {
        // What the engine is about to start again takes them back.
        ContainerState::Running { .. } | ContainerState::Paused | ContainerState::Restarting { .. } => Some(true),
        ContainerState::Exited(_) => Some(is_busy()),
        ContainerState::Created { .. } => is_busy().then_some(true),
        ContainerState::Removing => None,
    }
}

/// Who of those that are not ours has a fixed host port of a template.
pub fn foreign_holder<'a>(observed: &'a Observed, template: &Template) -> Option<&'a ForeignPort> {
    let holds = |(port, number): (&Port, u16), held: &ForeignPort| {
        number == held.port
            && port.protocol == held.protocol
            && (port.host_ip == held.address || port.host_ip.is_unspecified() || held.address.is_unspecified())
    };
    let held = &mut observed.foreign_ports.iter();
    held.find(|held| fixed(&template.ports).any(|port| holds(port, held)))
}

/// The revision that an update is to reach.
fn target(history: &DeploymentHistory) -> Option<&RevisionId> {
    match &history.rollout {
        Rollout::Progressing { to, .. } => Some(to),
        Rollout::New | Rollout::RollingBack { .. } | Rollout::Complete { .. } | Rollout::Stalled { .. } => None,
    }
}

/// Which Deployments come back to themselves when one follows who waits for whom.
fn circles<'a>(waits: &BTreeMap<&'a Key, BTreeSet<&'a Key>>) -> BTreeMap<&'a Key, Circle<'a>> {
    let reach: BTreeMap<&Key, BTreeSet<&Key>> = waits.keys().map(|key| (*key, reachable(waits, key))).collect();
    let back = |from: &Key, to: &Key| reach.get(from).is_some_and(|reached| reached.contains(to));
    let circle = |(key, nexts): (&&'a Key, &BTreeSet<&'a Key>)| {
        let next = nexts.iter().find(|next| back(next, key))?;
        let members = waits.keys().copied().filter(|other| back(key, other) && back(other, key)).collect();
        Some((*key, Circle { next, members, is_ready: false }))
    };
    waits.iter().filter_map(circle).collect()
}

fn reachable<'a>(waits: &BTreeMap<&'a Key, BTreeSet<&'a Key>>, from: &Key) -> BTreeSet<&'a Key> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&Key> = waits.get(from).into_iter().flatten().copied().collect();
    while let Some(key) = open.pop() {
        if reached.insert(key) {
            open.extend(waits.get(key).into_iter().flatten());
        }
    }
    reached
}

/// The ports with one place on the host; from a range the engine takes what is free.
fn fixed(ports: &[Port]) -> impl Iterator<Item = (&Port, u16)> {
    ports.iter().filter_map(|port| match port.host_port {
        Some(HostPort::Fixed(number)) => Some((port, number)),
        Some(HostPort::Range(_)) | None => None,
    })
}

fn clash((a, number): (&Port, u16), (b, other): (&Port, u16)) -> bool {
    let same_address = a.host_ip == b.host_ip || a.host_ip.is_unspecified() || b.host_ip.is_unspecified();
    a.protocol == b.protocol && number == other && same_address
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::container::Adjustable;
    use crate::model::desired::Declared;
    use crate::model::observed::{Exit, Health};
    use crate::model::revision::{ImageId, TemplateHash};
    use crate::model::spec::VolumeSpec;
    use crate::model::time::Timestamp;

    /// A container that mounts `shop.data`; one that was started has ended.
    fn container(owner: &str, was_started: bool) -> Container {
        let state = match was_started {
            true => ContainerState::Exited(Exit {
                code: 1,
                out_of_memory: false,
                started_at: Timestamp(1),
                finished_at: Timestamp(2),
            }),
            false => ContainerState::Created { error: None },
        };
        Container {
            id: ContainerId(format!("of {owner}")),
            name: format!("shop.{owner}.0123456789.0"),
            owner: Key::new(Kind::Deployment, Name::new("shop").unwrap(), Name::new(owner).unwrap()),
            revision: RevisionId("0123456789".into()),
            template: TemplateHash("t".into()),
            slot: 0,
            image: ImageId("sha256:1".into()),
            reference: "db:1".into(),
            state,
            dead: false,
            process: None,
            health: Health::None,
            restart_count: 0,
            ended_at: None,
            created_at: Timestamp(0),
            networks: BTreeMap::new(),
            adjustable: Adjustable {
                limits: Default::default(),
                requests: Default::default(),
                restart_policy: Default::default(),
            },
            published: Vec::new(),
            volumes: ["shop.data".to_string()].into(),
            probes: Default::default(),
            last_log: Vec::new(),
        }
    }

    /// Whose starts are left of those of `a` and `b`, which both want the volume.
    fn starters(access_mode: &str, was_started: [bool; 2]) -> Vec<String> {
        let mut desired = Desired::default();
        let spec: VolumeSpec = serde_json::from_value(json!({"accessMode": access_mode})).unwrap();
        let key = Key::new(Kind::Volume, Name::new("shop").unwrap(), Name::new("data").unwrap());
        desired.volumes.insert(key, Declared::bare(spec));
        let containers = [container("a", was_started[0]), container("b", was_started[1])];
        let start = |c: &Container| Action {
            object: c.owner.clone(),
            call: Call::Start { container: c.id.clone(), name: c.name.clone(), files: Vec::new() },
            cause: String::new(),
            downtime: None,
        };
        let actions = containers.iter().map(start).collect();
        let containers = containers.into_iter().map(|c| (c.id.clone(), c)).collect();
        let observed = Observed { containers, ..Observed::default() };
        one_writer(&desired, &observed, &Holdings::default(), actions)
            .iter()
            .map(|action| action.object.name.to_string())
            .collect()
    }

    #[test]
    fn of_two_starts_with_a_volume_for_one_writer_one_is_left_and_what_has_run_with_it_comes_first() {
        assert_eq!(starters("ReadWriteOncePod", [false, false]), ["a"]);
        assert_eq!(starters("ReadWriteOncePod", [false, true]), ["b"]);
        assert_eq!(starters("ReadWriteOncePod", [true, true]), ["a"]);
        assert_eq!(starters("ReadWriteMany", [false, true]), ["a", "b"]);
    }

    #[test]
    fn two_ports_want_the_same_place_if_number_and_protocol_are_the_same_and_an_address_is_of_both() {
        let port = |of: Value| -> Port {
            let mut all = json!({"port": 80, "hostPort": 8080, "hostIP": "127.0.0.1"});
            all.as_object_mut().unwrap().extend(of.as_object().unwrap().clone());
            serde_json::from_value(all).unwrap()
        };
        let one = port(json!({}));
        for (other, expected) in [
            (json!({"port": 81}), true),
            (json!({"hostPort": 8081}), false),
            (json!({"protocol": "udp"}), false),
            (json!({"hostPort": 8081, "protocol": "udp"}), false),
            (json!({"hostIP": "10.0.0.1"}), false),
            (json!({"hostIP": "0.0.0.0"}), true),
            (json!({"hostIP": "0.0.0.0", "protocol": "udp"}), false),
        ] {
            let ports = [one.clone(), port(other.clone())];
            let [a, b]: [(&Port, u16); 2] = fixed(&ports).collect::<Vec<_>>().try_into().unwrap();
            assert_eq!((clash(a, b), clash(b, a)), (expected, expected), "{other}");
        }
    }
}
