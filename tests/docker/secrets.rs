//! Secrets on a real engine, at the log level `trace`: by every way in which something is given one, while pulls, updates
//! and jobs fail. What is told is searched for all of them, and a text that no Secret holds must be found there.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::support::{Bench, Deployment, Registry, eventually, object, on_each_engine};

const SOON: Duration = Duration::from_secs(60);
/// What no Secret holds.
const PLANTED: &str = "planted-canary";
/// What only Secrets hold.
const CANARIES: [&str; 8] = [
    "canary-of-a-variable",
    "canary-with \"quotes\" and $signs",
    "canary-of-a-file",
    "canary-of-a-second-line",
    "canary-of-a-login",
    "canary-of-a-job",
    "canary-before-the-change",
    "canary-after-the-change",
];

/// What was told, by where.
#[derive(Default)]
struct Told(BTreeMap<String, String>);

impl Told {
    fn take(&mut self, place: &str, text: &str) {
        self.0.entry(place.to_string()).or_default().push_str(text);
    }

    /// What every command shows, the metrics, and the labels of all that is ours.
    fn look(&mut self, bench: &Bench) {
        let everything =
            ["get", "get -o wide", "get -o json", "get replicas -o yaml", "get sources -o json", "events -o json"];
        let each = ["deployment/web", "deployment/pulled", "job/spill", "secret/tokens", "network/default"];
        let each = each
            .iter()
            .flat_map(|name| [format!("describe {name} -n shop"), format!("describe {name} -n shop -o json")]);
        let history =
            ["rollout history deployment/web -n shop -o json", "rollout status deployment/web -n shop --timeout 1s"];
        for line in everything.iter().chain(&history).map(ToString::to_string).chain(each) {
            let words: Vec<&str> = line.split(' ').collect();
            let (_, out, err) = bench.evenkeel_outcome(&words);
            let place = words.iter().take(1).copied().collect::<String>();
            self.take(&place, &(out + &err));
        }
        for words in [&["plan"][..], &["plan", "-o", "json"]] {
            let (_, out, err) = bench.offline_outcome(words);
            self.take("plan", &(out + &err));
        }
        self.take("metrics", &bench.metrics());
        bench.all_containers().iter().for_each(|c| self.take("labels", &c.0["Config"]["Labels"].to_string()));
        let mut files = String::new();
        read_all(&bench.state_directory(), &mut files);
        self.take("state files", &files);
    }

    /// Where some text is told.
    fn with(&self, text: &str) -> Vec<&str> {
        self.0.iter().filter(|(_, all)| all.contains(text)).map(|(place, _)| place.as_str()).collect()
    }
}

/// Names and contents of a directory, but for the contents of Secrets themselves, which only their owner can read.
fn read_all(dir: &Path, into: &mut String) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        into.push_str(&path.display().to_string());
        if path.ends_with("state/contents") || path.ends_with("state/files") {
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{}", path.display());
        } else if path.is_dir() {
            read_all(&path, into);
        } else {
            into.push_str(&String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()));
        }
    }
}

