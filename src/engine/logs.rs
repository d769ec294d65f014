//! A container's last log lines, for people: printable, and bounded in every direction.

use std::collections::VecDeque;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;

use super::EngineError;
use super::client::{CALL, Client};
use super::errors::Failed;
use super::inspect::short;
use super::rfc3339;
use crate::model::observed::ContainerId;
use crate::model::text::{CUT, printable};
use crate::model::time::Timestamp;

/// The most bytes that are read, and the most characters of a line that are kept.
const READ_MAX: usize = 4 << 20;
const LINE_MAX: usize = 1000;

/// The most bytes that are kept of a line, before they are characters.
const KEPT_OF_A_LINE: usize = 4 * LINE_MAX;

/// How many more lines are read where only those of before some time are meant.
const LATER: u32 = 200;

pub(super) async fn last(
    client: &Client,
    id: &ContainerId,
    lines: u32,
    until: Option<Timestamp>,
) -> Result<Vec<String>, EngineError> {
    let result = tokio::time::timeout(CALL, read(client, id, lines, until)).await.unwrap_or(Err(Failed::Late(CALL)));
    match result {
        // Log drivers such as `none` and `syslog` cannot be read; a container that is gone has no log.
        Err(failed) if failed.is(404) || failed.says("does not support reading") => Ok(Vec::new()),
        other => other.map_err(|failed| failed.attempting(format!("read the log of {}", short(id)))),
    }
}

async fn read(client: &Client, id: &ContainerId, lines: u32, until: Option<Timestamp>) -> Result<Vec<String>, Failed> {
    let asked = if until.is_some() { lines + LATER } else { lines };
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&asked.to_string());
    // The engine's own `until` knows whole seconds only.
    let options = options.timestamps(until.is_some()).build();
    let mut chunks = client.session().await?.calls.logs(&id.0, Some(options));
    let mut tail = Tail::new(lines as usize, until);
    let mut read = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| client.failed(error))?;
        read += chunk.as_ref().len();
        tail.take(chunk);
        if read > READ_MAX {
            tail.is_cut_off = true;
            break;
        }
    }
    Ok(tail.finish())
}

/// The last lines of standard output and error, in the order in which they ended. One that is not whole ends with `…`: what is
/// cut in a secret can be told from what is not.
pub(super) struct Tail {
    lines: VecDeque<Kept>,
    keep: usize,
    /// Lines come with their times, and later ones are not meant.
    until: Option<Timestamp>,
    output: Vec<u8>,
    error: Vec<u8>,
    /// Whether more was written than was read.
    is_cut_off: bool,
}

/// A line as it was written: only those that are shown in the end are worth the work of making them printable.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Kept {
    fn shown(&self) -> String {
        let text = printable(&String::from_utf8_lossy(&self.bytes));
        let is_cut = self.is_cut || text.chars().nth(LINE_MAX).is_some();
        let shown: String = text.chars().take(LINE_MAX).collect();
        format!("{}{}", shown.trim_end(), if is_cut { CUT } else { "" })
    }
}

impl Tail {
    /// So many lines, all of them or those of before some time.
    pub(super) fn new(keep: usize, until: Option<Timestamp>) -> Self {
        Self { lines: VecDeque::new(), keep, until, output: Vec::new(), error: Vec::new(), is_cut_off: false }
    }

    /// A long line comes in several chunks, and the chunks of both streams alternate.
    pub(super) fn take(&mut self, chunk: LogOutput) {
        let is_error = matches!(chunk, LogOutput::StdErr { .. });
        for piece in chunk.into_bytes().split_inclusive(|byte| *byte == b'\n') {
            let partial = if is_error { &mut self.error } else { &mut self.output };
            let room = KEPT_OF_A_LINE.saturating_sub(partial.len());
            partial.extend(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(partial);
                let mut free = self.push(line, false);
                free.clear();
                *(if is_error { &mut self.error } else { &mut self.output }) = free;
            }
        }
    }

    /// Keeps a line, and gives the bytes of one that is not kept, so that their room is used again.
    fn push(&mut self, mut bytes: Vec<u8>, is_cut: bool) -> Vec<u8> {
        let is_cut = is_cut || bytes.len() == KEPT_OF_A_LINE;
        if let Some(until) = self.until {
            let Some(space) = bytes.iter().position(|byte| *byte == b' ') else { return bytes };
            let at = std::str::from_utf8(&bytes[..space]).ok().and_then(rfc3339::timestamp);
            if at.is_none_or(|at| at > until) {
                return bytes;
            }
            bytes.drain(..=space);
        }
        self.lines.push_back(Kept { bytes, is_cut });
        let first = if self.lines.len() > self.keep { self.lines.pop_front() } else { None };
        first.unwrap_or_default().bytes
    }

    /// The lines, with those that have not ended.
    pub(super) fn finish(mut self) -> Vec<String> {
        for partial in [std::mem::take(&mut self.output), std::mem::take(&mut self.error)] {
            if !partial.is_empty() {
                self.push(partial, self.is_cut_off);
            }
        }
        self.lines.iter().map(Kept::shown).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(keep: usize, chunks: &[(bool, &str)]) -> Vec<String> {
        tail_until(None, keep, chunks)
    }

    fn tail_until(until: Option<Timestamp>, keep: usize, chunks: &[(bool, &str)]) -> Vec<String> {
        let mut tail = Tail::new(keep, until);
        for (is_error, text) in chunks {
            let message = text.as_bytes().to_vec().into();
            tail.take(if *is_error { LogOutput::StdErr { message } } else { LogOutput::StdOut { message } });
        }
        tail.finish()
    }

    #[test]
    fn lines_of_both_streams_stay_whole() {
        let lines = tail(9, &[(false, "one "), (true, "bad\n"), (false, "line\nlast")]);
        assert_eq!(lines, ["bad", "one line", "last"]);
    }

    #[test]
    fn what_was_said_later_is_left_out() {
        let said = "1970-01-01T00:00:01.5Z bad 1\n1970-01-01T00:00:01.6Z  bad 2\n1970-01-01T00:00:02Z started\n";
        assert_eq!(tail_until(Some(Timestamp(1_700)), 9, &[(true, said)]), ["bad 1", " bad 2"]);
        assert_eq!(tail_until(Some(Timestamp(1_700)), 1, &[(true, said)]), [" bad 2"]);
    }

    #[test]
    fn only_the_last_lines_are_kept_printable_and_cut() {
        let long = format!("{}\n", "x".repeat(100_000));
        let lines = tail(2, &[(false, "old\n\u{1b}[31mred\r\n"), (false, &long)]);
        assert_eq!(lines[0], "[31mred");
        assert_eq!((lines.len(), lines[1].chars().count()), (2, LINE_MAX + 1));
        assert!(lines[1].ends_with("x…"));
    }

    #[test]
    fn a_line_that_is_cut_says_so_however_little_of_it_can_be_seen() {
        let unseen = format!("a{}b\n", "\u{1b}".repeat(5_000));
        assert_eq!(tail(2, &[(false, &unseen)]), ["a…"]);
        let mut cut_off = Tail::new(2, None);
        cut_off.take(LogOutput::StdOut { message: b"whole\nhal".to_vec().into() });
        cut_off.is_cut_off = true;
        assert_eq!(cut_off.finish(), ["whole", "hal…"]);
    }
}
