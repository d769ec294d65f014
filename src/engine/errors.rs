//! What went wrong with an engine call, and whose fault it is. The engine's words decide, because its status codes do
//! not: a taken port and a missing program are both a 500. It retries nothing.

use std::time::Duration;

use bollard::errors::Error;

use super::{EngineError, start_words};
use crate::model::fault::in_words;
use crate::model::observed::Fault;
use crate::model::text::{printable, shortened};

/// The most characters of a message that are kept.
const MESSAGE_MAX: usize = 600;

/// A call that failed, before it is known what was attempted.
#[derive(Debug)]
pub(super) enum Failed {
    /// The engine answered with an error.
    Refused {
        /// The HTTP status; 200 for an error that came inside a stream.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// No answer, half an answer, or one that cannot be understood.
    Unreachable(String),
    /// No answer in time; the effect is unknown.
    Late(Duration),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                Failed::Refused { status: status_code, message }
            }
            Error::DockerStreamError { error } => Failed::Refused { status: 200, message: error },
            Error::RequestTimeoutError => Failed::Late(Duration::ZERO),
            Error::SocketNotFoundError(_) => Failed::Unreachable("no such socket".into()),
            // Its own text is about the library.
            Error::HyperLegacyError { err } => Failed::Unreachable(innermost(&err)),
            other => Failed::Unreachable(chain(&other)),
        }
    }
}

/// The cause of all causes: `Connection refused (os error 111)`.
fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

/// An error with its causes, which libraries keep out of their own text.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let further = error.to_string();
        if !text.contains(&further) {
            text = format!("{text}: {further}");
        }
        cause = error.source();
    }
    text
}

impl Failed {
    /// Whether the engine answered with this status.
    pub(super) fn is(&self, wanted: u16) -> bool {
        matches!(self, Failed::Refused { status, .. } if *status == wanted)
    }

    /// Whether the engine's words contain this, in any case.
    pub(super) fn says(&self, wanted: &str) -> bool {
        matches!(self, Failed::Refused { message, .. } if message.to_lowercase().contains(&wanted.to_lowercase()))
    }

    /// As the rest of the house sees it.
    pub(super) fn attempting(self, attempted: impl Into<String>) -> EngineError {
        let fault = match &self {
            Failed::Refused { status, message } => engine_fault(*status, message),
            Failed::Unreachable(_) => Fault::Unavailable,
            Failed::Late(_) => Fault::Timeout,
        };
        EngineError { attempted: attempted.into(), message: self.message(), fault }
    }

    /// The same for a pull, where most words are the registry's.
    pub(super) fn pulling(self, image: &str, repository: &str) -> EngineError {
        let fault = self.pull_fault(repository);
        EngineError { attempted: format!("pull {image}"), message: self.message(), fault }
    }

    /// The same for a build, where some words are a registry's and most those of a program that was run.
    pub(super) fn building(self, attempted: String) -> EngineError {
        let fault = match &self {
            Failed::Refused { status, message } => build_fault(*status, message),
            Failed::Unreachable(_) => Fault::Unavailable,
            Failed::Late(_) => Fault::Timeout,
        };
        let needs_more = self.says("buildkit");
        let mut message = self.message();
        if needs_more {
            message.push_str(" (images are built by the engine's classic builder, which does not know this)");
        }
        EngineError { attempted, message, fault }
    }

    /// Whether other credentials might do better.
    pub(super) fn unauthorized(&self, repository: &str) -> bool {
        self.pull_fault(repository) == Fault::Unauthorized
    }

    fn pull_fault(&self, repository: &str) -> Fault {
        match self {
            // An image's own name must not be taken for the registry's words.
            Failed::Refused { status, message } => registry_fault(*status, &message.replace(repository, "")),
            Failed::Unreachable(_) => Fault::Unavailable,
            Failed::Late(_) => Fault::Timeout,
        }
    }

