//! As much HTTP/1.1 as the server and the clients here need: no TLS, no chunked requests, bodies of known length or until the end.

use std::io::{self, BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Longest line and most header lines that are read before the peer is told off.
const MAX_LINE: u64 = 8 * 1024;
const MAX_HEADERS: usize = 64;

/// A request line and whether the client wants the connection to stay.
pub struct Request {
    pub path: String,
    pub query: String,
    pub keep_alive: bool,
}

impl Request {
    /// The value of `name` in the query, as it stands (nothing is unescaped).
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

/// Reads one request; `None` when the client has closed the connection between two requests.
pub fn read_request(stream: &mut impl BufRead) -> io::Result<Option<Request>> {
    let Some(line) = read_line(stream)? else {
        return Ok(None);
    };
    let mut words = line.split(' ');
    let (Some(_method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
        return Err(malformed("request line"));
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = Headers::read(stream)?;
    let mut request = Request { path: path.to_string(), query: query.to_string(), keep_alive: version == "HTTP/1.1" };
    match headers.connection.as_str() {
        "close" => request.keep_alive = false,
        "keep-alive" => request.keep_alive = true,
        _ => {}
    }
    io::copy(&mut stream.take(headers.length.unwrap_or(0)), &mut io::sink())?;
    Ok(Some(request))
}

/// Writes an answer with a text body; `version` is told in a header, where proxies leave it alone.
pub fn write_answer(
    stream: &mut impl Write,
    status: u16,
    version: &str,
    keep_alive: bool,
    body: &str,
) -> io::Result<()> {
    let reason = match status {
        200 => "OK",
        404 => "Not Found",
        _ => "Service Unavailable",
    };
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let length = body.len();
    // One write, so that a client never sees half an answer.
    stream.write_all(
        format!("HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nX-Version: {version}\r\nConnection: {connection}\r\n\r\n{body}").as_bytes(),
    )
}

/// An answer as a client sees it.
pub struct Answer {
    pub status: u16,
    pub version: String,
    pub body: String,
}

/// One request on a connection of its own.
pub fn get(url: &str) -> io::Result<Answer> {
    let target = Target::parse(url)?;
    let mut client = Client::new(&target, Duration::from_secs(10));
    client.get()
}

/// Where a URL leads.
pub struct Target {
    authority: String,
    path: String,
}

impl Target {
    pub fn parse(url: &str) -> io::Result<Self> {
        let rest = url.strip_prefix("http://").ok_or_else(|| malformed("URL: only http:// is spoken here"))?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let authority = if authority.contains(':') { authority.to_string() } else { format!("{authority}:80") };
        Ok(Target { authority, path: format!("/{path}") })
    }
}

/// A client that keeps its connection for as long as the server does.
pub struct Client<'a> {
    target: &'a Target,
    timeout: Duration,
    connection: Option<BufReader<TcpStream>>,
}

impl<'a> Client<'a> {
    pub fn new(target: &'a Target, timeout: Duration) -> Self {
        Client { target, timeout, connection: None }
    }

    /// One request. After an error, or when the server says so, the next one opens a new connection.
    pub fn get(&mut self) -> io::Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let Target { authority, path } = self.target;
        connection.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\n\r\n").as_bytes())?;
        let (answer, keep_alive) = read_answer(&mut connection)?;
        if keep_alive {
            self.connection = Some(connection);
        }
        Ok(answer)
    }

    /// Lets the connection go: the next request opens a new one.
    pub fn close(&mut self) {
        self.connection = None;
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let address = self
            .target
            .authority
            .to_socket_addrs()?
            .next()
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "the name has no address"))?;
        let stream = TcpStream::connect_timeout(&address, self.timeout)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_nodelay(true)?;
        Ok(BufReader::new(stream))
    }
}

fn read_answer(stream: &mut impl BufRead) -> io::Result<(Answer, bool)> {
    let line = read_line(stream)?.ok_or(ErrorKind::ConnectionReset)?;
    let status = line.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or_else(|| malformed("status line"))?;
    let headers = Headers::read(stream)?;
    let mut body = Vec::new();
    if headers.chunked {
        read_chunks(stream, &mut body)?;
    } else if let Some(length) = headers.length {
        body.resize(usize::try_from(length).map_err(|_| malformed("length"))?, 0);
        stream.read_exact(&mut body)?;
    } else {
        stream.read_to_end(&mut body)?;
    }
    let keep_alive = headers.connection != "close" && (headers.chunked || headers.length.is_some());
    let answer = Answer { status, version: headers.version, body: String::from_utf8_lossy(&body).into_owned() };
    Ok((answer, keep_alive))
}

fn read_chunks(stream: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let line = read_line(stream)?.ok_or(ErrorKind::UnexpectedEof)?;
        let length = u64::from_str_radix(line.trim(), 16).map_err(|_| malformed("chunk"))?;
        stream.take(length).read_to_end(body)?;
        read_line(stream)?;
        if length == 0 {
            return Ok(());
        }
    }
}

#[derive(Default)]
struct Headers {
    length: Option<u64>,
    chunked: bool,
    connection: String,
    version: String,
}

impl Headers {
    fn read(stream: &mut impl BufRead) -> io::Result<Self> {
        let mut headers = Headers::default();
        for _ in 0..MAX_HEADERS {
            let line = read_line(stream)?.ok_or(ErrorKind::UnexpectedEof)?;
            let Some((name, value)) = line.split_once(':') else {
                return if line.is_empty() { Ok(headers) } else { Err(malformed("header")) };
            };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => {
                    headers.length = Some(value.parse().map_err(|_| malformed("length"))?);
                }
                "transfer-encoding" => headers.chunked = value.eq_ignore_ascii_case("chunked"),
                "connection" => headers.connection = value.to_ascii_lowercase(),
                "x-version" => headers.version = value.to_string(),
                _ => {}
            }
        }
        Err(malformed("headers: too many"))
    }
}

/// A line without its end; `None` at the end of the stream.
fn read_line(stream: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = stream.take(MAX_LINE).read_line(&mut line)?;
    if read == 0 {
        return Ok(None);
    }
    if !line.ends_with('\n') {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(line.trim_end().to_string()))
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("malformed {what}"))
}
