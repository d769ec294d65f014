//! One Deployment in one pass: which revision is wanted, where the rollout stands, then the steps for that phase.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::blame;
use super::build::{self, Source};
use super::converge::{Scene, converge};
use super::follow;
use super::gates::{self, Side};
use super::images;
use super::monitor;
use super::policy;
use super::quiet;
use super::readiness::Readiness;
use super::rebuilt;
use super::releases;
use super::replica::{Replica, find, replicas, template_of};
use super::rollout::{self, Facts};
use super::status;
use super::stay::stay;
use super::strategy::effective;
use super::taken_over;
use super::unmade;
use super::world::{Decided, World};
use crate::model::action::create_target;
use crate::model::desired::Declared;
use crate::model::history::{DeploymentHistory, History, Outcome, Revision, Rollout};
use crate::model::name::{Key, Slot};
use crate::model::observed::{Container, ContainerState, ProbeResult};
use crate::model::revision::{Contents, ImageId, RevisionId, TemplateHash, revision_id, template_hash};
use crate::model::spec::{DeploymentSpec, PortRef, Probe, Template};
use crate::model::status::{ProbePurpose, ProbeTask};
use crate::model::time::Span;
use crate::model::wish::Resolution;

/// Decides for one Deployment. `past` is everybody's memory before this pass; the result holds this one's after it.
pub fn deployment(
    world: World,
    key: &Key,
    declared: &Declared<DeploymentSpec>,
    past: &History,
) -> (DeploymentHistory, Decided) {
    let spec = &declared.spec;
    let mut history = past.deployments.get(key).cloned().unwrap_or_default();
    let mut decided = Decided::default();
    let awaits_last_good = rebuilt::come_back(world, &mut decided, key, spec, &mut history);
    let wanted = match awaits_last_good {
        true => None,
        false => {
            follow::take(world, &mut decided, key, &mut history.choice);
            wanted(world, &mut decided, key, spec, past, &mut history)
        }
    };
    let held = spec.suspend || history.paused || history.quiet;
    if history.held && !held {
        history.rollout.go_on(world.now);
    }
    history.held = held;
    let unresolved = wanted.is_none();
    let mut replicas = replicas(world, key, spec, &mut history);
    if !spec.suspend {
        gates::record(world, &mut decided, past, key, spec, &replicas, &mut history);
    }
    releases::remember(world, past, key, spec, &mut history);
    match quiet::wish(world, past, key).filter(|_| !quiet::is_moving(&history, &replicas)) {
        Some(wish) if history.quiet || !spec.suspend => {
            quiet::hush(world, &mut decided, key, spec, &replicas, &mut history, &wish);
        }
        // Hands off what is suspended; but what was quiet for a run comes back, because nobody else would bring it.
        _ if spec.suspend => {
            if quiet::wakes(world, &mut decided, key, spec, &mut replicas, &mut history) {
                act(world, &mut decided, key, spec, &replicas, &mut history, past);
            }
        }
        _ => {
            let wakes = quiet::wakes(world, &mut decided, key, spec, &mut replicas, &mut history);
            let setback = releases::setback(world, past, key, spec, &history);
            let barred = policy::barred(world, &mut decided, key, &history, wanted.as_ref());
            let (strategy, replicas) = (&effective(world, key, spec, &history, &replicas), &replicas[..]);
            let facts = Facts { key, spec, strategy, replicas, wanted, barred, past, setback, refused: None };
            let facts = Facts { refused: refused(world, &facts, &history), ..facts };
            if !wakes {
                rollout::step(world, &mut decided, &facts, &mut history);
            }
            // The step may have turned to another revision, which may have to be reached in another way.
            act(world, &mut decided, key, spec, replicas, &mut history, past);
            prune_revisions(spec, &mut history, replicas);
        }
    }
    follow::go_on(world, &mut decided, key, &history);
    unmade::tell(world, &mut decided, key, &mut history, &replicas);
    note_whole(spec, &mut history, &replicas);
    probes(&mut decided, spec, &history, &replicas);
    decided.probes.extend(gates::probes(key, spec, &history, &replicas));
    decided.pause_checks();
    wake_for_min_ready(world, &mut decided, spec, &replicas);
    decided.status = status::deployment(unresolved, spec, &history, &replicas, &decided);
    monitor::tell(world, &mut decided, spec, &history);
    (history, decided)
}