    fn message(self) -> String {
        match self {
            Failed::Refused { message, .. } => readable(&start_words::explained(&message)),
            Failed::Unreachable(message) => readable(&message),
            Failed::Late(limit) if limit.is_zero() => "no answer in time".into(),
            Failed::Late(limit) => format!("no answer within {} s", limit.as_secs()),
        }
    }
}

/// On one line, without control characters, and short enough for a table.
pub(super) fn readable(text: &str) -> String {
    shortened(&printable(&text.trim().replace(['\n', '\r'], " ")), MESSAGE_MAX)
}

fn engine_fault(status: u16, message: &str) -> Fault {
    match (in_words(message), status) {
        (Some(fault), _) => fault,
        (None, 400 | 501) => Fault::Invalid,
        (None, 403 | 409) => Fault::Conflict,
        (None, _) => Fault::Unavailable,
    }
}

/// The same for a pull.
const REGISTRY_WORDS: [(Fault, &[&str]); 4] = [
    // The registry has it, for another platform: looking again changes nothing until somebody pushes it for this one.
    (
        Fault::Invalid,
        &["no matching manifest", "does not match the specified platform", "does not provide the specified platform"],
    ),
    (Fault::RateLimited, &["toomanyrequests", "too many requests", "pull rate limit"]),
    (
        Fault::Unauthorized,
        &[
            "unauthorized",
            "no basic auth credentials",
            "authentication required",
            "access denied",
            "denied: ",
            "resource is denied",
            "incorrect username or password",
            "403 forbidden",
        ],
    ),
    (Fault::ImageMissing, &["manifest unknown", "not found", "name unknown"]),
];

/// Of the words of a build, those that blame what is built: a step's program, a file that is not in the context, the
/// Dockerfile.
const BUILD_WORDS: [&str; 4] =
    ["returned a non-zero code", "copy failed", "dockerfile", "failed to reach build target"];
/// And those of a network or a registry that is away.
const AWAY_WORDS: [&str; 8] = [
    "dial tcp",
    "connection refused",
    "connection reset",
    "i/o timeout",
    "tls handshake",
    "no such host",
    "server misbehaving",
    "received unexpected http status",
];

fn build_fault(status: u16, message: &str) -> Fault {
    let words = message.to_lowercase();
    let has = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
    match (registry_fault(200, message), in_words(message)) {
        _ if has(&BUILD_WORDS[..1]) => Fault::Invalid,
        (_, Some(fault @ (Fault::Unavailable | Fault::Conflict))) => fault,
        _ if has(&AWAY_WORDS) => Fault::Unavailable,
        _ if has(&BUILD_WORDS) => Fault::Invalid,
        (fault @ (Fault::RateLimited | Fault::Unauthorized | Fault::ImageMissing), _) => fault,
        // The builder says that something is wrong while it works, or refuses to begin.
        _ if status < 500 => Fault::Invalid,
        _ => Fault::Unavailable,
    }
}

