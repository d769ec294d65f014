//! The real client of an engine that quotes every request in its answer, with the credentials of the host's own
//! `~/.docker/config.json`, which are no Secret's.

use std::fs;

use evenkeel::engine::{Docker, Engine, Host};
use evenkeel::model::name::{DEFAULT_INSTANCE, Name};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::canaries::canary;
use crate::sinks::Log;

/// The host's own password and token.
pub const CANARIES: [usize; 2] = [38, 39];

/// Answers the ping, and refuses everything else with all that it knows.
async fn serve(mut stream: UnixStream) {
    let mut request: Vec<u8> = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        request.extend(&buffer[..read]);
        if !request.windows(4).any(|end| end == b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8_lossy(&request).into_owned();
        let (status, body) = match text.contains("/_ping") {
            true => ("200 OK", "OK".to_string()),
            false if text.contains("/images/json") => ("200 OK", "[]".to_string()),
            false => {
                let words = format!("denied: {} and {} are no credentials", canary(CANARIES[0]), canary(CANARIES[1]));
                ("500 Internal Server Error", serde_json::json!({ "message": words }).to_string())
            }
        };
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        if stream.write_all((head + &body).as_bytes()).await.is_err() {
            return;
        }
        request.clear();
    }
}

#[test]
fn the_hosts_own_credentials_are_not_repeated_when_a_registry_does() {
    let log = Log::default();
    let guard = log.listen();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let said = runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let auths = format!(
            r#"{{"auths": {{"a.example": {{"username": "ann", "password": "{}"}}, "b.example": {{"identitytoken": "{}"}}}}}}"#,
            canary(CANARIES[0]),
            canary(CANARIES[1])
        );
        fs::write(dir.path().join("config.json"), auths).unwrap();
        let listener = UnixListener::bind(dir.path().join("engine.sock")).unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
        let host = Host::Unix(dir.path().join("engine.sock"));
        let docker = Docker::at(host, Some(dir.path().to_path_buf()), Name::new(DEFAULT_INSTANCE).unwrap());
        let mut said = Vec::new();
        for (image, secret) in [("a.example/web:1", CANARIES[0]), ("b.example/web:1", CANARIES[1])] {
            let error = docker.pull(image, None, &[], &|_| {}).await.unwrap_err().to_string();
            assert!(error.contains("denied: ") && error.contains("[redacted]"), "{error}");
            assert!(!error.contains(&canary(secret)), "{error}");
            said.push(error);
        }
        said
    });
    drop(guard);
    assert_eq!(said.len(), 2);
    assert!(!log.text().contains("sesame"), "{}", log.text());
}
