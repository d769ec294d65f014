//! How long one `plan()` takes on a large host with nothing to do: `cargo run --release --example measure-plan`.
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use evenkeel::model::container::Adjustable;
use evenkeel::model::desired::{Declared, Desired};
use evenkeel::model::history::History;
use evenkeel::model::name::{Key, Kind, Name, container_name};
use evenkeel::model::observed::{
    Container, ContainerId, ContainerState, Endpoint, Health, Image, ImageState, Network, NetworkId, Observed, Probes,
};
use evenkeel::model::revision::ImageId;
use evenkeel::model::spec::DeploymentSpec;
use evenkeel::model::time::Timestamp;
use evenkeel::plan::plan;

const REPLICAS: u32 = 10;

fn main() {
    let mut base = None;
    for replicas in [1_250, 2_500, 5_000, 10_000] {
        let took = measure(replicas);
        let base = *base.get_or_insert(took / f64::from(replicas));
        let each = took / f64::from(replicas) / base;
        println!(
            "plan() on {replicas:>6} replicas: {took:>7.2} ms, {each:.2} x the time per replica of the first line"
        );
    }
}

/// The median of nine plans, in milliseconds.
fn measure(replicas: u32) -> f64 {
    let now = Timestamp(1_000_000);
    let desired = desired(replicas / REPLICAS);
    let mut observed = places(&desired);
    let first = plan(&desired, &observed, &History::default(), now);
    observed.containers = containers(&desired, &first.history);
    let mut history = first.history;
    // The rollout is seen to be complete, then there is nothing to do.
    for _ in 0..3 {
        history = plan(&desired, &observed, &history, now).history;
    }
    let mut times: Vec<f64> = (0..9)
        .map(|_| {
            let began = Instant::now();
            let plan = plan(&desired, &observed, &history, now);
            let took = began.elapsed().as_secs_f64() * 1000.0;
            assert!(plan.actions.is_empty(), "nothing to do: {:?}", plan.actions.first());
            took
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn name(text: impl Into<String>) -> Name {
    Name::new(text).expect("a name")
}

fn desired(deployments: u32) -> Desired {
    let mut desired = Desired::default();
    let network = Key::new(Kind::Network, name("shop"), name("default"));
    desired.networks.insert(network, Declared::bare(Default::default()));
    for number in 0..deployments {
        let spec: DeploymentSpec = serde_json::from_value(serde_json::json!({
            "replicas": REPLICAS, "minReady": "0s",
            "template": {"image": "web:1", "env": {"NODE_ENV": "production"}, "args": ["node", "main.js"]},
        }))
        .expect("a Deployment");
        desired
            .deployments
            .insert(Key::new(Kind::Deployment, name("shop"), name(format!("d{number}"))), Declared::bare(spec));
    }
    desired
}

/// An engine with the image and, after one plan, the network.
fn places(desired: &Desired) -> Observed {
    let image = Image {
        id: ImageId("sha256:1".into()),
        tags: Vec::new(),
        digests: Vec::new(),
        has_health_check: false,
        volumes: BTreeSet::new(),
        is_ours: false,
        platform: Default::default(),
    };
    let present = || ImageState::Present(image.clone());
    let mut observed = Observed::default();
    observed.images.insert("web:1".into(), present());
    observed.images.insert("sha256:1".into(), present());
    let first = plan(desired, &observed, &History::default(), Timestamp(0));
    for action in first.actions {
        if let evenkeel::model::action::Call::CreateNetwork(create) = action.call {
            let network = Network {
                id: NetworkId("n".into()),
                name: create.name.clone(),
                labels: create.labels,
                driver: create.driver,
                subnets: create.subnets,
            };
            observed.networks.insert(create.name, network);
        }
    }
    observed
}

fn containers(desired: &Desired, history: &History) -> BTreeMap<ContainerId, Container> {
    let mut containers = BTreeMap::new();
    for key in desired.deployments.keys() {
        let revision = &history.deployments[key].revisions[0];
        for slot in 0..REPLICAS {
            let name = container_name(&desired.settings.instance, &key.namespace, &key.name, &revision.id.0, slot);
            let id = ContainerId(format!("{:064x}", containers.len()));
            let endpoint = Endpoint {
                network: NetworkId("n".into()),
                address: Some([10, 201, 0, 2].into()),
                fixed: None,
                aliases: BTreeSet::from([key.name.to_string()]),
            };
            let container = Container {
                reference: String::new(),
                id: id.clone(),
                name,
                owner: key.clone(),
                revision: revision.id.clone(),
                template: revision.template_hash.clone(),
                slot,
                image: revision.image.clone(),
                state: ContainerState::Running { since: Timestamp(0) },
                dead: false,
                process: None,
                health: Health::None,
                restart_count: 0,
                ended_at: None,
                created_at: Timestamp(0),
                networks: BTreeMap::from([("shop.default".to_string(), endpoint)]),
                adjustable: Adjustable {
                    limits: Default::default(),
                    requests: Default::default(),
                    restart_policy: Default::default(),
                },
                published: Vec::new(),
                volumes: [].into(),
                probes: Probes::default(),
                last_log: Vec::new(),
            };
            containers.insert(id, container);
        }
    }
    containers
}
