//! The same for images: a tag that moves and goes in a registry, pulls by tag and by digest, names that are given and taken by
//! hand, removals, and containers that use them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use evenkeel::engine::{Engine, EngineError, Provided};
use evenkeel::model::container::{ContainerSpec, label};
use evenkeel::model::name::{Name, container_name};
use evenkeel::model::observed::ImageState;
use evenkeel::model::revision::ImageId;
use evenkeel::model::spec::RestartPolicy;
use serde_json::json;

use super::operation::Chance;
use super::side::{Deed, Fake, Real, Side};
use super::sim::app::App;
use crate::engine::free;
use crate::support::{Bench, Registry};

/// How many images there are.
const VERSIONS: u8 = 3;

/// By which name an image is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The tag that moves.
    Tag,
    /// The digest of a version in that tag's repository.
    Digest(u8),
    Id(u8),
    /// A name that only people give.
    OtherTag,
}

/// Something that is done with images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// The registry's tag leads to that version from now on.
    Push(u8),
    /// The registry loses the tag.
    Forget,
    Pull(By),
    /// As Evenkeel removes what it has brought: by its id and what it was pulled as.
    Remove(u8, By),
    Create(By),
    RemoveContainer,
    /// By hand.
    Tag(By),
    Delete(By),
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operation::Push(version) => write!(f, "push version {version}"),
            Operation::Forget => write!(f, "the registry loses the tag"),
            Operation::Pull(by) => write!(f, "pull by {by:?}"),
            Operation::Remove(version, by) => write!(f, "remove version {version}, brought by {by:?}"),
            Operation::Create(by) => write!(f, "create a container of {by:?}"),
            Operation::RemoveContainer => write!(f, "remove the container"),
            Operation::Tag(by) => write!(f, "by hand: give {by:?} another name"),
            Operation::Delete(by) => write!(f, "by hand: rmi {by:?}"),
        }
    }
}

impl Chance {
    /// A sequence that begins with something to pull.
    pub fn of_images(&mut self, length: usize) -> Vec<Operation> {
        let mut all = vec![Operation::Push(0)];
        all.extend(std::iter::repeat_with(|| self.image_operation()).take(length));
        all
    }

    fn image_operation(&mut self) -> Operation {
        let version = self.below(VERSIONS);
        match self.below(20) {
            0..=3 => Operation::Push(version),
            4 => Operation::Forget,
            5..=8 => Operation::Pull(By::Tag),
            9 => Operation::Pull(By::Digest(version)),
            10..=12 => Operation::Remove(version, if self.once_in(3) { By::Digest(version) } else { By::Tag }),
            13 | 14 => Operation::Create(self.by()),
            15 => Operation::RemoveContainer,
            16 | 17 => Operation::Tag(self.by()),
            _ => Operation::Delete(self.by()),
        }
    }

    fn by(&mut self) -> By {
        let version = self.below(VERSIONS);
        [By::Tag, By::Digest(version), By::Id(version), By::OtherTag][usize::from(self.below(4))]
    }
}

/// One of the two engines with its registry.
pub trait Store {
    fn side(&self) -> &impl Side;
    fn push(&self, version: u8);
    fn forget(&self);
    fn id(&self, version: u8) -> ImageId;
    /// `sha256:…` of that version in the registry.
    fn digest(&self, version: u8) -> String;
}

/// What both sides call things.
#[derive(Clone)]
pub struct Names {
    instance: String,
    /// `ADDRESS/shop7`.
    repository: String,
}

impl Names {
    fn tag(&self) -> String {
        format!("{}:1", self.repository)
    }

    fn other(&self) -> String {
        format!("evenkeel-test/{}-kept:1", self.instance)
    }

    fn container(&self) -> String {
        let part = |text: &str| Name::new(text).expect("it is well-formed");
        container_name(&part(&self.instance), &part("shop"), &part("web"), "3f9a2c71d0", 0)
    }
}

/// The versions, in a real registry, and nowhere else yet.
pub struct Stock<'a> {
    bench: &'a Bench,
    registry: Registry<'a>,
    ids: Vec<ImageId>,
}

impl<'a> Stock<'a> {
    pub fn new(bench: &'a Bench) -> Self {
        let registry = Registry::open(bench);
        let ids = (0..VERSIONS).map(|version| {
            let image = bench.app_image(&format!("likeness-{version}"), &[]);
            registry.push(&image, &format!("version{version}:1"));
            let id = bench.image_id(&image).expect("it was just made");
            bench.engine.docker(&["rmi", &image]);
            ImageId(id)
        });
        let ids = ids.collect();
        Stock { bench, registry, ids }
    }

