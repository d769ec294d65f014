//! A socket between a controller and an engine at which one request goes wrong. Everything else passes untouched. What a
//! fault does to the controller and the engine themselves is the owner's to do; [`fault`] names the faults.

pub mod fault;
mod link;
mod request;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

pub use fault::Fault;
pub use request::Request;

use fault::{DELAY, STALL};
use link::Link;

/// Does to controller and engine what a fault wants done to them, and returns when it is done.
pub type Blow = Box<dyn Fn(Fault) + Send + Sync>;

/// The socket; give its path to a controller as `DOCKER_HOST`.
pub struct Proxy {
    /// Where to connect to.
    pub socket: PathBuf,
    shared: Arc<Shared>,
}

struct Shared {
    engine: PathBuf,
    blow: Blow,
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    /// How many requests of each kind were seen since it was armed.
    seen: BTreeMap<String, u32>,
    armed: Option<(String, u32, Fault)>,
    fired: Option<String>,
    /// The container whose calls get no reply, and until when.
    stalled: Option<(String, Instant)>,
}

impl Proxy {
    /// Listens at `socket` and passes everything on to `engine`.
    pub fn start(socket: &Path, engine: &Path, blow: Blow) -> Self {
        let listener = UnixListener::bind(socket).unwrap_or_else(|e| panic!("{}: {e}", socket.display()));
        let shared = Arc::new(Shared { engine: engine.to_path_buf(), blow, record: Mutex::default() });
        let accepting = shared.clone();
        // The threads of a connection end with it; this one ends with the process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = accepting.clone();
                thread::spawn(move || shared.serve(Link::new(client, &shared.engine)));
            }
        });
        Proxy { socket: socket.to_path_buf(), shared }
    }

    /// Forgets all requests so far; from now on the `ordinal`-th one (from 1) of a kind goes wrong, or none.
    pub fn arm(&self, point: Option<(&str, u32, Fault)>) {
        let armed = point.map(|(kind, ordinal, fault)| (kind.to_string(), ordinal, fault));
        *self.shared.record() = Record { armed, ..Record::default() };
    }

    /// How many requests of each kind there were since it was armed.
    pub fn seen(&self) -> BTreeMap<String, u32> {
        self.shared.record().seen.clone()
    }

    /// The request that went wrong, if it came.
    pub fn fired(&self) -> Option<String> {
        self.shared.record().fired.clone()
    }
}

