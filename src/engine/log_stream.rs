//! A container's log as it is written, line by line, for a person who follows it. Nothing is kept.

use std::collections::VecDeque;
use std::pin::Pin;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::stream::{self, Stream, StreamExt};

use super::EngineError;
use super::client::Client;
use super::docker::Docker;
use super::errors::Failed;
use super::inspect::short;
use super::rfc3339;
use crate::model::observed::ContainerId;
use crate::model::time::Timestamp;

/// The longest line, in bytes; a longer one is shown in pieces.
const LINE_MAX: usize = 64 * 1024;

/// Lines as they come, as the container wrote them; an error ends them.
pub type LogStream = Pin<Box<dyn Stream<Item = Result<String, EngineError>> + Send>>;

/// Which lines of a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogRange {
    /// Go on with new lines until the container ends.
    pub follow: bool,
    /// Only this many of the last lines, whenever they were written.
    pub tail: Option<u32>,
    /// Only lines from then on.
    pub since: Option<Timestamp>,
    /// Only lines from before then.
    pub until: Option<Timestamp>,
}

impl LogRange {
    /// Whether a line of that time is meant, in nanoseconds.
    fn has(&self, nanos: i64) -> bool {
        let at = nanos / 1_000_000;
        self.since.is_none_or(|since| at >= since.0) && self.until.is_none_or(|until| at < until.0)
    }

    /// Whether the time of each line has to be known.
    fn is_timed(&self) -> bool {
        self.since.is_some() || self.until.is_some()
    }
}

impl Docker {
    /// The lines of a container's log: `GET /containers/{id}/logs`. It has no deadline: following has no end.
    pub async fn log(&self, id: &ContainerId, range: LogRange) -> Result<LogStream, EngineError> {
        let attempted = format!("read the log of {}", short(id));
        let chunks = chunks(self.client(), id, range).await.map_err(|failed| failed.attempting(attempted.clone()))?;
        let (output, error, lines) = (Vec::new(), Vec::new(), VecDeque::new());
        let reading = Reading { chunks, range, output, error, lines, ended: false };
        Ok(Box::pin(stream::unfold((reading, attempted), |(mut reading, attempted)| async move {
            let line = reading.next().await?.map_err(|failed| failed.attempting(attempted.clone()));
            Some((line, (reading, attempted)))
        })))
    }
}

type Chunks = Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;

async fn chunks(client: &Client, id: &ContainerId, range: LogRange) -> Result<Chunks, Failed> {
    let since = range.since.map_or(0, |at| i32::try_from(at.0 / 1000).unwrap_or(i32::MAX));
    let tail = range.tail.map_or("all".to_string(), |lines| lines.to_string());
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).follow(range.follow).tail(&tail);
    // To the second only, so each line comes with its time.
    let options = options.since(since).timestamps(range.is_timed()).build();
    Ok(Box::pin(client.session().await?.calls.logs(&id.0, Some(options))))
}

/// Chunks on their way to being lines.
struct Reading {
    chunks: Chunks,
    /// What is meant; where times matter, lines come with theirs.
    range: LogRange,
    output: Vec<u8>,
    error: Vec<u8>,
    lines: VecDeque<String>,
    ended: bool,
}

impl Reading {
    async fn next(&mut self) -> Option<Result<String, Failed>> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(Ok(line));
            }
            if self.ended {
                return None;
            }
            match self.chunks.next().await {
                Some(Ok(chunk)) => self.take(chunk),
                Some(Err(error)) => {
                    self.ended = true;
                    return Some(Err(error.into()));
                }
                None => self.end(),
            }
        }
    }

    /// A long line comes in several chunks, and the chunks of both streams alternate.
    fn take(&mut self, chunk: LogOutput) {
        let partial = if matches!(chunk, LogOutput::StdErr { .. }) { &mut self.error } else { &mut self.output };
        for piece in chunk.into_bytes().split_inclusive(|byte| *byte == b'\n') {
            partial.extend(piece);
            if piece.ends_with(b"\n") || partial.len() >= LINE_MAX {
                self.lines.extend(line(&std::mem::take(partial), &self.range));
            }
        }
    }

    fn end(&mut self) {
        self.ended = true;
        for partial in [std::mem::take(&mut self.output), std::mem::take(&mut self.error)] {
            if !partial.is_empty() {
                self.lines.extend(line(&partial, &self.range));
            }
        }
    }
}

/// A line without its end and time, if its time is meant. One that comes without a time is shown.
fn line(bytes: &[u8], range: &LogRange) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches(['\n', '\r']);
    let timed = range
        .is_timed()
        .then(|| text.split_once(' ').unwrap_or((text, "")))
        .and_then(|(time, rest)| Some((rest, range.has(rfc3339::nanos(time)?))));
    match timed {
        Some((rest, true)) => Some(rest.to_owned()),
        Some((_, false)) => None,
        None => Some(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_of_both_streams_stay_whole_and_the_last_one_needs_no_end() {
        let out = |text: &str| Ok(LogOutput::StdOut { message: text.as_bytes().to_vec().into() });
        let err = |text: &str| Ok(LogOutput::StdErr { message: text.as_bytes().to_vec().into() });
        let chunks: Chunks = Box::pin(stream::iter([out("one "), err("bad\r\n"), out("line\n\nlast")]));
        let mut reading = Reading {
            chunks,
            range: LogRange::default(),
            output: Vec::new(),
            error: Vec::new(),
            lines: VecDeque::new(),
            ended: false,
        };
        let mut lines = Vec::new();
        while let Some(Ok(line)) = reading.next().await {
            lines.push(line);
        }
        assert_eq!(lines, ["bad", "one line", "", "last"]);
    }

    #[test]
    fn of_a_time_only_its_lines_are_shown_and_without_their_times() {
        let before = LogRange { until: Some(Timestamp(1_767_225_660_000)), ..LogRange::default() };
        let shown = |range: &LogRange, text: &str| line(text.as_bytes(), range);
        assert_eq!(shown(&before, "2026-01-01T00:00:59.999999999Z it fell\n"), Some("it fell".into()));
        assert_eq!(shown(&before, "2026-01-01T00:01:00.000000000Z it runs"), None);
        let after = LogRange { since: before.until, ..LogRange::default() };
        assert_eq!(shown(&after, "2026-01-01T00:01:00.000000000Z it runs"), Some("it runs".into()));
        assert_eq!(shown(&LogRange::default(), "2026 is a year"), Some("2026 is a year".into()));
    }
}
