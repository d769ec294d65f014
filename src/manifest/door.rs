//! The only way to a file's bytes: regular files alone, never more than a limit, and never one outside of where it
//! must be; and to a folder that stays the one that was looked at. It does not know what the bytes are for.

use std::fs::{self, File};
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
    bytes(open(path, inside)?, limit)
}

/// Reads a regular file of at most `limit` bytes wherever links lead, and says where it really is: that of these very bytes,
/// whatever has the path by now.
pub fn read_where(path: &Path, limit: u64) -> Result<(Vec<u8>, PathBuf), Refusal> {
    let held = hold_file(path)?;
    let place = real_path(&held, path).map_err(refusal)?;
    let file = reopen(&held, path).map_err(refusal)?;
    Ok((bytes(file, limit)?, place))
}

fn bytes(file: File, limit: u64) -> Result<Vec<u8>, Refusal> {
    let length = file.metadata().map_err(refusal)?.len();
    let too_large = || Refusal::Because(format!("is larger than {}", size(limit)));
    if length > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(limit + 1).read_to_end(&mut bytes).map_err(refusal)?;
    if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
}

/// Opens a regular file, as [`read`] does.
pub fn open(path: &Path, inside: Option<&Path>) -> Result<File, Refusal> {
    let held = hold_file(path)?;
    if let Some(directory) = inside {
        let real = real_path(&held, path).map_err(refusal)?;
        if !real.starts_with(directory) {
            return Err(Refusal::Because(format!("leads out of the source directory, to {}", real.display())));
        }
    }
    reopen(&held, path).map_err(refusal)
}

/// Holds a regular file before it is opened, because opening a device can have effects, and what is held cannot be swapped.
fn hold_file(path: &Path) -> Result<File, Refusal> {
    let held = hold(path).map_err(refusal)?;
    match held.metadata().map_err(refusal)?.is_file() {
        true => Ok(held),
        false => Err(Refusal::Because("is not a regular file".into())),
    }
}

/// A folder that is held: what is done in it is done there, whatever takes its name meanwhile.
pub struct Folder {
    held: File,
    path: PathBuf,
}

impl Folder {
    /// Holds a folder that is really `inside` (which has no links in its path), wherever links lead.
    pub fn hold(path: &Path, inside: &Path) -> Result<Self, Refusal> {
        let held = hold(path).map_err(refusal)?;
        if !held.metadata().map_err(refusal)?.is_dir() {
            return Err(Refusal::Because("is not in a folder".into()));
        }
        let real = real_path(&held, path).map_err(refusal)?;
        match real.starts_with(inside) {
            true => Ok(Self { held, path: path.into() }),
            false => Err(Refusal::Because(format!("leads out of the source directory, to {}", real.display()))),
        }
    }

    /// The path of what has this name in it.
    pub fn entry(&self, name: impl AsRef<Path>) -> PathBuf {
        place_of(&self.held, &self.path).join(name)
    }

    /// Brings the names in it to the disk.
    pub fn sync(&self) -> io::Result<()> {
        reopen(&self.held, &self.path)?.sync_all()
    }
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

/// Takes hold of what is there without opening it: to open a device, a FIFO or a terminal can have effects.
#[cfg(target_os = "linux")]
fn hold(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, rustix::fs::Mode::empty())?.into())
}

/// Opens what is held, whatever has its name by now.
#[cfg(target_os = "linux")]
fn reopen(held: &File, _path: &Path) -> io::Result<File> {
    File::open(by_descriptor(held))
}

/// Where the held file really is. Asked of the kernel, so that no link can be swapped between the look and the read.
#[cfg(target_os = "linux")]
fn real_path(held: &File, _path: &Path) -> io::Result<PathBuf> {
    fs::read_link(by_descriptor(held))
}

/// A path to the held folder that no rename changes.
#[cfg(target_os = "linux")]
fn place_of(held: &File, _path: &Path) -> PathBuf {
    by_descriptor(held).into()
}

#[cfg(target_os = "linux")]
fn by_descriptor(held: &File) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", held.as_raw_fd())
}

// Elsewhere, where Evenkeel is only developed, the name has to do.

#[cfg(not(target_os = "linux"))]
fn hold(path: &Path) -> io::Result<File> {
    File::open(path)
}

#[cfg(not(target_os = "linux"))]
fn reopen(held: &File, _path: &Path) -> io::Result<File> {
    held.try_clone()
}

#[cfg(not(target_os = "linux"))]
fn real_path(_held: &File, path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path)
}

#[cfg(not(target_os = "linux"))]
fn place_of(_held: &File, path: &Path) -> PathBuf {
    path.into()
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

    #[test]
    fn only_a_regular_file_below_the_directory_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let path = |name: &str| root.join(name);
        fs::write(path("a"), "text").unwrap();
        fs::create_dir(path("inside")).unwrap();
        std::os::unix::fs::symlink(path("a"), path("inside/link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo"), rustix::fs::Mode::RUSR).unwrap();
        assert_eq!(read(&path("inside/link"), Some(&root), 4), Ok(b"text".to_vec()));
        assert_eq!(read_where(&path("inside/link"), 4), Ok((b"text".to_vec(), path("a"))));
        assert_eq!(read(&path("nowhere"), None, 4), Err(Refusal::Missing));
        let why = |file: &str, inside: Option<&Path>, limit| match read(&path(file), inside, limit) {
            Err(Refusal::Because(why)) => why,
            other => panic!("{file}: {other:?}"),
        };
        assert_eq!(why("a", None, 3), "is larger than 3 bytes");
        assert!(why("inside/link", Some(&path("inside")), 4).starts_with("leads out of the source directory, to "));
        // To open the FIFO would wait for ever.
        for special in ["fifo", "inside", "/dev/null"] {
            assert_eq!(why(special, None, 4), "is not a regular file");
        }
    }
}
