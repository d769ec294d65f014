//! A real registry on 127.0.0.1, beside the engine: Debian's `docker-registry`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::process::Process;
use super::{Bench, eventually};

/// A user of a private registry.
pub const USER: &str = "robot";
/// Its password; in the URL-safe alphabet some of its bytes are encoded differently, which has broken clients.
pub const PASSWORD: &str = "p?ss~w>rd-\u{e9}";
/// `PASSWORD` as `htpasswd -B` writes it.
const PASSWORD_HASH: &str = "$2y$05$abcdefghijklmnopqrstuuUi2X9okp1Ji60btm/FUmnU.lmBGDPHm";

/// A registry; ends with its owner. Engines accept 127.0.0.1 without TLS.
pub struct Registry<'a> {
    bench: &'a Bench,
    /// `127.0.0.1:PORT`, the first part of its images' names.
    pub address: String,
    directory: PathBuf,
    process: Option<Process>,
    private: bool,
}

impl<'a> Registry<'a> {
    /// One that everybody may pull from and push to.
    pub fn open(bench: &'a Bench) -> Self {
        Self::new(bench, false)
    }

    /// One that wants [`USER`] and [`PASSWORD`] for everything.
    pub fn private(bench: &'a Bench) -> Self {
        Self::new(bench, true)
    }

    fn new(bench: &'a Bench, private: bool) -> Self {
        let address = format!("127.0.0.1:{}", bench.free_port());
        let directory = bench.directory().join(address.replace(':', "-"));
        fs::create_dir(&directory).expect("a directory for the registry");
        let mut settings = format!(
            "version: 0.1\nlog: {{level: warn}}\nhttp: {{addr: '{address}'}}\nstorage: {{delete: {{enabled: true}}, filesystem: {{rootdirectory: {}}}}}\n",
            directory.display()
        );
        if private {
            fs::write(directory.join("htpasswd"), format!("{USER}:{PASSWORD_HASH}\n"))
                .expect("htpasswd can be written");
            settings +=
                &format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", directory.join("htpasswd").display());
        }
        fs::write(directory.join("config.yml"), settings).expect("config.yml can be written");
        let mut registry = Registry { bench, address, directory, process: None, private };
        registry.start();
        registry
    }

    /// Starts it (again, with all that it holds) and waits until it answers.
    pub fn start(&mut self) {
        let mut command = self.bench.engine.command(tool("REGISTRY"));
        command.arg("serve").arg(self.directory.join("config.yml"));
        self.process = Some(Process::start(&mut command, &self.directory.join("log")));
        let url = format!("http://{}/", self.address);
        eventually("the registry answers", Duration::from_secs(10), || self.bench.get(&url));
    }

    /// An outage.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// The full reference of an image here.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// Puts a local image here as `name` (`shop:1`) and returns its full reference. At no moment does the engine have an
    /// image of that name itself: it is pushed under another one and copied within the registry.
    pub fn push(&self, image: &str, name: &str) -> String {
        let (repository, tag) = name.split_once(':').expect("a name with a tag");
        let incoming = self.reference(&format!("incoming-{repository}:{tag}"));
        let engine = &self.bench.engine;
        let config = self.directory.join("client").display().to_string();
        if self.private {
            engine.docker(&["--config", &config, "login", "--username", USER, "--password", PASSWORD, &self.address]);
        }
        engine.docker(&["tag", image, &incoming]);
        engine.docker(&["--config", &config, "push", "--quiet", &incoming]);
        engine.docker(&["rmi", &incoming]);
        self.copy(&format!("incoming-{repository}:{tag}"), name);
        self.reference(name)
    }

    /// Gives what is here under one name (`shop:1`) another one, too. A tag that was there moves.
    pub fn copy(&self, from: &str, to: &str) {
        let ((source, old), (target, new)) = (self.place(from), self.place(to));
        let parts = ["_layers", "_manifests/revisions"].map(|part| (part.to_owned(), part.to_owned()));
        // The tag comes last: what it leads to is there by then.
        for (from, to) in parts.into_iter().chain([(old, new)]) {
            fs::create_dir_all(target.join(&to)).expect("a directory in the registry");
            let copied = Command::new("cp").arg("-r").arg(source.join(from).join(".")).arg(target.join(to)).status();
            assert!(copied.expect("cp can be run").success(), "cp failed");
        }
    }

    /// Takes a tag away, if it is here. What it led to can still be had by its digest.
    pub fn forget(&self, name: &str) {
        let (repository, tag) = self.place(name);
        let _ = fs::remove_dir_all(repository.join(tag));
    }

    /// The directory of a name's repository, and in it of its tag.
    fn place(&self, name: &str) -> (PathBuf, String) {
        let (repository, tag) = name.split_once(':').expect("a name with a tag");
        (self.repository(repository), format!("_manifests/tags/{tag}"))
    }

    fn repository(&self, name: &str) -> PathBuf {
        self.directory.join("docker/registry/v2/repositories").join(name)
    }

    /// The digest that a tag has here now. (Only of an open one.)
    pub fn digest(&self, name: &str) -> String {
        let (repository, tag) = self.place(name);
        let link = repository.join(tag).join("current/link");
        fs::read_to_string(&link).unwrap_or_else(|e| panic!("{}: {e}", link.display()))
    }
}

/// A program or file that `scripts/docker-tests` has made and named in the environment: APP, REGISTRY, PROMTOOL, SYSTEMS
/// or CONTROLLER.
pub fn tool(name: &str) -> PathBuf {
    let variable = format!("EVENKEEL_TEST_{name}");
    std::env::var_os(&variable).unwrap_or_else(|| panic!("{variable} is not set: use scripts/docker-tests")).into()
}
