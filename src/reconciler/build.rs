//! Building: the context is read and sent while the engine takes it in. What is built, and when, is decided elsewhere.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokio::sync::mpsc;

use crate::engine::{Context, Credentials, Engine, EngineError};
use crate::manifest::context;
use crate::model::action::Call;
use crate::model::build::ImageBuild;
use crate::model::desired::Desired;
use crate::model::image::Built;
use crate::model::observed::Fault;
use crate::policy::Approved;
use crate::wake::{Reason, Wake};

/// Lines of a build's output that are kept in case it fails, and the characters of each.
const OUTPUT_LINES: usize = 20;
const OUTPUT_CHARACTERS: usize = 300;
/// How many bytes are handed on at once.
const PIECE: usize = 64 << 10;
/// How many pieces wait for the engine.
const WAITING: usize = 8;

/// Builds an image. A context that is not what it was when it was looked at is looked at again, and nothing is built of it.
pub async fn build<E: Engine>(
    engine: &E,
    build: Approved<'_, ImageBuild>,
    credentials: &[Credentials],
    output: &(dyn Fn(String) + Send + Sync),
    wake: &Wake,
) -> Result<Built, EngineError> {
    let (context, trouble) = send((*build).clone());
    let outcome = engine.build(build, context, credentials, output).await;
    match (outcome, trouble.get()) {
        (Err(error), Some(why)) => {
            wake.ring(Reason::Files);
            let message = format!("the context {why}");
            Err(EngineError { message, fault: Fault::Unavailable, ..error })
        }
        (outcome, _) => outcome,
    }
}

/// Keeps a line of what a build says, without secrets, as one of the last.
pub fn keep(output: &mut Vec<String>, line: &str) {
    output.push(line.chars().take(OUTPUT_CHARACTERS).collect());
    let surplus = output.len().saturating_sub(OUTPUT_LINES);
    output.drain(..surplus);
}

/// Whether a call builds what nobody wants any more.
pub fn is_obsolete(desired: &Desired, call: &Call) -> bool {
    matches!(call, Call::Build { build, .. } if !desired.builds.contains_key(&build.image))
}

/// The outcome of such a build.
pub fn obsolete(call: &Call) -> EngineError {
    let message = "what it is built from has changed meanwhile".into();
    EngineError { attempted: call.to_string(), message, fault: Fault::Unavailable }
}

/// The context on its way, and what keeps it from being whole.
fn send(build: ImageBuild) -> (Context, Arc<OnceLock<String>>) {
    let (to, pieces) = mpsc::channel(WAITING);
    let trouble = Arc::new(OnceLock::new());
    let told = trouble.clone();
    tokio::task::spawn_blocking(move || {
        let mut archive = Pieces { to, piece: Vec::with_capacity(PIECE) };
        let packed = context::pack(Path::new(&build.context), &build.dockerfile, &build.content, &mut archive);
        match packed {
            // An engine that does not take it has said why.
            Ok(()) => drop(archive.flush()),
            Err(why) => {
                let error = io::Error::other(why.clone());
                if !archive.to.is_closed() {
                    told.set(why).expect("it is told once");
                }
                // Nobody may be listening any more; that changes nothing.
                let _ = archive.to.blocking_send(Err(error));
            }
        }
    });
    (Context(pieces), trouble)
}

/// Hands on what is written, piece by piece.
struct Pieces {
    to: mpsc::Sender<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.to.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
