//! What goes over the Unix socket, as types that both ends use. Data only.

use serde::{Deserialize, Serialize};

use crate::model::action::Request;
use crate::model::name::Key;
use crate::model::status::Event;
use crate::model::time::Timestamp;
use crate::model::view::View;

/// `GET /v1/view`, and each line of `GET /v1/view/watch`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The daemon's time, so that ages are right whatever the client's clock says.
    pub now: Timestamp,
    /// The view.
    pub view: View,
}

/// `GET /v1/events`, and each line of `GET /v1/events/watch` (all that are remembered first, then new ones).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// The daemon's time.
    pub now: Timestamp,
    /// Oldest first.
    pub events: Vec<Event>,
}

/// The body of `POST /v1/request`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestBody {
    /// The object.
    pub key: Key,
    /// What is asked of it.
    pub request: Request,
}

/// The body of `POST /v1/image-set`: for the release log, nothing else comes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSetBody {
    /// The object.
    pub key: Key,
    /// What was changed, for people.
    pub change: String,
    /// The image that it has now; older commands do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// Each line of `GET /v1/logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LogLine {
    /// A line, as the container wrote it.
    Line(String),
    /// Why there are no more lines, other than the container's end.
    Error(String),
}
