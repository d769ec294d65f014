//! One test's share of an engine: an instance name, a manifest directory, a state directory, and controllers on them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::engine::text;
use super::process::Process;
use super::registry::tool;
use super::{Container, Engine, Recorder, eventually};

/// Put on containers and the like that a test makes by hand, so that they are cleaned up too.
const BENCH_LABEL: &str = "evenkeel-test";

/// One test's share of an engine.
pub struct Bench {
    /// The engine.
    pub engine: Engine,
    /// The instance's name: on everything that the controller makes, and in every name that Docker sees.
    pub instance: String,
    /// The directory of manifests.
    pub manifests: PathBuf,
    metrics: String,
    directory: TempDir,
}

impl Bench {
    pub(super) fn new(engine: Engine, test: &str) -> Self {
        static COUNT: AtomicU16 = AtomicU16::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let directory = tempfile::Builder::new().prefix("evenkeel-").tempdir().expect("a temporary directory");
        let manifests = directory.path().join("manifests");
        fs::create_dir(&manifests).expect("a directory for manifests");
        // What a test finds is not to depend on how full this machine's disk is.
        fs::write(directory.path().join("settings.yaml"), "minFreeDisk: 0\n").expect("settings can be written");
        eprintln!("bench: {test} on engine {} in {}", engine.generation, directory.path().display());
        Bench {
            instance: format!("t{}-{number}", std::process::id()),
            metrics: format!("127.0.0.1:{}", free_port()),
            engine,
            manifests,
            directory,
        }
    }

    // ---- files -------------------------------------------------------------------------------------------------------

    /// A temporary directory for whatever a test needs beside its manifests.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a manifest (or any file beside them) the way a careful editor does: whole or not at all.
    pub fn write(&self, name: &str, content: &str) {
        let path = self.manifests.join(name);
        fs::create_dir_all(path.parent().expect("a file has a directory")).expect("a directory for it");
        let part = self.directory().join("part");
        fs::write(&part, content).expect("a file can be written");
        fs::rename(&part, &path).expect("a file can be renamed");
    }

