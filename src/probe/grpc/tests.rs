//! Against real servers: of gRPC, of HTTP/2, of HTTP/1, and of nothing.

use std::future::pending;
use std::net::SocketAddr;

use h2::server::SendResponse;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::super::{Check, Dial, NetDial, testing};
use crate::model::spec::{PortRef, Probe};

use super::*;

/// What a server does with a call.
#[derive(Clone)]
enum Reply {
    /// Headers, a message, trailers.
    Full(Vec<u8>, Vec<(&'static str, &'static str)>),
    /// An error alone: all is in the headers.
    Headers(Vec<(&'static str, &'static str)>),
    /// A page.
    Page(u16),
    /// A reset of the call.
    Reset(Reason),
    /// Headers and a message, and nothing after it.
    Unfinished,
    Silence,
}

impl Reply {
    /// A health service that says this.
    fn status(number: u8) -> Self {
        Reply::Full(vec![0, 0, 0, 0, 2, 0x08, number], vec![("grpc-status", "0")])
    }
}

/// What a server was asked: the request, its body, and how the connection ended.
struct Asked {
    request: Request<()>,
    body: Vec<u8>,
    ended_well: bool,
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A server that answers one connection, and its address.
async fn server(reply: Reply) -> (SocketAddr, UnboundedReceiver<Asked>) {
    let (listener, address) = listener().await;
    let (sender, asked) = unbounded_channel();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (request, respond) = connection.accept().await.unwrap().unwrap();
        let (head, mut body) = request.into_parts();
        let answer = tokio::spawn(async move {
            let body = read(&mut body).await.unwrap();
            answer(respond, reply).await;
            body
        });
        let ended = connection.accept().await;
        let ended_well = ended.is_none();
        let body = if answer.is_finished() { answer.await.unwrap() } else { Vec::new() };
        let _ = sender.send(Asked { request: Request::from_parts(head, ()), body, ended_well });
    });
    (address, asked)
}

async fn answer(mut respond: SendResponse<Bytes>, reply: Reply) {
    let head = |status: u16, headers: &[(&str, &str)]| {
        let start = Response::builder().status(status);
        headers.iter().fold(start, |head, (name, value)| head.header(*name, *value)).body(()).unwrap()
    };
    let grpc = ("content-type", "application/grpc");
    match reply {
        Reply::Full(message, trailers) => {
            let mut body = respond.send_response(head(200, &[grpc]), false).unwrap();
            body.send_data(message.into(), false).unwrap();
            let trailers = head(200, &trailers).into_parts().0.headers;
            body.send_trailers(trailers).unwrap();
        }
        Reply::Headers(headers) => {
            let headers: Vec<_> = [grpc].into_iter().chain(headers).collect();
            respond.send_response(head(200, &headers), true).unwrap();
        }
        Reply::Page(status) => {
            let mut body = respond.send_response(head(status, &[("content-type", "text/html")]), false).unwrap();
            body.send_data("<html>".into(), true).unwrap();
        }
        Reply::Reset(reason) => respond.send_reset(reason),
        Reply::Unfinished => {
            let mut body = respond.send_response(head(200, &[grpc]), false).unwrap();
            body.send_data(vec![0, 0, 0, 0, 2, 0x08, 1].into(), true).unwrap();
        }
        Reply::Silence => pending().await,
    }
}

