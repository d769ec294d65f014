//! A connection of a client and the one to the engine that belongs to it. It knows nothing of faults.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;

use super::Request;

/// Both sides. Whatever the engine says goes to the client at once, and its end too.
pub struct Link<'a> {
    pub client: UnixStream,
    engine: Option<UnixStream>,
    socket: &'a Path,
}

impl<'a> Link<'a> {
    /// The engine at `socket` is called when there is something for it.
    pub fn new(client: UnixStream, socket: &'a Path) -> Self {
        Link { client, engine: None, socket }
    }

    /// Sends it to the engine.
    pub fn forward(&mut self, request: &Request) -> io::Result<()> {
        if self.engine.is_none() {
            self.engine = Some(self.call()?);
        }
        self.engine.as_mut().map_or(Ok(()), |engine| engine.write_all(&request.bytes))
    }

    /// From here on, both sides say what they like until they end.
    pub fn speak_freely(mut self) {
        if let Some(mut engine) = self.engine {
            // The error is an end too.
            let _ = copy(&mut self.client, &mut engine);
        }
    }

    /// Ends both sides.
    pub fn cut(&self) {
        for side in [Some(&self.client), self.engine.as_ref()].into_iter().flatten() {
            // It may have ended already.
            let _ = side.shutdown(Shutdown::Both);
        }
    }

    fn call(&self) -> io::Result<UnixStream> {
        let engine = UnixStream::connect(self.socket)?;
        let (mut from, mut to) = (engine.try_clone()?, self.client.try_clone()?);
        // It ends with the engine's side.
        thread::spawn(move || copy(&mut from, &mut to));
        Ok(engine)
    }
}

fn copy(from: &mut UnixStream, to: &mut UnixStream) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer) {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return to.shutdown(Shutdown::Write),
            Ok(read) => {
                if let Err(error) = to.write_all(&buffer[..read]) {
                    // The other side must not wait for somebody who has gone.
                    let _ = from.shutdown(Shutdown::Both);
                    return Err(error);
                }
            }
        }
    }
}
