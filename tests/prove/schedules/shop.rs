//! The small world of a schedule: what is declared, and how it is written as manifests. It knows nothing of what happens.

use std::fmt::Write;

/// What takes the tag of a good image to a bad one: what runs stays, and what comes to it later fails.
pub const MOVED_TO_A_BAD_ONE: &str = "image app:2 exits with 1";
/// Images whose program is well: any of them ends as a complete rollout.
pub const GOOD: [&str; 5] = ["app:1", "app:2", "app:3", "app:slow", "app:stubborn"];
/// Images that no rollout completes with.
pub const BAD: [&str; 5] = ["app:crash", "app:never", "app:broken", FLAKY, "app:missing"];
/// The one of them that seems to be well at first.
const FLAKY: &str = "app:flaky";
/// Is well for all but a gate that asks it.
pub const UNFIT: &str = "app:unfit";
/// The image that everything is brought to in the end; nothing else uses it.
pub const LAST: &str = "app:last";
/// A gate that asks the new replicas.
pub const FIT: &str = "gates: {after: [{httpGet: {port: http, path: /fit}, retries: 2, period: 1s}]}";
/// The job's in the end.
pub const LAST_JOB: &str = "task:last";

/// Every image that there is, as lines of a scenario's world.
pub const IMAGES: &str = "\
image app:1 ready after 1s
image app:2 ready
image app:3 ready after 2s, has a health check every 2s 2 retries
image app:slow ready after 8s, takes 20s to pull
image app:stubborn ready after 1s, ignores SIGTERM
image app:crash exits with 1 after 300ms, says \"no configuration\"
image app:never never ready
image app:broken has no entrypoint
image app:flaky ready after 1s, exits with 3 after 4s
image app:unfit ready after 1s, fails at /fit
image app:last ready after 1s
image task:1 exits with 0 after 2s
image task:2 exits with 0 after 500ms
image task:long exits with 0 after 100s
image task:last exits with 0 after 1s
image task:bad exits with 1 after 1s
";

/// Everything that is declared at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shop {
    pub deployments: Vec<Deployment>,
    /// The image of the job, if there is one.
    pub job: Option<String>,
    /// The CronJob, if there is one.
    pub cron: Option<Cron>,
    /// What the ConfigMap and the Secret say.
    pub config: u32,
    pub secret: u32,
}

/// A CronJob of every minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    pub policy: &'static str,
    /// Its job's image.
    pub image: &'static str,
    /// Whether a Deployment is stopped meanwhile.
    pub quiesce: &'static str,
    pub suspended: bool,
}

impl Cron {
    /// As commands name it.
    pub const KEY: &str = "cronjob/shop/tick";
    /// How many of its containers stay when it is suspended: three that ended well, and one that failed.
    pub const KEPT: usize = 4;

    /// The line that changes.
    pub fn suspend_line(&self) -> String {
        format!("suspend: {}", self.suspended)
    }

    /// The manifest.
    pub fn manifest(&self) -> String {
        let Self { policy, image, quiesce, .. } = self;
        format!(
            "apiVersion: evenkeel.dev/v1\nkind: CronJob\nmetadata: {{name: tick, namespace: shop}}\nspec:\n  schedule: \"* * * * *\"\n  \
             concurrencyPolicy: {policy}\n  backoffLimit: 1\n  quiesce: [{quiesce}]\n  {}\n  template: {{image: \"{image}\"}}\n",
            self.suspend_line()
        )
    }
}

/// A Deployment as its manifest says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    pub namespace: &'static str,
    pub name: &'static str,
    pub replicas: usize,
    pub strategy: &'static str,
    pub image: String,
    pub check: &'static str,
    pub color: u32,
    pub memory: u32,
    pub restart: &'static str,
    pub on_failure: &'static str,
    pub suspended: bool,
    /// Lines of the template that never change: what it uses.
    pub uses: Vec<String>,
    /// Lines of the spec that never change: its gates, its group.
    pub rules: Vec<&'static str>,
    /// Whether its manifest is there.
    pub present: bool,
    /// Whether it ever had the image that completes and ends again.
    pub was_flaky: bool,
    /// Whether the tag that is moved to a bad image has been moved.
    pub is_two_bad: bool,
}

impl Deployment {
    /// As commands name it.
    pub fn key(&self) -> String {
        format!("deployment/{}/{}", self.namespace, self.name)
    }

    /// The pattern of its containers.
    pub fn containers(&self) -> String {
        format!("{}.{}.*", self.namespace, self.name)
    }

