//! gRPC's health service, with as much of HTTP/2 as its clients need. Whatever is asked, the answer is how the server is: who
//! reads no headers needs no table of them.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

/// What a client says first.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The longest frame that a client may send unless it was told otherwise.
const FRAME_MAX: usize = 16 * 1024;

/// Kinds of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
/// Flags: a stream's last frame (of what has a stream), or an answer (of what has none); headers that are whole.
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// Answers every connection until the process ends.
pub fn serve(listener: &TcpListener, is_well: impl Fn() -> bool + Clone + Send + 'static) {
    for stream in listener.incoming().flatten() {
        let is_well = is_well.clone();
        // One that breaks off is its client's business.
        std::thread::spawn(move || converse(stream, &is_well));
    }
}

fn converse(mut stream: TcpStream, is_well: &impl Fn() -> bool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface)?;
    if preface != *PREFACE {
        return Err(ErrorKind::InvalidData.into());
    }
    stream.write_all(&frame(SETTINGS, 0, 0, &[]))?;
    loop {
        let (kind, flags, stream_id, payload) = read_frame(&mut stream)?;
        match kind {
            SETTINGS if flags & ACK == 0 => stream.write_all(&frame(SETTINGS, ACK, 0, &[]))?,
            PING if flags & ACK == 0 => stream.write_all(&frame(PING, ACK, 0, &payload))?,
            HEADERS | DATA if flags & END_STREAM != 0 => stream.write_all(&answer(stream_id, is_well()))?,
            GOAWAY => return Ok(()),
            _ => {}
        }
    }
}

fn read_frame(stream: &mut TcpStream) -> io::Result<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let [high, middle, low, kind, flags, id @ ..] = head;
    let length = u32::from_be_bytes([0, high, middle, low]) as usize;
    if length > FRAME_MAX {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload)?;
    Ok((kind, flags, u32::from_be_bytes(id) & 0x7fff_ffff, payload))
}

fn frame(kind: u8, flags: u8, stream_id: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("answers are short");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream_id.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Headers, a HealthCheckResponse, trailers.
fn answer(stream_id: u32, is_well: bool) -> Vec<u8> {
    // Number 8 of HPACK's table is `:status: 200`.
    let mut headers = vec![0x88];
    headers.extend(literal("content-type", "application/grpc"));
    // Its field 1 is SERVING (1) or NOT_SERVING (2).
    let message = [0, 0, 0, 0, 2, 0x08, if is_well { 1 } else { 2 }];
    let mut answer = frame(HEADERS, END_HEADERS, stream_id, &headers);
    answer.extend(frame(DATA, 0, stream_id, &message));
    answer.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream_id, &literal("grpc-status", "0")));
    answer
}

/// A header that is written out and kept in no table; both of its parts are shorter than 127 bytes.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut header = vec![0];
    for part in [name, value] {
        header.push(u8::try_from(part.len()).expect("it is short"));
        header.extend(part.as_bytes());
    }
    header
}
