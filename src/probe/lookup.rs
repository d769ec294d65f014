//! What a name leads to, asked of the engine's own DNS from within a container's network: what the container's program would
//! be told. It opens no connection.
//!
//! DNS over TCP (RFC 1035, 4.2.2): the engine's server answers that too, and nothing is lost or cut off on the way.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::socket::refusal;

/// Where the engine answers in every container's network but its default one.
const SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const PORT: u16 = 53;

/// Which question an answer is to.
const QUESTION_ID: [u8; 2] = *b"ek";
/// One question, and recursion is welcome.
const QUESTION_HEAD: [u8; 10] = [0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
/// An IPv4 address, on the internet.
const TYPE_A: u16 = 1;
const CLASS_IN: u16 = 1;
/// The answer's code for a name that nobody has.
const NO_SUCH_NAME: u8 = 3;

/// Where the engine's DNS is.
pub(super) fn server() -> SocketAddr {
    SocketAddr::new(SERVER.into(), PORT)
}

/// The addresses that a name leads to: at least one, or why not.
pub(super) async fn addresses(mut stream: TcpStream, name: &str) -> Result<Vec<IpAddr>, String> {
    let broken = |error: std::io::Error| format!("Docker's DNS: {}", refusal(&error));
    stream.write_all(&question(name)).await.map_err(broken)?;
    let length = stream.read_u16().await.map_err(broken)?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await.map_err(broken)?;
    read(&answer, name)
}

/// The question, with its length before it as TCP needs.
fn question(name: &str) -> Vec<u8> {
    let mut message = [&QUESTION_ID[..], &QUESTION_HEAD].concat();
    for label in name.split('.') {
        // A name's labels have at most 63 letters.
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.push(0);
    message.extend([TYPE_A, CLASS_IN].map(u16::to_be_bytes).concat());
    [&(message.len() as u16).to_be_bytes()[..], &message].concat()
}

fn read(answer: &[u8], name: &str) -> Result<Vec<IpAddr>, String> {
    let nonsense = || "Docker's DNS: its answer cannot be understood".to_owned();
    if answer.get(..2) != Some(&QUESTION_ID) {
        return Err(nonsense());
    }
    match answer.get(3).map(|flags| flags & 0x0f) {
        Some(0) => {}
        Some(NO_SUCH_NAME) => return Err(format!("nobody is called {name} here")),
        Some(code) => return Err(format!("Docker's DNS: it answers with code {code}")),
        None => return Err(nonsense()),
    }
    let found = addresses_in(answer).ok_or_else(nonsense)?;
    if found.is_empty() { Err(format!("the name {name} leads to nobody")) } else { Ok(found) }
}

/// The IPv4 addresses of an answer; none where it breaks off.
fn addresses_in(answer: &[u8]) -> Option<Vec<IpAddr>> {
    let number = |at: usize| Some(u16::from_be_bytes(answer.get(at..at + 2)?.try_into().ok()?));
    let (questions, answers) = (number(4)?, number(6)?);
    let mut at = 12;
    for _ in 0..questions {
        at = end_of_name(answer, at)? + 4;
    }
    let mut found = Vec::new();
    for _ in 0..answers {
        at = end_of_name(answer, at)?;
        let data = at + 10..at + 10 + usize::from(number(at + 8)?);
        at = data.end;
        let octets = <[u8; 4]>::try_from(answer.get(data.clone())?);
        if let (Some(TYPE_A), Ok(octets)) = (number(data.start - 10), octets) {
            found.push(Ipv4Addr::from(octets).into());
        }
    }
    Some(found)
}

/// Where a name ends: at its empty label, or at the place that the rest of it is to be found at.
fn end_of_name(answer: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *answer.get(at)? {
            0 => return Some(at + 1),
            length if length >= 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer to the question for `web`, with records of these types and data.
    fn answer(code: u8, records: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = question("web").split_off(2);
        message[3] |= code;
        message[7] = records.len() as u8;
        for (kind, data) in records {
            message.extend([0xc0, 12]);
            message.extend([*kind, CLASS_IN].map(u16::to_be_bytes).concat());
            message.extend([0, 0, 2, 88]);
            message.extend((data.len() as u16).to_be_bytes());
            message.extend(*data);
        }
        message
    }

    #[test]
    fn a_question_is_what_a_resolver_asks_over_tcp() {
        let asked = b"\0\x15ek\x01\0\0\x01\0\0\0\0\0\0\x03web\0\0\x01\0\x01";
        assert_eq!(question("web"), asked);
    }

    #[test]
    fn every_ipv4_address_of_an_answer_is_found() {
        let records: [(u16, &[u8]); 3] = [(1, &[198, 18, 0, 2]), (28, &[0; 16]), (1, &[198, 18, 0, 3])];
        let found = read(&answer(0, &records), "web").unwrap();
        assert_eq!(found, [IpAddr::from([198, 18, 0, 2]), IpAddr::from([198, 18, 0, 3])]);
    }

    #[test]
    fn a_name_that_leads_to_nobody_is_said_to() {
        assert_eq!(read(&answer(3, &[]), "web").unwrap_err(), "nobody is called web here");
        assert_eq!(read(&answer(0, &[]), "web").unwrap_err(), "the name web leads to nobody");
        assert_eq!(read(&answer(2, &[]), "web").unwrap_err(), "Docker's DNS: it answers with code 2");
    }

    #[test]
    fn no_answer_makes_it_panic_or_hang() {
        let whole = answer(0, &[(1, &[198, 18, 0, 2]), (5, b"\x03web\0")]);
        for end in 0..whole.len() {
            assert!(read(&whole[..end], "web").is_err(), "cut at {end}");
        }
        for at in 0..whole.len() {
            for byte in [0, 1, 0x3f, 0x40, 0xc0, 0xff] {
                let mut broken = whole.clone();
                broken[at] = byte;
                let _ = read(&broken, "web");
            }
        }
    }
}
