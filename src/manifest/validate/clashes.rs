//! What only one object can have: its identity, host ports, Docker names, names on a network, subnets, single-writer
//! volumes. Claims are made for each source alone and compared inside it, and again between sources.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::subnet::Subnet;
use super::{World, references};
use crate::manifest::diagnostic::Problems;
use crate::manifest::file::{File, Pos};
use crate::manifest::objects::{Object, Spec, called};
use crate::manifest::place::At;
use crate::manifest::schema;
use crate::model::name::{Key, Kind, Name};
use crate::model::spec::{Protocol, Template};

/// Something that only one object can have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// To be this object.
    Object(Key),
    /// A network's or volume's name in Docker.
    EngineName(Kind, String),
    /// A name on a network. The name comes first because most differ in it.
    Alias(String, Arc<str>),
    /// An address on a network.
    Address(Arc<str>, Ipv4Addr),
    /// The right to write to a ReadWriteOncePod volume.
    Writer(String),
    /// Ports of the host, from the first to the last.
    Ports(Protocol, IpAddr, u16, u16),
    /// Addresses of a subnet: its family, the first and the last.
    Addresses(bool, u128, u128),
}

/// An object's claim to a thing.
#[derive(Debug, Clone)]
pub struct Claim {
    /// What is claimed.
    pub thing: Thing,
    /// Who claims it.
    pub owner: Arc<Key>,
    /// Where it says so.
    file: Arc<File>,
    pos: Pos,
}

impl Claim {
    fn place(&self) -> (&str, usize) {
        (&self.file.name, self.pos.start)
    }

    /// The object, if this is the claim to be one.
    pub fn object(&self) -> Option<&Key> {
        match &self.thing {
            Thing::Object(key) => Some(key),
            Thing::EngineName(..)
            | Thing::Alias(..)
            | Thing::Address(..)
            | Thing::Writer(_)
            | Thing::Ports(..)
            | Thing::Addresses(..) => None,
        }
    }
}

/// All claims of a source.
pub fn claims(world: &World<'_>) -> Vec<Claim> {
    let mut claims = Vec::new();
    for object in world.objects.list.values() {
        let owner = Arc::new(object.key.clone());
        let mut claim = |thing: Thing, at: At<'_>| {
            claims.push(Claim { thing, owner: owner.clone(), file: object.document.file.clone(), pos: at.pos });
        };
        let at = object.document.at();
        claim(Thing::Object(object.key.clone()), at.field("metadata").field("name"));
        match &object.spec {
            Spec::Network(spec) if !spec.external => {
                claim(Thing::EngineName(Kind::Network, engine_name(&object.key, spec.name.as_ref())), name_place(at));
                for (index, subnet) in spec.subnets.iter().enumerate() {
                    if let Ok(subnet) = Subnet::parse(subnet) {
                        let (family, first, last) = subnet.range();
                        claim(Thing::Addresses(family, first, last), at.field("spec").field("subnets").item(index));
                    }
                }
            }
            Spec::Volume(spec) if !spec.external => {
                claim(Thing::EngineName(Kind::Volume, engine_name(&object.key, spec.name.as_ref())), name_place(at));
            }
            _ => {
                if let Some(template) = object.spec.template() {
                    template_claims(world, object, template, &mut claim);
                }
            }
        }
    }
    claims
}

fn template_claims(world: &World<'_>, object: &Object, template: &Template, claim: &mut impl FnMut(Thing, At<'_>)) {
    let at = object.document.at().field("spec").field("template");
    for (index, port) in template.ports.iter().enumerate() {
        let at = at.field("ports").item(index);
        match &port.host_port {
            Some(host) => {
                if let Ok((first, last)) = host.bounds() {
                    claim(Thing::Ports(port.protocol, port.host_ip, first, last), at.field("hostPort"));
                }
            }
            None if template.host_network => {
                claim(Thing::Ports(port.protocol, port.host_ip, port.port, port.port), at.field("port"));
            }
            None => {}
        }
    }
    for (index, mount) in template.mounts.iter().enumerate() {
        if let Some(volume) =
            mount.volume.as_ref().filter(|volume| references::is_single_writer(world, &object.key, volume))
        {
            let name = engine_name_of(world, &object.key, Kind::Volume, volume);
            claim(Thing::Writer(name), at.field("mounts").item(index).field("volume"));
        }
    }
    network_claims(world, object, template, claim);
}

