//! One check over the network: a TCP connection, an HTTP GET or a question to gRPC's health service. It knows no thresholds.

use std::future::Future;
use std::net::SocketAddr;

use tokio::net::TcpSocket;
use tokio::time::timeout;

use super::inside::Inside;
use super::socket::{self, refusal};
use super::{Check, Dial, grpc, http, lookup};
use crate::model::spec::Probe;
use crate::model::status::ProbeTask;

/// How a server's log knows the probe.
pub(super) const AGENT: &str = concat!("evenkeel-probe/", env!("CARGO_PKG_VERSION"));

/// Checks over the real network, from the host's point of view or from within the container's network.
#[derive(Debug, Default)]
pub struct NetDial {
    inside: Inside,
}

impl Dial for NetDial {
    async fn check(&self, task: &ProbeTask) -> Check {
        let Some(address) = task.address else { return Check::Unmade(None) };
        let made = match &task.name {
            None => {
                let address = SocketAddr::new(address, task.port);
                self.at(task, address, &address.to_string()).await
            }
            Some(name) => self.by_name(task, name.as_str()).await,
        };
        made.err().unwrap_or(Check::Success)
    }
}

impl NetDial {
    /// A check at every address that a name leads to within the container's network: a client is sent to any of them.
    async fn by_name(&self, task: &ProbeTask, name: &str) -> Result<(), Check> {
        let authority = format!("{name}:{}", task.port);
        let what = || title(task, &authority);
        let socket = self.socket(task, lookup::server(), &what).await?;
        let looked_up = async {
            let refused = |error| format!("Docker's DNS: {}", refusal(&error));
            lookup::addresses(socket.connect(lookup::server()).await.map_err(refused)?, name).await
        };
        for address in within(task, &what, looked_up).await? {
            let address = SocketAddr::new(address, task.port);
            self.at(task, address, &authority).await?;
        }
        Ok(())
    }

    /// A check at one address.
    async fn at(&self, task: &ProbeTask, address: SocketAddr, authority: &str) -> Result<(), Check> {
        let what = || match task.name {
            Some(_) => format!("{} at {}", title(task, authority), address.ip()),
            None => title(task, authority),
        };
        let socket = self.socket(task, address, &what).await?;
        within(task, &what, exchange(socket, address, authority, &task.probe)).await
    }

    /// A socket of the network that the check is made from.
    async fn socket(
        &self,
        task: &ProbeTask,
        address: SocketAddr,
        what: &impl Fn() -> String,
    ) -> Result<TcpSocket, Check> {
        let opened = match task.process {
            None => socket::new(address),
            Some(process) => self.inside.socket(process, &task.container, address).await,
        };
        opened.map_err(|why| Check::Unmade(Some(format!("{}: {why}", what()))))
    }
}

/// What comes of a part of a check within its timeout.
async fn within<T>(
    task: &ProbeTask,
    what: &impl Fn() -> String,
    part: impl Future<Output = Result<T, String>>,
) -> Result<T, Check> {
    let limit = task.probe.timeout;
    let why = match timeout(limit.std(), part).await {
        Ok(Ok(made)) => return Ok(made),
        Ok(Err(why)) => why,
        Err(_) => format!("no answer within {limit}"),
    };
    Err(Check::Failure(format!("{}: {why}", what())))
}

/// What is checked, for people.
fn title(task: &ProbeTask, authority: &str) -> String {
    let within = if task.process.is_some() { " within the container" } else { "" };
    match (&task.probe.http_get, &task.probe.grpc) {
        (Some(get), _) => format!("GET http://{authority}{}{within}", get.path),
        (None, Some(grpc)) if grpc.service.is_empty() => format!("gRPC health at {authority}{within}"),
        (None, Some(grpc)) => format!("gRPC health of {} at {authority}{within}", grpc.service),
        (None, None) => format!("TCP {authority}{within}"),
    }
}

