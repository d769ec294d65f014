//! Sockets within a container's network, for what listens on its loopback only. It connects none.
//!
//! A socket stays in the network that its thread was in when it was made. So there is a thread that enters one network after
//! the other and makes sockets: nothing else ever runs there, and nothing waits in it.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::TcpSocket;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::socket;
use crate::model::observed::ContainerId;

/// The stack of the thread that makes sockets; it calls nothing deep.
const STACK: usize = 128 << 10;
/// How long that may take: it waits for nothing but the kernel.
const LIMIT: Duration = Duration::from_secs(5);

/// What the thread is to do, in a network that this enters first.
type Work = Box<dyn FnOnce() + Send>;
/// How work reaches the thread; none while there is no thread.
type Slot = Mutex<Option<Sender<Work>>>;

/// The thread that makes sockets: from the first one on, until this is dropped.
#[derive(Debug, Default)]
pub(super) struct Inside {
    thread: Arc<Slot>,
}

impl Inside {
    /// A socket within the network of a container whose first process is this. The error says what is missing on our side.
    pub(super) async fn socket(
        &self,
        process: u32,
        container: &ContainerId,
        address: SocketAddr,
    ) -> Result<TcpSocket, String> {
        let container = container.clone();
        self.made(move || network_of(process, &container).and_then(enter).and_then(|()| socket::new(address))).await
    }

    /// What `make` returns, on the thread.
    async fn made<T: Send + 'static>(
        &self,
        make: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let (sender, made) = oneshot::channel();
        // Whoever waited may have gone; then nobody needs it.
        self.give(Box::new(move || drop(sender.send(make())))).map_err(|error| format!("no thread for it: {error}"))?;
        match timeout(LIMIT, made).await {
            Ok(Ok(made)) => made,
            Ok(Err(_)) | Err(_) => Err("the container's network was not entered in time".into()),
        }
    }

    /// Gives the thread something to do, and starts it if there is none.
    fn give(&self, work: Work) -> io::Result<()> {
        let mut slot = lock(&self.thread);
        let thread = match slot.take() {
            Some(thread) => thread,
            None => start(Arc::downgrade(&self.thread))?,
        };
        // A thread takes itself out of the slot before it stops to receive.
        let sent = thread.send(work).map_err(|_| io::ErrorKind::BrokenPipe.into());
        *slot = Some(thread);
        sent
    }
}

fn start(slot: Weak<Slot>) -> io::Result<Sender<Work>> {
    let (sender, receiver) = channel();
    let thread = thread::Builder::new().name("probe-inside".into()).stack_size(STACK);
    thread.spawn(move || serve(&receiver, &slot))?;
    Ok(sender)
}

/// Does what comes, and goes home whenever nothing is left: a network that somebody is in outlives its container. Where it
/// may not go home, the thread ends, and the next work gets another one.
fn serve(receiver: &Receiver<Work>, slot: &Weak<Slot>) {
    let home = File::open("/proc/thread-self/ns/net").map(OwnedFd::from);
    while let Ok(first) = receiver.recv() {
        first();
        receiver.try_iter().for_each(|work| work());
        let is_home = home.as_ref().is_ok_and(|home| enter(home).is_ok());
        if let Some(slot) = slot.upgrade().filter(|_| !is_home) {
            let mut slot = lock(&slot);
            *slot = None;
            return receiver.try_iter().for_each(|work| work());
        }
    }
}

fn lock(slot: &Slot) -> MutexGuard<'_, Option<Sender<Work>>> {
    // It is whole after every statement.
    slot.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Moves the calling thread, which is the one for it.
fn enter(network: impl AsFd) -> Result<(), String> {
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{BufRead, BufReader, ErrorKind};
    use std::net::TcpListener;
    use std::path::PathBuf;
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
        let inside = Inside::default();
        let network = elsewhere.network();
        let bind = || TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string());
        let within = inside.made(move || enter(network).and_then(|()| bind())).await.unwrap();
        let address = within.local_addr().unwrap();
        let dial = async |address| {
            let network = elsewhere.network();
            inside
                .made(move || enter(network).and_then(|()| socket::new(address)))
                .await
                .unwrap()
                .connect(address)
                .await
        };
        let reached = dial(address).await.unwrap();
        assert_eq!(within.accept().unwrap().1, reached.local_addr().unwrap());
        let is_refused = |error: io::Error| error.kind() == ErrorKind::ConnectionRefused;
        // The thread's move was the thread's alone.
        assert!(socket::new(address).unwrap().connect(address).await.is_err_and(is_refused));
        let host = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(dial(host.local_addr().unwrap()).await.is_err_and(is_refused));
    }

    /// The network that the thread is in while it does its next work.
    async fn whereabouts(inside: &Inside) -> PathBuf {
        inside.made(|| fs::read_link("/proc/thread-self/ns/net").map_err(|error| error.to_string())).await.unwrap()
    }

    #[tokio::test]
    async fn the_thread_stays_in_no_containers_network() {
        let Some(elsewhere) = Elsewhere::new() else { return };
        let inside = Inside::default();
        let home = whereabouts(&inside).await;
        let network = elsewhere.network();
        inside.made(move || enter(network)).await.unwrap();
        let left = async { while whereabouts(&inside).await != home {} };
        timeout(LIMIT, left).await.expect("it goes home when nothing is left to do");
    }

    #[tokio::test]
    async fn work_that_comes_at_once_or_after_a_thread_has_ended_is_all_done() {
        let inside = Inside::default();
        for _ in 0..100 {
            let works = (0..10).map(|number| inside.made(move || Ok(number)));
            let made: Vec<_> = futures_util::future::join_all(works).await;
            assert_eq!(made, (0..10).map(Ok).collect::<Vec<_>>());
            // As a thread does that may not go home.
            *lock(&inside.thread) = None;
        }
        let failed: Result<(), String> = inside.made(|| Err("not today".into())).await;
        assert_eq!(failed, Err("not today".into()));
    }
}