/// The revision that the manifest makes, recorded in the history; none while its image is not resolved.
fn wanted(
    world: World,
    decided: &mut Decided,
    key: &Key,
    spec: &DeploymentSpec,
    past: &History,
    history: &mut DeploymentHistory,
) -> Option<RevisionId> {
    let contents = build::contents(world, key, &spec.template);
    let hash = hash(spec, &contents, history);
    if let Some(pin) = history.pin.take() {
        let manifest = follow::manifest_hash_of(world, key, history);
        let stays = !pin.restored || !releases::moves_on(world, past, key, spec);
        history.pin = Some(pin).filter(|pin| stays && pin.template == manifest.unwrap_or_else(|| hash.clone()));
    }
    // The newest revision of this template keeps its image: the digest is resolved once.
    let known = history.revisions.iter().rev().find(|revision| revision.template_hash == hash);
    let refused = policy::template_refusals(world, key, &spec.template, &contents);
    if known.is_none() && !refused.is_empty() {
        // Nothing is pulled for it, and nothing is left behind that could be gone back to later.
        history.resolution = None;
        decided.refuse(refused);
        return None;
    }
    let adopted = known.map(|revision| revision.image.clone()).or_else(|| adopted(world, key, &hash));
    let resolution = images::carry(world, history.resolution.as_ref(), &hash, adopted);
    let resolution =
        if spec.suspend { resolution } else { images::resolve(world, decided, key, &spec.template, resolution) };
    let resolution = match resolution.image.as_ref().and_then(|id| images::built_again(world, &spec.template, id)) {
        Some(image) => Resolution { image: Some(image), ..resolution },
        None => resolution,
    };
    history.resolution = Some(resolution.clone());
    let image = resolution.image?;
    let id = revision_id(&hash, &image);
    if let Some(known) = history.revisions.iter_mut().find(|revision| revision.id == id) {
        // Probes, limits and the like are not part of the revision: they follow the manifest.
        known.template = Arc::clone(&spec.template);
        if std::mem::take(&mut known.taken_over) {
            (known.contents, known.restarts) = (contents, history.restarts);
        }
        images::learn_digest(world, &known.template, &known.image, &mut known.digest);
        return Some(id);
    }
    record(world, decided, key, spec, history, (hash, contents, image, id.clone())).then_some(id)
}

/// The hash of the manifest's template. The one of a revision that was made from the very same things is the same: most
/// passes find that, and to compare takes a tenth of the time.
pub fn hash(spec: &DeploymentSpec, contents: &Contents, history: &DeploymentHistory) -> TemplateHash {
    let is_same = |revision: &&Revision| {
        !revision.taken_over
            && revision.restarts == history.restarts
            && revision.contents == *contents
            && revision.template == spec.template
    };
    match history.revisions.iter().rev().find(is_same) {
        Some(revision) => revision.template_hash.clone(),
        None => template_hash(&spec.template, contents, history.restarts),
    }
}

/// The image of running containers that were made from this very template, for when the history was lost.
fn adopted(world: World, key: &Key, hash: &TemplateHash) -> Option<ImageId> {
    let mut same = world.containers(key).iter().filter(|container| container.template == *hash);
    same.find(|container| matches!(container.state, ContainerState::Running { .. })).map(|c| c.image.clone())
}

/// Records a new revision, unless its image holds data that would be lost with every container.
fn record(
    world: World,
    decided: &mut Decided,
    key: &Key,
    spec: &DeploymentSpec,
    history: &mut DeploymentHistory,
    (template_hash, contents, image, id): (TemplateHash, Contents, ImageId, RevisionId),
) -> bool {
    let found = images::found(world, &spec.template, &image);
    let uncovered = found.map(|image| images::uncovered_volumes(&spec.template, image)).unwrap_or_default();
    if !uncovered.is_empty() {
        let paths = uncovered.join(", ");
        decided.wait(format!("a mount for {paths}: the image declares a volume there, and without a mount its content would be lost with the container (use a volume, or tmpfs if that is what you want)"));
        return false;
    }
    let oldest = history.revisions.first().map(|revision| revision.created_at);
    history.created_at = history.created_at.or(oldest).or(Some(world.now));
    let number = history.revisions.iter().map(|revision| revision.number).max().unwrap_or(0).saturating_add(1);
    history.revisions.push(Revision {
        number,
        id,
        template_hash,
        taken_over: false,
        template: Arc::clone(&spec.template),
        contents,
        restarts: history.restarts,
        digest: found.and_then(|image| images::digest(&spec.template, image)),
        image,
        commit: world.desired.commits.get(key).cloned(),
        created_at: world.now,
        outcome: Outcome::Pending,
        failure: None,
        gates: BTreeMap::new(),
        rested_at: None,
    });
    true
}