async fn exchange(socket: TcpSocket, address: SocketAddr, authority: &str, probe: &Probe) -> Result<(), String> {
    let stream = socket.connect(address).await.map_err(|error| refusal(&error))?;
    match (&probe.http_get, &probe.grpc) {
        (Some(get), _) => http::check(stream, authority, get).await,
        (None, Some(asked)) => grpc::check(stream, authority, asked, probe.timeout).await,
        // That it was accepted is all there is to know.
        (None, None) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::model::spec::{HttpGet, PortRef, Probe, TcpSocket};
    use crate::model::time::Span;
    use crate::probe::testing;

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
    async fn get(address: SocketAddr) -> Check {
        check(address, Some(BTreeMap::new())).await
    }

    /// A GET with these headers, or a TCP connection.
    async fn check(address: SocketAddr, headers: Option<BTreeMap<String, String>>) -> Check {
        without(address, NetDial::default().check(&task(address, headers)).await)
    }

    fn without(address: SocketAddr, check: Check) -> Check {
        let hide = |message: String| message.replace(&address.to_string(), "HOST");
        match check {
            Check::Success => Check::Success,
            Check::Failure(message) => Check::Failure(hide(message)),
            Check::Unmade(message) => Check::Unmade(message.map(hide)),
        }
    }

    fn failure(message: &str) -> Check {
        Check::Failure(message.into())
    }

    fn task(address: SocketAddr, headers: Option<BTreeMap<String, String>>) -> ProbeTask {
        let mut probe: Probe = serde_json::from_str("{}").unwrap();
        probe.timeout = Span::millis(300);
        probe.http_get = headers.map(|headers| HttpGet {
            port: PortRef::Number(1),
            host: None,
            path: "/healthz".into(),
            headers,
            status: None,
            body: None,
        });
        if probe.http_get.is_none() {
            probe.tcp_socket = Some(TcpSocket { port: PortRef::Number(1), host: None });
        }
        testing::task(address, probe)
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
            assert_eq!(get(server(Some(answer)).await.0).await, Check::Success, "{answer}");
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
            let expected = failure(&format!("GET http://HOST/healthz: {message}"));
            assert_eq!(get(server(Some(answer)).await.0).await, expected, "{answer}");
        }
    }

    #[tokio::test]
    async fn silence_runs_into_the_timeout() {
        let expected = failure("GET http://HOST/healthz: no answer within 300ms");
        assert_eq!(get(server(None).await.0).await, expected);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_a_failure() {
        let result = get(server(Some("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok")).await.0).await;
        assert!(matches!(result, Check::Failure(_)), "{result:?}");
    }

    #[tokio::test]
    async fn a_closed_port_is_said_in_two_words() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert_eq!(check(address, None).await, failure("TCP HOST: connection refused"));
        assert_eq!(get(address).await, failure("GET http://HOST/healthz: connection refused"));
    }

    #[tokio::test]
    async fn an_open_port_is_enough_for_a_tcp_check() {
        assert_eq!(check(server(None).await.0, None).await, Check::Success);
    }

    #[tokio::test]
    async fn the_request_names_its_host_unless_the_manifest_does() {
        let (address, mut asked) = server(Some("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")).await;
        assert_eq!(get(address).await, Check::Success);
        let request = asked.recv().await.unwrap();
        assert!(request.starts_with("GET /healthz HTTP/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("host: {address}\r\n")), "{request}");
        let headers = BTreeMap::from([("HOST".to_string(), "shop.example".to_string())]);
        assert_eq!(check(address, Some(headers)).await, Check::Success);
        let request = asked.recv().await.unwrap();
        assert!(request.contains("host: shop.example\r\n") && !request.contains(&address.to_string()), "{request}");
    }

    #[tokio::test]
    async fn a_header_that_http_cannot_carry_is_a_failure_not_a_panic() {
        let headers = BTreeMap::from([("bad header".to_string(), "x\ny".to_string())]);
        let result = check(server(None).await.0, Some(headers)).await;
        assert!(matches!(&result, Check::Failure(message) if message.contains("cannot be made")), "{result:?}");
    }

    #[tokio::test]
    async fn a_network_that_cannot_be_entered_is_no_failure_of_the_program() {
        let (address, _asked) = server(Some("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")).await;
        // The number is that of a process here, and the container is not.
        let strange = ProbeTask { process: Some(std::process::id()), ..task(address, Some(BTreeMap::new())) };
        let Check::Unmade(Some(why)) = NetDial::default().check(&strange).await else {
            panic!("another process was dialled")
        };
        let begin = format!("GET http://{address}/healthz within the container: process {}, ", std::process::id());
        assert!(why.starts_with(&begin), "{why}");
    }

    #[tokio::test]
    async fn while_it_has_no_address_nothing_is_found_out() {
        let task = ProbeTask { address: None, ..task("127.0.0.1:9".parse().unwrap(), None) };
        assert_eq!(NetDial::default().check(&task).await, Check::Unmade(None));
    }
}
