//! The only way to a file's bytes: regular files alone, never more than a limit, and never one outside of where it
//! must be. It does not know what the bytes are for.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// Why a file was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is not there.
    Missing,
    /// Anything else, in words that continue "the file …".
    Because(String),
}

/// Reads a regular file of at most `limit` bytes. With `inside`, the file must really be below that directory (which
/// has no links in its path), wherever links lead.
pub fn read(path: &Path, inside: Option<&Path>, limit: u64) -> Result<Vec<u8>, Refusal> {
    // Looked at before it is opened, because opening a device can have effects.
    let seen = fs::metadata(path).map_err(refusal)?;
    if !seen.is_file() {
        return Err(Refusal::Because("is not a regular file".into()));
    }
    let file = open(path).map_err(refusal)?;
    if let Some(directory) = inside {
        let real = real_path(&file, path).map_err(refusal)?;
        if !real.starts_with(directory) {
            return Err(Refusal::Because(format!("leads out of the source directory, to {}", real.display())));
        }
    }
    let metadata = file.metadata().map_err(refusal)?;
    if !metadata.is_file() {
        return Err(Refusal::Because("is not a regular file".into()));
    }
    let too_large = || Refusal::Because(format!("is larger than {}", size(limit)));
    if metadata.len() > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    file.take(limit + 1).read_to_end(&mut bytes).map_err(refusal)?;
    if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
}

/// `base` joined with `path`, without `.` and `..`; nothing when it leaves where it began or is absolute.
pub fn below(base: &Path, path: &str) -> Option<PathBuf> {
    let mut parts: Vec<Component<'_>> = base.components().filter(|part| *part != Component::CurDir).collect();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(_) => parts.push(part),
            Component::CurDir => {}
            Component::ParentDir => drop(parts.pop()?),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.into_iter().collect())
}

/// A size as people write it.
pub fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        bytes if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        bytes => format!("{bytes} bytes"),
    }
}

/// An error of the file system in words that continue "the file …".
pub fn refusal(error: io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::NotFound => Refusal::Missing,
        io::ErrorKind::PermissionDenied => Refusal::Because("cannot be read: permission denied".into()),
        _ => Refusal::Because(format!("cannot be read: {error}")),
    }
}

#[cfg(target_os = "linux")]
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    /// `O_NONBLOCK` on every architecture that Evenkeel is built for: a FIFO that took the file's place does not block.
    const NONBLOCK: i32 = 0o4000;
    OpenOptions::new().read(true).custom_flags(NONBLOCK).open(path)
}

#[cfg(not(target_os = "linux"))]
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).open(path)
}

/// Where the open file really is. Asked of the kernel, so that no link can be swapped between the look and the read.
#[cfg(target_os = "linux")]
fn real_path(file: &File, path: &Path) -> io::Result<PathBuf> {
    use std::os::fd::AsRawFd;
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).or_else(|_| fs::canonicalize(path))
}

#[cfg(not(target_os = "linux"))]
fn real_path(_file: &File, path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_its_base_or_is_none() {
        let base = Path::new("shop");
        assert_eq!(below(base, "./a/../b.conf"), Some("shop/b.conf".into()));
        assert_eq!(below(base, "../common/b.conf"), Some("common/b.conf".into()));
        for outside in ["../../etc/passwd", "/etc/passwd", "a/../../../b"] {
            assert_eq!(below(base, outside), None, "{outside}");
        }
    }
}
