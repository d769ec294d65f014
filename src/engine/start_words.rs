//! What the engine says of a container that it could not start, with what it means and the way out first. Its own words, several
//! programs deep, follow from where they tell something. Pure.

/// Before this are only the names of the programs that passed it on.
const PASSED_ON: [&str; 2] = ["unable to start container process: ", "starting container process caused: "];

/// The message with its meaning, where it is one of a start that failed for a reason that people know.
pub(super) fn explained(message: &str) -> String {
    let told = PASSED_ON.iter().find_map(|words| message.split_once(words)).map_or(message, |(_, told)| told);
    let told = told.trim_end_matches(": unknown");
    match meaning(told) {
        Some(meaning) => format!("{meaning}: {told}"),
        None => message.to_owned(),
    }
}

fn meaning(told: &str) -> Option<String> {
    let program = told.strip_prefix("exec: \"").and_then(|rest| rest.split('"').next());
    if let Some(program) = program {
        let is_missing = ["no such file or directory", "executable file not found"].iter().any(|w| told.contains(w));
        return match told {
            _ if is_missing => Some(format!(
                "'{program}' is not in the image (`command` and `args`, or the image's own entrypoint, name it)"
            )),
            _ if told.contains("permission denied") || told.contains("is a directory") => Some(format!(
                "'{program}' is no program that may be run (a directory, or without the permission to execute)"
            )),
            _ => None,
        };
    }
    if told.contains("exec format error") {
        return Some("the program is made for another platform than this host's, or is a script without `#!`".into());
    }
    // `listen tcp4 127.0.0.1:80: bind: address already in use`, and `Bind for 0.0.0.0:80 failed: port is already allocated`.
    let taken = told.split_once(": bind: address already in use").and_then(|(before, _)| before.rsplit(' ').next());
    let allocated =
        || told.split_once(" failed: port is already allocated").and_then(|(before, _)| before.rsplit(' ').next());
    let address = taken.or_else(allocated)?;
    Some(format!("{address} of the host is taken (`ss -ltnp` shows by whom, `docker ps` by which container)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fault::in_words;
    use crate::model::observed::Fault;

    const RUNC: &str = "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: ";

    #[test]
    fn a_start_that_failed_says_what_it_means_and_whose_fault_it_is_as_before() {
        for (said, means, fault) in [
            (
                format!("{RUNC}unable to start container process: exec: \"/nope\": stat /nope: no such file or directory: unknown"),
                "'/nope' is not in the image",
                Fault::Invalid,
            ),
            (
                "OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \"nope\": \
                 executable file not found in $PATH: unknown"
                    .into(),
                "'nope' is not in the image",
                Fault::Invalid,
            ),
            (
                format!("{RUNC}unable to start container process: exec: \"/etc\": permission denied: unknown"),
                "'/etc' is no program that may be run",
                Fault::Invalid,
            ),
            (
                format!("{RUNC}unable to start container process: exec /app: exec format error: unknown"),
                "the program is made for another platform",
                Fault::Invalid,
            ),
            (
                "driver failed programming external connectivity on endpoint web (83f0): failed to bind port 127.0.0.1:80/tcp: \
                 Error starting userland proxy: listen tcp4 127.0.0.1:80: bind: address already in use"
                    .into(),
                "127.0.0.1:80 of the host is taken",
                Fault::Conflict,
            ),
            (
                "driver failed programming external connectivity on endpoint web (83f0): Bind for 0.0.0.0:80 failed: port is \
                 already allocated"
                    .into(),
                "0.0.0.0:80 of the host is taken",
                Fault::Conflict,
            ),
        ] {
            let explained = explained(&said);
            assert!(explained.starts_with(means), "{explained}");
            assert_eq!((in_words(&said), in_words(&explained)), (Some(fault), Some(fault)), "{explained}");
        }
    }

    #[test]
    fn what_is_not_known_stays_as_it_is() {
        for said in [
            "No such image: app:1",
            "OCI runtime create failed: mkdir /x: no space left on device: unknown",
            "exec: nothing",
        ] {
            assert_eq!(explained(said), said);
        }
    }
}