/// Why the engine refuses to create a replica of the revision being reached, if it does.
fn refused(world: World, facts: &Facts, history: &DeploymentHistory) -> Option<String> {
    let (Rollout::Progressing { to, started_at, .. } | Rollout::RollingBack { to, started_at, .. }) = &history.rollout
    else {
        return None;
    };
    let revision = find(history, to)?;
    let slots = 0..facts.strategy.replicas + facts.strategy.surge;
    slots
        .into_iter()
        .find_map(|slot| blame::refusal(world, &create_target(&name(world, facts.key, revision, slot)), *started_at))
}

fn name(world: World, key: &Key, revision: &Revision, slot: Slot) -> String {
    build::name(world, source(key, revision), slot)
}

fn source<'a>(key: &'a Key, revision: &'a Revision) -> Source<'a> {
    Source {
        owner: key,
        revision: &revision.id,
        template_hash: &revision.template_hash,
        template: &revision.template,
        contents: &revision.contents,
        image: &revision.image,
    }
}

/// Writes down how many replicas it is to have, once it has them.
fn note_whole(spec: &DeploymentSpec, history: &mut DeploymentHistory, replicas: &[Replica]) {
    let Rollout::Complete { revision, .. } = &history.rollout else { return };
    let available = replicas.iter().filter(|r| r.available && !r.retiring && r.container.revision == *revision);
    if available.count() >= spec.replicas as usize && history.whole != Some(spec.replicas) {
        history.whole = Some(spec.replicas);
    }
}

/// The steps for the phase: converge on a revision, or hold what there is. One that is suspended is held.
fn act(
    world: World,
    decided: &mut Decided,
    key: &Key,
    spec: &DeploymentSpec,
    replicas: &[Replica],
    history: &mut DeploymentHistory,
    past: &History,
) {
    let (target, hold) = match &history.rollout {
        Rollout::New => return,
        Rollout::Complete { revision, .. } => (revision, spec.suspend),
        Rollout::Progressing { to, .. } | Rollout::RollingBack { to, .. } => (to, history.paused || spec.suspend),
        Rollout::Stalled { revision, .. } => (revision, true),
    };
    let Some(target) = find(history, target).cloned() else {
        return;
    };
    let places = build::places(world, key, &target.template);
    let is_open = hold || gates::open(world, decided, past, key, spec, history, Side::Before);
    let strategy = &effective(world, key, spec, history, replicas);
    let scene = Scene { world, key, spec, strategy, target: &target, replicas, past, places, is_open };
    if hold { stay(&scene, decided, history) } else { converge(&scene, decided, history) }
}

/// Forgets the oldest revisions beyond the limit; never one that runs, is being reached, or is the newest that completed.
fn prune_revisions(spec: &DeploymentSpec, history: &mut DeploymentHistory, replicas: &[Replica]) {
    let newest = history.revisions.last().map(|revision| revision.id.clone());
    let back = newest.as_ref().and_then(|id| rollout::newest_completed(history, id));
    let active = history.rollout.revision().cloned();
    let pinned = history.pin.as_ref().map(|pin| pin.revision.clone());
    let chosen = history.pin.as_ref().map(|pin| pin.chosen().clone());
    let rested = releases::kept(history);
    // One that failed would be tried again if it were forgotten while it is asked for.
    let kept = [newest, back, active, pinned, chosen, history.asked_for()];
    let needed = |id: &RevisionId| kept.iter().flatten().any(|kept| kept == id) || rested.contains(id);
    let has_replicas = |id: &RevisionId| replicas.iter().any(|replica| replica.container.revision == *id);
    taken_over::forget(history, replicas);
    let mut surplus = history.revisions.len().saturating_sub(spec.revision_history_limit as usize + 1);
    // What a newer manifest overtook never ran for long: it goes before what somebody may want to go back to.
    for overtaken in [true, false] {
        history.revisions.retain(|revision| {
            let is_overtaken = matches!(revision.outcome, Outcome::Superseded { .. });
            let goes = surplus > 0 && !needed(&revision.id) && is_overtaken == overtaken;
            surplus -= usize::from(goes);
            // It goes after its last replica, and nothing else goes in its place meanwhile.
            !goes || has_replicas(&revision.id)
        });
    }
}

