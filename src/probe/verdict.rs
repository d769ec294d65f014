//! From single checks to a result: Kubernetes' thresholds. It makes no checks.

use std::mem::discriminant;

use super::Check;
use crate::model::observed::ProbeResult;
use crate::model::spec::Probe;
use crate::model::text::{printable, shortened};

/// The longest message that is kept, in characters.
const MESSAGE_MAX: usize = 300;

/// The result so far and the run of equal checks that leads to the next one.
#[derive(Debug)]
pub(super) struct Verdict {
    result: ProbeResult,
    successes: u32,
    failures: u32,
}

impl Verdict {
    /// Nothing known yet.
    pub(super) fn new() -> Self {
        Self { result: ProbeResult::Unknown { message: String::new() }, successes: 0, failures: 0 }
    }

    /// The result.
    pub(super) fn result(&self) -> &ProbeResult {
        &self.result
    }

    /// Whether neither threshold has been reached since the start.
    pub(super) fn is_undecided(&self) -> bool {
        matches!(self.result, ProbeResult::Unknown { .. } | ProbeResult::Unmade { .. })
    }

    /// Whether the last threshold that was reached is that of successes.
    pub(super) fn is_success(&self) -> bool {
        self.result == ProbeResult::Success
    }

    /// Counts one check and says whether the result is another one now. A new message alone is not.
    pub(super) fn count(&mut self, check: Check, probe: &Probe) -> bool {
        let before = discriminant(&self.result);
        match check {
            Check::Success => self.succeed(probe.success_threshold),
            Check::Failure(message) => self.fail(tidy(&message), probe.failure_threshold),
            Check::Unmade(Some(message)) => self.miss(tidy(&message)),
            Check::Unmade(None) => {}
        }
        discriminant(&self.result) != before
    }

    /// Another check counts from now on: the result stays until that one has decided, so that a ready replica does not
    /// become unready because its manifest was edited.
    pub(super) fn recount(&mut self) {
        (self.successes, self.failures) = (0, 0);
    }

    fn succeed(&mut self, threshold: u32) {
        (self.successes, self.failures) = (self.successes.saturating_add(1), 0);
        if self.successes >= threshold.max(1) {
            self.result = ProbeResult::Success;
        }
    }

    fn fail(&mut self, message: String, threshold: u32) {
        (self.successes, self.failures) = (0, self.failures.saturating_add(1));
        let decided = self.failures >= threshold.max(1);
        match &mut self.result {
            result if decided => *result = ProbeResult::Failure { message },
            ProbeResult::Unknown { message: last } | ProbeResult::Failure { message: last } => *last = message,
            result @ ProbeResult::Unmade { .. } => *result = ProbeResult::Unknown { message },
            ProbeResult::Success => {}
        }
    }

    /// A check that was not made changes no result and breaks no run, but where nothing is known it says why.
    fn miss(&mut self, message: String) {
        let is_blank = match &self.result {
            ProbeResult::Unknown { message } => message.is_empty(),
            ProbeResult::Unmade { .. } => true,
            ProbeResult::Success | ProbeResult::Failure { .. } => false,
        };
        if is_blank {
            self.result = ProbeResult::Unmade { message };
        }
    }
}

/// A message that is safe to print and not too long; servers choose a part of it.
fn tidy(message: &str) -> String {
    shortened(&printable(message), MESSAGE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Span;

    /// A letter per check, `+`, `-`, or `o` for one that was not made; returns a letter per result: `?` unknown, `x` unmade,
    /// `y` success, `n` failure, upper case where it changed, `!` for a change to unknown.
    fn results(checks: &str, successes: u32, failures: u32) -> String {
        let probe = Probe {
            http_get: None,
            tcp_socket: None,
            grpc: None,
            exec: None,
            initial_delay: Span::ZERO,
            period: Span::secs(1),
            timeout: Span::secs(1),
            success_threshold: successes,
            failure_threshold: failures,
        };
        let mut verdict = Verdict::new();
        let letter = |check| {
            let check = match check {
                '+' => Check::Success,
                '-' => Check::Failure("refused".into()),
                _ => Check::Unmade(Some("not seen".into())),
            };
            let changed = verdict.count(check, &probe);
            let letter = match verdict.result() {
                ProbeResult::Unknown { .. } if changed => '!',
                ProbeResult::Unknown { .. } => '?',
                ProbeResult::Unmade { .. } => 'x',
                ProbeResult::Success => 'y',
                ProbeResult::Failure { .. } => 'n',
            };
            if changed { letter.to_ascii_uppercase() } else { letter }
        };
        checks.chars().map(letter).collect()
    }

    #[test]
    fn a_result_needs_its_threshold_of_equal_checks_in_a_row() {
        assert_eq!(results("--+---+--", 1, 3), "??YyyNYyy");
        assert_eq!(results("++-+++-+", 3, 1), "??NnnYNn");
        assert_eq!(results("-", 1, 1), "N");
    }

    #[test]
    fn a_lone_failure_does_not_undo_a_success() {
        assert_eq!(results("+-+-+--+", 1, 3), "Yyyyyyyy");
    }

    #[test]
    fn a_check_that_was_not_made_counts_for_nothing_and_is_told_where_nothing_is_known() {
        assert_eq!(results("oo-o--o", 1, 3), "Xx!??Nn");
        assert_eq!(results("o+oooo", 1, 1), "XYyyyy");
        assert_eq!(results("+-o--", 1, 3), "YyyyN");
    }

    #[test]
    fn the_last_failure_is_told_and_cannot_command_the_terminal() {
        let mut verdict = Verdict::new();
        let probe = serde_json::from_str("{}").unwrap();
        verdict.count(Check::Failure(format!("\u{1b}[2J503{}", "x".repeat(1000))), &probe);
        let ProbeResult::Unknown { message } = verdict.result() else { panic!("one of three failures") };
        assert!(message.starts_with("[2J503x") && message.chars().count() == MESSAGE_MAX + 1);
    }

    #[test]
    fn another_check_keeps_the_result_until_it_has_decided() {
        let probe: Probe = serde_json::from_str("{}").unwrap();
        let mut verdict = Verdict::new();
        verdict.count(Check::Success, &probe);
        verdict.count(Check::Failure("old".into()), &probe);
        verdict.count(Check::Failure("old".into()), &probe);
        verdict.recount();
        verdict.count(Check::Failure("new".into()), &probe);
        assert_eq!(verdict.result(), &ProbeResult::Success);
    }
}