    /// The first thing done after which the two do not look alike, and what is seen.
    pub fn difference(&self, operations: &[Operation]) -> Option<(usize, String)> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let shop = format!("shop{}", NEXT.fetch_add(1, Ordering::SeqCst));
        let names = Names { instance: self.bench.instance.clone(), repository: self.registry.reference(&shop) };
        let real = RealStore { side: Real::new(self.bench), stock: self, shop: format!("{shop}:1") };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let seen = runtime.block_on(send(&real, &names, operations));
        self.clear();
        let paused = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let simulated = paused.block_on(async { send(&FakeStore::new(self.bench, &names), &names, operations).await });
        let at = seen.iter().zip(&simulated).position(|(real, fake)| real != fake)?;
        let request = &operations[at];
        Some((at, format!("after {request}\nthe engine says    {}the simulation says {}", seen[at], simulated[at])))
    }

    fn clear(&self) {
        self.bench.clean();
        for id in &self.ids {
            // One that is not there is no trouble.
            let _ = self.bench.engine.try_docker(&["rmi", "--force", &id.0]);
        }
    }
}

struct RealStore<'a> {
    side: Real<'a>,
    stock: &'a Stock<'a>,
    shop: String,
}

impl Store for RealStore<'_> {
    fn side(&self) -> &impl Side {
        &self.side
    }

    fn push(&self, version: u8) {
        self.stock.registry.copy(&format!("version{version}:1"), &self.shop);
    }

    fn forget(&self) {
        self.stock.registry.forget(&self.shop);
    }

    fn id(&self, version: u8) -> ImageId {
        self.stock.ids[usize::from(version)].clone()
    }

    fn digest(&self, version: u8) -> String {
        self.stock.registry.digest(&format!("version{version}:1"))
    }
}

struct FakeStore {
    side: Fake,
    tag: String,
    /// Id and digest of each version.
    known: Vec<(ImageId, String)>,
}

impl FakeStore {
    /// To be called within a runtime whose time is paused.
    fn new(bench: &Bench, names: &Names) -> Self {
        let side = Fake::new(&bench.instance, bench.engine.generation);
        let tag = names.tag();
        let known = (0..VERSIONS).map(|version| {
            side.sim().with(|world| {
                // Pushed to learn what it is called, and forgotten again.
                world.push(&tag, app(version));
                let image = world.registry.images.remove(&tag).expect("it was just pushed");
                let digest = image.digests[0].clone();
                world.registry.images.clear();
                (image.id, digest.split_once('@').expect("a digest").1.to_owned())
            })
        });
        let known = known.collect();
        FakeStore { side, tag, known }
    }
}

fn app(version: u8) -> App {
    App::parse(&format!("ready after {version}s")).expect("the phrase is known")
}

impl Store for FakeStore {
    fn side(&self) -> &impl Side {
        &self.side
    }

    fn push(&self, version: u8) {
        self.side.sim().with(|world| world.push(&self.tag, app(version)));
    }

    fn forget(&self) {
        // One that is not there is gone already.
        let _ = self.side.sim().with(|world| world.forget(&self.tag));
    }

    fn id(&self, version: u8) -> ImageId {
        self.known[usize::from(version)].0.clone()
    }

    fn digest(&self, version: u8) -> String {
        self.known[usize::from(version)].1.clone()
    }
}

/// Does all; a paragraph for each.
async fn send(store: &impl Store, names: &Names, operations: &[Operation]) -> Vec<String> {
    let client = Client { store, names };
    let mut told = Vec::new();
    for operation in operations {
        let result = client.perform(operation).await;
        told.push(format!("{result}\n{}", client.look().await));
    }
    told
}

struct Client<'a, S> {
    store: &'a S,
    names: &'a Names,
}

