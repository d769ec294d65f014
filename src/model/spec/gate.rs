//! What has to go well around a rollout.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::probe::{Exec, Grpc, HttpGet, Probe, TcpSocket};
use crate::model::name::{Key, Kind, Name};
use crate::model::revision::short_hash;
use crate::model::text::printable;
use crate::model::time::Span;

/// What has to go well around the rollout of a new revision, one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Gates {
    /// Jobs to run once the dependencies are met, before anything of the old revision is touched: migrations. One that
    /// fails rejects the revision. A rollback, a restart, healing and scaling run none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<Gate>,
    /// Jobs to run and checks to make once all new replicas are available. One that fails takes the revision back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Gate>,
}

impl Gates {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }
}

/// One thing that has to go well. Exactly one of `job`, `cronJob`, `httpGet`, `tcpSocket`, `grpc` and `exec` is set;
/// before a rollout only the first two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gate {
    /// A Job of this namespace, run once for each combination of its template, image and configuration. One that names no
    /// image takes the Deployment's image, and its `env`, `envFrom`, `networks`, and mounts of ConfigMaps and Secrets
    /// where it has none of its own. A gate's Job does not run by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Name>,
    /// A CronJob of this namespace of which a run has to have ended well lately, such as a backup before a migration. If none
    /// has, one is begun, and has to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron_job: Option<Name>,
    /// How long ago the run of `cronJob` may have ended when the rollout comes to this gate; with 0s a new one is made every time.
    /// Default: 24h.
    #[serde(default = "a_day", skip_serializing_if = "is_a_day")]
    #[schemars(extend("default" = "1day"))]
    pub within: Span,
    /// An HTTP GET to each new replica; any status from 200 to 399 is a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HttpGet>,
    /// A TCP connection to each new replica; being accepted is a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp_socket: Option<TcpSocket>,
    /// A question to the gRPC health service of each new replica; that it answers SERVING is a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<Grpc>,
    /// Whether `httpGet`, `tcpSocket` or `grpc` is made by the Deployment's name instead of at each new replica: each new replica
    /// asks Docker's DNS for it in its own network, as its neighbours do, and every address that it leads to has to pass. Needs
    /// Evenkeel to run as root and to see the host's processes. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_name: bool,
    /// A command in each new replica; that it ends with 0 is a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<Exec>,
    /// How often a check that failed is tried again. A Job has its own `backoffLimit`. Default: 3.
    #[serde(default = "three", skip_serializing_if = "is_three")]
    #[schemars(extend("default" = 3))]
    #[schemars(range(max = 1000))]
    pub retries: u32,
    /// The time between two tries of a check, at least 100ms. Default: 2s.
    #[serde(default = "two_seconds", skip_serializing_if = "is_two_seconds")]
    #[schemars(extend("default" = "2s"))]
    pub period: Span,
    /// How long one try of a check may take. A Job has its own `activeDeadline`. Default: 5s.
    #[serde(default = "five_seconds", skip_serializing_if = "is_five_seconds")]
    #[schemars(extend("default" = "5s"))]
    pub timeout: Span,
}

impl Gate {
    /// The Job or CronJob of `owner`'s namespace that it is about, if it is about one.
    pub fn object(&self, owner: &Key) -> Option<Key> {
        let job = self.job.as_ref().map(|name| owner.sibling(Kind::Job, name));
        job.or_else(|| self.cron_job.as_ref().map(|name| owner.sibling(Kind::CronJob, name)))
    }

    /// Whether it is about that Job or CronJob of its owner's namespace.
    pub fn is_about(&self, job: &Key) -> bool {
        match &self.job {
            Some(name) => job.kind == Kind::Job && job.name == *name,
            None => job.kind == Kind::CronJob && self.cron_job.as_ref() == Some(&job.name),
        }
    }

    /// The check that it is, if it is one, with the thresholds of a gate.
    pub fn probe(&self) -> Option<Probe> {
        let is_check = self.job.is_none() && self.cron_job.is_none();
        is_check.then(|| Probe {
            http_get: self.http_get.clone(),
            tcp_socket: self.tcp_socket.clone(),
            grpc: self.grpc.clone(),
            exec: self.exec.clone(),
            initial_delay: Span::ZERO,
            period: self.period,
            timeout: self.timeout,
            success_threshold: 1,
            failure_threshold: self.retries.saturating_add(1),
        })
    }

