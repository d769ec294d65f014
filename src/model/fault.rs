//! Whose fault a failure is, by the engine's words for it: it answers 500 to nearly everything, and of a container that could
//! not start it keeps the words alone.

use super::observed::Fault;

/// The first row with a matching phrase wins.
const ENGINE_WORDS: [(Fault, &[&str]); 5] = [
    // The host is short of something: also inside an "OCI runtime create failed", so these come first.
    (
        Fault::Unavailable,
        &[
            "no space left",
            "cannot allocate memory",
            "resource temporarily unavailable",
            "too many open files",
            "device or resource busy",
            "context deadline exceeded",
            "context canceled",
            "error while mounting volume",
            "failed to mount local volume",
        ],
    ),
    (
        Fault::Conflict,
        &[
            "port is already allocated",
            "address already in use",
            "all ports are allocated",
            "cannot assign requested address",
            "no available ipv4",
            "is already in use by container",
            "pool overlaps with other one",
            "non-overlapping ipv4 address pool",
            "predefined address pools have been fully subnetted",
        ],
    ),
    (Fault::ImageMissing, &["no such image"]),
    (
        Fault::Invalid,
        &[
            "oci runtime create failed",
            // Our own words for some of those.
            "is not in the image (",
            "is no program that may be run (",
            "exec format error",
            // An image that is there, and of another platform than the one that is asked for: a 404.
            "does not match the specified platform",
            "executable file not found",
            "permission denied",
            "unable to find user",
            "unable to find group",
            "could not select device driver",
            "error gathering device information",
            "no log driver named",
            "unknown log opt",
            "decoding seccomp profile failed",
            "bind source path does not exist",
            "unknown runtime",
            "unknown or invalid runtime",
        ],
    ),
    // A volume or network driver that does not exist comes as a 404.
    (Fault::Invalid, &["plugin \""]),
];

/// Whose fault it is, where the words tell.
pub fn in_words(message: &str) -> Option<Fault> {
    let message = message.to_lowercase();
    let row = ENGINE_WORDS.iter().find(|(_, phrases)| phrases.iter().any(|phrase| message.contains(phrase)));
    // Engine 20.10 says 500 to some wrong options.
    row.map(|(fault, _)| *fault).or_else(|| message.starts_with("invalid ").then_some(Fault::Invalid))
}