/// What a check of a service there comes to, without the address; it may take 300 ms.
async fn asking(address: SocketAddr, service: &str) -> Check {
    let mut probe: Probe = serde_json::from_str(r#"{"timeout": "300ms"}"#).unwrap();
    probe.grpc = Some(Grpc { port: PortRef::Number(1), host: None, service: service.into() });
    let task = testing::task(address, probe);
    match NetDial::default().check(&task).await {
        Check::Failure(message) => Check::Failure(message.replace(&format!(" at {address}: "), ": ")),
        other => other,
    }
}

async fn replied(reply: Reply) -> Check {
    asking(server(reply).await.0, "").await
}

fn failure(message: &str) -> Check {
    Check::Failure(format!("gRPC health: {message}"))
}

#[tokio::test]
async fn serving_is_a_success_and_the_question_is_what_the_protocol_says() {
    for (service, body) in [("", &b"\0\0\0\0\0"[..]), ("shop.v1.Orders", b"\0\0\0\0\x10\x0a\x0eshop.v1.Orders")] {
        let (address, mut asked) = server(Reply::status(1)).await;
        assert_eq!(asking(address, service).await, Check::Success);
        let asked = asked.recv().await.unwrap();
        assert_eq!(asked.request.method(), "POST");
        assert_eq!(asked.request.uri().to_string(), format!("http://{address}/grpc.health.v1.Health/Check"));
        let header = |name: &str| asked.request.headers()[name].to_str().unwrap().to_owned();
        assert_eq!((header("content-type"), header("te")), ("application/grpc".into(), "trailers".into()));
        assert_eq!((header("grpc-timeout"), header("user-agent")), ("300m".into(), AGENT.into()));
        assert_eq!(asked.body, body);
        assert!(asked.ended_well, "the server sees no broken connection");
    }
}

#[tokio::test]
async fn every_other_status_is_a_failure_with_its_name() {
    for (number, name) in [(2, "NOT_SERVING"), (0, "UNKNOWN"), (3, "SERVICE_UNKNOWN"), (9, "status 9")] {
        assert_eq!(replied(Reply::status(number)).await, failure(name));
    }
    // 0 is left out by those who write it.
    let empty = Reply::Full(vec![0; 5], vec![("grpc-status", "0")]);
    assert_eq!(replied(empty).await, failure("UNKNOWN"));
}

#[tokio::test]
async fn an_error_is_told_with_its_code_and_message_wherever_it_is_said() {
    let unimplemented = vec![("grpc-status", "12"), ("grpc-message", "unknown service grpc.health.v1.Health")];
    let expected = "the server has no health service (UNIMPLEMENTED): unknown service grpc.health.v1.Health";
    assert_eq!(replied(Reply::Headers(unimplemented.clone())).await, failure(expected));
    assert_eq!(replied(Reply::Full(Vec::new(), unimplemented)).await, failure(expected));
    let away = vec![("grpc-status", "14"), ("grpc-message", "caf%C3%A9 is 100% shut%")];
    assert_eq!(replied(Reply::Headers(away)).await, failure("UNAVAILABLE: café is 100% shut%"));
    assert_eq!(replied(Reply::Headers(vec![("grpc-status", "77")])).await, failure("status 77"));
    assert_eq!(replied(Reply::Headers(vec![("grpc-status", "x")])).await, failure("the gRPC status 'x'"));
}

#[tokio::test]
async fn a_service_that_is_not_known_is_named() {
    let (address, _asked) =
        server(Reply::Headers(vec![("grpc-status", "5"), ("grpc-message", "unknown service")])).await;
    let expected = "gRPC health of shop.v1.Orders: the server's health service knows no service shop.v1.Orders (NOT_FOUND): unknown service";
    assert_eq!(asking(address, "shop.v1.Orders").await, Check::Failure(expected.into()));
}

#[tokio::test]
async fn a_server_of_something_else_is_recognised() {
    assert_eq!(replied(Reply::Page(200)).await, failure("not a gRPC server: it answers 200 OK"));
    assert_eq!(replied(Reply::Page(404)).await, failure("not a gRPC server: it answers 404 Not Found"));
    let garbled = failure("the answer is not that of a health service");
    assert_eq!(replied(Reply::Full(b"hello".to_vec(), vec![("grpc-status", "0")])).await, garbled);
    assert_eq!(replied(Reply::Headers(vec![("grpc-status", "0")])).await, garbled);
    let long = Reply::Full(vec![0; MESSAGE_MAX + 1], vec![("grpc-status", "0")]);
    assert_eq!(replied(long).await, failure("the answer is longer than any of a health service"));
    let no_status = failure("the answer ends without a gRPC status");
    assert_eq!(replied(Reply::Unfinished).await, no_status);
    assert_eq!(replied(Reply::Full(vec![0; 5], vec![("x-other", "1")])).await, no_status);
}

#[tokio::test]
async fn a_call_that_is_broken_off_says_how() {
    let refused = failure("the server broke off: refused stream before processing any application logic");
    assert_eq!(replied(Reply::Reset(Reason::REFUSED_STREAM)).await, refused);
    assert_eq!(replied(Reply::Reset(Reason::NO_ERROR)).await, failure("the server broke off without an answer"));
}

#[tokio::test]
async fn silence_runs_into_the_timeout() {
    assert_eq!(replied(Reply::Silence).await, failure("no answer within 300ms"));
    // One that accepts connections and does not even speak.
    let (_listener, address) = listener().await;
    assert_eq!(asking(address, "").await, failure("no answer within 300ms"));
}

/// A server that reads what comes and answers this, whatever it was.
async fn other_server(answer: &'static [u8]) -> SocketAddr {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.unwrap();
        stream.write_all(answer).await.unwrap();
    });
    address
}

#[tokio::test]
async fn a_server_that_speaks_no_http2_is_told_from_one_that_is_ill() {
    let one = other_server(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    let Check::Failure(why) = asking(one, "").await else { panic!("it is no gRPC server") };
    assert!(why.contains("no HTTP/2 without TLS"), "{why}");
    // An alert of TLS, and nothing at all.
    for answer in [&b"\x15\x03\x01\x00\x02\x02\x46"[..], b""] {
        let Check::Failure(why) = asking(other_server(answer).await, "").await else { panic!("it is no gRPC server") };
        assert!(why.contains("no HTTP/2 without TLS"), "{why}");
    }
    let (listener, address) = listener().await;
    drop(listener);
    assert_eq!(asking(address, "").await, failure("connection refused"));
}
