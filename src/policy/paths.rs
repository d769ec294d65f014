//! Host paths: as they are written, where they lead, and whether an exception means them. It asks the host nothing.

use std::collections::BTreeSet;

use super::Judge;
use crate::model::desired::Desired;
use crate::model::observed::Volume;
use crate::model::policy::{HostPath, HostPathException, Policy, PolicyFile, Standing};

/// Sockets that command the host. One of these names anywhere is one, and so is whatever contains it.
const SOCKETS: [&str; 6] = [
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/var/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/run/crio/crio.sock",
];

/// Directories of the system itself. Only an exception for exactly the path that is mounted means what is in there.
const SYSTEM: [&str; 17] = [
    "/proc",
    "/sys",
    "/dev",
    "/boot",
    "/etc",
    "/root",
    "/run",
    "/var/run",
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/var/lib/docker",
    "/var/lib/containerd",
    "/var/lib/evenkeel",
    "/var/spool/cron",
];

/// Every path of the host that a judgement may ask about: those of templates and volumes, and the policy's own.
pub fn of_interest<'a>(desired: &Desired, volumes: impl Iterator<Item = &'a Volume>) -> BTreeSet<String> {
    let Standing::InForce(policy) = &desired.policy else { return BTreeSet::new() };
    let of_templates = desired.templates().flat_map(|(_, template)| {
        let mounts = template.mounts.iter().filter_map(|mount| mount.host_path.clone());
        mounts.chain(template.devices.iter().map(|device| host_side(device).to_owned()))
    });
    let declared = desired.volumes.values().filter_map(|declared| declared.spec.options.get("device").cloned());
    let living = volumes.filter_map(|volume| volume.options.get("device").cloned());
    let files = desired.host_files.values().flatten().flat_map(|file| [file.path.clone(), file.source.clone()]);
    let all = of_templates.chain(declared).chain(living).chain(files).chain(of_policy(policy));
    all.filter(|path| path.starts_with('/')).collect()
}

fn of_policy(policy: &Policy) -> impl Iterator<Item = String> {
    of_rules(&policy.rules).into_iter().chain(policy.guarded.iter().map(|guarded| guarded.path.clone()))
}

/// Every path that a policy excepts.
pub fn of_rules(rules: &PolicyFile) -> BTreeSet<String> {
    let exceptions = rules.namespaces.values().flat_map(|namespace| {
        let exceptions = &namespace.exceptions;
        let paths = exceptions.host_paths.iter().map(|exception| exception.path.clone());
        let files = exceptions.host_files.iter().chain(&exceptions.build_contexts).cloned();
        paths.chain(files).chain(exceptions.devices.iter().cloned())
    });
    exceptions.collect()
}

/// The path on the host of a device as `docker run --device` writes it.
pub fn host_side(device: &str) -> &str {
    device.split(':').next().unwrap_or(device)
}