/// The names and addresses of a Deployment on its networks. A Job has no name there.
fn network_claims(world: &World<'_>, object: &Object, template: &Template, claim: &mut impl FnMut(Thing, At<'_>)) {
    let root = object.document.at();
    let at = root.field("spec").field("template");
    let named = object.key.kind == Kind::Deployment;
    let hostname = template.hostname.as_ref().filter(|_| !template.host_network);
    let join = |network: &Arc<str>, claim: &mut dyn FnMut(Thing, At<'_>)| {
        if named {
            let alias = Thing::Alias(object.key.name.to_string(), network.clone());
            claim(alias, root.field("metadata").field("name"));
        }
        if let Some(hostname) = hostname {
            claim(Thing::Alias(hostname.clone(), network.clone()), at.field("hostname"));
        }
    };
    if template.networks.is_empty()
        && !template.host_network
        && let Ok(default) = Name::new("default")
    {
        join(&engine_name_of(world, &object.key, Kind::Network, &default).into(), claim);
    }
    for (index, attachment) in template.networks.iter().enumerate() {
        let network = engine_name_of(world, &object.key, Kind::Network, attachment.name()).into();
        let at = at.field("networks").item(index);
        join(&network, claim);
        for (index, alias) in attachment.aliases().iter().enumerate() {
            claim(Thing::Alias(alias.to_string(), network.clone()), at.field("aliases").item(index));
        }
        if let Some(address) = attachment.address() {
            claim(Thing::Address(network, address), at.field("address"));
        }
    }
}

/// What Docker calls a sibling network or volume, for the default instance.
fn engine_name_of(world: &World<'_>, own: &Key, kind: Kind, name: &Name) -> String {
    let key = own.sibling(kind, name);
    let own_name = match world.objects.list.get(&key).map(|object| &object.spec) {
        Some(Spec::Network(spec)) => spec.name.as_ref(),
        Some(Spec::Volume(spec)) => spec.name.as_ref(),
        _ => None,
    };
    engine_name(&key, own_name)
}

fn engine_name(key: &Key, name: Option<&String>) -> String {
    name.cloned().unwrap_or_else(|| format!("{}.{}", key.namespace, key.name))
}

fn name_place(at: At<'_>) -> At<'_> {
    let own = at.field("spec").field("name");
    if own.is_written() { own } else { at.field("metadata").field("name") }
}

/// Reports every claim to what another has claimed before it, in the order of files and lines.
pub fn compare<'c>(claims: impl IntoIterator<Item = &'c Claim>, problems: &mut Problems) {
    let mut exact = Vec::new();
    let mut ports: BTreeMap<(Protocol, bool), Vec<&Claim>> = BTreeMap::new();
    let mut subnets = Vec::new();
    for claim in claims {
        match &claim.thing {
            Thing::Ports(protocol, address, ..) => ports.entry((*protocol, address.is_ipv4())).or_default().push(claim),
            Thing::Addresses(..) => subnets.push(claim),
            Thing::Object(_) | Thing::EngineName(..) | Thing::Alias(..) | Thing::Address(..) | Thing::Writer(_) => {
                exact.push(claim);
            }
        }
    }
    compare_exact(exact, problems);
    in_order(&mut subnets);
    compare_ranges(subnets, problems);
    for mut claims in ports.into_values() {
        in_order(&mut claims);
        compare_ports(claims, problems);
    }
}

/// Sorts by files and lines.
fn in_order(claims: &mut [&Claim]) {
    claims.sort_by_key(|claim| (claim.place(), &claim.thing));
}

/// Reports every claim to what another has. Hardly any is, so that only few need the order of files and lines.
fn compare_exact(mut claims: Vec<&Claim>, problems: &mut Problems) {
    claims.sort_by_key(|claim| (&claim.thing, claim.place()));
    let mut again = Vec::new();
    for same in claims.chunk_by(|a, b| a.thing == b.thing) {
        if let [first, further @ ..] = same {
            again.extend(further.iter().map(|claim| (*first, *claim)));
        }
    }
    again.sort_by_key(|(_, claim)| (claim.place(), &claim.thing));
    for (first, claim) in again {
        clash(first, claim, problems);
    }
}

