//! What somebody does with manifests, and how it has to end whatever goes wrong meanwhile. It plays nothing.

use crate::support::{Bench, Deployment, object};

/// Images that all plays on one engine share: two good versions and one that never becomes ready.
pub const ONE: &str = "evenkeel-test/chaos:1";
pub const TWO: &str = "evenkeel-test/chaos:2";
pub const SICK: &str = "evenkeel-test/chaos:sick";

/// A story: what there is, what is done to it, and how it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Story {
    FirstStart,
    Update,
    Rollback,
    Job,
    Scale,
    Prune,
    Config,
}

/// A manifest's name, and its text or none where it is removed.
type Edit = (&'static str, Option<String>);

impl Story {
    pub const ALL: [Story; 7] =
        [Story::FirstStart, Story::Update, Story::Rollback, Story::Job, Story::Scale, Story::Prune, Story::Config];

    /// How people call it.
    pub fn name(self) -> &'static str {
        match self {
            Story::FirstStart => "first-start",
            Story::Update => "update",
            Story::Rollback => "rollback",
            Story::Job => "job",
            Story::Scale => "scale",
            Story::Prune => "prune",
            Story::Config => "config",
        }
    }

    /// The story of that name.
    pub fn named(name: &str) -> Option<Story> {
        Story::ALL.into_iter().find(|story| story.name() == name)
    }

    /// Makes the images, where the engine does not have them.
    pub fn prepare(bench: &Bench) {
        bench.shared_app_image(ONE, "1", &[]);
        bench.shared_app_image(TWO, "2", &[]);
        bench.shared_app_image(SICK, "sick", &["ENV NEVER_READY=1"]);
    }

    /// What there is before anything goes wrong; empty when the story is about the very start.
    pub fn before(self) -> Vec<Edit> {
        let mut edits = match self {
            Story::FirstStart => return Vec::new(),
            Story::Update | Story::Rollback | Story::Job | Story::Scale | Story::Prune | Story::Config => base(),
        };
        match self {
            Story::Prune => edits.push(("extra.yaml", Some(extra()))),
            Story::Config => edits.extend([colour("red"), web(&configured(ONE))]),
            Story::FirstStart | Story::Update | Story::Rollback | Story::Job | Story::Scale => {}
        }
        edits
    }

    /// What is done.
    pub fn edits(self) -> Vec<Edit> {
        match self {
            Story::FirstStart => base(),
            Story::Update => vec![web(&plain(TWO))],
            Story::Rollback => vec![web(&plain(SICK).spec("progressDeadline", "3s"))],
            Story::Job => vec![("job.yaml", Some(job()))],
            Story::Scale => vec![web(&plain(ONE).replicas(3))],
            Story::Prune => vec![("extra.yaml", None)],
            Story::Config => vec![colour("blue")],
        }
    }

    /// The exit codes of `apply --wait` that are the truth about its end.
    pub fn outcome(self) -> i32 {
        if self == Story::Rollback { 2 } else { 0 }
    }

    /// How many containers of which image the Deployment `web` has in the end.
    pub fn replicas(self) -> (usize, &'static str) {
        match self {
            Story::Update => (2, TWO),
            Story::Scale => (3, ONE),
            Story::FirstStart | Story::Rollback | Story::Job | Story::Prune | Story::Config => (2, ONE),
        }
    }

    /// How many creates, starts and stops of containers it cannot do without.
    pub fn least(self) -> [(&'static str, u32); 3] {
        let (creates, stops) = match self {
            Story::FirstStart => (2, 0),
            Story::Update | Story::Config => (2, 2),
            Story::Rollback => (1, 1),
            Story::Job | Story::Scale => (1, 0),
            Story::Prune => (0, 1),
        };
        [("post-containers-create", creates), ("post-containers-start", creates), ("post-containers-stop", stops)]
    }

    /// How many containers of other objects there are in the end: a job's stays, with its result.
    pub fn others(self) -> usize {
        usize::from(self == Story::Job)
    }

    /// How many replicas are ready all the time.
    pub fn promise(self) -> usize {
        if self == Story::FirstStart { 0 } else { 2 }
    }
}

fn base() -> Vec<Edit> {
    let rest = format!("{}{}", object("Network", "front", "{}"), object("Volume", "data", "{}"));
    vec![("rest.yaml", Some(rest)), web(&plain(ONE))]
}

fn plain(image: &str) -> Deployment {
    Deployment::new("web", image)
        .replicas(2)
        .spec("progressDeadline", "2m")
        .template("networks", "[front]")
        .template("mounts", "[{volume: data, path: /data}]")
        .template("drain", "1s")
}

fn configured(image: &str) -> Deployment {
    plain(image)
        .template("mounts", "[{volume: data, path: /data}, {configMap: settings, path: /etc/web, readOnly: true}]")
}

fn web(deployment: &Deployment) -> Edit {
    ("web.yaml", Some(deployment.to_string()))
}

fn colour(colour: &str) -> Edit {
    ("settings.yaml", Some(object("ConfigMap", "settings", &format!("{{data: {{colour: {colour}}}}}"))))
}

fn extra() -> String {
    let extra = Deployment::new("extra", ONE)
        .template("networks", "[side]")
        .template("mounts", "[{volume: kept, path: /data}]");
    format!("{extra}{}{}", object("Network", "side", "{}"), object("Volume", "kept", "{}"))
}

fn job() -> String {
    let template = format!(
        "{{template: {{image: '{ONE}', imagePullPolicy: Never, args: [job, --write, /data/runs], mounts: [{{volume: data, path: /data}}]}}}}"
    );
    object("Job", "migrate", &template)
}
