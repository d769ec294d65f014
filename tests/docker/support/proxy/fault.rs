//! What can go wrong at one request between a controller and an engine. It only names; the proxy and the play do it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How long a delayed request waits.
pub const DELAY: Duration = Duration::from_secs(3);
/// How long all calls on one container are held back; longer than any deadline of the controller's.
pub const STALL: Duration = Duration::from_secs(45);

/// What goes wrong, at a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// SIGKILL to the controller; the engine never sees the request.
    KillBefore,
    /// SIGKILL to the controller when the engine has done it.
    KillAfter,
    /// The connection breaks; the engine never sees the request.
    CutBefore,
    /// The connection breaks when the engine has done it.
    CutAfter,
    /// The connection breaks in the middle of the reply.
    CutWithin,
    /// It takes some seconds to get to the engine.
    Delay,
    /// The engine gets it twice; the second reply counts.
    Double,
    /// The reply is a 500; the engine never sees the request.
    Error500,
    /// The reply is a 503; the engine never sees the request.
    Error503,
    /// The reply is a 500 although the engine has done it.
    ErrorAfter,
    /// The reply is no HTTP.
    Garbage,
    /// The reply is a 200 with half a JSON document of another shape.
    BrokenJson,
    /// This call gets no reply for [`STALL`], nor do further ones on the same container.
    Stall,
    /// SIGKILL to the engine before it sees the request; it is started again.
    EngineKill,
    /// SIGKILL to the engine while it works on the request.
    EngineKillWithin,
    /// The engine is restarted as its service would be.
    EngineRestart,
    /// SIGSTOP to the engine for some seconds.
    EngineFreeze,
    /// The engine's disk is full for some seconds.
    DiskFull,
}

impl Fault {
    /// Those that do not touch the engine.
    pub const AT_CALLS: [Fault; 13] = [
        Fault::KillBefore,
        Fault::KillAfter,
        Fault::CutBefore,
        Fault::CutAfter,
        Fault::CutWithin,
        Fault::Delay,
        Fault::Double,
        Fault::Error500,
        Fault::Error503,
        Fault::ErrorAfter,
        Fault::Garbage,
        Fault::BrokenJson,
        Fault::Stall,
    ];

    /// Those that need an engine of one's own.
    pub const OF_THE_ENGINE: [Fault; 5] =
        [Fault::EngineKill, Fault::EngineKillWithin, Fault::EngineRestart, Fault::EngineFreeze, Fault::DiskFull];

    /// Whether it takes the engine away from its containers.
    pub fn ends_the_engine(self) -> bool {
        matches!(self, Fault::EngineKill | Fault::EngineKillWithin | Fault::EngineRestart)
    }

    /// Whether it can be told from another fault at a request of this kind.
    pub fn concerns(self, kind: &str) -> bool {
        let changes = !kind.starts_with("get-");
        match self {
            // For a request without an effect, before and after are one.
            Fault::KillAfter | Fault::CutAfter | Fault::Double | Fault::ErrorAfter => changes,
            Fault::EngineKillWithin | Fault::DiskFull => changes,
            Fault::KillBefore
            | Fault::CutBefore
            | Fault::CutWithin
            | Fault::Delay
            | Fault::Error500
            | Fault::Error503
            | Fault::Garbage
            | Fault::BrokenJson
            | Fault::Stall
            | Fault::EngineKill
            | Fault::EngineRestart
            | Fault::EngineFreeze => true,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Fault::KillBefore => "kill-before",
            Fault::KillAfter => "kill-after",
            Fault::CutBefore => "cut-before",
            Fault::CutAfter => "cut-after",
            Fault::CutWithin => "cut-within",
            Fault::Delay => "delay",
            Fault::Double => "double",
            Fault::Error500 => "error-500",
            Fault::Error503 => "error-503",
            Fault::ErrorAfter => "error-after",
            Fault::Garbage => "garbage",
            Fault::BrokenJson => "broken-json",
            Fault::Stall => "stall",
            Fault::EngineKill => "engine-kill",
            Fault::EngineKillWithin => "engine-kill-within",
            Fault::EngineRestart => "engine-restart",
            Fault::EngineFreeze => "engine-freeze",
            Fault::DiskFull => "disk-full",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let mut all = Fault::AT_CALLS.into_iter().chain(Fault::OF_THE_ENGINE);
        all.find(|fault| fault.word() == word).ok_or_else(|| format!("no fault is called {word}"))
    }
}
