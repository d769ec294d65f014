//! The server: answers with its version, is ready when it is told to be, and stops as a good server does.
//!
//! Environment:
//! - `PORT` (8080), `VERSION`, `SLOT`: where it listens and what it answers; `LISTEN=127.0.0.1`: on that address only;
//! - `GRPC_PORT=50051`: there, gRPC's health service says what `/healthz` does;
//! - `WARMUP=15s`: `/healthz` answers 503 for so long; `NEVER_READY=1`: for ever; `SICK_AFTER=5s`: again after so long;
//! - `CRASH=3`: exits at once with that code; `CRASH_AFTER=5s`: after so long (with `CRASH`, or 1);
//! - `IGNORE_TERM=1`: does not stop when asked; `HUNGRY=1`: takes memory until it is killed for it.
//!
//! Paths: `/` and `/healthz`; `/slow?ms=500` answers late; `/sick` and `/well` switch `/healthz`; `/exit?code=3` crashes;
//! `/env?name=X` and `/file?path=/x` show what the container was given. SIGTERM: no new connections, idle ones are closed, requests in flight are answered.

use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::args::{duration, duration_setting, setting};
use crate::grpc;
use crate::http::{self, Request};
use crate::termination::Termination;

pub fn port() -> Result<u16, String> {
    let text = setting("PORT").unwrap_or_else(|| "8080".to_string());
    text.parse().map_err(|e| format!("PORT={text}: {e}"))
}

pub fn version() -> String {
    setting("VERSION").unwrap_or_else(|| "0".to_string())
}

pub fn run() -> Result<ExitCode, String> {
    let termination = Termination::block();
    let port = port()?;
    let identity = Identity::read();
    println!("{identity} starts");
    crash_when_told()?;
    eat_when_told();
    let server = Arc::new(Server::new(identity)?);
    let listener = listen(port)?;
    println!("{} listens on {port}", server.identity);
    let accepting = server.clone();
    std::thread::spawn(move || accepting.accept(&listener));
    if let Some(port) = setting("GRPC_PORT") {
        let listener = listen(port.parse().map_err(|e| format!("GRPC_PORT={port}: {e}"))?)?;
        let asked = server.clone();
        std::thread::spawn(move || grpc::serve(&listener, move || asked.ailment().is_none()));
    }
    loop {
        let signal = termination.wait();
        if setting("IGNORE_TERM").is_none() {
            println!("{} stops: {signal}", server.identity);
            break;
        }
        println!("{} ignores {signal}", server.identity);
    }
    server.finish();
    println!("{} has stopped", server.identity);
    Ok(ExitCode::SUCCESS)
}

fn listen(port: u16) -> Result<TcpListener, String> {
    let address = setting("LISTEN").unwrap_or_else(|| "0.0.0.0".to_string());
    TcpListener::bind((address.as_str(), port)).map_err(|e| format!("listen on {address}:{port}: {e}"))
}

fn crash_when_told() -> Result<(), String> {
    let code = setting("CRASH").map(|text| text.parse().map_err(|e| format!("CRASH={text}: {e}"))).transpose()?;
    match (code, duration_setting("CRASH_AFTER")?) {
        (Some(code), None) => crash(code),
        (code, Some(after)) => {
            std::thread::spawn(move || {
                std::thread::sleep(after);
                crash(code.unwrap_or(1));
            });
        }
        (None, None) => {}
    }
    Ok(())
}

fn eat_when_told() {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    while setting("HUNGRY").is_some() {
        // Written to, or the kernel gives nothing.
        eaten.push(vec![1; 1 << 20]);
    }
}

fn crash(code: i32) {
    eprintln!("fatal: told to crash with {code}");
    std::process::exit(code);
}

struct Identity {
    version: String,
    host: String,
    slot: String,
}

impl Identity {
    fn read() -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Identity {
            version: version(),
            host: host.trim().to_string(),
            slot: setting("SLOT").unwrap_or_else(|| "-".to_string()),
        }
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Identity { version, host, slot } = self;
        write!(f, "version {version} on {host} slot {slot}")
    }
}

struct Server {
    identity: Identity,
    started: Instant,
    warmup: Duration,
    sick_after: Option<Duration>,
    sick: AtomicBool,
    stopping: AtomicBool,
    connections: Mutex<Connections>,
    /// Told whenever a connection ends.
    ended: Condvar,
}