    /// What it is called in messages: `job migrate`, `GET /health at port http`, `… by name`.
    pub fn title(&self) -> String {
        let way = if self.by_name { " by name" } else { "" };
        format!("{}{way}", self.what())
    }

    fn what(&self) -> String {
        match self {
            Gate { job: Some(job), .. } => format!("job {job}"),
            Gate { cron_job: Some(cron_job), .. } => format!("cronjob {cron_job}"),
            Gate { http_get: Some(get), .. } => format!("GET {} at port {}", get.path, get.port),
            Gate { grpc: Some(grpc), .. } if grpc.service.is_empty() => format!("gRPC health at port {}", grpc.port),
            Gate { grpc: Some(grpc), .. } => format!("gRPC health of {} at port {}", grpc.service, grpc.port),
            Gate { exec: Some(exec), .. } => format!("command {}", in_short(&exec.command)),
            Gate { tcp_socket: Some(socket), .. } => format!("TCP connection to port {}", socket.port),
            // Such a one is refused when the manifest is read.
            _ => "nothing".into(),
        }
    }
}

/// How much of a command its title tells, in characters.
const COMMAND_MAX: usize = 60;

/// A command on one line. What is cut off of a long one tells two of them apart all the same: a few digits of its hash.
fn in_short(command: &[String]) -> String {
    let words: Vec<&str> = command.iter().flat_map(|word| word.split_whitespace()).collect();
    let line = printable(&words.join(" "));
    if line.chars().count() <= COMMAND_MAX {
        return line;
    }
    let head: String = line.chars().take(COMMAND_MAX).collect();
    format!("{}… ({})", head.trim_end(), short_hash(&command.join("\0")))
}

fn a_day() -> Span {
    Span::secs(86_400)
}
fn three() -> u32 {
    3
}
fn two_seconds() -> Span {
    Span::secs(2)
}
fn five_seconds() -> Span {
    Span::secs(5)
}

// What a gate leaves at its default is not shown: most of it means nothing to its sort.
fn is_a_day(span: &Span) -> bool {
    *span == a_day()
}
fn is_three(number: &u32) -> bool {
    *number == three()
}
fn is_two_seconds(span: &Span) -> bool {
    *span == two_seconds()
}
fn is_five_seconds(span: &Span) -> bool {
    *span == five_seconds()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(command: &[&str]) -> String {
        let gate: Gate = serde_json::from_value(serde_json::json!({"exec": {"command": command}})).unwrap();
        gate.title()
    }

    #[test]
    fn the_same_check_of_two_ports_has_two_titles() {
        let title = |check: serde_json::Value| serde_json::from_value::<Gate>(check).unwrap().title();
        let get = |port: u16| title(serde_json::json!({"httpGet": {"port": port, "path": "/health"}, "byName": true}));
        assert_eq!(get(80), "GET /health at port 80 by name");
        assert_ne!(get(80), get(81));
        let tcp = serde_json::json!({"tcpSocket": {"port": "db"}});
        assert_eq!(title(tcp), "TCP connection to port db");
        assert_eq!(title(serde_json::json!({"grpc": {"port": 50}})), "gRPC health at port 50");
    }

    #[test]
    fn two_commands_of_one_program_have_titles_of_their_own() {
        assert_eq!(title(&["psql", "-c", "select 1"]), "command psql -c select 1");
        assert_eq!(title(&["sh", "-c", "one\n  two"]), "command sh -c one two");
        let long =
            |end: &str| title(&["sh", "-c", &format!("{} {end}", "curl --fail http://localhost/health ".repeat(3))]);
        let (a, b) = (long("a"), long("b"));
        assert!(
            a.starts_with("command sh -c curl --fail http://localhost/health curl --fail http") && a != b,
            "{a} {b}"
        );
        assert_eq!(a, long("a"));
        assert!(a.chars().count() < 80, "{a}");
    }
}
