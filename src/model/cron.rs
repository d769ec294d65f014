//! What has been of a CronJob: the memory of its times and runs, part of [`History`](super::history::History).

use serde::{Deserialize, Serialize};

use super::job::{JobRun, JobState};
use super::registry::Choice;
use super::revision::RevisionId;
use super::time::{Span, Timestamp};
use super::wish::Resolution;

/// The memory of a CronJob.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CronJobHistory {
    /// The schedule and time zone that `through` counts by; none while it is suspended, or not known yet.
    pub counts_by: Option<String>,
    /// Everything up to here is decided: run, skipped, or before it was known.
    pub through: Timestamp,
    /// The newest time of the schedule that got a run.
    pub last_scheduled: Option<Timestamp>,
    /// When the newest run that ended well did so.
    pub last_success: Option<Timestamp>,
    /// Runs, in the order in which they were decided. At most those under way, and those that the limits keep.
    pub runs: Vec<CronRun>,
    /// What its image policy has chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Choice>,
}

impl CronJobHistory {
    /// The runs that have not ended.
    pub fn under_way(&self) -> impl DoubleEndedIterator<Item = &CronRun> {
        self.runs.iter().filter(|run| !run.is_over())
    }
}

/// One run of a CronJob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CronRun {
    /// The time that it is for. No two runs have the same: it is what their containers are named by.
    pub scheduled_at: Timestamp,
    /// Whether a person or a gate asked for it, outside of the schedule.
    #[serde(default)]
    pub by_hand: bool,
    /// Whether a newer run takes its place: it is stopped, and not tried again.
    #[serde(default)]
    pub replaced: bool,
    /// How often it is tried again, as the manifest said when it began.
    pub backoff_limit: u32,
    /// How long a try may take, as the manifest said when it began.
    pub active_deadline: Option<Span>,
    /// What is known of its image.
    pub resolution: Option<Resolution>,
    /// What became of it; none while its image is not known.
    pub job: Option<JobRun>,
}

impl CronRun {
    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.job.as_ref().is_some_and(|job| job.state.is_over())
    }

    /// Whether nothing of it was ever asked to start.
    pub fn has_not_begun(&self) -> bool {
        self.job.as_ref().is_none_or(|job| job.attempt == 0 && matches!(job.state, JobState::Pending))
    }
}

/// What the containers of the run for a time are named by: `20260329-010000`, in UTC, with milliseconds where there are
/// some. It can be read back when the history is lost.
pub fn run_id(scheduled_at: Timestamp) -> RevisionId {
    let digits: String = scheduled_at.to_string().chars().filter(char::is_ascii_digit).collect();
    let (day, time) = digits.split_at(8.min(digits.len()));
    match scheduled_at.0.rem_euclid(1000) {
        0 => RevisionId(format!("{day}-{time}")),
        millis => RevisionId(format!("{day}-{time}-{millis:03}")),
    }
}

/// The time that a run is for, by its id.
pub fn scheduled_at(id: &RevisionId) -> Option<Timestamp> {
    let mut parts = id.0.split('-');
    let (day, time, millis) = (parts.next()?, parts.next()?, parts.next().map_or(Some(0), |text| text.parse().ok())?);
    let is_number = |text: &str, digits| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(day, 8) || !is_number(time, 6) {
        return None;
    }
    let (year, month, day) = (&day[..4], &day[4..6], &day[6..]);
    let text = format!("{year}-{month}-{day}T{}:{}:{}Z", &time[..2], &time[2..4], &time[4..]);
    let since = humantime::parse_rfc3339(&text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp(i64::try_from(since.as_millis()).ok()?.checked_add(millis)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_run_can_be_read_back_from_its_id() {
        for (at, id) in [(1_774_746_000_000, "20260329-010000"), (1_774_746_000_042, "20260329-010000-042")] {
            assert_eq!(run_id(Timestamp(at)).0, id);
            assert_eq!(scheduled_at(&RevisionId(id.into())), Some(Timestamp(at)));
        }
        for wrong in ["", "3f9a2c71d0", "20260329", "20261329-010000", "2026\u{e4}329-010000"] {
            assert_eq!(scheduled_at(&RevisionId(wrong.into())), None, "{wrong}");
        }
    }
}
