//! Somebody outside who asks the replicas all the time whether they are ready, each by its address. It knows the engine
//! and the application, not the controller.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Bench, Engine, api};

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(150);

/// The witness, looking until it is asked.
pub struct Witness {
    over: Arc<AtomicBool>,
    watching: JoinHandle<Seen>,
}

/// What it has seen.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    /// How often it looked.
    pub looks: u32,
    /// The fewest ready replicas at any time.
    pub fewest: Option<usize>,
    /// When and how that was.
    pub how: String,
}

/// What a look needs, apart from the bench: it is made in a thread of its own.
struct Eye {
    engine: Engine,
    app: PathBuf,
    filter: String,
    /// The addresses that ran when the engine last answered.
    known: Mutex<Vec<String>>,
}

impl Witness {
    /// Begins to look at the replicas of `web`.
    pub fn start(bench: &Bench) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let filter = format!("evenkeel.dev/instance={}", bench.instance);
        let eye = Eye { engine: bench.engine.lend(), app: bench.app(), filter, known: Mutex::default() };
        let told = over.clone();
        let watching = thread::spawn(move || {
            let (began, mut seen) = (Instant::now(), Seen::default());
            while !told.load(Ordering::SeqCst) {
                eye.look(&mut seen, began);
                thread::sleep(PERIOD);
            }
            seen
        });
        Witness { over, watching }
    }

    /// Ends it and returns what it has seen.
    pub fn asked(self) -> Seen {
        self.over.store(true, Ordering::SeqCst);
        self.watching.join().expect("looking does not panic")
    }
}

impl Eye {
    /// Counts only what did not change while it looked: a replica may have ended between the list and the question.
    fn look(&self, seen: &mut Seen, began: Instant) {
        let before = self.addresses();
        let ready = before.iter().filter(|address| self.is_ready(address)).count();
        let fewest = seen.fewest.unwrap_or(usize::MAX);
        if before != self.addresses() || (ready < fewest && ready != self.count(&before)) {
            return;
        }
        seen.looks += 1;
        if ready < fewest {
            seen.fewest = Some(ready);
            seen.how = format!("{ready} ready of {} after {:.1} s", before.join(" "), began.elapsed().as_secs_f32());
        }
    }

    fn count(&self, addresses: &[String]) -> usize {
        addresses.iter().filter(|address| self.is_ready(address)).count()
    }

    /// Running replicas' addresses; those known last when the engine does not answer.
    fn addresses(&self) -> Vec<String> {
        let mut known = self.known.lock().expect("nobody panics with the lock");
        let filters = format!("{{\"label\":[\"{}\",\"evenkeel.dev/name=web\"],\"status\":[\"running\"]}}", self.filter);
        let path = format!("/containers/json?filters={}", escaped(&filters));
        if let Some((200, body)) = api::try_call(&self.engine.socket, "GET", &path)
            && let Ok(Value::Array(list)) = serde_json::from_str(&body)
        {
            *known = list.iter().filter_map(address).collect();
            known.sort();
        }
        known.clone()
    }

    fn is_ready(&self, address: &str) -> bool {
        let url = format!("http://{address}:8080/healthz");
        let output = self.engine.command(&self.app).args(["get", &url]).output();
        output.is_ok_and(|output| output.status.success())
    }
}

fn address(container: &Value) -> Option<String> {
    let networks = container["NetworkSettings"]["Networks"].as_object()?;
    let addresses = networks.values().filter_map(|network| network["IPAddress"].as_str());
    addresses.filter(|address| !address.is_empty()).map(str::to_string).next()
}

fn escaped(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    text.chars().map(|c| if plain(c) { c.to_string() } else { format!("%{:02X}", c as u32) }).collect()
}
