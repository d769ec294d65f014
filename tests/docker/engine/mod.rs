//! The engine's door on real engines: every call of `evenkeel::engine::Docker`, one small test each. What Evenkeel makes of
//! them is tested elsewhere; these say what the engines do.

mod connection;
mod containers;
mod events;
mod images;
mod networks;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use evenkeel::engine::{Docker, Engine as _, EngineError, Host, Listed, Provided, Whose};
use evenkeel::model::action::{Connection, NetworkCreate};
use evenkeel::model::container::{Attachment, ContainerSpec};
use evenkeel::model::desired::Desired;
use evenkeel::model::name::{Name, container_name};
use evenkeel::model::observed::{Container, ContainerId, ContainerState, Fault, Observed};
use evenkeel::model::spec::RestartPolicy;
use evenkeel::policy::{self, Approved, Ground, Judged};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::Bench;

/// The door under test, and the short ways that tests like.
struct Door<'a> {
    bench: &'a Bench,
    docker: Docker,
    runtime: Runtime,
    slot: AtomicU32,
}

impl<'a> Door<'a> {
    fn new(bench: &'a Bench) -> Self {
        Self::to(bench, Host::Unix(bench.engine.socket.clone()))
    }

    fn to(bench: &'a Bench, host: Host) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let docker =
            Docker::at(host, Some(bench.directory().join("docker-config")), Name::new(&*bench.instance).unwrap());
        Door { bench, docker, runtime, slot: AtomicU32::new(0) }
    }

    /// Waits for a call.
    fn run<T>(&self, call: impl Future<Output = T>) -> T {
        self.runtime.block_on(call)
    }

    /// A container's specification on the network `app`, with slots that count up. The template's image is given apart.
    fn spec(&self, image: &str, mut template: Value) -> ContainerSpec {
        let slot = self.slot.fetch_add(1, Ordering::SeqCst);
        template["image"] = json!(image);
        let instance = Name::new(&*self.bench.instance).unwrap();
        let part = |text| Name::new(text).unwrap();
        let labels = [
            ("instance", &*self.bench.instance),
            ("kind", "deployment"),
            ("namespace", "shop"),
            ("name", "web"),
            ("revision", "3f9a2c71d0"),
            ("template", "00"),
            ("slot", &slot.to_string()),
        ];
        ContainerSpec {
            name: container_name(&instance, &part("shop"), &part("web"), "3f9a2c71d0", slot),
            labels: labels.into_iter().map(|(key, value)| (format!("evenkeel.dev/{key}"), value.to_owned())).collect(),
            image: image.to_owned(),
            template: serde_json::from_value(template).unwrap(),
            env: Vec::new(),
            networks: Vec::new(),
            mounts: Vec::new(),
            restart_policy: RestartPolicy::Never,
        }
    }

    fn create(&self, spec: &ContainerSpec) -> Result<ContainerId, EngineError> {
        self.run(self.docker.create(free(spec), &Provided::default()))?;
        Ok(self.listed(&spec.name).id)
    }

    fn created(&self, spec: &ContainerSpec) -> ContainerId {
        self.create(spec).unwrap()
    }

    fn started(&self, spec: &ContainerSpec) -> ContainerId {
        let id = self.created(spec);
        self.run(self.docker.start(&id)).unwrap();
        id
    }

    /// A container of the demo application that serves.
    fn serving(&self, image: &str) -> ContainerId {
        self.started(&self.spec(image, json!({})))
    }

    fn listed(&self, name: &str) -> Listed {
        let all = self.run(self.docker.list()).unwrap();
        all.into_iter().find(|listed| listed.name == name).unwrap_or_else(|| panic!("{name} is not listed"))
    }

    fn look(&self, id: &ContainerId) -> Container {
        self.run(self.docker.inspect(id)).unwrap().expect("it is there and ours")
    }

    /// Looks until the container is in a state that the test wants.
    fn eventually(&self, id: &ContainerId, what: &str, wanted: impl Fn(&Container) -> bool) -> Container {
        crate::support::eventually(what, Duration::from_secs(20), || {
            let container = self.look(id);
            if wanted(&container) {
                Ok(container)
            } else {
                Err(format!("{:?} {:?}", container.state, container.health))
            }
        })
    }

    /// A network with a subnet of its own; the labels make the test clean it up.
    fn network(&self, name: &str, subnet: &str) -> NetworkCreate {
        NetworkCreate {
            name: self.bench.engine_name("shop", name),
            labels: BTreeMap::from([
                ("evenkeel.dev/instance".to_owned(), self.bench.instance.clone()),
                ("evenkeel.dev/spec".to_owned(), "1".to_owned()),
            ]),
            driver: "bridge".into(),
            internal: false,
            subnets: vec![subnet.to_owned()],
            options: BTreeMap::new(),
        }
    }

    fn network_created(&self, name: &str) -> String {
        let network = self.network(name, &free_subnet());
        self.run(self.docker.create_network(free(&network))).unwrap();
        network.name
    }
}

/// Anything, where there is no policy.
pub(crate) fn free<T: Judged>(subject: &T) -> Approved<'_, T> {
    let (desired, observed) = (Desired::default(), Observed::default());
    policy::approve(Ground::of(&desired, &observed), &Name::new("shop").unwrap(), subject).unwrap_or_else(|_| panic!())
}

/// A /24 that no other test uses.
fn free_subnet() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("10.77.{}.0/24", NEXT.fetch_add(1, Ordering::SeqCst))
}

fn attachment(network: &str, aliases: &[&str]) -> Attachment {
    Attachment { network: network.to_owned(), aliases: names(aliases), address: None }
}

fn connection(id: &ContainerId, network: &str, aliases: &[&str]) -> Connection {
    let (container, name) = (id.clone(), "web".to_owned());
    Connection { container, name, network: network.to_owned(), aliases: names(aliases), address: None }
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn runs(container: &Container) -> bool {
    matches!(container.state, ContainerState::Running { .. })
}

#[track_caller]
fn fails<T>(result: Result<T, EngineError>, fault: Fault, words: &str) {
    let error = result.err().expect("it fails");
    assert_eq!(error.fault, fault, "{error}");
    assert!(error.message.to_lowercase().contains(&words.to_lowercase()), "{error}");
}