impl<S: Store> Client<'_, S> {
    fn engine(&self) -> &impl Engine {
        self.store.side().engine()
    }

    fn reference(&self, by: By) -> String {
        match by {
            By::Tag => self.names.tag(),
            By::Digest(version) => format!("{}@{}", self.names.repository, self.store.digest(version)),
            By::Id(version) => self.store.id(version).0,
            By::OtherTag => self.names.other(),
        }
    }

    async fn perform(&self, operation: &Operation) -> String {
        match operation {
            Operation::Push(version) => self.store.push(*version),
            Operation::Forget => self.store.forget(),
            Operation::Pull(by) => {
                let pulled = self.engine().pull(&self.reference(*by), None, &[], &|_| ()).await;
                return words(
                    pulled.map(|new| new.map_or("known before".into(), |id| format!("new: {}", self.version(&id)))),
                );
            }
            Operation::Remove(version, by) => {
                let brought = BTreeSet::from([self.reference(*by)]);
                let done = self.engine().remove_image(&self.store.id(*version), &brought, &BTreeSet::new()).await;
                return words(done.map(|_| "Ok".into()));
            }
            Operation::Create(by) => {
                let done = self.engine().create(free(&self.spec(*by)), &Provided::default()).await;
                return words(done.map(|()| "Ok".into()));
            }
            Operation::RemoveContainer => {
                let listed = self.engine().list().await.expect("the engine answers");
                let Some(found) = listed.into_iter().find(|listed| listed.name == self.names.container()) else {
                    return "none is there".into();
                };
                return words(self.engine().remove(&found.id).await.map(|()| "Ok".into()));
            }
            Operation::Tag(by) => return self.by_hand(Deed::Tag(self.reference(*by), self.names.other())),
            Operation::Delete(by) => return self.by_hand(Deed::DeleteImage(self.reference(*by))),
        }
        "done in the registry".into()
    }

    fn by_hand(&self, deed: Deed) -> String {
        if self.store.side().by_hand(deed) { "done by hand".into() } else { "cannot be done by hand".into() }
    }

    fn spec(&self, by: By) -> ContainerSpec {
        let image = self.reference(by);
        let labels = [
            (label::INSTANCE, &*self.names.instance),
            (label::KIND, "deployment"),
            (label::NAMESPACE, "shop"),
            (label::NAME, "web"),
            (label::REVISION, "3f9a2c71d0"),
            (label::TEMPLATE, "0"),
            (label::SLOT, "0"),
        ];
        ContainerSpec {
            name: self.names.container(),
            labels: labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            template: serde_json::from_value(json!({"image": image})).expect("a template"),
            image,
            env: Vec::new(),
            networks: Vec::new(),
            mounts: Vec::new(),
            restart_policy: RestartPolicy::Never,
        }
    }

    /// What can be seen of all images, by every name that they may have, and of the container.
    async fn look(&self) -> String {
        let mut text = String::new();
        let versions = (0..VERSIONS).flat_map(|version| [By::Id(version), By::Digest(version)]);
        for by in versions.chain([By::Tag, By::OtherTag]) {
            let found = match self.engine().image(&self.reference(by)).await.expect("the engine answers") {
                ImageState::Missing => "missing".to_owned(),
                ImageState::Present(found) => {
                    let (tags, digests) = (self.shown(found.tags), self.shown(found.digests));
                    format!("{} with tags {tags:?} and digests {digests:?}", self.version(&found.id))
                }
            };
            text += &format!("  {by:?}: {found}\n");
        }
        for listed in self.engine().list().await.expect("the engine answers") {
            if listed.name != self.names.container() {
                continue;
            }
            if let Some(found) = self.engine().inspect(&listed.id).await.expect("the engine answers") {
                let reference = self.shown(vec![found.reference]);
                text += &format!("  a container of {}, made from {reference:?}\n", self.version(&found.image));
            }
        }
        text
    }

    fn version(&self, id: &ImageId) -> String {
        let version = (0..VERSIONS).find(|version| self.store.id(*version) == *id);
        version.map_or("another one".into(), |version| format!("version {version}"))
    }

    /// Names in words that both sides share, in order.
    fn shown(&self, names: Vec<String>) -> BTreeSet<String> {
        let known = (0..VERSIONS).flat_map(|version| [By::Id(version), By::Digest(version)]);
        let known: BTreeMap<String, String> =
            known.chain([By::Tag, By::OtherTag]).map(|by| (self.reference(by), format!("{by:?}"))).collect();
        names.into_iter().map(|name| known.get(&name).cloned().unwrap_or(name)).collect()
    }
}

fn words(done: Result<String, EngineError>) -> String {
    done.unwrap_or_else(|error| format!("{:?}", error.fault))
}