impl Shared {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("nobody panics with the lock")
    }

    /// One connection, which the controller uses for one request after the other.
    fn serve(&self, mut link: Link) {
        // Whatever breaks off here is a broken connection to both sides, which they know from real engines.
        while let Ok(Some(request)) = Request::read(&mut link.client) {
            let carried = match self.fault_at(&request) {
                Some(fault) => self.spoil(fault, &mut link, &request),
                None => link.forward(&request),
            };
            match carried {
                Ok(()) if request.upgrades => return link.speak_freely(),
                Ok(()) => {}
                Err(_) => break,
            }
        }
        link.cut();
    }

    fn fault_at(&self, request: &Request) -> Option<Fault> {
        let mut record = self.record();
        let stalls = |(container, until): &(String, Instant)| {
            *until > Instant::now() && request.container().as_ref() == Some(container)
        };
        if record.stalled.as_ref().is_some_and(stalls) {
            return Some(Fault::Stall);
        }
        let count = record.seen.entry(request.kind()).or_default();
        *count += 1;
        let now = (request.kind(), *count);
        let (kind, ordinal, fault) = record.armed.clone()?;
        if (kind, ordinal) != now {
            return None;
        }
        record.armed = None;
        record.fired = Some(request.to_string());
        if fault == Fault::Stall {
            record.stalled = request.container().map(|container| (container, Instant::now() + STALL));
        }
        Some(fault)
    }

    fn spoil(&self, fault: Fault, link: &mut Link, request: &Request) -> io::Result<()> {
        match fault {
            Fault::KillBefore => (self.blow)(fault),
            Fault::KillAfter => {
                self.first_bytes(request)?;
                (self.blow)(fault);
            }
            Fault::CutBefore => {}
            Fault::CutAfter => drop(self.first_bytes(request)?),
            Fault::CutWithin => {
                let bytes = self.first_bytes(request)?;
                link.client.write_all(&bytes[..bytes.len() / 2])?;
            }
            Fault::Delay => {
                thread::sleep(DELAY);
                return link.forward(request);
            }
            Fault::Double => {
                self.first_bytes(request)?;
                return link.forward(request);
            }
            Fault::Error500 => link.client.write_all(&refusal("500 Internal Server Error"))?,
            Fault::Error503 => link.client.write_all(&refusal("503 Service Unavailable"))?,
            Fault::ErrorAfter => {
                self.first_bytes(request)?;
                link.client.write_all(&refusal("500 Internal Server Error"))?;
            }
            Fault::Garbage => link.client.write_all(b"\x16\x03\x01 this is not the engine\r\n\x00\xff\xfe")?,
            Fault::BrokenJson => link.client.write_all(BROKEN_JSON)?,
            Fault::Stall => self.wait_out(&mut link.client, request),
            // A connection that is open by then ends with the engine, and the request with it.
            Fault::EngineKill | Fault::EngineRestart | Fault::EngineFreeze | Fault::DiskFull => {
                (self.blow)(fault);
                return link.forward(request);
            }
            Fault::EngineKillWithin => {
                link.forward(request)?;
                (self.blow)(fault);
                return Ok(());
            }
        }
        link.cut();
        Ok(())
    }

    /// Until the client gives up, or the stall is over and the connection breaks.
    fn wait_out(&self, client: &mut UnixStream, request: &Request) {
        let container = request.container();
        let stalled = self.record().stalled.clone().filter(|(stalled, _)| container.as_ref() == Some(stalled));
        let rest = stalled.map_or(STALL, |(_, until)| until.saturating_duration_since(Instant::now()));
        if !rest.is_zero() && client.set_read_timeout(Some(rest)).is_ok() {
            // Nothing more is expected from the client but its end.
            let _ = client.read(&mut [0]);
        }
    }

    /// Sends it to the engine, on a connection that nobody else uses; what the engine says first, which is when it has done
    /// it.
    fn first_bytes(&self, request: &Request) -> io::Result<Vec<u8>> {
        let mut engine = UnixStream::connect(&self.engine)?;
        engine.write_all(&request.bytes)?;
        let mut buffer = vec![0; 64 * 1024];
        let read = engine.read(&mut buffer)?;
        buffer.truncate(read);
        Ok(buffer)
    }
}

const BROKEN_JSON: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{\"Id\": 17, \"State\": [\"run";

fn refusal(status: &str) -> Vec<u8> {
    let body = "{\"message\":\"the engine is in trouble\"}";
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// An engine that answers everything with nothing.
    fn engine(socket: &Path) {
        let listener = UnixListener::bind(socket).unwrap();
        thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                thread::spawn(move || {
                    while let Ok(Some(_)) = Request::read(&mut client) {
                        client.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
                    }
                });
            }
        });
    }

    fn ask(connection: &mut UnixStream) -> String {
        connection.write_all(b"POST /v1.45/containers/abc/start HTTP/1.1\r\nHost: docker\r\n\r\n").unwrap();
        let mut buffer = [0; 1024];
        let read = connection.read(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..read]).into_owned()
    }

    #[test]
    fn every_request_of_a_connection_is_counted_and_each_can_go_wrong() {
        let directory = std::env::temp_dir().join(format!("evenkeel-proxy-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        engine(&directory.join("engine.sock"));
        let proxy = Proxy::start(&directory.join("proxy.sock"), &directory.join("engine.sock"), Box::new(drop));
        proxy.arm(Some(("post-containers-start", 3, Fault::Error503)));
        let mut connection = UnixStream::connect(&proxy.socket).unwrap();
        let answers = [(); 3].map(|()| ask(&mut connection)[9..12].to_string());
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(answers, ["204", "204", "503"]);
        assert_eq!(proxy.seen().into_iter().collect::<Vec<_>>(), [("post-containers-start".to_string(), 3)]);
        assert_eq!(proxy.fired().as_deref(), Some("POST /v1.45/containers/abc/start"));
    }
}