    /// Removes a manifest.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.manifests.join(name)).expect("a file can be removed");
    }

    // ---- the controller ----------------------------------------------------------------------------------------------

    /// Starts the controller on the manifests and waits until its socket answers.
    pub fn start_controller(&self) -> Process {
        self.start_controller_with(&[])
    }

    /// The same, with further options.
    pub fn start_controller_with(&self, options: &[&str]) -> Process {
        self.answering(self.spawn_controller(options))
    }

    /// The same on other sources, each as `DIR` or `DIR=NAMESPACE`.
    pub fn start_controller_of(&self, sources: &[String]) -> Process {
        let mut command = self.controller_command_of(sources);
        self.answering(Process::start(&mut command, &self.controller_log()))
    }

    /// The same, with every call to the engine written down.
    pub fn start_recorded_controller(&self) -> (Process, Recorder) {
        let recorder = Recorder::start(&self.directory().join("engine.sock"), &self.engine.socket);
        let mut command = self.controller_command(&[]);
        command.env("DOCKER_HOST", format!("unix://{}", recorder.socket.display()));
        (self.answering(Process::start(&mut command, &self.controller_log())), recorder)
    }

    /// The command that starts it with another way to the engine, and where its output belongs.
    pub fn controller_through(&self, socket: &Path) -> (Command, PathBuf) {
        let mut command = self.controller_command(&[]);
        command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
        (command, self.controller_log())
    }

    /// Starts it without waiting: one that is expected to refuse, say.
    pub fn spawn_controller(&self, options: &[&str]) -> Process {
        Process::start(&mut self.controller_command(options), &self.controller_log())
    }

    /// The same instance, started on a state directory and socket elsewhere.
    pub fn spawn_controller_at(&self, directory: &Path) -> Process {
        let mut command = self.command_line();
        command.args(["run", "--instance", &self.instance, "--metrics-listen", &format!("127.0.0.1:{}", free_port())]);
        command.arg("--source").arg(&self.manifests).arg("--state-dir").arg(directory);
        command.arg("--socket").arg(self.directory().join("other.sock"));
        Process::start(&mut command, &self.controller_log())
    }

    fn answering(&self, mut process: Process) -> Process {
        eventually("the controller answers", Duration::from_secs(10), || {
            assert!(process.ended().is_none(), "the controller has ended:\n{}", process.output());
            self.try_evenkeel(&["get", "deployments"])
        });
        process
    }

    fn controller_command(&self, options: &[&str]) -> Command {
        let mut command = self.controller_command_of(&[self.manifests.display().to_string()]);
        command.args(options);
        command
    }

    fn controller_command_of(&self, sources: &[String]) -> Command {
        let mut command = self.command_line();
        command
            .arg("run")
            .args(sources.iter().flat_map(|source| ["--source", source]))
            .args(["--state-dir".as_ref(), self.state_directory().as_os_str()])
            .args(["--socket".as_ref(), self.socket().as_os_str()])
            .args(["--metrics-listen", &self.metrics, "--instance", &self.instance]);
        command
    }

    /// Where the controller keeps its history.
    pub fn state_directory(&self) -> PathBuf {
        self.directory().join("state")
    }

    /// Where the command line reaches the controller.
    pub fn socket(&self) -> PathBuf {
        self.directory().join("evenkeel.sock")
    }

    /// The command line, beside the engine, without any option yet.
    pub fn command_line(&self) -> Command {
        let mut command = self.engine.command(evenkeel_binary());
        command.env("EVENKEEL_CONFIG", self.settings());
        command
    }

    /// The configuration file of every command here that is given no other.
    pub fn settings(&self) -> PathBuf {
        self.directory().join("settings.yaml")
    }

    /// A client command that must succeed (`get deployments`); returns what it prints.
    #[track_caller]
    pub fn evenkeel(&self, arguments: &[&str]) -> String {
        self.try_evenkeel(arguments).unwrap_or_else(|e| panic!("evenkeel {}: {e}", arguments.join(" ")))
    }

    /// A client command; exit code and both outputs when it fails.
    pub fn try_evenkeel(&self, arguments: &[&str]) -> Result<String, String> {
        let (code, out, err) = self.evenkeel_outcome(arguments);
        if code == 0 { Ok(out) } else { Err(format!("exit {code}\n{out}{err}")) }
    }

    /// A client command's exit code, standard output and standard error.
    pub fn evenkeel_outcome(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self
            .command_line()
            .args(arguments)
            .args(["--socket".as_ref(), self.socket().as_os_str()])
            .output()
            .expect("evenkeel can be run");
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    /// A command that needs neither daemon nor manifests.
    pub fn bare_outcome(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.command_line().args(arguments).output().expect("evenkeel can be run");
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    /// A command that needs no daemon: `plan`, `validate`.
    pub fn offline_outcome(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self
            .command_line()
            .args(arguments)
            .args(["--source".as_ref(), self.manifests.as_os_str()])
            .args(["--state-dir".as_ref(), self.state_directory().as_os_str()])
            .args(["--instance", &self.instance])
            .output()
            .expect("evenkeel can be run");
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    /// Where the controller's `/metrics` are.
    pub fn metrics_address(&self) -> String {
        self.metrics.clone()
    }

    /// The controller's `/metrics`.
    pub fn metrics(&self) -> String {
        self.get(&format!("http://{}/metrics", self.metrics)).expect("/metrics answers")
    }

    /// One metric's value: the name with its labels as printed, `evenkeel_up{…}`.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics().lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    /// Waits until the manifests as they are now have come true (0), or not: the exit code of `apply --wait`.
    pub fn applied(&self) -> i32 {
        let mut command = self.command_line();
        command.args(["apply", "--wait", "--timeout", "120s", "--source"]).arg(&self.manifests);
        let output = command.arg("--socket").arg(self.socket()).output().expect("evenkeel can be run");
        eprintln!("{}{}", text(&output.stdout), text(&output.stderr));
        output.status.code().unwrap_or(-1)
    }

    /// Writes a manifest and waits until it has come true.
    #[track_caller]
    pub fn apply(&self, name: &str, content: &str) {
        self.write(name, content);
        assert_eq!(self.applied(), 0, "{name} does not come true");
    }

    // ---- what Docker has -----------------------------------------------------------------------------------------------

    /// The containers of an object in every namespace, dead or alive, by name.
    pub fn containers(&self, object: &str) -> Vec<Container> {
        self.containers_with(&[&self.mine(), &format!("evenkeel.dev/name={object}")])
    }

    /// All containers of this instance, by name.
    pub fn all_containers(&self) -> Vec<Container> {
        self.containers_with(&[&self.mine()])
    }

    /// The same without those that only claim to be of this instance; of an engine that may be gone at the moment.
    pub fn try_all_ours(&self) -> Result<Vec<Container>, String> {
        self.try_containers_with(&[&self.mine(), "evenkeel.dev/slot"])
    }

    #[track_caller]
    fn containers_with(&self, labels: &[&str]) -> Vec<Container> {
        self.try_containers_with(labels).unwrap_or_else(|e| panic!("the containers cannot be listed: {e}"))
    }

    fn try_containers_with(&self, labels: &[&str]) -> Result<Vec<Container>, String> {
        let ids = self.engine.containers_with(labels)?;
        // One that goes between the two calls is not there.
        let mut found: Vec<_> = ids.iter().filter_map(|id| self.engine.inspect(id)).map(Container).collect();
        found.sort_by(|a, b| a.name().cmp(b.name()));
        Ok(found)
    }

    /// The label that everything of this instance has.
    fn mine(&self) -> String {
        format!("evenkeel.dev/instance={}", self.instance)
    }

    /// The running containers of an object.
    pub fn running(&self, object: &str) -> Vec<Container> {
        self.containers(object).into_iter().filter(Container::running).collect()
    }

    /// Where a person's shell beside the engine finds `evenkeel`, `docker` and everything else.
    pub fn search_path(&self) -> String {
        let binary = evenkeel_binary();
        let own = binary.parent().expect("the program is in a directory");
        let others = std::env::var("PATH").unwrap_or_default();
        format!("{}:{}:{others}", own.display(), self.engine.programs().display())
    }

    /// Waits until an object has so many running containers, all of this image, and no others.
    #[track_caller]
    pub fn settled(&self, object: &str, count: usize, image: &str, deadline: Duration) -> Vec<Container> {
        eventually(&format!("{count} of {object} with {image}"), deadline, || {
            let id = self.image_id(image)?;
            let all = self.containers(object);
            if all.len() == count && all.iter().all(|c| c.running() && c.image() == id) {
                return Ok(all);
            }
            Err(format!("{:?}", all.iter().map(|c| (c.name(), c.image(), c.running())).collect::<Vec<_>>()))
        })
    }

    /// The id that the engine has for a reference now.
    pub fn image_id(&self, reference: &str) -> Result<String, String> {
        self.engine.image_id(reference)
    }

    /// Whether any running replica of an object is of this image.
    pub fn has_begun(&self, object: &str, image: &str) -> Result<(), String> {
        let id = self.image_id(image)?;
        if self.running(object).iter().any(|c| c.image() == id) { Ok(()) } else { Err("not yet".to_string()) }
    }

    /// A name that Docker sees, for something of this instance: `INSTANCE.NAMESPACE.NAME`.
    pub fn engine_name(&self, namespace: &str, name: &str) -> String {
        format!("{}.{namespace}.{name}", self.instance)
    }

    /// `docker run --detach` of something that is not Evenkeel's; returns its id. Cleaned up with the bench.
    pub fn run_foreign(&self, arguments: &[&str]) -> String {
        let label = format!("{BENCH_LABEL}={}", self.instance);
        let mut all = vec!["run", "--detach", "--label", &label];
        all.extend(arguments);
        self.engine.docker(&all).trim().to_string()
    }

    // ---- images and requests ------------------------------------------------------------------------------------------

    /// The demo application on this machine.
    pub fn app(&self) -> PathBuf {
        tool("APP")
    }

    /// Makes an image of the demo application, of that version: `app_image("2", &["ENV WARMUP=5s"])`. The lines are a
    /// Dockerfile's. Returns its reference, which no other test uses.
    pub fn app_image(&self, version: &str, lines: &[&str]) -> String {
        let reference = format!("evenkeel-test/{}:{version}", self.instance);
        self.app_image_as(&reference, version, lines);
        reference
    }

    /// The same under a reference that other benches of the engine share: made only when it is not there.
    pub fn shared_app_image(&self, reference: &str, version: &str, lines: &[&str]) {
        if self.image_id(reference).is_err() {
            self.app_image_as(reference, version, lines);
        }
    }

    /// The same for another platform than the host's, with a program that says so: the kernel does not run it.
    pub fn app_image_for(&self, platform: &str, version: &str) -> String {
        let reference = format!("evenkeel-test/{}:{version}", self.instance);
        let context = self.directory().join("of-another-platform");
        fs::create_dir(&context).expect("a directory for the image");
        fs::copy(self.app(), context.join("app")).expect("the application can be copied");
        let mut program = fs::read(context.join("app")).expect("the application can be read");
        // The machine in its header: AArch64.
        program[18..20].copy_from_slice(&183_u16.to_le_bytes());
        fs::write(context.join("app"), program).expect("the program can be written");
        let lines = "FROM scratch\nCOPY app /app\nENTRYPOINT [\"/app\"]\n";
        fs::write(context.join("Dockerfile"), lines).expect("the Dockerfile can be written");
        // An import takes no architecture on engine 20.10.
        let context = context.display().to_string();
        self.engine.docker(&["build", "--quiet", "--platform", platform, "--tag", &reference, &context]);
        reference
    }

    fn app_image_as(&self, reference: &str, version: &str, lines: &[&str]) {
        let tar = self.app_tar();
        let env = format!("ENV VERSION={version}");
        let mut arguments = vec!["import"];
        for line in ["ENTRYPOINT [\"/app\"]", "EXPOSE 8080", &env].iter().chain(lines) {
            arguments.extend(["--change", line]);
        }
        let tar = tar.display().to_string();
        arguments.extend([tar.as_str(), reference]);
        self.engine.docker(&arguments);
    }

    fn app_tar(&self) -> PathBuf {
        let (root, tar) = (self.directory().join("root"), self.directory().join("root.tar"));
        if !tar.exists() {
            fs::create_dir(&root).expect("a directory for the image");
            fs::copy(self.app(), root.join("app")).expect("the application can be copied");
            let made = Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(&root).arg("app").status();
            assert!(made.expect("tar can be run").success(), "tar failed");
        }
        tar
    }

    /// Loads what `scripts/images systems` or `controller` has made, unless the engine has it: `load_image("SYSTEMS")`.
    pub fn load_image(&self, kind: &str) {
        self.engine.docker(&["load", "--quiet", "--input", &tool(kind).display().to_string()]);
    }

    /// A GET from beside the engine: the body when the status is 200, else what went wrong.
    pub fn get(&self, url: &str) -> Result<String, String> {
        let output = self.engine.command(self.app()).args(["get", url]).output().expect("the application can be run");
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// A port on 127.0.0.1 that nobody else here uses.
    pub fn free_port(&self) -> u16 {
        free_port()
    }

    // ---- the end ------------------------------------------------------------------------------------------------------

    /// A file in the bench's directory, opened for appending; [`Bench::show`] prints its end when the test fails.
    pub(super) fn log_file(&self, name: &str) -> fs::File {
        fs::File::options().create(true).append(true).open(self.directory().join(name)).expect("a log can be written")
    }

    fn controller_log(&self) -> PathBuf {
        self.directory().join("controller.log")
    }

    /// What a person wants to see when a test has failed.
    pub(super) fn show(&self) {
        for log in ["controller.log", "load.log"] {
            let text = fs::read_to_string(self.directory().join(log)).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            eprintln!("---- {log}\n{}", lines[lines.len().saturating_sub(200)..].join("\n"));
        }
        eprintln!(
            "---- containers\n{}",
            self.engine.try_docker(&["ps", "-a", "--filter", &format!("label={}", self.mine())]).unwrap_or_else(|e| e)
        );
        eprintln!("----");
    }

    /// Removes everything of this instance from the engine, and what the test has made by hand.
    pub fn clean(&self) {
        for (list, remove) in [
            (vec!["ps", "-aq"], vec!["rm", "--force", "--volumes"]),
            (vec!["network", "ls", "-q"], vec!["network", "rm"]),
            (vec!["volume", "ls", "-q"], vec!["volume", "rm"]),
        ] {
            for label in ["evenkeel.dev/instance", BENCH_LABEL] {
                let filter = format!("label={label}={}", self.instance);
                // An engine that a test has killed has nothing to clean: it ends with the test.
                let Ok(ids) = self.engine.try_docker(&[&list[..], &["--filter", &filter]].concat()) else { return };
                let ids: Vec<&str> = ids.lines().collect();
                if !ids.is_empty() {
                    let _ = self.engine.try_docker(&[&remove[..], &ids].concat());
                }
            }
        }
    }
}

/// The controller under test: the one that cargo has built with the tests, or the released one that a bench names.
pub fn evenkeel_binary() -> PathBuf {
    std::env::var_os("EVENKEEL_TEST_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_evenkeel").into()).into()
}

/// Ports below the range that outgoing connections use, one for each request of one.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    NEXT.fetch_add(1, Ordering::SeqCst)
}
