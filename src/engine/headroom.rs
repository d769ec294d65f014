//! What the engine's host has left, read from the kernel: only where the engine runs on this very machine. It decides nothing.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bollard::models::SystemInfo;

use super::Host;
use crate::model::observed::{DiskSpace, Headroom};

const MEMORY: &str = "/proc/meminfo";

/// The way to the host's numbers.
#[derive(Default)]
pub(super) struct Gauge {
    /// The engine's data root; none while the engine is another machine's, or was not asked.
    data_root: Mutex<Option<PathBuf>>,
}

impl Gauge {
    /// Takes in what an engine says of itself.
    pub(super) fn meet(&self, host: &Host, info: &SystemInfo) {
        *self.data_root() = data_root(host, info, &std::fs::read_to_string(MEMORY).unwrap_or_default());
    }

    pub(super) fn read(&self) -> Headroom {
        match &*self.data_root() {
            Some(data_root) => Headroom {
                memory: std::fs::read_to_string(MEMORY).ok().and_then(|text| bytes(&text, "MemAvailable:")),
                disk: disk(data_root),
            },
            None => Headroom::default(),
        }
    }

    fn data_root(&self) -> MutexGuard<'_, Option<PathBuf>> {
        self.data_root.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where an engine keeps its data, if its machine is this one. A socket can lead elsewhere (into a virtual machine, through
/// ssh): then the engine has other memory than we see.
fn data_root(host: &Host, info: &SystemInfo, memory: &str) -> Option<PathBuf> {
    let memory = bytes(memory, "MemTotal:").filter(|bytes| i64::try_from(*bytes).ok() == info.mem_total);
    match (host, memory) {
        (Host::Unix(_), Some(_)) => info.docker_root_dir.as_ref().map(PathBuf::from),
        (Host::Unix(_), None) | (Host::Tcp(_) | Host::Tls { .. }, _) => None,
    }
}

/// A line such as `MemAvailable:  1234 kB`.
fn bytes(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// None where the directory cannot be seen: Evenkeel may run in a container.
fn disk(data_root: &Path) -> Option<DiskSpace> {
    let found = rustix::fs::statvfs(data_root).ok()?;
    let size = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some(DiskSpace { free: size(found.f_bavail), total: size(found.f_blocks) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "MemTotal:        2048 kB\nMemFree:          512 kB\nMemAvailable:    1024 kB\n";

    fn seen(host: Host, mem_total: i64) -> Option<PathBuf> {
        let docker_root_dir = Some("/var/lib/docker".to_owned());
        data_root(&host, &SystemInfo { mem_total: Some(mem_total), docker_root_dir, ..SystemInfo::default() }, HERE)
    }

    #[test]
    fn only_the_engine_of_this_machine_has_its_numbers() {
        let socket = || Host::Unix("/var/run/docker.sock".into());
        assert_eq!(seen(socket(), 2048 * 1024), Some("/var/lib/docker".into()));
        assert_eq!(seen(socket(), 4096 * 1024), None, "its socket leads to another machine");
        assert_eq!(seen(Host::Tcp("127.0.0.1:2375".into()), 2048 * 1024), None);
    }

    #[test]
    fn memory_is_what_programs_can_take_and_disk_what_they_can_write() {
        assert_eq!(bytes(HERE, "MemAvailable:"), Some(1024 * 1024));
        assert_eq!(bytes("", "MemAvailable:"), None);
        let space = disk(Path::new("/")).unwrap();
        assert!(space.total > 0 && space.free <= space.total, "{space:?}");
        assert_eq!(disk(Path::new("/nonexistent")), None);
    }
}
