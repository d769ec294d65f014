//! The small world of the model check: its manifests in the order in which they come, its images, and who decides. Nothing
//! happens here.

use evenkeel::model::desired::{Declared, Desired};
use evenkeel::model::history::History;
use evenkeel::model::name::{Key, Kind, Name};
use evenkeel::model::observed::Observed;
use evenkeel::model::spec::{DeploymentSpec, JobSpec, NamespaceSpec, NetworkSpec, VolumeSpec};
use evenkeel::model::status::Plan;
use evenkeel::model::time::Timestamp;
use serde_json::json;

use crate::support::sim::app::{App, Ending};
use crate::support::sim::world::World;

/// Who decides: `evenkeel::plan::plan`, or something that is wrong on purpose.
pub type Planner = fn(&Desired, &Observed, &History, Timestamp) -> Plan;

/// The small world.
pub struct Town {
    pub planner: Planner,
    /// The manifests, in the order in which they come into force.
    pub manifests: Vec<Desired>,
    pub houses: Vec<House>,
    /// For each house the manifests as they would be without the others.
    pub alone: Vec<Vec<Desired>>,
    /// The house whose calls take effect within the pass that decides them; none: all in every order.
    at_once: Option<usize>,
}

/// A Deployment of the small world, and what it promises.
#[derive(Debug, Clone)]
pub struct House {
    pub key: Key,
    pub replicas: usize,
    pub floor: usize,
    pub ceiling: usize,
    /// Whether it waits for the job.
    pub waits: bool,
}

/// The images of the Deployments, in the order of the manifests. The second one cannot be started.
pub const IMAGES: [&str; 3] = ["app:1", "app:bad", "app:2"];
/// Those of the job: it runs again when the bad image comes.
const TASKS: [&str; 3] = ["task:1", "task:2", "task:2"];

impl Town {
    /// A Deployment that starts first and waits for a job.
    pub fn with_web(planner: Planner) -> Town {
        Town::of(planner, vec![web()])
    }

    /// A Deployment that stops first and has a volume.
    pub fn with_api(planner: Planner) -> Town {
        Town::of(planner, vec![api()])
    }

    /// Both. What is to be done for the one of that name is done within the pass that decides it.
    pub fn with_both(planner: Planner, at_once: &str) -> Town {
        let houses = vec![web(), api()];
        let at_once = houses.iter().position(|house| house.key.name.as_str() == at_once);
        Town { at_once, ..Town::of(planner, houses) }
    }

    /// The same without the last manifests: a smaller world.
    pub fn until(mut self, edits: usize) -> Town {
        self.manifests.truncate(edits);
        self
    }

    fn of(planner: Planner, houses: Vec<House>) -> Town {
        let all = |houses: &[House]| (0..IMAGES.len()).map(|edit| manifests(houses, edit)).collect();
        let alone = houses.iter().map(|house| all(std::slice::from_ref(house))).collect();
        Town { planner, manifests: all(&houses), houses, alone, at_once: None }
    }

    /// Whether what is done for that object is done within the pass that decides it. What is shared is not.
    pub fn is_done_at_once(&self, key: &Key) -> bool {
        let declaring = || (0..self.alone.len()).filter(|number| self.alone[*number][0].declares(key));
        self.at_once.is_some_and(|house| declaring().eq([house]))
    }

    /// An engine with all images and nothing else.
    pub fn engine() -> World {
        let mut world = World::default();
        world.build("app:1", App::default());
        world.build("app:2", App::default());
        world.build("app:bad", App::parse("is not executable").unwrap());
        for task in ["task:1", "task:2"] {
            let ends = Some(Ending { after: 100, code: 0, runs: u32::MAX });
            world.build(task, App { ready_after: None, ends, ..App::default() });
        }
        world
    }

    /// The Deployment of that key.
    pub fn house(&self, key: &Key) -> Option<&House> {
        self.houses.iter().find(|house| house.key == *key)
    }
}

fn web() -> House {
    House { key: key(Kind::Deployment, "web"), replicas: 2, floor: 2, ceiling: 3, waits: true }
}

fn api() -> House {
    House { key: key(Kind::Deployment, "api"), replicas: 2, floor: 1, ceiling: 2, waits: false }
}

/// The key of the job.
pub fn task() -> Key {
    key(Kind::Job, "task")
}

fn key(kind: Kind, text: &str) -> Key {
    Key::new(kind, name("shop"), name(text))
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn manifests(houses: &[House], edit: usize) -> Desired {
    let mut desired = Desired::default();
    desired.namespaces.insert(name("shop"), NamespaceSpec::default());
    desired.networks.insert(key(Kind::Network, "default"), Declared::bare(NetworkSpec::default()));
    for house in houses {
        desired.deployments.insert(house.key.clone(), Declared::bare(deployment(house, IMAGES[edit])));
    }
    if houses.iter().any(|house| house.waits) {
        let spec = json!({"backoffLimit": 0, "template": {"image": TASKS[edit]}});
        let spec: JobSpec = serde_json::from_value(spec).unwrap();
        desired.jobs.insert(task(), Declared::bare(spec));
    }
    if houses.iter().any(|house| !house.waits) {
        desired.volumes.insert(key(Kind::Volume, "files"), Declared::bare(VolumeSpec::default()));
    }
    desired
}

fn deployment(house: &House, image: &str) -> DeploymentSpec {
    let surge = house.ceiling - house.replicas;
    let mut template = json!({
        "image": image, "drain": "0s", "ports": [{"port": 80}], "readinessProbe": {"httpGet": {"port": 80}},
    });
    if house.waits {
        template["dependsOn"] = json!([{"job": "task"}]);
    } else {
        template["mounts"] = json!([{"volume": "files", "path": "/srv"}]);
    }
    serde_json::from_value(json!({
        "replicas": house.replicas,
        "strategy": {"maxSurge": surge, "maxUnavailable": house.replicas - house.floor},
        "minReady": "0s",
        "progressDeadline": "1h",
        "template": template,
    }))
    .unwrap()
}
