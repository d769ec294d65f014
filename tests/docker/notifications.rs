//! Notifications of a real daemon: each result once, with its reason, and nothing of the receiver's URL anywhere else.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Bench, Deployment, eventually, on_each_engine, throughout};

const SOON: Duration = Duration::from_secs(30);
const ROLLED_BACK: i32 = 2;
/// In the URL and in a header.
const CANARY: &str = "c4nary";

/// A webhook on this machine that takes everything: the bodies that it was sent.
pub struct Webhook {
    url: String,
    bodies: Arc<Mutex<Vec<Value>>>,
}

impl Webhook {
    /// Listens in the network of the engine, where the daemon is.
    pub fn start(bench: &Bench) -> Self {
        let listener = bench.engine.listener();
        let url = format!("http://{}/hook/{CANARY}", listener.local_addr().expect("it listens"));
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let kept = bodies.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Some(body) = take(stream) {
                    kept.lock().expect("nobody panics with it").push(body);
                }
            }
        });
        Self { url, bodies }
    }

    /// A configuration that names it.
    pub fn config(&self) -> String {
        format!("notifications: [{{name: ops, url: '{}'}}]\n", self.url)
    }

    /// Whether anything was told.
    pub fn is_told(&self) -> bool {
        !self.told().is_empty()
    }

    /// What was told: `RESULT NAME` each.
    fn told(&self) -> Vec<String> {
        let bodies = self.bodies.lock().expect("nobody panics with it");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        bodies.iter().map(|body| format!("{} {}", text(&body["result"]), text(&body["object"]["name"]))).collect()
    }

    /// The last body.
    fn last(&self) -> Value {
        self.bodies.lock().expect("nobody panics with it").last().cloned().unwrap_or_default()
    }

    /// Waits until this was told, and nothing else.
    fn has_told(&self, all: &[&str]) {
        eventually(&format!("{all:?} is told"), SOON, || {
            let told = self.told();
            if told == all { Ok(()) } else { Err(format!("{told:?}")) }
        });
    }
}

/// The body of one request, answered with 200.
fn take(stream: TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    reader.into_inner().write_all(answer.as_bytes()).ok()?;
    serde_json::from_slice(&body).ok()
}

/// Everything that is written below a directory.
fn written(directory: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            text += &written(&path);
        } else {
            text += &String::from_utf8_lossy(&fs::read(&path).unwrap_or_default());
        }
    }
    text
}

on_each_engine! {
    fn a_rollback_and_the_recovery_are_told_once_also_over_a_restart(bench) {
        let (one, crashing, three) =
            (bench.app_image("1", &[]), bench.app_image("2", &["ENV CRASH=7"]), bench.app_image("3", &[]));
        let webhook = Webhook::start(bench);
        fs::write(bench.directory().join("webhook-url"), &webhook.url).expect("a file can be written");
        fs::write(bench.directory().join("headers"), format!("Authorization: Bearer {CANARY}\n")).expect("a file can be written");
        let config = bench.directory().join("evenkeel.yaml");
        let receivers = "notifications: [{name: ops, urlFile: webhook-url, headersFile: headers}]\n";
        fs::write(&config, receivers).expect("a file can be written");
        let config = config.display().to_string();
        let options = ["--config", &config, "--log-level", "trace"];
        let web = |image: &str| Deployment::new("web", image).spec("progressDeadline", "10s").to_string();

        let controller = bench.start_controller_with(&options);
        bench.apply("web.yaml", &web(&one));
        bench.write("web.yaml", &web(&crashing));
        assert_eq!(bench.applied(), ROLLED_BACK);
        webhook.has_told(&["RolledBack web"]);
        let body = webhook.last();
        assert_eq!(body["kind"], "Notification");
        assert_eq!(body["instance"], bench.instance.as_str());
        assert_eq!(body["revision"]["image"], crashing.as_str());
        assert!(!body["reason"].as_str().unwrap_or_default().is_empty(), "{body}");
        assert!(body["lastLog"].to_string().contains("told to crash with 7"), "{body}");
        eventually("it is counted", SOON, || {
            let delivered = bench.metric("evenkeel_notifications_total{receiver=\"ops\",result=\"delivered\"}");
            if delivered == Some(1.0) { Ok(()) } else { Err(format!("{delivered:?}")) }
        });
        assert_eq!(bench.metric("evenkeel_notifications_queued{receiver=\"ops\"}"), Some(0.0));

        let status = controller.terminate(SOON);
        assert!(status.success(), "{status}");
        let controller = bench.start_controller_with(&options);
        throughout("it is not told again by a new daemon", Duration::from_secs(3), || {
            let told = webhook.told();
            if told.len() == 1 { Ok(()) } else { Err(format!("{told:?}")) }
        });
        bench.apply("web.yaml", &web(&three));
        webhook.has_told(&["RolledBack web", "RolloutComplete web"]);

        let seen = [
            controller.output(),
            written(&bench.state_directory()),
            bench.metrics(),
            bench.evenkeel(&["get", "all", "-o", "json"]),
            bench.evenkeel(&["events"]),
        ];
        assert!(seen[0].contains("rolled out"), "the log is there: {}", seen[0]);
        assert!(!seen.concat().contains(CANARY), "the URL or the header was written down");
        let (code, out, err) = bench.bare_outcome(&["notify", "test", "--config", &config]);
        assert_eq!(code, 0, "{out}{err}");
        assert_eq!(webhook.last()["result"], "Test");
    }
}
