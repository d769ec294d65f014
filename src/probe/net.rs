//! One check over the network: a TCP connection or an HTTP GET. It knows no thresholds.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Check, Dial};
use crate::model::spec::HttpGet;
use crate::model::status::ProbeTask;

/// How much of an answer's body is read, so that most servers can end their answer in peace.
const BODY_MAX: usize = 64 << 10;
/// How a server's log knows the probe.
const AGENT: &str = concat!("evenkeel-probe/", env!("CARGO_PKG_VERSION"));

/// Checks over the real network, from the host's point of view.
#[derive(Debug, Clone, Copy, Default)]
pub struct NetDial;

impl Dial for NetDial {
    async fn check(&self, task: &ProbeTask) -> Option<Check> {
        let address = task.address?;
        let address = SocketAddr::new(address, task.port);
        let limit = task.probe.timeout;
        let (what, done) = match &task.probe.http_get {
            Some(get) => (format!("GET http://{address}{}", get.path), timeout(limit.std(), http(address, get)).await),
            None => (format!("TCP {address}"), timeout(limit.std(), tcp(address)).await),
        };
        let result = done.unwrap_or_else(|_| Err(format!("no answer within {limit}")));
        Some(result.map_err(|why| format!("{what}: {why}")))
    }
}

/// Whether a connection is accepted.
async fn tcp(address: SocketAddr) -> Result<(), String> {
    connect(address).await.map(drop)
}

/// Whether a GET is answered with 200 to 399. Redirects are not followed: they may lead anywhere.
async fn http(address: SocketAddr, get: &HttpGet) -> Result<(), String> {
    let request = request(address, get)?;
    let stream = connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(in_words)?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(in_words)?;
        let status = answer.status();
        let body = read_some(answer.into_body()).await.map_err(in_words)?;
        judge(get, status, &body)
    };
    tokio::pin!(exchange, connection);
    tokio::select! {
        biased;
        result = &mut exchange => result,
        // The connection's end reaches the exchange as an error or as the end of the body.
        _ = &mut connection => exchange.await,
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(address).await.map_err(|error| refusal(&error))
}

fn request(address: SocketAddr, get: &HttpGet) -> Result<Request<Empty<Bytes>>, String> {
    let mut request = Request::get(&get.path);
    let defaults =
        [(HOST, address.to_string()), (USER_AGENT, AGENT.into()), (ACCEPT, "*/*".into()), (CONNECTION, "close".into())];
    let given = |name: &str| get.headers.keys().any(|header| header.eq_ignore_ascii_case(name));
    for (name, value) in defaults {
        if !given(name.as_str()) {
            request = request.header(name, value);
        }
    }
    for (name, value) in &get.headers {
        request = request.header(name, value);
    }
    request.body(Empty::new()).map_err(|error| format!("the request cannot be made: {error}"))
}

/// The body up to a limit. One that breaks off is an error.
async fn read_some(mut body: Incoming) -> hyper::Result<Vec<u8>> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        let data = frame.data_ref().map_or(&[][..], |data| data);
        read.extend_from_slice(&data[..data.len().min(BODY_MAX - read.len())]);
        if read.len() >= BODY_MAX {
            break;
        }
    }
    Ok(read)
}

fn judge(get: &HttpGet, status: StatusCode, body: &[u8]) -> Result<(), String> {
    let expected = match get.status {
        Some(expected) => expected == status.as_u16(),
        None => (200..=399).contains(&status.as_u16()),
    };
    if !expected {
        let instead = get.status.map(|expected| format!(" instead of {expected}")).unwrap_or_default();
        return Err(format!("{status}{instead}"));
    }
    match &get.body {
        Some(text) if !String::from_utf8_lossy(body).contains(text) => {
            Err(format!("the answer does not contain '{text}'"))
        }
        Some(_) | None => Ok(()),
    }
}

/// A connection's failure in a few words, without the error's number.
fn refusal(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".into(),
        ErrorKind::HostUnreachable => "host unreachable".into(),
        ErrorKind::NetworkUnreachable => "network unreachable".into(),
        ErrorKind::ConnectionReset => "connection reset".into(),
        _ => error.to_string(),
    }
}

