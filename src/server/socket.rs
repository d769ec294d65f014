//! The Unix socket's file: one live daemon holds it, and a dead one's remains are replaced. It speaks no HTTP.

use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// Who may connect: the owner and the group. Whoever can, can restart and stop containers.
const MODE: u32 = 0o660;

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another daemon answers on it.
    #[error("another daemon already answers on {0}")]
    InUse(PathBuf),
    /// Something that is not a socket has that name; it is left alone.
    #[error("{0} exists and is not a socket")]
    NotASocket(PathBuf),
    /// The host has no such group.
    #[error("there is no group '{0}' in /etc/group")]
    NoGroup(String),
    /// The file system says no.
    #[error("cannot {attempted} {path}")]
    Refused {
        /// What was attempted.
        attempted: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A listening socket whose file goes away with it.
pub struct Socket {
    listener: UnixListener,
    file: SocketFile,
}

/// The file of a socket of ours.
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A file that stays behind is taken for what it is by the next daemon.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Socket {
    /// Takes the socket at `path`, for its owner and its group only: `group`, a name or number, or the process' own.
    pub async fn claim(path: &Path, group: Option<&str>) -> Result<Self, SocketError> {
        let group = group.map(group_id).transpose()?;
        clear(path).await?;
        let refused = |attempted| move |source| SocketError::Refused { attempted, path: path.to_path_buf(), source };
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            std::fs::create_dir_all(dir).map_err(refused("create the directory of"))?;
        }
        let nursery = Nursery::beside(path).map_err(refused("prepare"))?;
        let listener = UnixListener::bind(nursery.socket()).map_err(refused("listen on"))?;
        nursery.place(path, group).map_err(refused("put in place"))?;
        Ok(Self { listener, file: SocketFile(path.to_path_buf()) })
    }

    /// The listener, and the file to keep for as long as it listens.
    pub fn into_parts(self) -> (UnixListener, SocketFile) {
        (self.listener, self.file)
    }
}

/// A directory that nobody else can enter: a new socket has the permissions of the process' umask until it gets its own,
/// and in here nobody can connect to it meanwhile.
struct Nursery(PathBuf);

impl Nursery {
    fn beside(path: &Path) -> std::io::Result<Self> {
        let nursery = Self(path.with_extension(format!("{}.new", std::process::id())));
        // Left behind by a process that had the same number and was killed.
        nursery.clear();
        std::fs::DirBuilder::new().mode(0o700).create(&nursery.0)?;
        Ok(nursery)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("s")
    }

    /// Gives the socket its permissions, and its name. A rename is seen at once or not at all.
    fn place(&self, path: &Path, group: Option<u32>) -> std::io::Result<()> {
        let socket = self.socket();
        if group.is_some() {
            std::os::unix::fs::chown(&socket, None, group)?;
        }
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(MODE))?;
        std::fs::rename(&socket, path)
    }

    fn clear(&self) {
        let _ = std::fs::remove_file(self.socket());
        let _ = std::fs::remove_dir(&self.0);
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The number of a group: itself, or what `/etc/group` says of the name.
fn group_id(group: &str) -> Result<u32, SocketError> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    number_of(group, &groups).ok_or_else(|| SocketError::NoGroup(group.into()))
}

/// Lines are `name:password:number:members`.
fn number_of(group: &str, groups: &str) -> Option<u32> {
    let mut lines = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines.find_map(|fields| match fields[..] {
        [name, _, number, ..] if name == group => number.parse().ok(),
        _ => None,
    })
}

/// Makes sure that nobody holds `path`.
async fn clear(path: &Path) -> Result<(), SocketError> {
    let kind = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(SocketError::Refused { attempted: "look at", path: path.to_path_buf(), source }),
    };
    if !kind.is_socket() {
        return Err(SocketError::NotASocket(path.to_path_buf()));
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(SocketError::InUse(path.to_path_buf())),
        // Nobody listens: left behind by a daemon that was killed. The rename replaces it.
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => Ok(()),
        Err(source) => Err(SocketError::Refused { attempted: "connect to", path: path.to_path_buf(), source }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[tokio::test]
    async fn a_second_daemon_is_refused_and_a_dead_ones_socket_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/evenkeel.sock");
        let first = Socket::claim(&path, None).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        assert!(matches!(Socket::claim(&path, None).await, Err(SocketError::InUse(_))));

        let (listener, file) = first.into_parts();
        drop(listener);
        std::mem::forget(file);
        assert!(path.exists(), "as after kill -9");
        let second = Socket::claim(&path, None).await.unwrap();
        drop(second);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        std::fs::write(&path, "data").unwrap();
        assert!(matches!(Socket::claim(&path, None).await, Err(SocketError::NotASocket(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
    }

    #[tokio::test]
    async fn the_socket_is_its_groups_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("evenkeel.sock");
        let own = std::fs::metadata(dir.path()).unwrap().gid();
        // Only root may give a socket to a group that it is not in.
        let group = if rustix::process::geteuid().is_root() { 4242 } else { own };
        let _socket = Socket::claim(&path, Some(&group.to_string())).await.unwrap();
        let seen = std::fs::metadata(&path).unwrap();
        assert_eq!((seen.gid(), seen.mode() & 0o777), (group, MODE));
        let entries: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(entries, ["evenkeel.sock"]);
    }

    #[tokio::test]
    async fn a_new_socket_is_bound_where_nobody_else_can_enter() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("evenkeel.sock");
        let nursery = Nursery::beside(&path).unwrap();
        let _listener = UnixListener::bind(nursery.socket()).unwrap();
        let seen = std::fs::metadata(&nursery.0).unwrap();
        assert_eq!(seen.mode() & 0o777, 0o700);
        nursery.place(&path, None).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, MODE);
    }

    #[tokio::test]
    async fn a_group_that_is_not_there_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let claimed = Socket::claim(&dir.path().join("s"), Some("no-such-group")).await;
        assert!(matches!(claimed, Err(SocketError::NoGroup(_))));
        assert_eq!(number_of("docker", "root:x:0:\ndocker:x:998:ann,ben\n"), Some(998));
        assert_eq!(number_of("dock", "docker:x:998:\n"), None);
    }
}