fn registry_fault(status: u16, message: &str) -> Fault {
    let message = message.to_lowercase();
    let by_words = REGISTRY_WORDS.iter().find(|(_, phrases)| phrases.iter().any(|phrase| message.contains(phrase)));
    match (by_words, status) {
        (Some((fault, _)), _) => *fault,
        (None, 404) => Fault::ImageMissing,
        (None, 401 | 403) => Fault::Unauthorized,
        (None, 429) => Fault::RateLimited,
        (None, 400) => Fault::Invalid,
        (None, _) => Fault::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The engines' own words, of both generations.
    const ENGINE: &[(u16, &str, Fault)] = &[
        (
            500,
            "driver failed programming external connectivity on endpoint a (b): Bind for 0.0.0.0:18080 failed: port is already allocated",
            Fault::Conflict,
        ),
        (
            500,
            "Error starting userland proxy: listen tcp4 0.0.0.0:17777: bind: address already in use",
            Fault::Conflict,
        ),
        (
            500,
            "Error starting userland proxy: listen tcp4 10.9.9.9:80: bind: cannot assign requested address",
            Fault::Conflict,
        ),
        (
            500,
            "driver failed programming external connectivity on endpoint a (b): all ports are allocated",
            Fault::Conflict,
        ),
        (500, "no available IPv4 addresses on this network's address pools: n (0123)", Fault::Conflict),
        (403, "Address already in use", Fault::Conflict),
        (403, "endpoint with name web already exists in network n", Fault::Conflict),
        (403, "Pool overlaps with other one on this address space", Fault::Conflict),
        (
            404,
            "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
            Fault::Conflict,
        ),
        (
            409,
            "Conflict. The container name \"/x\" is already in use by container \"0123\". You have to remove (or rename) that container to be able to reuse that name.",
            Fault::Conflict,
        ),
        (409, "Container 0123 is paused, unpause the container before exec", Fault::Conflict),
        (404, "No such image: web:2", Fault::ImageMissing),
        (
            404,
            "image with reference web:2 was found but does not match the specified platform: wanted linux/arm64, actual: linux/amd64",
            Fault::Invalid,
        ),
        (500, "Decoding seccomp profile failed: invalid character '/' looking for beginning of value", Fault::Invalid),
        (
            400,
            "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"/nope\": stat /nope: no such file or directory: unknown",
            Fault::Invalid,
        ),
        (
            400,
            "OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \"nope\": executable file not found in $PATH: unknown",
            Fault::Invalid,
        ),
        (500, "OCI runtime create failed: exec /app: exec format error: unknown", Fault::Invalid),
        (400, "OCI runtime create failed: exec: \"/app\": permission denied: unknown", Fault::Invalid),
        (500, "OCI runtime create failed: mkdir /x: no space left on device: unknown", Fault::Unavailable),
        (500, "mkdir /var/lib/docker/overlay2/x: no space left on device", Fault::Unavailable),
        (500, "linux spec user: unable to find user nobody2: no matching entries in passwd file", Fault::Invalid),
        (500, "could not select device driver \"\" with capabilities: [[gpu]]", Fault::Invalid),
        (400, "invalid mount config for type \"bind\": bind source path does not exist: /nope", Fault::Invalid),
        (400, "Minimum memory limit allowed is 6MB", Fault::Invalid),
        (400, "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available", Fault::Invalid),
        (
            409,
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
            Fault::Conflict,
        ),
        (500, "Invalid IPC mode: nonsense", Fault::Invalid),
        (404, "plugin \"nope\" not found", Fault::Invalid),
        (404, "create v: error looking up volume plugin nope: plugin \"nope\" not found", Fault::Invalid),
        (
            500,
            "error while mounting volume '/var/lib/docker/volumes/v/_data': failed to mount local volume: mount /nope:/x: no such file or directory",
            Fault::Unavailable,
        ),
        (404, "network 0123 not found", Fault::Unavailable),
        (404, "No such container: 0123", Fault::Unavailable),
        (500, "something that nobody has seen yet", Fault::Unavailable),
    ];

    const REGISTRY: &[(u16, &str, Fault)] = &[
        (404, "manifest for 127.0.0.1:5000/x:nope not found: manifest unknown: manifest unknown", Fault::ImageMissing),
        (
            404,
            "pull access denied for x, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
            Fault::Unauthorized,
        ),
        (500, "Head \"http://127.0.0.1:5001/v2/x/manifests/1\": no basic auth credentials", Fault::Unauthorized),
        (
            500,
            "Get \"http://127.0.0.1:5001/v2/x/manifests/1\": unauthorized: authentication required",
            Fault::Unauthorized,
        ),
        (500, "toomanyrequests: You have reached your pull rate limit.", Fault::RateLimited),
        (500, "received unexpected HTTP status: 429 Too Many Requests", Fault::RateLimited),
        (
            500,
            "Get \"http://127.0.0.1:5009/v2/\": dial tcp 127.0.0.1:5009: connect: connection refused",
            Fault::Unavailable,
        ),
        (500, "received unexpected HTTP status: 503 Service Unavailable", Fault::Unavailable),
        (
            200,
            "image with reference x was found but does not match the specified platform: wanted linux/arm64, actual: linux/amd64",
            Fault::Invalid,
        ),
        (200, "no matching manifest for linux/arm64 in the manifest list entries", Fault::Invalid),
        (200, "write /var/lib/docker/tmp/GetImageBlob1: no space left on device", Fault::Unavailable),
        (400, "invalid reference format", Fault::Invalid),
    ];

    const BUILD: &[(u16, &str, Fault)] = &[
        (200, "The command '/bin/sh -c npm ci' returned a non-zero code: 1", Fault::Invalid),
        (200, "The command '/bin/sh -c curl no such host' returned a non-zero code: 6", Fault::Invalid),
        (
            200,
            "COPY failed: file not found in build context or excluded by .dockerignore: stat nope: file does not exist",
            Fault::Invalid,
        ),
        (400, "dockerfile parse error line 2: unknown instruction: RUNN", Fault::Invalid),
        (500, "failed to parse Dockerfile: dockerfile parse error line 2: unknown instruction: RUNN", Fault::Invalid),
        (500, "Cannot locate specified Dockerfile: web.Dockerfile", Fault::Invalid),
        (400, "failed to reach build target nope in Dockerfile", Fault::Invalid),
        (200, "the --mount option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/", Fault::Invalid),
        (200, "manifest for 127.0.0.1:5000/x:nope not found: manifest unknown: manifest unknown", Fault::ImageMissing),
        (200, "pull access denied for x, repository does not exist or may require 'docker login'", Fault::Unauthorized),
        (200, "Head \"http://127.0.0.1:5001/v2/x/manifests/1\": no basic auth credentials", Fault::Unauthorized),
        (200, "toomanyrequests: You have reached your pull rate limit.", Fault::RateLimited),
        (
            200,
            "Get \"http://127.0.0.1:5009/v2/\": dial tcp 127.0.0.1:5009: connect: connection refused",
            Fault::Unavailable,
        ),
        (200, "write /var/lib/docker/overlay2/x: no space left on device", Fault::Unavailable),
        (500, "something that nobody has seen yet", Fault::Unavailable),
    ];

    #[test]
    fn the_engines_words_tell_whose_fault_it_is() {
        for (status, message, fault) in ENGINE {
            assert_eq!(engine_fault(*status, message), *fault, "{status} {message}");
        }
    }

    #[test]
    fn a_builds_words_tell_whether_it_is_to_blame() {
        for (status, message, fault) in BUILD {
            assert_eq!(build_fault(*status, message), *fault, "{status} {message}");
        }
    }

    #[test]
    fn the_registrys_words_tell_whose_fault_it_is() {
        for (status, message, fault) in REGISTRY {
            assert_eq!(registry_fault(*status, message), *fault, "{status} {message}");
        }
    }

    #[test]
    fn an_image_called_unauthorized_is_merely_missing() {
        let failed = Failed::Refused { status: 404, message: "manifest for r:5000/unauthorized:1 not found".into() };
        assert_eq!(failed.pulling("r:5000/unauthorized:1", "r:5000/unauthorized").fault, Fault::ImageMissing);
    }

    #[test]
    fn a_message_is_one_printable_line_of_bounded_length() {
        let failed = Failed::Refused { status: 500, message: format!("bad\u{1b}[2J\nthing {}", "x".repeat(10_000)) };
        let error = failed.attempting("start web");
        assert!(error.message.starts_with("bad[2J thing xxx"), "{error}");
        assert!(error.message.chars().count() <= MESSAGE_MAX + 1);
    }

    #[test]
    fn a_reply_that_does_not_come_says_how_long_it_was_waited_for() {
        let error = Failed::Late(Duration::from_secs(30)).attempting("start web");
        assert_eq!((error.fault, error.to_string().as_str()), (Fault::Timeout, "start web: no answer within 30 s"));
    }
}
