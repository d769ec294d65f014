//! Asking registries: in the background, each repository once at a time and a bounded number at once, with what came of it
//! remembered. What is asked, and when, is decided elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::clock::Clock;
use super::provide;
use super::redact::Redactor;
use crate::engine::Engine;
use crate::metrics::{ActionResult, Metrics};
use crate::model::observed::Fault;
use crate::model::registry::{Inquiry, Repository, Unanswered};
use crate::model::time::Span;
use crate::registry::{Question, Registries, RegistryError, Told};
use crate::store::Store;
use crate::wake::{Reason, Wake};

/// Questions at once.
const ASKING: usize = 4;
/// The longest that one may take. Each of its requests has a shorter limit of its own.
const LONGEST: Span = Span::secs(300);

/// Asks registries and remembers what they said.
pub struct Inquirer<E: Engine> {
    shared: Arc<Shared<E>>,
}

struct Shared<E> {
    registries: Arc<dyn Registries>,
    engine: Arc<E>,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    clock: Clock,
    wake: Wake,
    known: Mutex<BTreeMap<String, Repository>>,
    redactor: Mutex<Redactor>,
    asking: Semaphore,
}

impl<E: Engine> Inquirer<E> {
    /// One that has asked nothing.
    pub fn new(
        registries: Arc<dyn Registries>,
        engine: Arc<E>,
        store: Arc<Store>,
        metrics: Arc<Metrics>,
        clock: Clock,
        wake: Wake,
    ) -> Self {
        let (known, redactor, asking) = (Mutex::default(), Mutex::default(), Semaphore::new(ASKING));
        Self { shared: Arc::new(Shared { registries, engine, store, metrics, clock, wake, known, redactor, asking }) }
    }

    /// Secrets to mask from now on.
    pub fn set_redactor(&self, redactor: Redactor) {
        *self.shared.redactor.lock().unwrap_or_else(PoisonError::into_inner) = redactor;
    }

    /// What is known of the repositories that are followed.
    pub fn known(&self) -> BTreeMap<String, Repository> {
        self.shared.known().clone()
    }

    /// Asks what is due, and forgets the repositories that nobody follows any more.
    pub fn set(&self, inquiries: Vec<Inquiry>) {
        let followed: BTreeSet<&String> = inquiries.iter().map(|inquiry| &inquiry.repository).collect();
        self.shared.known().retain(|repository, known| followed.contains(repository) || known.is_asked);
        for inquiry in inquiries.into_iter().filter(|inquiry| inquiry.is_due) {
            let mut all = self.shared.known();
            let known = all.entry(inquiry.repository.clone()).or_default();
            if !std::mem::replace(&mut known.is_asked, true) {
                tokio::spawn(self.shared.clone().run(inquiry));
            }
        }
    }
}

impl<E: Engine> Shared<E> {
    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Repository>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self: Arc<Self>, inquiry: Inquiry) {
        let _turn = self.asking.acquire().await.expect("the semaphore is never closed");
        let repository = inquiry.repository.clone();
        let told = match timeout(LONGEST.std(), self.ask(inquiry)).await {
            Ok(told) => told,
            Err(_) => {
                let message = format!("{repository}: no answer within {LONGEST}");
                Err(RegistryError { message, fault: Fault::Timeout, retry_after: None })
            }
        };
        let result = match &told {
            Ok(_) => ActionResult::Success,
            Err(error) if error.fault == Fault::Timeout => ActionResult::Timeout,
            Err(_) => ActionResult::Error,
        };
        self.metrics.registry_asked(&repository, result);
        self.record(&repository, told);
        self.wake.ring(Reason::Registry);
    }

    async fn ask(&self, inquiry: Inquiry) -> Told {
        let Inquiry { repository, selections, secrets, .. } = inquiry;
        let credentials = provide::credentials(&self.store, &secrets).map_err(|error| RegistryError {
            message: error.to_string(),
            fault: error.fault,
            retry_after: None,
        })?;
        let found = self.engine.logins(&repository, &credentials).await;
        let told = self.registries.ask(&Question { repository, selections, logins: found.logins }).await;
        told.map_err(|error| match (error.fault, found.trouble) {
            (Fault::Unauthorized, Some(trouble)) => {
                RegistryError { message: format!("{} ({trouble})", error.message), ..error }
            }
            _ => error,
        })
    }

    fn record(&self, repository: &str, told: Told) {
        let now = self.clock.now();
        let redactor = self.redactor.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut all = self.known();
        let known = all.entry(repository.to_owned()).or_default();
        known.is_asked = false;
        match told {
            Ok(answers) => {
                known.answers = answers;
                (known.answered_at, known.failure) = (Some(now), None);
            }
            Err(RegistryError { message, fault, retry_after }) => {
                let count = known.failure.as_ref().map_or(1, |earlier| earlier.count.saturating_add(1));
                let message = redactor.clean(&message);
                tracing::debug!(repository, count, "{message}");
                known.failure = Some(Unanswered { count, at: now, fault, retry_after, message });
            }
        }
    }
}
