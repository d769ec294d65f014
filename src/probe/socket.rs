//! Sockets to check with: one of the host, or one within a container's network, for what listens on its loopback only. It
//! connects none.
//!
//! A socket stays in the network that its thread was in when it was made. So a thread enters the container's, makes the
//! socket, and ends: nothing else ever runs there, and nothing waits in it.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::TcpSocket;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::model::observed::ContainerId;
use crate::model::status::ProbeTask;

/// The stack of a thread that makes a socket; it calls nothing deep.
const STACK: usize = 128 << 10;
/// How long that may take: it waits for nothing but the kernel.
const LIMIT: Duration = Duration::from_secs(5);

/// A socket from which the task's address can be reached. The error says what is missing on our side.
pub(super) async fn open(task: &ProbeTask, address: SocketAddr) -> Result<TcpSocket, String> {
    match task.process {
        None => socket(address),
        Some(process) => {
            let container = task.container.clone();
            apart(move || network_of(process, &container).and_then(enter).and_then(|()| socket(address))).await
        }
    }
}

fn socket(address: SocketAddr) -> Result<TcpSocket, String> {
    let made = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    made.map_err(|error| format!("no socket for it: {error}"))
}

/// What `make` returns, from a thread of its own that ends with it.
async fn apart<T: Send + 'static>(make: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    let (sender, made) = oneshot::channel();
    let thread = thread::Builder::new().name("probe-inside".into()).stack_size(STACK);
    // Whoever waited may have gone; then nobody needs it.
    thread.spawn(move || drop(sender.send(make()))).map_err(|error| format!("no thread for it: {error}"))?;
    match timeout(LIMIT, made).await {
        Ok(Ok(made)) => made,
        Ok(Err(_)) | Err(_) => Err("the container's network was not entered in time".into()),
    }
}

/// The network of a container's first process. Its number is the engine's; where processes are counted otherwise, or it was
/// given to another one meanwhile, it is somebody else's, and that one's control groups do not name the container.
fn network_of(process: u32, container: &ContainerId) -> Result<OwnedFd, String> {
    let elsewhere = |_| {
        format!(
            "process {process}, the container's as the engine counts, is not seen here; in a container Evenkeel needs --pid host"
        )
    };
    let path = format!("/proc/{process}");
    // What is opened through this directory is about one and the same process.
    let directory = openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let directory = directory.map_err(elsewhere)?;
    let file = |name| openat(&directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let groups = file("cgroup").and_then(read).map_err(elsewhere)?;
    if !names(&groups, container) {
        return Err(elsewhere(Errno::SRCH));
    }
    file("ns/net").map_err(forbidden)
}

fn read(file: OwnedFd) -> Result<String, Errno> {
    let mut text = String::new();
    match File::from(file).read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) => Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
    }
}

/// Whether a process's control groups are a container's: some part of their path is its id, or ends with it in the manner of
/// systemd (`docker-ID.scope`).
fn names(groups: &str, container: &ContainerId) -> bool {
    let id = container.0.as_str();
    let is_it = |part: &str| {
        let part = part.strip_suffix(".scope").unwrap_or(part);
        part == id || part.rsplit_once('-').is_some_and(|(_, last)| last == id)
    };
    !id.is_empty() && groups.lines().flat_map(|line| line.split('/')).any(is_it)
}

/// Moves the calling thread, which must do nothing else afterwards but make a socket.
fn enter(network: OwnedFd) -> Result<(), String> {
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).map_err(forbidden)
}

fn forbidden(error: Errno) -> String {
    match error {
        Errno::PERM | Errno::ACCESS => {
            "Evenkeel may not enter the container's network: it needs to be root with SYS_ADMIN and \
            SYS_PTRACE (in a container: --cap-add SYS_ADMIN --cap-add SYS_PTRACE)"
                .into()
        }
        other => format!("the container's network cannot be entered: {}", io::Error::from(other)),
    }
}