/// What to probe: running replicas, startup first, then readiness and liveness.
fn probes(decided: &mut Decided, spec: &DeploymentSpec, history: &DeploymentHistory, replicas: &[Replica]) {
    for replica in replicas {
        let template = template_of(spec, history, &replica.container.revision);
        let started = replica.container.probes.startup == Some(ProbeResult::Success);
        let task = |purpose, probe: &Probe, hasten: bool| task(replica, purpose, probe, hasten, template);
        if let Some(probe) = template.startup_probe.as_ref().filter(|_| !started) {
            decided.probes.extend(task(ProbePurpose::Startup, probe, true));
            continue;
        }
        // A finished startup probe is kept, so that its result is; it is not made again.
        decided.probes.extend(template.startup_probe.as_ref().and_then(|p| task(ProbePurpose::Startup, p, false)));
        let hasten = !replica.readiness.is_ready();
        decided.probes.extend(template.readiness_probe.as_ref().and_then(|p| task(ProbePurpose::Readiness, p, hasten)));
        decided.probes.extend(template.liveness_probe.as_ref().and_then(|p| task(ProbePurpose::Liveness, p, false)));
    }
}

/// The longest time between checks of a replica that is not ready yet.
const HASTY_PERIOD: Span = Span::secs(1);

/// A check of a replica, if it runs.
pub fn task(
    replica: &Replica,
    purpose: ProbePurpose,
    probe: &Probe,
    hasten: bool,
    template: &Template,
) -> Option<ProbeTask> {
    let ContainerState::Running { since: started_at } = replica.container.state else { return None };
    let (address, process) = place(replica.container, probe, template);
    // What the engine is working on may be off its network, and its program is not to blame. Readiness goes on: clients cannot
    // reach it either.
    let address = address.filter(|_| !replica.is_busy || purpose == ProbePurpose::Readiness);
    let period = if hasten { probe.period.min(HASTY_PERIOD) } else { probe.period };
    let container = replica.container.id.clone();
    let port = if probe.exec.is_some() { 0 } else { port(probe, template)? };
    Some(ProbeTask { container, started_at, purpose, address, process, name: None, port, probe: probe.clone(), period })
}

/// The address that a probe connects to, and the process in whose network it is, unless the host sees it.
fn place(container: &Container, probe: &Probe, template: &Template) -> (Option<IpAddr>, Option<u32>) {
    match probe.host() {
        // Its loopback is the host's own.
        host if template.host_network => (Some(host.unwrap_or(Ipv4Addr::LOCALHOST.into())), None),
        Some(host) => (container.process.map(|_| host), container.process),
        None => (container.networks.values().find_map(|endpoint| endpoint.address).map(IpAddr::V4), None),
    }
}

/// The number of a probe's port; names are checked when the manifest is read.
fn port(probe: &Probe, template: &Template) -> Option<u16> {
    match probe.port()? {
        PortRef::Number(number) => Some(*number),
        PortRef::Name(name) => {
            template.ports.iter().find(|port| port.name.as_ref() == Some(name)).map(|port| port.port)
        }
    }
}

/// Looks again when a running replica may become ready, or a ready one available.
fn wake_for_min_ready(world: World, decided: &mut Decided, spec: &DeploymentSpec, replicas: &[Replica]) {
    for replica in replicas {
        let since = match (&replica.readiness, &replica.container.state) {
            (Readiness::Ready(since), _) => *since,
            (_, ContainerState::Running { since }) => *since,
            (Readiness::NotReady(_) | Readiness::Unknown(_), _) => continue,
        };
        if since + spec.min_ready > world.as_of() {
            decided.wake(since + spec.min_ready);
        }
    }
}
