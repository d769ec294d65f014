//! Reads an answer of HTTP/1 off a connection: its status, and so much of its body that most servers can end it in peace. It
//! judges nothing, and holds no more than its limits of what a server sends.

use httparse::{EMPTY_HEADER, Header, Response, Status, parse_chunk_size};
use hyper::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::super::socket::refusal;

/// The most that is read of a body.
const BODY_MAX: usize = 64 << 10;
/// The longest head, the most headers in it, and the longest line before a chunk.
const HEAD_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 100;
const CHUNK_LINE_MAX: usize = 4 << 10;
/// The room that a read gets: the whole answer of most health checks.
const ROOM: usize = 2 << 10;

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The first part of the body, or how it broke off.
    pub(super) body: Result<Vec<u8>, String>,
}

/// Where a body ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    After(u64),
    LastChunk,
    /// With the connection.
    Close,
}

/// The answer, for people where there is none.
pub(super) async fn read(stream: impl AsyncRead + Unpin) -> Result<Answer, String> {
    let mut incoming = Incoming { stream, bytes: Vec::new(), taken: 0 };
    let (status, end) = incoming.head().await?;
    Ok(Answer { status, body: incoming.body(end).await })
}

/// What has come in and was not taken yet, and where more comes from.
struct Incoming<S> {
    stream: S,
    bytes: Vec<u8>,
    taken: usize,
}

impl<S: AsyncRead + Unpin> Incoming<S> {
    /// The final head. Those before it (100 Continue, 103 Early Hints) say that it is to come.
    async fn head(&mut self) -> Result<(StatusCode, End), String> {
        loop {
            match parse(self.left())? {
                Some((length, status, end)) => {
                    self.taken += length;
                    if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
                        return Ok((status, end));
                    }
                }
                None if self.left().len() >= HEAD_MAX => return Err("the answer's head is longer than 64 KiB".into()),
                None if self.more().await? => {}
                None => return Err("the connection was closed before it answered".into()),
            }
        }
    }

    /// The body up to the limit. One that breaks off is an error.
    async fn body(mut self, end: End) -> Result<Vec<u8>, String> {
        match end {
            End::After(length) => self.take(usize::try_from(length).unwrap_or(BODY_MAX).min(BODY_MAX)).await,
            End::LastChunk => self.chunks().await,
            End::Close => {
                while self.left().len() < BODY_MAX && self.more().await? {}
                let length = self.left().len().min(BODY_MAX);
                self.take(length).await
            }
        }
    }

    async fn chunks(&mut self) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        loop {
            let size = usize::try_from(self.chunk_size().await?).unwrap_or(usize::MAX);
            let wanted = size.min(BODY_MAX - body.len());
            body.extend(self.take(wanted).await?);
            if size == 0 || body.len() >= BODY_MAX {
                return Ok(body);
            }
            if self.take(2).await? != b"\r\n" {
                return Err("the answer's chunks are garbled".into());
            }
        }
    }

    /// The line before a chunk.
    async fn chunk_size(&mut self) -> Result<u64, String> {
        loop {
            match parse_chunk_size(self.left()) {
                Ok(Status::Complete((length, size))) => {
                    self.taken += length;
                    return Ok(size);
                }
                Ok(Status::Partial) if self.left().len() < CHUNK_LINE_MAX => self.need_more().await?,
                Ok(Status::Partial) | Err(_) => return Err("the answer's chunks are garbled".into()),
            }
        }
    }

    /// The next so many bytes.
    async fn take(&mut self, length: usize) -> Result<Vec<u8>, String> {
        while self.left().len() < length {
            self.need_more().await?;
        }
        let next = self.left()[..length].to_vec();
        self.taken += length;
        Ok(next)
    }

    async fn need_more(&mut self) -> Result<(), String> {
        if self.more().await? { Ok(()) } else { Err("the answer breaks off".into()) }
    }

    /// Reads on. Whether anything came before the connection's end.
    async fn more(&mut self) -> Result<bool, String> {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.reserve(ROOM);
        let read = self.stream.read_buf(&mut self.bytes).await;
        read.map(|length| length > 0).map_err(|error| refusal(&error))
    }

    fn left(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }
}

/// A head's length, its status, and where the body after it ends; none while it is not complete.
fn parse(bytes: &[u8]) -> Result<Option<(usize, StatusCode, End)>, String> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut head = Response::new(&mut headers);
    let strange = |error: &dyn std::fmt::Display| format!("not an answer of HTTP/1: {error}");
    let Status::Complete(length) = head.parse(bytes).map_err(|error| strange(&error))? else { return Ok(None) };
    let code = head.code.unwrap_or_default();
    let status = StatusCode::from_u16(code).map_err(|error| strange(&error))?;
    Ok(Some((length, status, end(status, head.headers)?)))
}