/// A connection's failure in a few words, without the error's number.
pub(super) fn refusal(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".into(),
        ErrorKind::HostUnreachable => "host unreachable".into(),
        ErrorKind::NetworkUnreachable => "network unreachable".into(),
        ErrorKind::ConnectionReset => "connection reset".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn id(letter: char) -> ContainerId {
        ContainerId(letter.to_string().repeat(64))
    }

    #[test]
    fn a_container_is_known_by_the_control_groups_of_its_process() {
        let (ours, id) = (id('a'), "a".repeat(64));
        for groups in [
            format!("12:memory:/docker/{id}\n1:name=systemd:/docker/{id}\n"),
            format!("0::/system.slice/docker-{id}.scope\n"),
            format!("0::/user.slice/user-1000.slice/user.service/docker-{id}.scope/init.scope\n"),
            // As a process sees it whose own root of control groups is another one.
            format!("0::/../{id}\n"),
            format!("0::/../../system.slice/docker-{id}.scope\n"),
            format!("3:cpu,cpuacct:/own-parent/{id}/system.slice\n"),
        ] {
            assert!(names(&groups, &ours), "{groups}");
        }
        for groups in [
            String::new(),
            "0::/\n".into(),
            format!("0::/docker/{}\n", "b".repeat(64)),
            format!("0::/docker/x{id}\n"),
            format!("0::/docker/{}\n", &id[..12]),
        ] {
            assert!(!names(&groups, &ours), "{groups}");
        }
        assert!(!names("0::/\n", &ContainerId(String::new())));
    }

    #[test]
    fn a_process_that_is_not_the_containers_is_not_entered_and_the_way_out_is_said() {
        // Our own process is surely there, and that which has ended is not.
        let mut ended = Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        for process in [std::process::id(), ended.id(), u32::MAX] {
            let why = network_of(process, &id('a')).unwrap_err();
            assert!(why.starts_with(&format!("process {process}, ")) && why.ends_with("--pid host"), "{why}");
        }
    }

    #[test]
    fn without_the_right_to_it_the_capabilities_are_named() {
        let why = forbidden(Errno::PERM);
        assert!(why.contains("--cap-add SYS_ADMIN") && why == forbidden(Errno::ACCESS), "{why}");
        assert!(forbidden(Errno::NOENT).contains("cannot be entered: No such file"), "{}", forbidden(Errno::NOENT));
    }

    /// A process in a network of its own, which ends with this.
    struct Elsewhere(Child);

    impl Elsewhere {
        /// None, and a word about it, where this test may not make one.
        fn new() -> Option<Self> {
            let mut unshare = Command::new("unshare");
            unshare.args(["--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 60"]);
            let mut child = unshare.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("unshare is there");
            let mut line = String::new();
            let output = child.stdout.take().expect("it is piped");
            BufReader::new(output).read_line(&mut line).expect("it says whether it is up");
            if line == "up\n" {
                return Some(Self(child));
            }
            eprintln!("skipped: only root may make a network to enter");
            let _ = child.wait();
            None
        }

        fn network(&self) -> OwnedFd {
            File::open(format!("/proc/{}/ns/net", self.0.id())).unwrap().into()
        }
    }

    impl Drop for Elsewhere {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[tokio::test]
    async fn a_socket_that_was_made_inside_reaches_what_listens_inside_and_nothing_of_the_host() {
        let Some(elsewhere) = Elsewhere::new() else { return };
        let network = elsewhere.network();
        let within =
            apart(move || enter(network).and_then(|()| TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())));
        let within = within.await.unwrap();
        let address = within.local_addr().unwrap();
        let network = elsewhere.network();
        let inside = apart(move || enter(network).and_then(|()| socket(address))).await.unwrap();
        let reached = inside.connect(address).await.unwrap();
        assert_eq!(within.accept().unwrap().1, reached.local_addr().unwrap());
        // The thread's move was the thread's alone.
        assert!(
            socket(address).unwrap().connect(address).await.is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused)
        );
        let host = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = host.local_addr().unwrap();
        let network = elsewhere.network();
        let inside = apart(move || enter(network).and_then(|()| socket(address))).await.unwrap();
        assert!(inside.connect(address).await.is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused));
    }

    #[tokio::test]
    async fn a_thread_that_fails_is_no_hang() {
        let made: Result<(), String> = apart(|| Err("not today".into())).await;
        assert_eq!(made, Err("not today".into()));
    }
}
