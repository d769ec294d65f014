//! The paths of the TCP listener: `/metrics`, `/healthz` and `/readyz`, and nothing else. They only read.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Parts;
use crate::model::time::{Span, Timestamp};
use crate::model::view::View;

/// Without a pass for this long, the daemon is not well. The loop looks at least every 30 s, engine or no engine.
const STUCK_AFTER: Span = Span::secs(60);

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
    verdict(healthy(&parts.views.borrow(), (parts.clock)()))
}

async fn readyz(State(parts): State<Parts>) -> Response {
    verdict(parts.views.borrow().ready())
}

/// Whether passes are being made.
fn healthy(view: &View, now: Timestamp) -> Result<(), String> {
    let still = now.since(view.at);
    if still > STUCK_AFTER {
        return Err(format!("no pass for {} s", still.0 / 1000));
    }
    Ok(())
}

fn verdict(result: Result<(), String>) -> Response {
    match result {
        Ok(()) => "ok\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_without_a_pass_is_not_healthy() {
        let view = View { at: Timestamp(1_000_000), ..View::default() };
        assert_eq!(healthy(&view, Timestamp(1_060_000)), Ok(()));
        assert_eq!(healthy(&view, Timestamp(1_061_000)), Err("no pass for 61 s".into()));
        assert_eq!(healthy(&view, Timestamp(0)), Ok(()), "a clock that was set back is not our illness");
    }

    #[test]
    fn a_daemon_is_ready_after_its_first_pass_with_engine_and_sources() {
        let mut view = View::default();
        assert!(view.ready().unwrap_err().contains("engine"));
        view.engine.connected = true;
        assert!(view.ready().unwrap_err().contains("first pass"));
        view.passes = 1;
        assert_eq!(view.ready(), Ok(()));
    }
}