/// See RFC 9112, section 6.3.
fn end(status: StatusCode, headers: &[Header]) -> Result<End, String> {
    if status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(End::After(0));
    }
    let values = |name: &'static str| {
        let named = headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.flat_map(|header| header.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii))
    };
    if let Some(last) = values("transfer-encoding").last() {
        return Ok(if last.eq_ignore_ascii_case(b"chunked") { End::LastChunk } else { End::Close });
    }
    let mut lengths = values("content-length");
    let Some(first) = lengths.next() else { return Ok(End::Close) };
    let number = std::str::from_utf8(first).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match number.and_then(|text| text.parse().ok()).filter(|_| lengths.all(|other| other == first)) {
        Some(length) => Ok(End::After(length)),
        None => Err("not an answer of HTTP/1: invalid Content-Length".into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What these bytes are read as, given `step` at a time: the status and the body.
    async fn read_in_steps(bytes: &[u8], step: usize) -> Result<(u16, Result<String, String>), String> {
        let (mut server, client) = tokio::io::duplex(step);
        let bytes = bytes.to_vec();
        let sending = tokio::spawn(async move { tokio::io::AsyncWriteExt::write_all(&mut server, &bytes).await });
        let answer = read(client).await;
        // Whoever has read enough hangs up.
        let _ = sending.await;
        let text = |body: Vec<u8>| String::from_utf8_lossy(&body).into_owned();
        answer.map(|answer| (answer.status.as_u16(), answer.body.map(text)))
    }

    /// The same in one piece and byte by byte.
    async fn answer(bytes: &str) -> Result<(u16, Result<String, String>), String> {
        let whole = read_in_steps(bytes.as_bytes(), 1 << 20).await;
        assert_eq!(read_in_steps(bytes.as_bytes(), 1).await, whole, "{bytes}");
        whole
    }

    fn body(status: u16, text: &str) -> Result<(u16, Result<String, String>), String> {
        Ok((status, Ok(text.into())))
    }

    #[tokio::test]
    async fn a_body_ends_where_its_head_says() {
        for (bytes, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokay", body(200, "ok")),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\nContent-Length: 2\r\n\r\nokay", body(200, "ok")),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", body(204, "")),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", body(304, "")),
            ("HTTP/1.0 200 OK\r\n\r\nuntil the end", body(200, "until the end")),
            ("HTTP/1.1 200\r\n\r\n", body(200, "")),
            ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x01\x02", body(101, "")),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n3;x=y\r\nay!\r\n0\r\n\r\n",
                body(200, "okay!"),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\nContent-Length: 1\r\n\r\n2\r\nok\r\n0\r\n\r\n",
                body(200, "ok"),
            ),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nuntil the end", body(200, "until the end")),
        ] {
            assert_eq!(answer(bytes).await, expected, "{bytes}");
        }
    }

    #[tokio::test]
    async fn heads_that_only_announce_the_answer_are_passed_over() {
        let bytes = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(answer(bytes).await, body(503, ""));
    }

    #[tokio::test]
    async fn what_breaks_off_or_is_no_http_says_so() {
        let closed = Err("the connection was closed before it answered".to_string());
        assert_eq!(answer("").await, closed);
        assert_eq!(answer("HTTP/1.1 200 OK\r\nContent-Le").await, closed);
        let breaks_off = Ok((200, Err("the answer breaks off".to_string())));
        assert_eq!(answer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok").await, breaks_off);
        for chunks in ["", "2", "2\r\no", "2\r\nok", "2\r\nok\r\n"] {
            let bytes = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
            assert_eq!(answer(&bytes).await, breaks_off, "{chunks}");
        }
        let garbled = Ok((200, Err("the answer's chunks are garbled".to_string())));
        for chunks in ["x\r\n", "2\r\nokay\r\n", "fffffffffffffffff\r\n"] {
            let bytes = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
            assert_eq!(answer(&bytes).await, garbled, "{chunks}");
        }
        for bytes in ["-ERR unknown command\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "\u{15}\u{3}\u{1}\u{0}\u{2}\u{2}F"] {
            let strange = answer(bytes).await.unwrap_err();
            assert!(strange.starts_with("not an answer of HTTP/1: "), "{strange}");
        }
        for length in ["-1", "+1", "x", "1, 2", "99999999999999999999"] {
            let bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nok");
            assert_eq!(answer(&bytes).await, Err("not an answer of HTTP/1: invalid Content-Length".into()), "{length}");
        }
    }

    #[tokio::test]
    async fn no_server_is_read_beyond_the_limits() {
        let long = "x".repeat(2 * BODY_MAX);
        let chunks = "1\r\nx\r\n".repeat(2 * BODY_MAX);
        for (headers, sent) in [
            (format!("Content-Length: {}", u64::MAX), &long),
            ("Connection: close".into(), &long),
            ("Transfer-Encoding: chunked".into(), &format!("ffffffff\r\n{long}")),
            ("Transfer-Encoding: chunked".into(), &chunks),
        ] {
            let bytes = format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n{sent}");
            let (_, body) = read_in_steps(bytes.as_bytes(), 8 << 10).await.unwrap();
            assert_eq!(body.map(|body| body.len()), Ok(BODY_MAX), "{headers}");
        }
        let head = format!("HTTP/1.1 200 OK\r\nx: {long}");
        assert_eq!(
            read_in_steps(head.as_bytes(), 8 << 10).await,
            Err("the answer's head is longer than 64 KiB".into())
        );
        let headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(HEADERS_MAX + 1));
        let many = read_in_steps(headers.as_bytes(), 8 << 10).await;
        assert_eq!(many, Err("not an answer of HTTP/1: too many headers".into()));
        let line = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;{long}");
        let garbled = Ok((200, Err("the answer's chunks are garbled".into())));
        assert_eq!(read_in_steps(line.as_bytes(), 8 << 10).await, garbled);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), step in 1usize..64) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            for head in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"] {
                let _ = runtime.block_on(read_in_steps(&[head.as_bytes(), &bytes].concat(), step));
            }
        }
    }
}