    /// Its file, below the source.
    pub fn file(&self) -> String {
        format!("manifests/{}-{}.yaml", self.namespace, self.name)
    }

    /// A copy of its first manifest, beside the source, for when it is added back.
    pub fn spare(&self) -> String {
        format!("spare/{}-{}.yaml", self.namespace, self.name)
    }

    /// Whether it comes to rest. One whose program runs for a while and ends may complete, and be gone back to.
    pub fn settles(&self) -> bool {
        let is_fit = self.image == UNFIT && !self.rules.contains(&FIT);
        let is_moved = self.image == "app:2" && self.is_two_bad;
        let is_good = GOOD.contains(&self.image.as_str()) && !is_moved || self.image == LAST || is_fit;
        (is_good || self.suspended) && !self.was_flaky
    }

    /// Whether it may wait for something else for ever: a job, another Deployment, its group.
    pub fn waits(&self) -> bool {
        self.uses.iter().any(|line| line.starts_with("dependsOn")) || self.rules.iter().any(|rule| *rule != FIT)
    }

    /// Gives it an image.
    pub fn take_image(&mut self, image: &str) {
        self.image = image.into();
        self.was_flaky |= image == FLAKY;
    }

    /// The lines that can change, in the order of the file: each stands there once.
    pub fn changeable(&self) -> Vec<String> {
        vec![
            format!("replicas: {}", self.replicas),
            format!("strategy: {{{}}}", self.strategy),
            format!("onFailure: {}", self.on_failure),
            format!("suspend: {}", self.suspended),
            format!("image: {}", self.image),
            format!("env: {{COLOR: \"{}\"}}", self.color),
            format!("resources: {{limits: {{memory: {}Mi}}}}", self.memory),
            format!("restartPolicy: {}", self.restart),
        ]
    }

    /// The manifest.
    pub fn manifest(&self) -> String {
        let Self { name, namespace, .. } = self;
        let lines = self.changeable();
        let (spec, template) = lines.split_at(4);
        let mut text = format!(
            "apiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n"
        );
        text.push_str("  minReady: 1s\n  progressDeadline: 30s\n");
        spec.iter().for_each(|line| push(&mut text, 2, line));
        self.rules.iter().for_each(|line| push(&mut text, 2, line));
        text.push_str("  template:\n    ports: [{name: http, port: 80}]\n    drain: 2s\n");
        text.push_str("    terminationGracePeriod: 3s\n");
        template.iter().for_each(|line| push(&mut text, 4, line));
        self.check.lines().chain(self.uses.iter().map(String::as_str)).for_each(|line| push(&mut text, 4, line));
        text
    }
}

fn push(text: &mut String, indent: usize, line: &str) {
    let _ = writeln!(text, "{:indent$}{line}", "");
}

impl Shop {
    /// The line of the ConfigMap that changes.
    pub fn config_line(&self) -> String {
        format!("data: {{app.conf: \"level = {}\"}}", self.config)
    }

    /// The secret's file on the host.
    pub fn secret_text(&self) -> String {
        format!("PASSWORD=canary-{}", self.secret)
    }

    /// The manifest of what the Deployments use.
    pub fn base(&self) -> String {
        let mut text = String::new();
        for namespace in ["shop", "stage"] {
            let _ = write!(
                text,
                "apiVersion: evenkeel.dev/v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n---\n\
                 apiVersion: evenkeel.dev/v1\nkind: ConfigMap\nmetadata: {{name: conf, namespace: {namespace}}}\nspec:\n  {}\n---\n\
                 apiVersion: evenkeel.dev/v1\nkind: Secret\nmetadata: {{name: word, namespace: {namespace}}}\nspec: {{envFiles: [../host/word.env]}}\n---\n\
                 apiVersion: evenkeel.dev/v1\nkind: Network\nmetadata: {{name: back, namespace: {namespace}}}\nspec: {{internal: true}}\n---\n\
                 apiVersion: evenkeel.dev/v1\nkind: Volume\nmetadata: {{name: files, namespace: {namespace}}}\nspec: {{}}\n---\n",
                self.config_line()
            );
        }
        text.trim_end_matches("---\n").to_string()
    }

    /// The job's manifest.
    pub fn job_manifest(image: &str) -> String {
        format!(
            "apiVersion: evenkeel.dev/v1\nkind: Job\nmetadata: {{name: task, namespace: shop}}\nspec:\n  backoffLimit: 1\n  template:\n    image: {image}\n"
        )
    }
}
