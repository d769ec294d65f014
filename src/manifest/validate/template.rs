//! The rules inside one container template: what excludes what, and what Docker would refuse.

use std::collections::BTreeSet;

use super::{image_policy, images, repeated, reserved_labels, words, wrong};
use crate::manifest::diagnostic::Problems;
use crate::manifest::dotenv::is_env_name;
use crate::manifest::place::At;
use crate::manifest::suggest;
use crate::model::quantity::Memory;
use crate::model::spec::{
    EnvFrom, Exec, Gate, Grpc, HealthCheck, HostPort, HttpGet, Mount, Port, PortRef, Probe, Resources, Template,
};
use crate::model::time::Span;

/// How many contents an environment takes: each required variable is looked for in each.
pub const ENV_FROM_MAX: usize = 32;

/// Docker refuses a memory limit below this.
const MEMORY_MIN: Memory = Memory(6 << 20);

/// Checks a template that runs as `replicas` containers.
pub fn check(at: At<'_>, template: &Template, replicas: u32, problems: &mut Problems) {
    images::check(at, template, problems);
    image_policy::check(at, template, problems);
    environment(at, template, problems);
    ports(at.field("ports"), template, replicas, problems);
    networks(at.field("networks"), template, replicas, problems);
    mounts(at.field("mounts"), &template.mounts, problems);
    resources(at.field("resources"), &template.resources, problems);
    security_options(at.field("securityOptions"), &template.security_options, problems);
    probes(at, template, problems);
    reserved_labels(at.field("labels"), &template.labels, problems);
    lifecycle(at, template, problems);
    host_settings(at, template, problems);
    words::check(at, template, problems);
}

/// What makes no sense in a container that runs to completion. `what` it is: a Job or a CronJob.
pub fn job(at: At<'_>, what: &str, template: &Template, problems: &mut Problems) {
    for name in ["startupProbe", "readinessProbe", "livenessProbe"] {
        if at.key(name).is_written() {
            wrong(problems, at.key(name), format!("a {what} has no probes"))
                .hint("its exit code says how it went; remove the field");
        }
    }
    let policy = at.field("restartPolicy");
    if policy.is_written() && policy.text() != Some("Never") {
        wrong(problems, policy, format!("a {what}'s restart policy is always Never"))
            .hint("use 'backoffLimit' for further attempts");
    }
    for (index, network) in template.networks.iter().enumerate() {
        if !network.aliases().is_empty() {
            let at = at.field("networks").item(index).key("aliases");
            wrong(problems, at, format!("a {what} has no name on its networks")).hint("remove the aliases");
        }
    }
}

fn environment(at: At<'_>, template: &Template, problems: &mut Problems) {
    for name in template.env.keys().filter(|name| !is_env_name(name)) {
        let problem = wrong(problems, at.field("env").key(name), format!("'{name}' is not the name of a variable"));
        problem.hint("a name has letters, digits, '_', '.' and '-', and does not begin with a digit");
    }
    let mut seen = BTreeSet::new();
    for (index, name) in template.required_env.iter().enumerate() {
        let at = at.field("requiredEnv").item(index);
        if !is_env_name(name) {
            wrong(problems, at, format!("'{name}' is not the name of a variable"));
        } else if !seen.insert(name) {
            wrong(problems, at, format!("'{name}' is there twice"));
        }
    }
    if template.env_from.len() > ENV_FROM_MAX {
        wrong(problems, at.field("envFrom"), format!("envFrom has at most {ENV_FROM_MAX} items"))
            .hint("put the variables of several ConfigMaps or Secrets into one");
    }
    for (index, EnvFrom { secret, config_map, prefix }) in template.env_from.iter().enumerate() {
        let at = at.field("envFrom").item(index);
        one_of(at, &[("secret", secret.is_some()), ("configMap", config_map.is_some())], problems);
        if !prefix.is_empty() && !is_env_name(prefix) {
            wrong(problems, at.field("prefix"), format!("'{prefix}' cannot begin the name of a variable"));
        }
    }
}

/// Exactly one of some fields must be there.
pub fn one_of(at: At<'_>, fields: &[(&str, bool)], problems: &mut Problems) {
    let given: Vec<&str> = fields.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
    let names = || fields.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    match given[..] {
        [_] => {}
        [] => drop(wrong(problems, at, format!("exactly one of {} is needed", names()))),
        [_, second, ..] => {
            let message = format!("exactly one of {} is needed, not {}", names(), given.join(" and "));
            wrong(problems, at.key(second), message);
        }
    }
}

