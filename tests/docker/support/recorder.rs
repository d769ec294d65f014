//! A socket between the controller and the engine that writes down every call. It can also be cut, as an engine that is
//! gone.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

/// An API call that the controller made.
#[derive(Debug, Clone)]
pub struct Call {
    /// When it was sent.
    pub at: Instant,
    /// `GET`, `POST` …
    pub method: String,
    /// The path with its query, as sent.
    pub path: String,
}

impl Call {
    /// Whether it asks only. (A HEAD or GET.)
    pub fn reads(&self) -> bool {
        self.method == "GET" || self.method == "HEAD"
    }
}

/// The recording socket; give its path to a controller as `DOCKER_HOST`.
pub struct Recorder {
    /// Where to connect to.
    pub socket: PathBuf,
    calls: Arc<Mutex<Vec<Call>>>,
    cut: Arc<AtomicBool>,
}

impl Recorder {
    /// Listens at `socket` and passes everything on to `engine`.
    pub fn start(socket: &Path, engine: &Path) -> Self {
        let listener = UnixListener::bind(socket).unwrap_or_else(|e| panic!("{}: {e}", socket.display()));
        let recorder = Recorder { socket: socket.to_path_buf(), calls: Arc::default(), cut: Arc::default() };
        let (calls, cut, engine) = (recorder.calls.clone(), recorder.cut.clone(), engine.to_path_buf());
        // Both threads of a connection end with it; this one ends with the process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if cut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(server) = UnixStream::connect(&engine) else { continue };
                let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) else { continue };
                let (calls, cut) = (calls.clone(), cut.clone());
                thread::spawn({
                    let cut = cut.clone();
                    move || pass(from, to, &cut, |bytes| note(&calls, bytes))
                });
                thread::spawn(move || pass(server, client, &cut, |_| ()));
            }
        });
        recorder
    }

    /// Everything so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("nobody panics with the lock").clone()
    }

    /// Forgets everything so far.
    pub fn forget(&self) {
        self.calls.lock().expect("nobody panics with the lock").clear();
    }

    /// Cuts the engine off (open connections too, at their next byte) or connects it again.
    pub fn set_cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }
}

fn pass(mut from: UnixStream, mut to: UnixStream, cut: &AtomicBool, mut look: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = match from.read(&mut buffer) {
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => break,
            Ok(read) => read,
        };
        look(&buffer[..read]);
        if cut.load(Ordering::SeqCst) || to.write_all(&buffer[..read]).is_err() {
            let _ = from.shutdown(Shutdown::Both);
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// A request's head always starts a read: a client sends nothing before it has the answer to the last one.
fn note(calls: &Mutex<Vec<Call>>, bytes: &[u8]) {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let words: Vec<_> = line.split(' ').collect();
    if let [method, path, version] = words[..]
        && version.starts_with("HTTP/1")
    {
        let call = Call { at: Instant::now(), method: method.to_string(), path: path.to_string() };
        calls.lock().expect("nobody panics with the lock").push(call);
    }
}
