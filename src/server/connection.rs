//! How long a connection to the Unix socket goes on: so many requests are answered, then it ends and the client may make another.
//! It knows no request.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{ConnectInfo, Request};
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::middleware::Next;
use axum::response::Response;

use super::peer::Peer;

/// How many requests of one connection are answered: whoever sends thousands without waiting keeps nobody busy.
const REQUESTS_MAX: usize = 1_000;

/// How many requests a connection has made.
#[derive(Debug, Default)]
pub struct Requests(AtomicUsize);

impl Requests {
    fn is_last(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) + 1 >= REQUESTS_MAX
    }
}

/// Answers a request, and says so when it is the last one of its connection.
pub async fn answer(request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<Peer>>();
    let is_last = peer.is_some_and(|ConnectInfo(peer)| peer.requests.is_last());
    let mut response = next.run(request).await;
    if is_last {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_a_last_request() {
        let requests = Requests::default();
        assert!((1..REQUESTS_MAX).all(|_| !requests.is_last()));
        assert!(requests.is_last());
    }
}
