//! The Unix socket's file: one live daemon holds it, and a dead one's remains are replaced. It speaks no HTTP.

use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
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
    /// Takes the socket at `path`, for owner and group only.
    pub async fn claim(path: &Path) -> Result<Self, SocketError> {
        clear(path).await?;
        let refused = |attempted| move |source| SocketError::Refused { attempted, path: path.to_path_buf(), source };
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            std::fs::create_dir_all(dir).map_err(refused("create the directory of"))?;
        }
        // Bound under another name and renamed, so that nobody finds it with wider permissions, or not listening.
        let fresh = path.with_extension(format!("{}.new", std::process::id()));
        let listener = UnixListener::bind(&fresh).map_err(refused("listen on"))?;
        let placed = std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(MODE))
            .and_then(|()| std::fs::rename(&fresh, path));
        if let Err(error) = placed {
            let _ = std::fs::remove_file(&fresh);
            return Err(refused("put in place")(error));
        }
        Ok(Self { listener, file: SocketFile(path.to_path_buf()) })
    }

    /// The listener, and the file to keep for as long as it listens.
    pub fn into_parts(self) -> (UnixListener, SocketFile) {
        (self.listener, self.file)
    }
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
    use super::*;

    #[tokio::test]
    async fn a_second_daemon_is_refused_and_a_dead_ones_socket_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/evenkeel.sock");
        let first = Socket::claim(&path).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        assert!(matches!(Socket::claim(&path).await, Err(SocketError::InUse(_))));

        let (listener, file) = first.into_parts();
        drop(listener);
        std::mem::forget(file);
        assert!(path.exists(), "as after kill -9");
        let second = Socket::claim(&path).await.unwrap();
        drop(second);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        std::fs::write(&path, "data").unwrap();
        assert!(matches!(Socket::claim(&path).await, Err(SocketError::NotASocket(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
    }
}
