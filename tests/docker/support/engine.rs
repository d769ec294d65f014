//! A private Docker Engine that `scripts/engine` started.

use std::fs::File;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::api;

/// How long a docker client command may take: loading the largest image on a busy machine takes a third of it.
const PATIENCE_SECONDS: &str = "180";
/// The exit code of `timeout`.
const TIMED_OUT: i32 = 124;

/// A private engine. Its containers, ports and addresses live in a network namespace of its own, so whatever talks to
/// them must be started by [`Engine::command`].
pub struct Engine {
    /// 20 or 26.
    pub generation: u32,
    /// Its API socket.
    pub socket: PathBuf,
    /// The certificates with which it listens on 127.0.0.1:2376 too.
    pub tls: Option<PathBuf>,
    whose: Whose,
}

/// Who else uses an engine, and who ends it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// All tests of a generation.
    Everybodys,
    /// One test; it ends with its owner.
    Own,
    /// The same, seen by a part of that test.
    Lent,
}

impl Engine {
    /// The engine that all tests of a generation share. Never kill or restart it.
    pub fn shared(generation: u32) -> Self {
        let variable = format!("EVENKEEL_TEST_ENGINE_{generation}");
        let Some(socket) = std::env::var_os(&variable) else {
            panic!(
                "{variable} is not set: these tests need private engines; run them with scripts/docker-tests [TEST]"
            );
        };
        Engine { generation, socket: socket.into(), tls: None, whose: Whose::Everybodys }
    }

    /// An engine for one test alone. It ends when dropped.
    pub fn own(generation: u32) -> Self {
        Self::started(generation, None, &[])
    }

    /// The same, with further options of `scripts/engine start`.
    pub fn own_with(generation: u32, options: &[&str]) -> Self {
        Self::started(generation, None, options)
    }

    /// The same engine for a part of a test, which does not end it.
    pub fn lend(&self) -> Self {
        let whose = if self.whose == Whose::Everybodys { Whose::Everybodys } else { Whose::Lent };
        Engine { generation: self.generation, socket: self.socket.clone(), tls: self.tls.clone(), whose }
    }

    /// The same, and it also listens on 127.0.0.1:2376 with `ca.pem`, `server-cert.pem` and `server-key.pem` of the directory.
    pub fn own_with_tls(generation: u32, certificates: &Path) -> Self {
        Self::started(generation, Some(certificates), &[])
    }

    fn started(generation: u32, certificates: Option<&Path>, options: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test-{}-own{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let tls = certificates.map(Path::to_path_buf);
        let mut engine = Engine { generation, socket: PathBuf::new(), tls, whose: Whose::Own };
        let generation = generation.to_string();
        let mut arguments = vec!["start", &*name, "--generation", &*generation, "--isolated"];
        if let Some(certificates) = certificates {
            arguments.extend(["--tls", certificates.to_str().expect("a temporary directory's path is text")]);
        }
        arguments.extend(options);
        let output = script(&arguments);
        engine.socket = text(&output.stdout).trim().into();
        engine
    }

    /// A command beside the engine: in its network, with `DOCKER_HOST`.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.directory().join("netns").display())).arg(program.as_ref());
        command.env("DOCKER_HOST", format!("unix://{}", self.socket.display()));
        command
    }