/// Where a range begins and ends.
fn bounds(claim: &Claim) -> (u128, u128) {
    match claim.thing {
        Thing::Ports(_, _, first, last) => (first.into(), last.into()),
        // The families are kept apart by their place on one line.
        Thing::Addresses(true, first, last) => (first >> 1 | 1 << 127, last >> 1 | 1 << 127),
        Thing::Addresses(false, first, last) => (first >> 1, last >> 1),
        Thing::Object(_) | Thing::EngineName(..) | Thing::Alias(..) | Thing::Address(..) | Thing::Writer(_) => (1, 0),
    }
}

/// Reports ranges that overlap, in the time of sorting them.
fn compare_ranges<'c>(mut claims: Vec<&'c Claim>, problems: &mut Problems) -> Vec<&'c Claim> {
    claims.sort_by_key(|claim| bounds(claim));
    let mut widest: Option<&Claim> = None;
    for claim in &claims {
        match widest {
            Some(other) if bounds(other).1 >= bounds(claim).0 => clash(other, claim, problems),
            _ => {}
        }
        if widest.is_none_or(|other| bounds(claim).1 > bounds(other).1) {
            widest = Some(claim);
        }
    }
    claims
}

/// Ports clash on the same address, and on any address with those of all addresses.
fn compare_ports(claims: Vec<&Claim>, problems: &mut Problems) {
    let mut by_address: BTreeMap<IpAddr, Vec<&Claim>> = BTreeMap::new();
    for claim in claims {
        if let Thing::Ports(_, address, ..) = claim.thing {
            by_address.entry(address).or_default().push(claim);
        }
    }
    let (everywhere, single): (Vec<_>, Vec<_>) =
        by_address.into_iter().partition(|(address, _)| address.is_unspecified());
    let everywhere = compare_ranges(everywhere.into_iter().flat_map(|(_, claims)| claims).collect(), problems);
    for (_, claims) in single {
        for claim in compare_ranges(claims, problems) {
            let (first, last) = bounds(claim);
            let before = everywhere.partition_point(|other| bounds(other).0 <= last);
            if let Some(other) = everywhere[..before].last().filter(|other| bounds(other).1 >= first) {
                clash(other, claim, problems);
            }
        }
    }
}

/// Reports that two claims exclude each other, at the one that comes later in the files.
fn clash(a: &Claim, b: &Claim, problems: &mut Problems) {
    let (first, second) = if a.place() <= b.place() { (a, b) } else { (b, a) };
    let same = first.owner == second.owner;
    let owner = brief(&first.owner, &second.owner);
    let message = match &second.thing {
        Thing::Object(key) => format!("{} is declared twice", called(key)),
        // Its own name again does no harm.
        Thing::EngineName(..) | Thing::Alias(..) | Thing::Writer(_) | Thing::Addresses(..) if same => return,
        Thing::EngineName(kind, name) => {
            format!("{owner} has the name '{name}' in Docker too: it would be the same {kind}")
        }
        Thing::Alias(alias, _) => {
            format!("'{alias}' is the name of {owner} on this network too: clients would reach either")
        }
        Thing::Address(_, address) => format!("{owner} has the address {address} on this network too"),
        Thing::Writer(_) => format!("this volume is ReadWriteOncePod, and {owner} uses it"),
        Thing::Ports(protocol, address, ..) => {
            let (from, to) = bounds(second);
            let ports = if from == to { format!("port {from}") } else { format!("ports {from}-{to}") };
            format!("{ports} of the host ({address}, {}) would be used by {owner} too", protocol.word())
        }
        Thing::Addresses(..) => format!("this subnet overlaps one of {owner}"),
    };
    let there = format!("the other one is in {}:{}", first.file.name, first.file.line_number(first.pos));
    problems.error(&second.file, second.pos, message).hint(there);
}

/// `Deployment web`, with its namespace where it is another one.
fn brief(key: &Key, than: &Key) -> String {
    match () {
        () if key == than => "the same object".into(),
        () if key.namespace == than.namespace => format!("{} '{}'", schema::title(key.kind), key.name),
        () => called(key),
    }
}
