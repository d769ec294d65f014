//! What a person asks of the loop: requests, confirmations, a fresh look, the end. What a request means is decided by
//! [`plan`](crate::plan).

use tokio::time::sleep_until;

use super::releases::{self, Asked};
use super::sources::Occasion;
use super::{Reconciler, detail};
use crate::engine::Engine;
use crate::model::action::is_build_target;
use crate::model::command::{Answer, Command, Refusal, Reply};
use crate::model::history::History;
use crate::model::name::{Key, Kind};
use crate::model::release::{Step, Wanted};
use crate::model::status::{Event, Severity};
use crate::model::time::Span;
use crate::plan;
use crate::probe::Dial;
use crate::wake::Reason;

impl<E: Engine, D: Dial> Reconciler<E, D> {
    /// Carries out a command, as far as it can be before the next pass.
    pub(super) async fn obey(&mut self, command: Command) -> Reply {
        match command {
            Command::Request { key, request, by } => {
                // Its manifest may have come a moment ago.
                if !self.sources.all_read() || !self.desired.declares(&key) {
                    self.read_sources(Occasion::Change).await;
                }
                let (history, message) = plan::request(&self.desired, &self.history, &key, &request, self.clock.now())?;
                // An event names its object beside what it says.
                let name = key.to_string();
                let said =
                    message.strip_prefix(&name).and_then(|rest| rest.strip_prefix(": ").or(rest.strip_prefix(' ')));
                let said = said.unwrap_or(&message);
                let wanted = releases::wanted(&history, &key);
                self.write_asked(history, Asked { key: &key, step: request.step(), by, said, wanted })?;
                self.tell(key, request.word(), said);
                Ok(Answer::Done { message })
            }
            Command::ImageSet { key, change, image, by } => {
                let wanted = image.map(Wanted::Image);
                self.log_asked(&Asked { key: &key, step: Step::ImageSet, by, said: &change, wanted });
                Ok(Answer::Noted)
            }
            Command::Releases => Ok(Answer::Releases { now: self.clock.now(), releases: self.releases.all() }),
            Command::Revisions(key) => match self.history.deployments.get(&key) {
                Some(history) => Ok(Answer::Revisions { revisions: detail::parts(history) }),
                None => Err(Refusal::not_found(format!("{key} has no revisions"))),
            },
            Command::Confirm { confirmation, by } => {
                let history =
                    plan::confirm(&self.plan.held, &confirmation, &self.history).map_err(Refusal::impossible)?;
                let namespace = confirmation.namespace;
                let message = format!("confirmed for namespace {namespace}");
                let key = Key::new(Kind::Namespace, namespace.clone(), namespace);
                let asked = Asked { key: &key, step: Step::RemovalConfirmed, by, said: &message, wanted: None };
                self.write_asked(history, asked)?;
                self.tell(key, "RemovalConfirmed", &message);
                Ok(Answer::Done { message })
            }
            Command::Sync => {
                self.sources.forget_rejections();
                // Whoever asks may have mended what a build needs far away.
                self.executor.forget_failures(|target, _| !is_build_target(target));
                Ok(self.read_sources(Occasion::Command).await)
            }
            // Who asks how it stands says nothing about the files.
            Command::Look => Ok(self.read_sources(Occasion::Change).await),
            Command::Shutdown => Err(Refusal::impossible("the loop handles a shutdown itself")),
        }
    }

    /// The event of what a person asked for: who looks later must see that it was asked.
    fn tell(&mut self, object: Key, reason: &str, message: &str) {
        let (at, severity) = (self.clock.now(), Severity::Normal);
        self.remember(&[Event { at, object, severity, reason: reason.into(), message: message.into(), failure: None }]);
    }

    /// Writes down what a person asked for, with who did. The release log comes first: it may then say too much, and never
    /// too little.
    fn write_asked(&mut self, history: History, asked: Asked<'_>) -> Result<(), Refusal> {
        let entry = self.log_asked(&asked);
        self.write(history).inspect_err(|refusal| self.log_not_done(entry, &refusal.message))
    }

    fn write(&mut self, history: History) -> Result<(), Refusal> {
        self.save(&history).map_err(|error| Refusal::unavailable(error.to_string()))?;
        self.history = history;
        self.wake.ring(Reason::Request);
        Ok(())
    }

    /// Reads the sources until they are quiet, for at most two seconds. The next pass looks at networks, volumes and images too:
    /// the engine may not have told yet what whoever asks has just done to them.
    async fn read_sources(&mut self, occasion: Occasion) -> Answer {
        self.hints.all();
        let deadline = self.clock.now() + Span::secs(2);
        while let Some(again) = self.load(self.clock.now(), occasion) {
            if again > deadline {
                break;
            }
            sleep_until(self.clock.instant(again)).await;
        }
        self.wake.ring(Reason::Request);
        Answer::Synced { sources: self.sources.states(), pass: self.passes + 1, started_at: self.started_at }
    }

    /// Lets what is under way end, for at most ten seconds: whatever is cut off, the next process sees and goes on.
    pub(super) async fn wind_down(&mut self) {
        let deadline = self.clock.now() + Span::secs(10);
        while !self.executor.is_idle() && self.clock.now() < deadline {
            tokio::select! {
                _ = self.wake.wait() => {}
                () = sleep_until(self.clock.instant(deadline)) => {}
            }
        }
    }
}