    /// A port of 127.0.0.1 beside the engine that this process listens on: in its network, which only a thread that has
    /// moved into it can open; whoever holds it may use it from anywhere.
    pub fn listener(&self) -> TcpListener {
        let network = File::open(self.directory().join("netns")).expect("the engine has a network of its own");
        let opening = std::thread::spawn(move || {
            let kind = Some(rustix::thread::LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(network.as_fd(), kind).expect("root may enter a network");
            TcpListener::bind("127.0.0.1:0").expect("a port is free")
        });
        opening.join().expect("the thread ends well")
    }

    /// Does something in a thread of its own in the engine's network.
    pub fn spawn_beside(&self, work: impl FnOnce() + Send + 'static) {
        let network = File::open(self.directory().join("netns")).expect("the engine has a network of its own");
        std::thread::spawn(move || {
            let kind = Some(rustix::thread::LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(network.as_fd(), kind).expect("root may enter a network");
            work();
        });
    }

    /// The directory of its programs, `docker` among them.
    pub fn programs(&self) -> PathBuf {
        self.directory().join("bin")
    }

    /// docker compose, where the generation brings it (26).
    pub fn compose(&self) -> PathBuf {
        let bin = self.programs().canonicalize().expect("the engine's programs are there");
        bin.join("../libexec/docker/cli-plugins/docker-compose")
    }

    /// Runs a docker client command that must succeed; returns what it prints.
    #[track_caller]
    pub fn docker(&self, arguments: &[&str]) -> String {
        self.try_docker(arguments).unwrap_or_else(|e| panic!("docker {}: {e}", arguments.join(" ")))
    }

    /// Runs a docker client command; its error text when it fails, or takes longer than an engine that works needs for anything.
    pub fn try_docker(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = self.command("timeout");
        command.args(["--kill-after=1", PATIENCE_SECONDS]).arg(self.programs().join("docker")).args(arguments);
        let output = command.output().map_err(|e| format!("could not be started: {e}"))?;
        match output.status.code() {
            Some(0) => Ok(text(&output.stdout)),
            Some(TIMED_OUT) => Err(format!("the engine has not answered within {PATIENCE_SECONDS} s")),
            _ => Err(text(&output.stderr)),
        }
    }

    /// `docker inspect` of one object; `None` when there is none. Asked of the engine itself: tests look many times, and each start
    /// of the docker client takes longer than its question.
    pub fn inspect(&self, object: &str) -> Option<Value> {
        let paths = ["containers/{}/json", "images/{}/json", "networks/{}", "volumes/{}"];
        paths.iter().find_map(|path| self.ask(&path.replace("{}", object)).ok())
    }

    /// The ids of the containers with all these labels (`NAME=VALUE`), dead or alive.
    pub fn containers_with(&self, labels: &[&str]) -> Result<Vec<String>, String> {
        let filters = serde_json::json!({ "label": labels }).to_string();
        let listed = self.ask(&format!("containers/json?all=true&filters={}", encoded(&filters)))?;
        let ids = listed.as_array().into_iter().flatten().filter_map(|container| container["Id"].as_str());
        Ok(ids.map(str::to_string).collect())
    }

    /// The id that the engine has for an image's reference now.
    pub fn image_id(&self, reference: &str) -> Result<String, String> {
        let found = self.ask(&format!("images/{reference}/json"))?;
        Ok(found["Id"].as_str().unwrap_or_default().to_string())
    }

    /// What the engine answers to a question, if it has an answer.
    fn ask(&self, path: &str) -> Result<Value, String> {
        let (status, answer) =
            api::try_call(&self.socket, "GET", &format!("/{path}")).ok_or("the engine does not answer")?;
        match status {
            200 => Ok(serde_json::from_str(&answer).expect("the engine answers in JSON")),
            _ => Err(format!("{path}: {status} {answer}")),
        }
    }

    /// SIGKILL, as a crash. Only for an engine of one's own.
    pub fn kill(&self) {
        self.must_be_ours();
        script(&["kill", &self.name()]);
    }

    /// SIGKILL and a start, also of one that others use: for [`super::lockup`] alone, when nobody has any use of it.
    pub(super) fn crash_and_start_again(&self) {
        script(&["kill", &self.name()]);
        self.start_again();
    }

    /// An orderly end, as at a restart of its service. Only for an engine of one's own.
    pub fn shut_down(&self) {
        self.must_be_ours();
        script(&["shutdown", &self.name()]);
    }

    /// SIGSTOP for so long: it is there and does not answer. Only for an engine of one's own.
    pub fn freeze(&self, time: Duration) {
        self.must_be_ours();
        let pid = std::fs::read_to_string(self.directory().join("docker.pid")).expect("the engine runs");
        for signal in ["-STOP", "-CONT"] {
            let sent = Command::new("kill").args([signal, pid.trim()]).status().expect("kill can be run");
            assert!(sent.success(), "the engine is gone");
            if signal == "-STOP" {
                std::thread::sleep(time);
            }
        }
    }

    /// Where it keeps images, containers and volumes.
    pub fn data(&self) -> PathBuf {
        self.directory().join("data")
    }

    fn must_be_ours(&self) {
        assert!(self.whose != Whose::Everybodys, "the shared engine is not to be harmed");
    }

    /// Starts it again after [`Engine::kill`] or [`Engine::shut_down`].
    pub fn start_again(&self) {
        script(&["start", &self.name()]);
    }

    pub(super) fn directory(&self) -> &Path {
        self.socket.parent().expect("the socket is in the engine's directory")
    }

    fn name(&self) -> String {
        text(self.directory().file_name().expect("the directory is the engine's name").as_encoded_bytes())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.whose == Whose::Own {
            script(&["stop", &self.name()]);
        }
    }
}

fn script(arguments: &[&str]) -> Output {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/engine");
    let output = Command::new(path).args(arguments).output().expect("scripts/engine can be run");
    assert!(output.status.success(), "scripts/engine {}: {}", arguments.join(" "), text(&output.stderr));
    output
}

/// A text as a parameter of a URL.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).into() } else { format!("%{byte:02X}") };
    text.bytes().map(byte).collect()
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