fn ports(at: At<'_>, template: &Template, replicas: u32, problems: &mut Problems) {
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for (index, port) in template.ports.iter().enumerate() {
        let at = at.item(index);
        if let Some(name) = &port.name {
            if name.is_empty() || name.len() > 63 || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
                wrong(problems, at.field("name"), "a port's name has 1 to 63 characters and no spaces");
            }
            if !names.insert(name) {
                wrong(problems, at.field("name"), format!("two ports have the name '{name}'"));
            }
        }
        if port.host_port.is_none() && !numbers.insert((port.port, port.protocol)) {
            wrong(problems, at.field("port"), format!("port {} is there twice", port.port));
        }
        if let Some(host_port) = &port.host_port {
            published(at.field("hostPort"), port, host_port, template, replicas, problems);
        }
    }
}

fn published(at: At<'_>, port: &Port, host: &HostPort, template: &Template, replicas: u32, problems: &mut Problems) {
    if template.host_network {
        let hint = format!("with hostNetwork the container's port {} is the host's; remove hostPort", port.port);
        wrong(problems, at, "hostPort and hostNetwork exclude each other").hint(hint);
    }
    let Ok((first, last)) = host.bounds() else { return };
    let room = u32::from(last - first) + 1;
    if room >= replicas {
        return;
    }
    let end = u32::from(first) + replicas - 1;
    let hint = match end <= u32::from(u16::MAX) {
        true => format!("write hostPort: {first}-{end}, or put a proxy in front"),
        false => "choose a range that begins lower".into(),
    };
    let message = match host {
        HostPort::Fixed(port) => format!("host port {port} can be used by one replica, not by {replicas}"),
        HostPort::Range(range) => format!("the range {range} has {room} ports for {replicas} replicas"),
    };
    wrong(problems, at, message).hint(hint);
}

fn networks(at: At<'_>, template: &Template, replicas: u32, problems: &mut Problems) {
    if template.host_network && !template.networks.is_empty() {
        wrong(problems, at, "networks and hostNetwork exclude each other").hint("remove one of them");
    }
    repeated(at, template.networks.iter().map(|network| network.name()), "network", problems);
    for (index, network) in template.networks.iter().enumerate() {
        let at = at.item(index);
        repeated(at.field("aliases"), network.aliases().iter(), "alias", problems);
        if network.address().is_some() && replicas > 1 {
            let message = format!("a fixed address can be used by one replica, not by {replicas}");
            wrong(problems, at.field("address"), message).hint("remove it: replicas are found by name");
        }
    }
}

fn mounts(at: At<'_>, mounts: &[Mount], problems: &mut Problems) {
    let mut paths = BTreeSet::new();
    for (index, mount) in mounts.iter().enumerate() {
        let at = at.item(index);
        one_of(
            at,
            &[
                ("volume", mount.volume.is_some()),
                ("configMap", mount.config_map.is_some()),
                ("secret", mount.secret.is_some()),
                ("hostPath", mount.host_path.is_some()),
                ("tmpfs", mount.tmpfs.is_some()),
            ],
            problems,
        );
        let path = mount.path.trim_end_matches('/');
        if path.is_empty() || path.split('/').any(|part| part == "..") {
            wrong(problems, at.field("path"), format!("'{}' cannot be mounted on", mount.path));
        } else if !paths.insert(path) {
            wrong(problems, at.field("path"), format!("something else is mounted on '{path}' already"));
        }
        let content = mount.config_map.is_some() || mount.secret.is_some();
        let only_for_content = [
            ("key", mount.key.is_some()),
            ("mode", mount.mode.is_some()),
            ("uid", mount.uid.is_some()),
            ("gid", mount.gid.is_some()),
        ];
        for (name, _) in only_for_content.iter().filter(|(_, given)| *given && !content) {
            wrong(problems, at.key(name), format!("'{name}' is for a configMap or secret"));
        }
    }
}

/// The engine wants the profile itself, where its own command line reads a file.
fn security_options(at: At<'_>, options: &[String], problems: &mut Problems) {
    for (index, option) in options.iter().enumerate() {
        let profile = option.strip_prefix("seccomp=").or_else(|| option.strip_prefix("seccomp:"));
        if profile.is_some_and(|p| !matches!(p, "unconfined" | "builtin") && !p.trim_start().starts_with('{')) {
            wrong(problems, at.item(index), "a seccomp profile is given as JSON text here, not as a file's path")
                .hint("write seccomp=unconfined, seccomp=builtin, or seccomp={…} with the profile's content");
        }
    }
}