#[derive(Default)]
struct Connections {
    next: u64,
    open: BTreeMap<u64, Connection>,
}

struct Connection {
    stream: TcpStream,
    /// Between a request's first line and its answer. An idle one may be closed without anybody losing anything.
    busy: bool,
}

impl Server {
    fn new(identity: Identity) -> Result<Self, String> {
        Ok(Server {
            identity,
            started: Instant::now(),
            warmup: duration_setting("WARMUP")?.unwrap_or_default(),
            sick_after: duration_setting("SICK_AFTER")?,
            sick: AtomicBool::new(setting("NEVER_READY").is_some()),
            stopping: AtomicBool::new(false),
            connections: Mutex::default(),
            ended: Condvar::new(),
        })
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming().flatten() {
            if self.stopping.load(Ordering::SeqCst) {
                return;
            }
            let server = self.clone();
            std::thread::spawn(move || server.converse(stream));
        }
    }

    /// Answers requests on one connection until it ends.
    fn converse(&self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let Ok(copy) = stream.try_clone() else { return };
        let number = self.connections().add(copy);
        let mut stream = BufReader::new(stream);
        while let Ok(Some(request)) = http::read_request(&mut stream) {
            self.connections().set_busy(number, true);
            let (status, body) = self.answer(&request);
            let keep_alive = request.keep_alive && !self.stopping.load(Ordering::SeqCst);
            let version = &self.identity.version;
            let written = http::write_answer(stream.get_mut(), status, version, keep_alive, &body);
            self.connections().set_busy(number, false);
            if written.is_err() || !keep_alive {
                break;
            }
        }
        self.connections().open.remove(&number);
        self.ended.notify_all();
    }

    fn answer(&self, request: &Request) -> (u16, String) {
        match request.path.as_str() {
            "/healthz" => match self.ailment() {
                None => (200, "ok\n".to_string()),
                Some(ailment) => (503, format!("{ailment}\n")),
            },
            "/slow" => {
                let text = request.parameter("ms").unwrap_or("1000");
                std::thread::sleep(duration(&format!("{text}ms")).unwrap_or_default());
                (200, format!("{} after {text} ms\n", self.identity))
            }
            "/sick" | "/well" => {
                self.sick.store(request.path == "/sick", Ordering::SeqCst);
                (200, format!("{} is {}\n", self.identity, &request.path[1..]))
            }
            "/exit" => {
                crash(request.parameter("code").and_then(|code| code.parse().ok()).unwrap_or(1));
                (500, String::new())
            }
            "/env" => found(request.parameter("name").and_then(|name| std::env::var(name).ok())),
            "/file" => found(request.parameter("path").and_then(|path| std::fs::read_to_string(path).ok())),
            // Like many real ones, it serves nothing before it has warmed up.
            _ => match self.ailment() {
                None => (200, format!("{}\n", self.identity)),
                Some(ailment) => (503, format!("{} {ailment}\n", self.identity)),
            },
        }
    }

    fn ailment(&self) -> Option<&'static str> {
        let age = self.started.elapsed();
        if self.sick.load(Ordering::SeqCst) || self.sick_after.is_some_and(|after| age >= after) {
            Some("is not well")
        } else if age < self.warmup {
            Some("is warming up")
        } else {
            None
        }
    }

    /// Closes idle connections and waits for the busy ones.
    fn finish(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        let mut connections = self.connections();
        while !connections.open.is_empty() {
            connections.close_idle();
            // Woken when one ends; the time-out catches one that has become idle meanwhile.
            connections = self
                .ended
                .wait_timeout(connections, Duration::from_millis(20))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let _ = std::io::stdout().flush();
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections {
    fn add(&mut self, stream: TcpStream) -> u64 {
        self.next += 1;
        let connection = Connection { stream, busy: false };
        self.open.insert(self.next, connection);
        self.next
    }

    fn set_busy(&mut self, number: u64, busy: bool) {
        if let Some(connection) = self.open.get_mut(&number) {
            connection.busy = busy;
        }
    }

    fn close_idle(&self) {
        for connection in self.open.values().filter(|connection| !connection.busy) {
            let _ = connection.stream.shutdown(Shutdown::Both);
        }
    }
}

fn found(text: Option<String>) -> (u16, String) {
    match text {
        Some(text) => (200, text),
        None => (404, "not found\n".to_string()),
    }
}
