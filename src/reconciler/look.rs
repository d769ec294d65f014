//! Looking: one whole snapshot of the engine, as cheap as it can be. It remembers inspections as long as the container
//! list shows that they still hold, and decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::stream::{self, StreamExt};
use tokio::time::timeout;

use super::redact::Redactor;
use super::words::{has_nothing_to_add, in_trouble, last_said, last_words, runs_anew};
use crate::engine::{Engine, EngineError, EventMark, Listed, Whose};
use crate::model::action::container_target;
use crate::model::name::Key;
use crate::model::observed::{Container, ContainerId, Dead, Fault, ImageState, Network, Observed, Volume};
use crate::model::time::{Span, Timestamp};

/// How often everything is looked at anew, whatever the engine's events say.
const FULL_LOOK_EVERY: Span = Span::secs(300);
/// One container that does not answer must not hold up the others.
pub(super) const INSPECT_DEADLINE: Span = Span::secs(5);
/// Inspections at once.
pub(super) const INSPECTIONS: usize = 8;
/// How often the log of a container that is not ready is read.
const LOGS_EVERY: Span = Span::secs(5);

/// What the engine's events said since the last look. Only hints: a periodic full look makes up for lost ones.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    inner: Arc<Mutex<Touched>>,
}

#[derive(Debug, Default)]
struct Touched {
    beyond_containers: bool,
    containers: BTreeSet<ContainerId>,
}

impl Hints {
    /// Takes in what an event said.
    pub fn add(&self, mark: &EventMark) {
        let mut inner = self.lock();
        inner.beyond_containers |= mark.beyond_containers;
        inner.containers.extend(mark.touched.iter().cloned());
    }

    /// Everything may have changed: the stream of events broke, or an action touched networks, volumes or images.
    pub fn all(&self) {
        self.lock().beyond_containers = true;
    }

    /// One container may have changed in a way that a list does not show.
    pub fn touch(&self, container: &ContainerId) {
        self.lock().containers.insert(container.clone());
    }

