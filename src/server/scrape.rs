//! The paths of the TCP listener: `/metrics`, `/healthz` and `/readyz`, and nothing else. They only read.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Parts;

/// The media type of Prometheus' text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The paths of the TCP listener.
pub fn router(parts: Parts) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(parts)
}

async fn metrics(State(parts): State<Parts>) -> Response {
    let view = parts.views.borrow().clone();
    match parts.metrics.render(&view) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(message) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{message}\n")).into_response(),
    }
}

async fn healthz(State(parts): State<Parts>) -> Response {
    verdict(parts.views.borrow().healthy((parts.clock)()))
}

async fn readyz(State(parts): State<Parts>) -> Response {
    verdict(parts.views.borrow().ready())
}

fn verdict(result: Result<(), String>) -> Response {
    match result {
        Ok(()) => "ok\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}