fn resources(at: At<'_>, resources: &Resources, problems: &mut Problems) {
    let (limits, requests) = (&resources.limits, &resources.requests);
    let limit_at = |name| at.field("limits").field(name);
    if let Some(memory) = limits.memory.filter(|memory| *memory < MEMORY_MIN) {
        wrong(problems, limit_at("memory"), format!("a memory limit is at least {MEMORY_MIN}, not {memory}"));
    }
    if limits.cpu.is_some_and(|cpu| cpu.0 < 10) {
        wrong(problems, limit_at("cpu"), "a CPU limit is at least 10m");
    }
    let request_at = |name| at.field("requests").field(name);
    if let (Some(limit), Some(request)) = (limits.memory, requests.memory)
        && request > limit
    {
        wrong(problems, request_at("memory"), format!("the request is more than the limit of {limit}"));
    }
    if requests.cpu.is_some_and(|cpu| cpu.0 < 2) {
        wrong(problems, request_at("cpu"), "a CPU request is at least 2m");
    }
    if requests.memory.is_some_and(|request| request < MEMORY_MIN) {
        wrong(problems, request_at("memory"), format!("a memory request is at least {MEMORY_MIN}"));
    }
}

/// What its ports are called, for those who name one.
pub fn named_ports(template: &Template) -> BTreeSet<&str> {
    template.ports.iter().filter_map(|port| port.name.as_deref()).collect()
}

fn probes(at: At<'_>, template: &Template, problems: &mut Problems) {
    let ports = named_ports(template);
    let probes = [
        ("startupProbe", &template.startup_probe),
        ("readinessProbe", &template.readiness_probe),
        ("livenessProbe", &template.liveness_probe),
    ];
    for (name, probe) in probes {
        if let Some(probe) = probe {
            check_probe(at.field(name), probe, &ports, problems);
            if name != "readinessProbe" && probe.success_threshold > 1 {
                let hint = "remove it: as in Kubernetes, only a readinessProbe takes more than one success";
                wrong(problems, at.field(name).field("successThreshold"), format!("a {name}'s successThreshold is 1"))
                    .hint(hint);
            }
        }
    }
    if let Some(check) = &template.health_check {
        health_check(at.field("healthCheck"), check, problems);
    }
}

fn check_probe(at: At<'_>, probe: &Probe, ports: &BTreeSet<&str>, problems: &mut Problems) {
    let given = [
        ("httpGet", probe.http_get.is_some()),
        ("tcpSocket", probe.tcp_socket.is_some()),
        ("grpc", probe.grpc.is_some()),
        ("exec", probe.exec.is_some()),
    ];
    one_of(at, &given, problems);
    command(at, probe.exec.as_ref(), problems);
    if probe.period < Span::millis(100) {
        wrong(problems, at.field("period"), "a probe's period is at least 100ms");
    }
    if probe.timeout == Span::ZERO {
        wrong(problems, at.field("timeout"), "a probe needs some time: its timeout cannot be 0");
    }
    if let Some(get) = &probe.http_get {
        http_get(at.field("httpGet"), get, ports, problems);
    }
    if let Some(socket) = &probe.tcp_socket {
        port_ref(at.field("tcpSocket").field("port"), &socket.port, ports, problems);
    }
    if let Some(asked) = &probe.grpc {
        grpc(at.field("grpc"), asked, ports, problems);
    }
}

fn command(at: At<'_>, exec: Option<&Exec>, problems: &mut Problems) {
    if exec.is_some_and(|exec| exec.command.first().is_none_or(String::is_empty)) {
        wrong(problems, at.field("exec").field("command"), "an empty command runs nothing")
            .hint("write [PROGRAM, ARGUMENT, …]");
    }
}

/// A check after a rollout.
pub fn gate(at: At<'_>, gate: &Gate, ports: &BTreeSet<&str>, problems: &mut Problems) {
    command(at, gate.exec.as_ref(), problems);
    if let Some(get) = &gate.http_get {
        http_get(at.field("httpGet"), get, ports, problems);
    }
    if let Some(socket) = &gate.tcp_socket {
        port_ref(at.field("tcpSocket").field("port"), &socket.port, ports, problems);
    }
    if let Some(asked) = &gate.grpc {
        grpc(at.field("grpc"), asked, ports, problems);
    }
}