/// The path without `.`, `..`, doubled and trailing slashes, as the kernel would read it if there were no links; none
/// when it is not absolute.
pub fn plain(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.strip_prefix('/')?.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

/// The directories whose content the writers of manifests change, each with their source. A whole system can be a git checkout;
/// nobody pushes what that is.
pub fn theirs(policy: &Policy) -> impl Iterator<Item = (&str, &str)> {
    let all = policy
        .writers
        .iter()
        .flat_map(|writers| writers.dirs.iter().map(|dir| (dir.as_str(), writers.source.as_str())));
    all.filter(|(dir, _)| !SYSTEM.iter().any(|system| is_at_or_below(system, dir)))
}

/// Whether `path` is `base` or below it. Both are plain.
pub fn is_at_or_below(path: &str, base: &str) -> bool {
    base == "/" || path == base || path.strip_prefix(base).is_some_and(|rest| rest.starts_with('/'))
}

/// What a path is, beside a path.
pub enum Nature {
    /// A socket that commands the host, or a directory that has one in it.
    Socket(String),
    /// The root, a directory of the system, or one that has such a directory in it.
    System(String),
    /// Neither.
    Ordinary,
}

impl Judge<'_> {
    /// Judges a path of the host that is to be seen in a container.
    pub(super) fn host_path(&mut self, field: &str, rule: &str, path: &str, writable: bool) {
        let Some(written) = plain(path) else {
            return self.refuse(field, rule, format!("'{path}' is not an absolute path"), None);
        };
        let leads_to = match self.leads_to(path) {
            Ok(real) => real,
            Err(why) => return self.refuse(field, "host-path-unknown", format!("'{path}' {why}"), None),
        };
        for place in [&leads_to, &written] {
            if self.is_excepted(place, writable) {
                continue;
            }
            // Where a link leads is what counts; the way it is written only when that is worse.
            let (rule, what) = match self.nature(place) {
                Nature::Socket(what) => ("engine-socket", format!(": it is or contains {what}")),
                Nature::System(what) => (rule, format!(": it is or contains a part of the system, {what}")),
                Nature::Ordinary if place != &leads_to => continue,
                Nature::Ordinary => (rule, String::new()),
            };
            let way = if place == path { String::new() } else { format!(", which leads to '{place}'") };
            let but = match self.exception_for_reading(place) && writable {
                true => "; the exception for it is read-only",
                false => "",
            };
            let entry = exception_text(place, writable);
            return self.refuse(field, rule, format!("asks for the host's '{path}'{way}{what}{but}"), Some(entry));
        }
    }

    /// Where a path leads, without links, or why that is not known.
    pub(super) fn leads_to(&self, path: &str) -> Result<String, String> {
        let Some(paths) = self.ground.paths else {
            return plain(path).ok_or_else(|| "is not an absolute path".into());
        };
        match paths.get(path) {
            Some(HostPath::Real { path, loose: None, .. }) => Ok(path.clone()),
            Some(HostPath::Real { loose: Some(directory), .. }) => Err(format!(
                "could be another one when it is mounted: users other than root can change the directory {directory} on the way"
            )),
            Some(HostPath::Missing) => Err("does not exist, so where it leads cannot be judged".into()),
            Some(HostPath::Unknown(why)) => Err(format!("cannot be judged: {why}")),
            None => Err("is new, and where it leads was not looked up yet".into()),
        }
    }

    fn is_excepted(&self, place: &str, writable: bool) -> bool {
        let meant = |exception: &&HostPathException| self.means(exception, place);
        self.exceptions.host_paths.iter().filter(meant).any(|exception| exception.writable || !writable)
    }

    fn exception_for_reading(&self, place: &str) -> bool {
        self.exceptions.host_paths.iter().any(|exception| self.means(exception, place))
    }

    /// Whether an exception means a place: exactly it, or, for an ordinary place, what is below.
    fn means(&self, exception: &HostPathException, place: &str) -> bool {
        let Some(base) = self.meant_by(&exception.path) else { return false };
        if place == base || plain(&exception.path).as_deref() == Some(place) {
            return true;
        }
        exception.below && is_at_or_below(place, &base) && matches!(self.nature(place), Nature::Ordinary)
    }

    /// The place that an excepted path stands for: where it leads, without links. None where no operator can have meant that:
    /// an ordinary path that leads to a part of the system by now, or one that is led on by a link which a push can change.
    pub(super) fn meant_by(&self, excepted: &str) -> Option<String> {
        let (written, place) = (plain(excepted)?, self.leads_to(excepted).ok()?);
        let is_ordinary = |path: &str| matches!(self.nature(path), Nature::Ordinary);
        let is_turned = place != written && is_ordinary(&written) && !is_ordinary(&place);
        (!is_turned && !self.is_led_by_writers(excepted)).then_some(place)
    }

    /// Whether a link on the way lies where those who write manifests can change it.
    fn is_led_by_writers(&self, path: &str) -> bool {
        let Some(HostPath::Real { links, .. }) = self.ground.paths.and_then(|paths| paths.get(path)) else {
            return false;
        };
        links.iter().any(|link| theirs(self.policy).any(|(dir, _)| is_at_or_below(link, dir)))
    }

    /// What a place of the host is.
    pub(super) fn nature(&self, place: &str) -> Nature {
        let named_as = |socket: &&str| place.rsplit('/').next() == socket.rsplit('/').next();
        if SOCKETS.iter().any(|socket| is_at_or_below(socket, place) || named_as(socket)) {
            return Nature::Socket("the engine's socket".into());
        }
        for guarded in &self.policy.guarded {
            let real = self.leads_to(&guarded.path).ok();
            let of_it = [plain(&guarded.path), real];
            let meets = |path: &String| is_at_or_below(path, place) || is_at_or_below(place, path);
            if of_it.iter().flatten().any(meets) {
                let what = guarded.what.clone();
                return if guarded.is_socket { Nature::Socket(what) } else { Nature::System(what) };
            }
        }
        let system = SYSTEM.iter().find(|system| is_at_or_below(system, place) || is_at_or_below(place, system));
        system.map_or(Nature::Ordinary, |system| Nature::System((*system).into()))
    }
}

fn exception_text(path: &str, writable: bool) -> String {
    let writable = if writable { ", writable: true" } else { "" };
    format!("`hostPaths: [{{path: {path}{writable}}}]`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_as_the_kernel_reads_it() {
        let spellings = ["/run/docker.sock", "//run///docker.sock", "/var/../run/./docker.sock", "/run/docker.sock/"];
        for spelling in spellings {
            assert_eq!(plain(spelling).as_deref(), Some("/run/docker.sock"), "{spelling}");
        }
        assert_eq!(plain("/../../etc").as_deref(), Some("/etc"));
        assert_eq!(plain("/").as_deref(), Some("/"));
        assert_eq!(plain("run/docker.sock"), None);
    }

    #[test]
    fn a_name_that_begins_alike_is_not_below() {
        assert!(is_at_or_below("/srv/shop/a", "/srv/shop"));
        assert!(is_at_or_below("/srv", "/"));
        assert!(!is_at_or_below("/srv/shop-b", "/srv/shop"));
    }
}