    fn take(&self) -> Touched {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Touched> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was found while nobody knew yet what is secret.
struct Early {
    listed: Vec<Listed>,
    inspected: BTreeMap<ContainerId, Container>,
}

/// What earlier looks found and still holds.
#[derive(Default)]
pub struct Looker {
    containers: BTreeMap<ContainerId, (String, Container)>,
    networks: BTreeMap<String, Network>,
    volumes: BTreeMap<String, Volume>,
    images: BTreeMap<String, ImageState>,
    host_subnets: BTreeSet<String>,
    full_at: Option<Timestamp>,
    /// Places and images must be listed again, because the last attempt failed half-way.
    stale: bool,
    /// What the next look need not ask for.
    early: Option<Early>,
    /// Containers that are not known yet and did not answer the last look.
    silent: BTreeSet<ContainerId>,
    /// What the list says of those that go on being silent.
    outlines: BTreeMap<ContainerId, Container>,
    /// When the logs of containers that are not ready were last read.
    logs_at: BTreeMap<ContainerId, Timestamp>,
}

impl Looker {
    /// One look. A part that cannot be read is an error, not an absence; only a single container that does not answer
    /// is shown as it was, or as the list has it, and as busy, so that nothing is done to it. So is one of `in_flight`: the engine answers for
    /// a container only when it has done with it, and whoever acts on it touches it again at the end.
    pub async fn look<E: Engine>(
        &mut self,
        engine: &E,
        hints: &Hints,
        images: &BTreeSet<String>,
        in_flight: &BTreeSet<String>,
        redactor: &Redactor,
        now: Timestamp,
    ) -> Result<Observed, EngineError> {
        let touched = hints.take();
        let busy = self.busy(in_flight);
        // Still to be inspected, once nothing is done to them any more.
        touched.containers.intersection(&busy).for_each(|id| hints.touch(id));
        let full = self.full_at.is_none_or(|at| now.since(at) >= FULL_LOOK_EVERY);
        if full {
            // Known, but no longer trusted: what a list leaves out is only gone when its id says so too.
            self.containers.values_mut().for_each(|(fingerprint, _)| fingerprint.clear());
        }
        if full || touched.beyond_containers || self.stale {
            self.stale = true;
            self.look_beyond(engine).await?;
            self.stale = false;
        }
        self.look_at_images(engine, images).await?;
        let Early { listed, inspected } = match self.early.take() {
            Some(early) => early,
            None => Early { listed: engine.list().await?, inspected: BTreeMap::new() },
        };
        let changed = self.changed(&listed, &touched.containers, &busy);
        let known = self.containers.keys().cloned().collect();
        let silent = self.inspect_all(engine, changed, inspected, redactor, now).await?;
        self.doubt_images(&known);
        self.look_at_images(engine, images).await?;
        if full {
            self.full_at = Some(now);
        }
        Ok(self.observed(&listed, silent))
    }

    /// Asks for the containers of the next look, while the caller does something else. A failure is for that look to meet, and
    /// so is what they wrote: it knows what is secret.
    pub async fn look_early<E: Engine>(&mut self, engine: &E) {
        let Ok(listed) = engine.list().await else { return };
        let ours = listed.iter().filter(|listed| listed.whose == Whose::Ours).map(|listed| listed.id.clone());
        let inspections = stream::iter(ours).map(|id| async move {
            let container = asked(engine, &id).await.ok().flatten()?;
            Some((id, container))
        });
        let inspected = inspections.buffer_unordered(INSPECTIONS).filter_map(std::future::ready).collect().await;
        self.early = Some(Early { listed, inspected });
    }

    /// Which of the containers that run and are not ready are to be listened to now: now and then, because what Docker
    /// takes for well may have said in its log why it is not.
    pub fn to_hear(
        &mut self,
        unready: &BTreeSet<ContainerId>,
        now: Timestamp,
    ) -> Vec<(ContainerId, Option<Timestamp>)> {
        self.logs_at.retain(|id, _| unready.contains(id));
        let is_due = |id: &&ContainerId| self.logs_at.get(*id).is_none_or(|at| now.since(*at) >= LOGS_EVERY);
        let due: Vec<_> =
            unready.iter().filter(|id| self.containers.contains_key(*id)).filter(is_due).cloned().collect();
        self.logs_at.extend(due.iter().map(|id| (id.clone(), now)));
        let until = |id: &ContainerId| self.containers.get(id).and_then(|(_, known)| last_said(known, now));
        due.into_iter().map(|id| (id.clone(), until(&id))).collect()
    }

    /// Keeps what was heard, as if the look had found it.
    pub fn keep_heard(&mut self, heard: Vec<(ContainerId, Vec<String>)>, observed: &mut Observed) {
        for (id, words) in heard {
            if let Some(container) = observed.containers.get_mut(&id) {
                container.last_log.clone_from(&words);
            }
            if let Some((_, known)) = self.containers.get_mut(&id) {
                known.last_log = words;
            }
        }
    }

    /// Takes secrets out of all that it remembers.
    pub fn clean(&mut self, redactor: &Redactor) {
        self.containers.values_mut().for_each(|(_, container)| redactor.clean_container(container));
    }

    /// Looks at everything anew the next time: what was said to have changed may be lost with a look that failed.
    pub fn start_over(&mut self) {
        self.full_at = None;
    }

    /// A network as it was last seen.
    pub fn network(&self, name: &str) -> Option<&Network> {
        self.networks.get(name)
    }

    async fn look_beyond<E: Engine>(&mut self, engine: &E) -> Result<(), EngineError> {
        let networks = engine.networks().await?;
        let volumes = engine.volumes().await?;
        self.networks = networks.into_iter().map(|network| (network.name.clone(), network)).collect();
        self.volumes = volumes.into_iter().map(|volume| (volume.name.clone(), volume)).collect();
        self.images.clear();
        self.host_subnets = super::host::subnets();
        Ok(())
    }

    async fn look_at_images<E: Engine>(&mut self, engine: &E, images: &BTreeSet<String>) -> Result<(), EngineError> {
        self.images.retain(|reference, _| images.contains(reference));
        for reference in images {
            if !self.images.contains_key(reference) {
                let state = engine.image(reference).await?;
                self.images.insert(reference.clone(), state);
            }
        }
        Ok(())
    }

    /// Forgets where references lead that a container beside those `known` was made from, and that led it to another image: the
    /// engine need not have told that they lead elsewhere now.
    fn doubt_images(&mut self, known: &BTreeSet<ContainerId>) {
        for (_, (_, container)) in self.containers.iter().filter(|(id, _)| !known.contains(*id)) {
            let is_same =
                |state: &ImageState| matches!(state, ImageState::Present(found) if found.id == container.image);
            if self.images.get(&container.reference).is_some_and(|state| !is_same(state)) {
                self.images.remove(&container.reference);
            }
        }
    }

    /// Known containers that something is being done to.
    fn busy(&self, in_flight: &BTreeSet<String>) -> BTreeSet<ContainerId> {
        self.containers.keys().filter(|id| in_flight.contains(&container_target(id))).cloned().collect()
    }

    /// What the list shows to have changed, and what it leaves out, unless something is being done to it.
    fn changed(
        &mut self,
        listed: &[Listed],
        touched: &BTreeSet<ContainerId>,
        busy: &BTreeSet<ContainerId>,
    ) -> Vec<Listed> {
        // Whoever renames a container takes it out of our hands: from here on it is as foreign as any.
        for listed in listed.iter().filter(|listed| listed.whose != Whose::Ours) {
            self.containers.remove(&listed.id);
        }
        let changed = listed.iter().filter(|listed| listed.whose == Whose::Ours).filter(|listed| {
            let known = self.containers.get(&listed.id);
            touched.contains(&listed.id) || known.is_none_or(|(fingerprint, _)| *fingerprint != listed.fingerprint)
        });
        let doubtful = changed.cloned().chain(self.missing(listed));
        doubtful.filter(|listed| !busy.contains(&listed.id)).collect()
    }

    /// Inspects those that have changed. Returns the containers that did not answer.
    async fn inspect_all<E: Engine>(
        &mut self,
        engine: &E,
        changed: Vec<Listed>,
        mut early: BTreeMap<ContainerId, Container>,
        redactor: &Redactor,
        now: Timestamp,
    ) -> Result<BTreeSet<ContainerId>, EngineError> {
        let known = &self.containers;
        let inspections = stream::iter(changed).map(|listed| {
            let early = early.remove(&listed.id);
            async move {
                let known = known.get(&listed.id).map(|(_, container)| container);
                let found = match early {
                    Some(container) => Ok(Some(container)),
                    None => asked(engine, &listed.id).await,
                };
                let inspected = inspect(engine, &listed.id, found, known, redactor, now).await;
                (listed, inspected)
            }
        });
        let inspected: Vec<_> = inspections.buffer_unordered(INSPECTIONS).collect().await;
        let (mut silent, mut unknown) = (BTreeSet::new(), Vec::new());
        for (listed, inspected) in inspected {
            match inspected {
                Ok(Some(container)) => {
                    self.containers.insert(listed.id, (listed.fingerprint, container));
                }
                // Gone, by its own id.
                Ok(None) => {
                    self.containers.remove(&listed.id);
                }
                Err(_) if self.containers.contains_key(&listed.id) => {
                    silent.insert(listed.id);
                }
                Err(error) => unknown.push((listed.id, error)),
            }
        }
        self.outline(engine, unknown).await?;
        Ok(silent)
    }

    /// What is not known yet and does not answer fails the look: the engine may just be slow. One that goes on being silent is
    /// shown as the list has it, so that after a restart of the controller, too, it holds up nobody else.
    async fn outline<E: Engine>(
        &mut self,
        engine: &E,
        unknown: Vec<(ContainerId, EngineError)>,
    ) -> Result<(), EngineError> {
        let silent = unknown.iter().map(|(id, _)| id.clone()).collect();
        let before = std::mem::replace(&mut self.silent, silent);
        self.outlines.clear();
        for (id, error) in unknown {
            if error.fault != Fault::Timeout || !before.contains(&id) {
                return Err(error);
            }
            self.outlines.extend(engine.outline(&id).await?.map(|container| (id, container)));
        }
        Ok(())
    }

    /// Known containers that the list leaves out. A list can be short (an engine that is starting up, or that could not
    /// load some), so each is asked for by its id before it counts as gone.
    fn missing(&self, listed: &[Listed]) -> Vec<Listed> {
        let present: BTreeSet<&ContainerId> = listed.iter().map(|listed| &listed.id).collect();
        let missing = self.containers.iter().filter(|(id, _)| !present.contains(id));
        let unlisted = missing.map(|(id, (_, container))| Listed {
            id: id.clone(),
            name: container.name.clone(),
            whose: Whose::Ours,
            image: container.image.clone(),
            host_ports: Vec::new(),
            // Unlike any list's, so that the next one that has it is followed by another inspection.
            fingerprint: String::new(),
        });
        unlisted.collect()
    }

    fn observed(&self, listed: &[Listed], silent: BTreeSet<ContainerId>) -> Observed {
        // What is dead has nothing but its name and its image, as far as anybody can tell.
        let is_dead = |id: &ContainerId| self.containers.get(id).is_some_and(|(_, container)| container.dead);
        let foreign = listed.iter().filter(|listed| listed.whose != Whose::Ours || is_dead(&listed.id));
        let mut renamed: BTreeMap<Key, BTreeSet<String>> = BTreeMap::new();
        for listed in listed {
            if let Whose::Renamed(owner) = &listed.whose {
                renamed.entry(owner.clone()).or_default().insert(listed.name.clone());
            }
        }
        let known = self.containers.iter().filter(|(_, (_, container))| !container.dead);
        let known = known.map(|(id, (_, container))| (id.clone(), container.clone()));
        let outlines = self.outlines.clone();
        Observed {
            in_flight: silent.iter().chain(outlines.keys()).map(container_target).collect(),
            containers: known.chain(outlines).collect(),
            foreign_names: foreign.clone().map(|listed| listed.name.clone()).collect(),
            renamed,
            dead: self.containers.iter().filter_map(dead).collect(),
            foreign_ports: foreign.clone().flat_map(|listed| listed.host_ports.iter().cloned()).collect(),
            foreign_images: foreign.map(|listed| listed.image.clone()).collect(),
            networks: self.networks.clone(),
            volumes: self.volumes.clone(),
            images: self.images.clone(),
            host_subnets: self.host_subnets.clone(),
            ..Observed::default()
        }
    }
}

fn dead((id, (_, container)): (&ContainerId, &(String, Container))) -> Option<(ContainerId, Dead)> {
    let Container { name, owner, .. } = container;
    container.dead.then(|| (id.clone(), Dead { name: name.clone(), owner: owner.clone() }))
}

/// One container as the engine shows it, secrets and all; none if it is gone.
async fn asked<E: Engine>(engine: &E, id: &ContainerId) -> Result<Option<Container>, EngineError> {
    let late = || EngineError {
        attempted: format!("inspect {id}"),
        message: format!("no answer within {INSPECT_DEADLINE}"),
        fault: Fault::Timeout,
    };
    timeout(INSPECT_DEADLINE.std(), engine.inspect(id)).await.map_err(|_| late())?
}

/// One container without secrets, and with its last words if it is in trouble.
async fn inspect<E: Engine>(
    engine: &E,
    id: &ContainerId,
    found: Result<Option<Container>, EngineError>,
    known: Option<&Container>,
    redactor: &Redactor,
    now: Timestamp,
) -> Result<Option<Container>, EngineError> {
    let Some(mut container) = found? else {
        return Ok(None);
    };
    redactor.clean_container(&mut container);
    if let Some(known) = known.filter(|known| has_nothing_to_add(known, &container)) {
        container.last_log.clone_from(&known.last_log);
    } else if in_trouble(&container) || known.is_some_and(|known| runs_anew(known, &container)) {
        container.last_log = last_words(engine, id, last_said(&container, now), redactor).await;
    }
    Ok(Some(container))
}
