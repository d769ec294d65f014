//! `evenkeel notify test` against real receivers, over http and https.

use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::daemon::{says, says_with};

/// What must never be printed.
const CANARY: &str = "c4nary";

/// A receiver that answers every request so; its address. With TLS, by the certificate in `tests/cli/tls`.
async fn receiver(answer: &'static str, tls: Option<TlsAcceptor>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            match &tls {
                None => reply(stream, answer).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => reply(stream, answer).await,
                    // It does not trust us, as one of the tests wants it.
                    Err(_) => continue,
                },
            }
        }
    });
    address
}

async fn reply(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &str) {
    let mut request = vec![0; 64 << 10];
    let _ = stream.read(&mut request).await;
    let _ = stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/server-key.pem")).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A configuration in a directory of its own, and what the command says to it; addresses are made the same everywhere.
async fn tested(config: &str, words: &str, roots: Option<&Path>, addresses: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("evenkeel.yaml");
    std::fs::write(&file, config).unwrap();
    std::fs::write(dir.path().join("headers"), format!("Authorization: Bearer {CANARY}\n")).unwrap();
    for (index, address) in addresses.iter().enumerate() {
        let scheme = if roots.is_some() { "https" } else { "http" };
        std::fs::write(dir.path().join(format!("url-{index}")), format!("{scheme}://{address}/{CANARY}\n")).unwrap();
    }
    let words = format!("notify test --config {} {words}", file.display()).trim_end().to_string();
    let roots = roots.map(|roots| ("SSL_CERT_FILE", roots.display().to_string()));
    let mut said = says_with(&words, &dir.path().join("evenkeel.sock"), roots).await;
    for (index, address) in addresses.iter().enumerate() {
        said = said.replace(address, &format!("[address {index}]"));
    }
    assert!(!said.contains(CANARY), "{said}");
    said
}

#[tokio::test]
async fn each_receiver_is_sent_a_message_and_says_what_came_back() {
    let well = receiver("200 OK\r\nContent-Length: 2\r\n\r\nok", None).await;
    let ill = receiver("404 Not Found\r\nContent-Length: 17\r\n\r\nno route /c4nary/", None).await;
    let config = "notifications:\n- {name: ops, urlFile: url-0, headersFile: headers, format: slack}\n- {name: log, urlFile: url-1}\n";
    let addresses = [well.as_str(), ill.as_str()];
    let mut text = tested(config, "", None, &addresses).await;
    text += &tested(config, "--name ops", None, &addresses).await;
    text += &tested(config, "--name nobody", None, &addresses).await;
    text += &tested("notifications: [{name: ops, urlFile: nowhere}]\n", "", None, &[]).await;
    text += &tested("instance: one\n", "", None, &[]).await;
    text += &says("notify test", Path::new("/nowhere/evenkeel.sock")).await;
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn a_receiver_is_trusted_by_the_roots_of_ssl_cert_file_and_by_no_others() {
    let address = receiver("200 OK\r\nContent-Length: 0\r\n\r\n", Some(acceptor())).await;
    let config = "notifications: [{name: ops, urlFile: url-0}]\n";
    let tls = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/tls");
    let trusting = tested(config, "", Some(&tls.join("ca.pem")), &[&address]).await;
    assert!(trusting.contains("ops: delivered: [address 0] answered 200 OK"), "{trusting}");
    let stranger = tested(config, "", Some(&tls.join("server.pem")), &[&address]).await;
    assert!(stranger.contains("invalid peer certificate") && stranger.contains("--- exit 1"), "{stranger}");
    let without = tested(config, "", Some(&tls.join("server-key.pem")), &[&address]).await;
    assert!(without.contains("name a file with SSL_CERT_FILE"), "{without}");
}
