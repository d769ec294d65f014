//! Health checks and lifecycle hooks of a template.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::model::time::Span;

/// A check that Evenkeel itself makes: against the container's address, so that the image needs no curl, or by a command
/// in it. Exactly one of `httpGet`, `tcpSocket`, `grpc` and `exec` is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Probe {
    /// An HTTP GET; any status from 200 to 399 is a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HttpGet>,
    /// A TCP connection; being accepted is a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp_socket: Option<TcpSocket>,
    /// A question to gRPC's health service; that it answers SERVING is a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<Grpc>,
    /// A command in the container; that it ends with 0 is a success. Each run costs the engine a process: prefer the others
    /// where a program listens on a port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<Exec>,
    /// Time from the container's start to the first check. Default: 0s.
    #[serde(default)]
    pub initial_delay: Span,
    /// Time between checks, at least 100ms. A replica that is not ready yet is checked every second or faster. Default: 10s.
    #[serde(default = "ten_seconds")]
    pub period: Span,
    /// How long one check may take. Default: 1s.
    #[serde(default = "one_second")]
    pub timeout: Span,
    /// Successes in a row that make it healthy. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub success_threshold: u32,
    /// Failures in a row that make it unhealthy. Default: 3.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 100_000))]
    pub failure_threshold: u32,
}

impl Probe {
    /// The address to connect to within the container's network; none: the container's own, from the host.
    pub fn host(&self) -> Option<IpAddr> {
        let http = self.http_get.as_ref().and_then(|get| get.host);
        let tcp = || self.tcp_socket.as_ref().and_then(|socket| socket.host);
        let grpc = || self.grpc.as_ref().and_then(|grpc| grpc.host);
        http.or_else(tcp).or_else(grpc).map(|host| host.0)
    }

    /// The port to connect to; none for a command.
    pub fn port(&self) -> Option<&PortRef> {
        let http = self.http_get.as_ref().map(|get| &get.port);
        let tcp = || self.tcp_socket.as_ref().map(|socket| &socket.port);
        http.or_else(tcp).or_else(|| self.grpc.as_ref().map(|grpc| &grpc.port))
    }

    /// Whether two probes check the same, if not equally often and strictly.
    pub fn checks_the_same_as(&self, other: &Probe) -> bool {
        self.http_get == other.http_get
            && self.tcp_socket == other.tcp_socket
            && self.grpc == other.grpc
            && self.exec == other.exec
    }
}

/// An HTTP GET.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpGet {
    /// The container's port: its number or its name in `ports`.
    pub port: PortRef,
    /// A loopback address, such as 127.0.0.1: connect to it within the container's network, for a program that listens there
    /// only. (Kubernetes connects to it on the node.) Needs Evenkeel to run as root and to see the host's processes. Default:
    /// the container's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Loopback>,
    /// The path with its query. Default: `/`.
    #[serde(default = "root")]
    pub path: String,
    /// Further request headers; `Host` may be set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The status that counts as a success. Default: any from 200 to 399.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 599))]
    pub status: Option<u16>,
    /// A text that the first 64 KiB of the answer must contain. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// A TCP connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TcpSocket {
    /// The container's port: its number or its name in `ports`.
    pub port: PortRef,
    /// A loopback address, such as 127.0.0.1: connect to it within the container's network, for a program that listens there
    /// only. (Kubernetes connects to it on the node.) Needs Evenkeel to run as root and to see the host's processes. Default:
    /// the container's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Loopback>,
}

/// A question to the health service that gRPC servers have (`grpc.health.v1.Health/Check`), over HTTP/2 without TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grpc {
    /// The container's port: its number or its name in `ports`. (Kubernetes takes a number only.)
    pub port: PortRef,
    /// A loopback address, such as 127.0.0.1: connect to it within the container's network, for a program that listens there
    /// only. (Kubernetes has no such field here.) Needs Evenkeel to run as root and to see the host's processes. Default: the
    /// container's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Loopback>,
    /// The service to ask about. Default: empty, which asks about the server as a whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service: String,
}

/// An address of a container's own loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "loopback"))]
pub struct Loopback(pub IpAddr);

impl TryFrom<String> for Loopback {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let address: Option<IpAddr> = text.parse().ok();
        let loopback = address.filter(IpAddr::is_loopback);
        loopback.map(Self).ok_or_else(|| format!("'{text}' is not an address of a container's own loopback"))
    }
}

impl From<Loopback> for String {
    fn from(host: Loopback) -> String {
        host.0.to_string()
    }
}

/// A command in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exec {
    /// The command and its arguments, run without a shell. Docker cannot end one that takes longer than `timeout`: it
    /// counts as failed and goes on in the container.
    pub command: Vec<String>,
}

/// A container port, by number or by its name in `ports`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PortRef {
    /// The port's number.
    Number(#[schemars(range(min = 1))] u16),
    /// The port's name in `ports`.
    Name(String),
}

impl fmt::Display for PortRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PortRef::Number(number) => number.fmt(f),
            PortRef::Name(name) => name.fmt(f),
        }
    }
}

/// Docker's own health check, run inside the container. Without this field the image's own applies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HealthCheck {
    /// The command and its arguments, run without a shell. Required unless `disable` is true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Whether to switch the image's health check off. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disable: bool,
    /// Time between checks. Default: 30s (Docker's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Span>,
    /// How long one check may take. Default: 30s (Docker's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Time after the start in which failures do not count. Default: 0s (Docker's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_period: Option<Span>,
    /// Failures in a row that make it unhealthy. Default: 3 (Docker's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
}

/// What happens around a replica's end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Lifecycle {
    /// What to do after the drain and before the stop signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_stop: Option<PreStop>,
}

/// What to do after the drain and before the stop signal: wait, or run a command in the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PreStop {
    /// Wait for this long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sleep: Option<Span>,
    /// Run this command in the container, for at most the termination grace period. Its failure does not prevent the stop.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "exec_or_list")]
    pub exec: Option<Exec>,
}

/// As an older release wrote it into the history: the words of the command alone. A manifest may not.
fn exec_or_list<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Exec>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Exec(Exec),
        List(Vec<String>),
    }
    Ok(Option::<Written>::deserialize(from)?.map(|written| match written {
        Written::Exec(exec) => exec,
        Written::List(command) => Exec { command },
    }))
}

fn root() -> String {
    "/".into()
}
fn one() -> u32 {
    1
}
fn three() -> u32 {
    3
}
fn one_second() -> Span {
    Span::secs(1)
}
fn ten_seconds() -> Span {
    Span::secs(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_before_the_stop_is_read_as_kubernetes_writes_it_and_as_an_older_history_has_it() {
        let read = |json: serde_json::Value| serde_json::from_value::<PreStop>(json).map(|hook| hook.exec);
        let exec = Some(Exec { command: vec!["nginx".into(), "-s".into(), "quit".into()] });
        assert_eq!(read(serde_json::json!({"exec": {"command": ["nginx", "-s", "quit"]}})).unwrap(), exec);
        assert_eq!(read(serde_json::json!({"exec": ["nginx", "-s", "quit"]})).unwrap(), exec);
        assert_eq!(read(serde_json::json!({"sleep": "5s"})).unwrap(), None);
        let written = serde_json::to_value(PreStop { exec, ..PreStop::default() }).unwrap();
        assert_eq!(written, serde_json::json!({"exec": {"command": ["nginx", "-s", "quit"]}}));
    }
}
