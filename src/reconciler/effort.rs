//! How much work a call is for the engine: how many of its kind run at once, how long one may take, and what has to be
//! looked at after it.

use crate::model::action::Call;
use crate::model::time::Span;

/// Calls that make the engine work hard: it is fastest with a few at once.
pub const WORKING: usize = 4;
/// Starts at once. They wait for the runtime and the kernel more than they compute, so creations go on beside them.
pub const STARTING: usize = 8;
/// So few starts under way are each worth a look when they end; with more, looks would take their time from them.
pub const STARTS_LEFT: usize = 3;
/// Those that wait their turn, so that the engine is not idle until the next pass.
const QUEUED: usize = 12;
/// Changes of a name: clients wait for them, so they wait for nothing else.
const NAMING: usize = 8;
/// Pulls at once.
const PULLING: usize = 3;
/// Builds at once: each takes all the processors and the memory that it can get, beside what serves.
const BUILDING: usize = 1;
/// Stops spend their time waiting for a process to end, so many may run at once.
const STOPPING: usize = 50;

/// What kind of work a call is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The engine works hard.
    Work,
    /// A container starts.
    Start,
    /// A name changes.
    Name,
    /// An image comes from a registry.
    Pull,
    /// An image is built.
    Build,
    /// A container stops.
    Stop,
}

/// The kind of a call, and how many of it may be under way.
pub fn kind(call: &Call) -> (Kind, usize) {
    match call {
        Call::Pull { .. } => (Kind::Pull, PULLING),
        Call::Build { .. } => (Kind::Build, BUILDING),
        Call::Stop(_) | Call::Restart(_) => (Kind::Stop, STOPPING),
        Call::CreateNetwork(_)
        | Call::RemoveNetwork { .. }
        | Call::RemoveImage { .. }
        | Call::CreateVolume(_)
        | Call::CreateContainer(_)
        | Call::Connect(_)
        | Call::Pause { .. }
        | Call::Unpause { .. }
        | Call::Remove { .. }
        | Call::Update { .. } => (Kind::Work, WORKING + QUEUED),
        Call::Start { .. } => (Kind::Start, STARTING + QUEUED),
        Call::Reconnect(_) => (Kind::Name, NAMING),
    }
}

/// The longest that a call may take. The engine's own limits are shorter; this one makes sure that whatever goes wrong
/// there, no object waits for ever.
pub fn longest(call: &Call) -> Span {
    match call {
        Call::Pull { .. } => Span::secs(24 * 3600),
        Call::Build { .. } => Span::secs(2 * 3600),
        Call::Stop(stop) | Call::Restart(stop) => Span(stop.grace.0.saturating_mul(2).saturating_add(180_000)),
        Call::CreateNetwork(_)
        | Call::RemoveNetwork { .. }
        | Call::RemoveImage { .. }
        | Call::CreateVolume(_)
        | Call::CreateContainer(_)
        | Call::Connect(_)
        | Call::Reconnect(_)
        | Call::Start { .. }
        | Call::Pause { .. }
        | Call::Unpause { .. }
        | Call::Remove { .. }
        | Call::Update { .. } => Span::secs(180),
    }
}

/// Whether a call changes what a container list does not show.
pub fn touches_places(call: &Call) -> bool {
    match call {
        Call::CreateNetwork(_)
        | Call::RemoveNetwork { .. }
        | Call::RemoveImage { .. }
        | Call::CreateVolume(_)
        | Call::Pull { .. }
        | Call::Build { .. } => true,
        Call::CreateContainer(_)
        | Call::Connect(_)
        | Call::Reconnect(_)
        | Call::Start { .. }
        | Call::Stop(_)
        | Call::Restart(_)
        | Call::Pause { .. }
        | Call::Unpause { .. }
        | Call::Remove { .. }
        | Call::Update { .. } => false,
    }
}
