//! Registries, asked about tags: the OCI distribution API over HTTP. Nothing is pulled, and nothing here decides what comes of
//! an answer, or when to ask again.
//!
//! A question costs as little as can be: one `HEAD` of a manifest for a digest, one `GET` of the list of tags for the newest of
//! them, and before the first of them what it takes to be let in. What the registry wants for that, [`challenge`] reads,
//! [`token`] gets; [`http`] makes one request.

mod challenge;
mod http;
mod place;
mod session;
mod token;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::model::observed::Fault;
use crate::model::registry::{Answer, Tagged};
use crate::model::secret::Login;
use crate::model::tags::Selection;
use crate::model::text::printable;
use crate::model::time::Span;

use place::Place;
use session::{Session, Tokens};

/// More tags than this are not read: the list is asked for in pages, and each page is a request.
pub const TAGS_MAX: usize = 20_000;

/// A question: what does a registry say of these selections of one repository?
pub struct Question {
    /// The repository with its registry, such as `ghcr.io/shop/web`.
    pub repository: String,
    /// Which tags are wanted.
    pub selections: BTreeSet<Selection>,
    /// Credentials to try, in order; without any, it is asked without.
    pub logins: Vec<Login>,
}

/// What came of it: an answer to each selection, and how many requests it took.
pub type Told = Result<BTreeMap<Selection, Answer>, RegistryError>;

/// A question that was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RegistryError {
    /// Which registry, and what it said; printable. No credential is ever part of it.
    pub message: String,
    /// What the loop does next.
    pub fault: Fault,
    /// How long the registry wants to be left alone, if it says so.
    pub retry_after: Option<Span>,
}

impl RegistryError {
    /// An error about a registry.
    pub fn new(registry: &str, fault: Fault, words: impl AsRef<str>) -> Self {
        let words = printable(words.as_ref());
        Self { message: printable(&format!("registry {registry}: {words}")), fault, retry_after: None }
    }
}

/// Whoever can be asked about tags.
pub trait Registries: Send + Sync + 'static {
    /// Asks a registry.
    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Told>;
}

/// Real registries, over HTTPS; over plain HTTP where the engine would do the same: on the host's own loopback.
#[derive(Default)]
pub struct Https {
    /// What let us in the last time.
    tokens: Tokens,
}

impl Registries for Https {
    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Told> {
        async move {
            let place = Place::of(&question.repository);
            let mut session = Session::new(&place, &question.logins, &self.tokens);
            let mut answers = BTreeMap::new();
            let mut digests: BTreeMap<String, Option<String>> = BTreeMap::new();
            let is_listed = |selection: &Selection| !matches!(selection, Selection::Tag(_));
            let tags = match question.selections.iter().any(is_listed) {
                true => session.tags().await?,
                false => None,
            };
            for selection in &question.selections {
                let (tag, among) = match selection {
                    Selection::Tag(tag) => (Some(tag.clone()), None),
                    Selection::Version { .. } | Selection::Pattern { .. } => {
                        let tags = tags.as_deref();
                        (tags.and_then(|tags| selection.newest(tags)).map(String::from), tags.map(<[String]>::len))
                    }
                };
                let Some(tag) = tag else {
                    answers.insert(selection.clone(), Answer::None { among });
                    continue;
                };
                if !digests.contains_key(&tag) {
                    let digest = session.digest(&tag).await?;
                    digests.insert(tag.clone(), digest);
                }
                let answer = match &digests[&tag] {
                    Some(digest) => Answer::Found(Tagged { tag, digest: digest.clone() }),
                    None => Answer::None { among },
                };
                answers.insert(selection.clone(), answer);
            }
            Ok(answers)
        }
        .boxed()
    }
}