/// An exchange's failure with its cause.
fn in_words(error: impl std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::model::observed::ContainerId;
    use crate::model::spec::{PortRef, Probe};
    use crate::model::status::ProbePurpose;
    use crate::model::time::{Span, Timestamp};

    /// A server that gives each connection `answer`, or nothing at all, and keeps what it was asked; its address.
    async fn server(answer: Option<&'static str>) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, asked) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                let _ = sender.send(String::from_utf8_lossy(&request[..length]).into_owned());
                match answer {
                    Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
                    None => std::future::pending().await,
                }
            }
        });
        (address, asked)
    }

    /// The result of a GET of `/healthz` there, the address left out of the message.
    async fn get(address: SocketAddr) -> Result<(), String> {
        check(address, Some(BTreeMap::new())).await
    }

    async fn check(address: SocketAddr, headers: Option<BTreeMap<String, String>>) -> Result<(), String> {
        let mut probe: Probe = serde_json::from_str("{}").unwrap();
        probe.timeout = Span::millis(300);
        probe.http_get = headers.map(|headers| HttpGet {
            port: PortRef::Number(1),
            path: "/healthz".into(),
            headers,
            status: None,
            body: None,
        });
        let task = ProbeTask {
            container: ContainerId("c1".into()),
            started_at: Timestamp(0),
            purpose: ProbePurpose::Readiness,
            address: Some(address.ip()),
            port: address.port(),
            probe,
            period: Span::secs(1),
        };
        NetDial.check(&task).await.unwrap().map_err(|message| message.replace(&address.to_string(), "HOST"))
    }

    #[tokio::test]
    async fn a_status_from_200_to_399_is_a_success() {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\nuntil the end",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ] {
            assert_eq!(get(server(Some(answer)).await.0).await, Ok(()), "{answer}");
        }
    }

    #[tokio::test]
    async fn any_other_answer_is_a_failure_that_says_what_was_asked_and_answered() {
        for (answer, message) in [
            ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "503 Service Unavailable"),
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope", "404 Not Found"),
            ("-ERR unknown command\r\n", "invalid HTTP version parsed"),
            ("", "connection closed before message completed"),
        ] {
            let expected = Err(format!("GET http://HOST/healthz: {message}"));
            assert_eq!(get(server(Some(answer)).await.0).await, expected, "{answer}");
        }
    }

    #[tokio::test]
    async fn silence_runs_into_the_timeout() {
        let expected = Err("GET http://HOST/healthz: no answer within 300ms".to_string());
        assert_eq!(get(server(None).await.0).await, expected);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_a_failure() {
        let result = get(server(Some("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok")).await.0).await;
        assert!(result.is_err(), "{result:?}");
    }

    #[tokio::test]
    async fn a_closed_port_is_said_in_two_words() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert_eq!(check(address, None).await, Err("TCP HOST: connection refused".into()));
        assert_eq!(get(address).await, Err("GET http://HOST/healthz: connection refused".into()));
    }

    #[tokio::test]
    async fn an_open_port_is_enough_for_a_tcp_check() {
        assert_eq!(check(server(None).await.0, None).await, Ok(()));
    }

    #[tokio::test]
    async fn the_request_names_its_host_unless_the_manifest_does() {
        let (address, mut asked) = server(Some("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")).await;
        get(address).await.unwrap();
        let request = asked.recv().await.unwrap();
        assert!(request.starts_with("GET /healthz HTTP/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("host: {address}\r\n")), "{request}");
        let headers = BTreeMap::from([("HOST".to_string(), "shop.example".to_string())]);
        check(address, Some(headers)).await.unwrap();
        let request = asked.recv().await.unwrap();
        assert!(request.contains("host: shop.example\r\n") && !request.contains(&address.to_string()), "{request}");
    }

    #[tokio::test]
    async fn a_header_that_http_cannot_carry_is_a_failure_not_a_panic() {
        let headers = BTreeMap::from([("bad header".to_string(), "x\ny".to_string())]);
        let result = check("127.0.0.1:9".parse().unwrap(), Some(headers)).await;
        assert!(result.clone().is_err_and(|message| message.contains("cannot be made")), "{result:?}");
    }
}
