//! Sockets to check with, and what it means when they do not connect. It connects none.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::net::TcpSocket;

/// A socket of the network that the calling thread is in.
pub(super) fn new(address: SocketAddr) -> Result<TcpSocket, String> {
    let made = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    made.map_err(|error| format!("no socket for it: {error}"))
}

/// A connection's failure in a few words, without the error's number.
pub(super) fn refusal(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".into(),
        ErrorKind::HostUnreachable => "host unreachable".into(),
        ErrorKind::NetworkUnreachable => "network unreachable".into(),
        ErrorKind::ConnectionReset => "connection reset".into(),
        _ => error.to_string(),
    }
}
