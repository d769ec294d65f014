//! Tables of what has been: revisions, their gates, and the runs of Jobs and CronJobs.

use super::age;
use super::rows::run_tone;
use super::screen::Tone;
use super::table::{Cell, Table, cell, toned};
use crate::model::registry::in_short;
use crate::model::revision::Checkout;
use crate::model::time::Timestamp;
use crate::model::view::{GateView, GateWord, JobRunView, OutcomeWord, RevisionView, RunView};

/// Revisions, oldest first; `*` is the one that is run or reached. A column for commits where any has one.
pub fn revision_table(revisions: &[RevisionView], now: Timestamp) -> Table {
    let has_commits = revisions.iter().any(|revision| revision.commit.is_some());
    let mut table = table(&["REVISION", "ID", "OUTCOME", "AGE", COMMIT, "IMAGE", "REASON"], has_commits);
    for revision in revisions {
        let tone = match revision.outcome {
            OutcomeWord::Completed => Tone::Good,
            OutcomeWord::Rejected => Tone::Bad,
            OutcomeWord::Pending => Tone::Busy,
            OutcomeWord::Superseded => Tone::Dim,
        };
        let mark = if revision.current { "*" } else { "" };
        let before = [
            cell(format!("{}{mark}", revision.number)),
            cell(&revision.id),
            toned(format!("{:?}", revision.outcome), tone),
            cell(age::since(revision.created_at, now)),
        ];
        let after = [cell(in_short(&revision.image)), cell(&revision.reason)];
        table.row(before.into_iter().chain(commit(&revision.commit, has_commits)).chain(after).collect());
    }
    table
}

const COMMIT: &str = "COMMIT";

/// A table with these columns, that of commits only where any has one.
fn table(header: &[&'static str], has_commits: bool) -> Table {
    Table::new(header.iter().copied().filter(|title| has_commits || *title != COMMIT).collect())
}

/// The cell of that column.
fn commit(commit: &Option<Checkout>, has_commits: bool) -> Option<Cell> {
    has_commits.then(|| cell(commit.as_ref().map(Checkout::short).unwrap_or_default()))
}

/// Revisions of a Job, oldest first: the last one is what it runs, or ran.
pub fn job_table(runs: &[JobRunView], now: Timestamp) -> Table {
    let has_commits = runs.iter().any(|run| run.commit.is_some());
    let header = ["REVISION", "RESULT", "ATTEMPTS", "AGE", "DURATION", "EXIT CODE", COMMIT, "IMAGE", "REASON"];
    let mut table = table(&header, has_commits);
    for run in runs {
        let took = run.started_at.map(|start| age::span(run.finished_at.unwrap_or(now).since(start)));
        let before = [
            cell(&run.id),
            toned(format!("{:?}", run.result), run_tone(run.result)),
            cell((run.attempt + 1).to_string()),
            cell(age::since(run.created_at, now)),
            cell(took.unwrap_or_default()),
            cell(run.exit_code.map(|code| code.to_string()).unwrap_or_default()),
        ];
        let after = [cell(in_short(&run.image)), cell(&run.reason)];
        table.row(before.into_iter().chain(commit(&run.commit, has_commits)).chain(after).collect());
    }
    table
}

/// Runs of a CronJob, oldest first.
pub fn run_table(runs: &[RunView], now: Timestamp) -> Table {
    let has_commits = runs.iter().any(|run| run.commit.is_some());
    let header = ["RUN", "FOR", "RESULT", "ATTEMPTS", "AGE", "DURATION", "EXIT CODE", COMMIT, "IMAGE", "REASON"];
    let mut table = table(&header, has_commits);
    for run in runs {
        let took = run.started_at.map(|start| age::span(run.finished_at.unwrap_or(now).since(start)));
        let before = [
            cell(&run.id),
            cell(if run.by_hand { "run-now".into() } else { run.scheduled_at.to_string() }),
            toned(format!("{:?}", run.result), run_tone(run.result)),
            cell((run.attempt + 1).to_string()),
            cell(age::since(run.scheduled_at, now)),
            cell(took.unwrap_or_default()),
            cell(run.exit_code.map(|code| code.to_string()).unwrap_or_default()),
        ];
        let after = [cell(&run.image), cell(&run.reason)];
        table.row(before.into_iter().chain(commit(&run.commit, has_commits)).chain(after).collect());
    }
    table
}

/// Gates of a revision, in the order of their titles.
pub fn gate_table(gates: &[GateView], now: Timestamp) -> Table {
    let mut table = Table::new(vec!["GATE", "RESULT", "AGE", "REASON"]);
    for gate in gates {
        let tone = match gate.result {
            GateWord::Passed => Tone::Good,
            GateWord::Failed => Tone::Bad,
            GateWord::Running => Tone::Busy,
        };
        let result = toned(format!("{:?}", gate.result), tone);
        table.row(vec![cell(&gate.gate), result, cell(age::since(gate.at, now)), cell(&gate.reason)]);
    }
    table
}

/// What was chosen, and what came of it.
pub fn pinned_words(revisions: &[RevisionView]) -> String {
    let failed = revisions.iter().find(|revision| revision.wanted && revision.outcome == OutcomeWord::Rejected);
    let Some(failed) = failed else {
        return "its revision was chosen, by `rollout undo` or as the last good one, until the manifest's template changes"
            .into();
    };
    let instead = revisions.iter().find(|revision| revision.current && revision.number != failed.number);
    let what = match instead {
        Some(instead) => format!("revision {} is there in its place", instead.number),
        None => "nothing takes its place by itself".into(),
    };
    let number = failed.number;
    format!(
        "revision {number} was chosen and failed; {what}, until another one is chosen or the manifest's template changes"
    )
}