fn grpc(at: At<'_>, grpc: &Grpc, ports: &BTreeSet<&str>, problems: &mut Problems) {
    port_ref(at.field("port"), &grpc.port, ports, problems);
    // A gate is remembered by it, and a page of a terminal shows it.
    if grpc.service.contains(|c: char| c.is_whitespace() || c.is_control()) {
        let message = format!("'{}' is not the name of a gRPC service: it has no spaces", grpc.service);
        wrong(problems, at.field("service"), message).hint("such as shop.v1.Orders");
    }
}

fn http_get(at: At<'_>, get: &HttpGet, ports: &BTreeSet<&str>, problems: &mut Problems) {
    port_ref(at.field("port"), &get.port, ports, problems);
    if !get.path.starts_with('/') || get.path.contains(|c: char| c.is_whitespace() || c.is_control()) {
        let message = format!("'{}' is not a path: it begins with '/' and has no spaces", get.path);
        wrong(problems, at.field("path"), message);
    }
    for (name, value) in &get.headers {
        let legal = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(legal) {
            wrong(problems, at.field("headers").key(name), format!("'{name}' is not the name of a header"));
        } else if value.contains(|c: char| c.is_control() && c != '\t') {
            wrong(problems, at.field("headers").field(name), "a header's value has no line breaks");
        }
    }
}

/// `ports` are those with a name.
fn port_ref(at: At<'_>, port: &PortRef, ports: &BTreeSet<&str>, problems: &mut Problems) {
    let PortRef::Name(name) = port else { return };
    if !ports.contains(name.as_str()) {
        let names = ports.iter().copied();
        let hint = problems.unless_full(|| suggest::hint(name, names, "the ports with a name are"));
        let hint = hint.unwrap_or_else(|| "write the port's number, or give it a name in 'ports'".into());
        wrong(problems, at, format!("there is no port with the name '{name}'")).hint(hint);
    }
}

fn health_check(at: At<'_>, check: &HealthCheck, problems: &mut Problems) {
    match (check.command.is_empty(), check.disable) {
        (true, false) => {
            wrong(problems, at, "a healthCheck needs a command")
                .hint("or 'disable: true' to switch the image's own off");
        }
        (false, true) => drop(wrong(problems, at.key("disable"), "a healthCheck with a command cannot be disabled")),
        (true, true) | (false, false) => {}
    }
    let spans = [("interval", check.interval), ("timeout", check.timeout)];
    for (name, _) in spans.iter().filter(|(_, span)| *span == Some(Span::ZERO)) {
        wrong(problems, at.field(name), format!("'{name}' cannot be 0"));
    }
}

fn lifecycle(at: At<'_>, template: &Template, problems: &mut Problems) {
    if let Some(hook) = &template.lifecycle.pre_stop {
        let at = at.field("lifecycle").field("preStop");
        one_of(at, &[("sleep", hook.sleep.is_some()), ("exec", hook.exec.is_some())], problems);
        command(at, hook.exec.as_ref(), problems);
    }
    for (index, dependency) in template.depends_on.iter().enumerate() {
        let at = at.field("dependsOn").item(index);
        one_of(at, &[("deployment", dependency.deployment.is_some()), ("job", dependency.job.is_some())], problems);
    }
}

fn host_settings(at: At<'_>, template: &Template, problems: &mut Problems) {
    for (name, limit) in &template.ulimits {
        if limit.soft > limit.hard && limit.hard != -1 {
            wrong(problems, at.field("ulimits").key(name), "the soft limit is more than the hard one");
        }
    }
    for (index, device) in template.devices.iter().enumerate().filter(|(_, device)| !device.starts_with('/')) {
        wrong(problems, at.field("devices").item(index), format!("'{device}' is not an absolute path"));
    }
    for (host, address) in &template.extra_hosts {
        if address != "host-gateway" && address.parse::<std::net::IpAddr>().is_err() {
            let problem = wrong(problems, at.field("extraHosts").field(host), format!("'{address}' is not an address"));
            problem.hint("write an IP address, or host-gateway for the host");
        }
    }
    let absolute = template.working_dir.as_ref().is_none_or(|dir| dir.starts_with('/'));
    if !absolute {
        wrong(problems, at.field("workingDir"), "the working directory is an absolute path");
    }
    if template.logging.as_ref().is_some_and(|logging| logging.driver.is_empty()) {
        wrong(problems, at.field("logging").field("driver"), "the driver's name is empty");
    }
}