/// The arguments of every process on this machine, and the environments of the controllers, gathered until it is dropped.
struct Spy {
    seen: Arc<Mutex<String>>,
    done: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Spy {
    fn start() -> Self {
        let (seen, done) = (Arc::<Mutex<String>>::default(), Arc::<AtomicBool>::default());
        let (kept, ended) = (seen.clone(), done.clone());
        let thread = thread::spawn(move || {
            while !ended.load(Ordering::SeqCst) {
                let now: String = fs::read_dir("/proc").unwrap().flatten().map(|process| of(&process.path())).collect();
                let mut kept = kept.lock().unwrap();
                if !kept.ends_with(&now) {
                    kept.push_str(&now);
                }
            }
        });
        Self { seen, done, thread: Some(thread) }
    }

    fn end(mut self) -> String {
        self.done.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

fn of(process: &Path) -> String {
    let read =
        |name: &str| String::from_utf8_lossy(&fs::read(process.join(name)).unwrap_or_default()).replace('\0', " ");
    let arguments = read("cmdline");
    match arguments.contains("evenkeel") {
        true => format!("{arguments} {}\n", read("environ")),
        false => format!("{arguments}\n"),
    }
}

/// A file of the host that only its owner can read.
fn host_file(bench: &Bench, name: &str, content: &str) -> String {
    let path = bench.directory().join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

/// The Secrets with all canaries but the one that comes later.
fn secrets(bench: &Bench) -> String {
    let [variable, quoted, file, line, login, job, before, _] = CANARIES;
    let quotes = quoted.replace('"', "\\\"");
    let tokens =
        host_file(bench, "tokens.env", &format!("TOKEN={variable}\nQUOTED=\"{}\"\n", quotes.replace('$', "\\$")));
    let key = host_file(bench, "key.pem", &format!("{file}\n{line}\n"));
    let login = host_file(bench, "login.env", &format!("username=robot\npassword={login}\n"));
    let job = host_file(bench, "job.env", &format!("TOKEN={job}\n"));
    let changing = host_file(bench, "changing.env", &format!("CHANGING={before}\n"));
    let env = |name: &str, file: &str| object("Secret", name, &format!("{{envFiles: ['{file}']}}"));
    let files = object("Secret", "keys", &format!("{{files: {{key.pem: '{key}'}}}}"));
    [env("tokens", &tokens), files, env("login", &login), env("job", &job), env("changing", &changing)].concat()
}

fn web(image: &str) -> String {
    Deployment::new("web", image)
        .spec("progressDeadline", "3s")
        .template("env", &format!("{{ONE: {{secret: tokens, key: TOKEN}}, PLAIN: {PLANTED}}}"))
        .template("envFrom", "[{secret: tokens}, {secret: changing}]")
        .template("mounts", "[{secret: keys, path: /run/keys}]")
        .to_string()
}

on_each_engine! {
    fn no_secret_is_told_on_a_real_engine(bench) {
        let (good, sick) = (bench.app_image("1", &[]), bench.app_image("2", &["ENV NEVER_READY=1"]));
        let registry = Registry::private(bench);
        let private = registry.push(&good, &format!("{PLANTED}:1"));
        let spy = Spy::start();
        let mut told = Told::default();
        bench.write("secrets.yaml", &secrets(bench));
        bench.write("web.yaml", &web(&good));
        // The registry refuses this login.
        bench.write("pulled.yaml", &Deployment::new("pulled", &private).template("imagePullSecrets", "[login]").to_string());
        let spill = format!("[job, --print, {PLANTED}, --show, /run/job/TOKEN, --exit, '3']");
        let template = format!("{{image: '{good}', imagePullPolicy: Never, args: {spill}, mounts: [{{secret: job, path: /run/job}}]}}");
        bench.write("spill.yaml", &object("Job", "spill", &format!("{{template: {template}}}")));
        let controller = bench.start_controller_with(&["--log-level", "trace"]);
        eventually("the login is refused and the job has failed", SOON, || {
            let (_, all, _) = bench.evenkeel_outcome(&["get", "-o", "wide"]);
            if all.contains("Failed") && (all.contains("no basic auth") || all.contains("unauthorized")) { Ok(()) } else { Err(all) }
        });
        bench.settled("web", 1, &good, SOON);
        told.look(bench);
        controller.kill();

        let controller = bench.start_controller_with(&["--log-level", "trace", "--log-format", "json"]);
        bench.write("web.yaml", &web(&sick));
        eventually("the sick one goes back", SOON, || {
            let (_, all, _) = bench.evenkeel_outcome(&["get", "deployment/web", "-n", "shop"]);
            if all.contains("RolledBack") { Ok(()) } else { Err(all) }
        });
        told.look(bench);
        host_file(bench, "changing.env", &format!("CHANGING={}\n", CANARIES[7]));
        bench.write("web.yaml", &web(&good));
        eventually("the changed one is there", SOON, || {
            let web = bench.running("web").pop().ok_or("web does not run")?;
            let url = format!("http://{}:8080/env?name=CHANGING", web.address(None));
            if bench.get(&url)? == CANARIES[7] { Ok(()) } else { Err("the old one".to_string()) }
        });
        told.look(bench);
        told.take("log", &controller.output());
        told.take("processes", &spy.end());

        // The first word of each, because some places quote.
        for canary in CANARIES.map(|canary| canary.split(' ').next().unwrap()) {
            assert_eq!(told.with(canary), [""; 0], "{canary} is told");
        }
        assert!(told.0["processes"].contains("--log-level trace") && told.0["metrics"].contains("evenkeel_"));
        // Others may have it among their arguments.
        told.0.remove("processes");
        assert_eq!(told.with(PLANTED), ["describe", "events", "get", "log", "plan", "state files"]);
        assert!(told.0["log"].contains("TRACE"), "the log is as talkative as it can be");
    }
}
