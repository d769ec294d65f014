//! Images that are followed in their registry: what stands for a template with an `imagePolicy`, and what is asked when. The
//! registry's answers are part of what is observed; what was chosen of them is history, so that neither an outage nor a
//! restart changes it. From here on a chosen image is an image like any other.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::build;
use super::inquiries::retry_at;
use super::world::{Decided, World};
use crate::model::desired::Desired;
use crate::model::history::{DeploymentHistory, History, Rollout};
use crate::model::name::{Key, Kind};
use crate::model::observed::{ContainerState, Fault, Observed};
use crate::model::registry::{Answer, Choice, ImagePolicyStatus, Repository, Tagged, Unanswered, in_short, parts};
use crate::model::revision::{TemplateHash, template_hash};
use crate::model::spec::Template;
use crate::model::status::{Condition, Severity};
use crate::model::tags::Selection;
use crate::model::time::Timestamp;

/// The condition of an object whose image is followed.
pub const FOLLOWED: &str = "ImageFollowed";

/// An object whose image is followed.
pub struct Follow {
    /// Its template as the manifest has it.
    pub written: Arc<Template>,
    /// Which of its tags.
    pub selection: Selection,
    /// The repository with its registry.
    pub repository: String,
    /// What is chosen; none as long as the registry has not said.
    pub choice: Option<Choice>,
    reason: &'static str,
    message: String,
    /// Whether there is anything to ask for.
    pub asks: bool,
}

/// All objects whose image is followed.
pub type Follows = BTreeMap<Key, Follow>;

/// What is followed, and what is chosen by what is known now.
pub fn follows(desired: &Desired, observed: &Observed, history: &History, now: Timestamp) -> Follows {
    let followed = desired.templates().filter_map(|(key, template)| {
        let (repository, selection) = followed(template)?;
        let known = observed.registries.get(&repository);
        let adopted = adopted(desired, observed, history, key, template, now);
        let present = chosen_before(history, key).or(adopted.as_ref());
        let present = present.filter(|c| c.repository == repository && c.selection == selection);
        let held = present.and_then(|_| held(desired, history, key, template));
        let asks = held.is_none();
        let Verdict { choice, reason, message } = match (present, held) {
            (Some(present), Some(why)) => Verdict { choice: Some(present.clone()), reason: "Held", message: why },
            (present, _) => choose(known, &repository, &selection, present, now),
        };
        let written = Arc::clone(template);
        Some((key.clone(), Follow { written, selection, repository, choice, reason, message, asks }))
    });
    followed.collect()
}

/// The repository that a template follows, and which of its tags.
fn followed(template: &Template) -> Option<(String, Selection)> {
    let policy = template.image_policy.as_ref()?;
    let (repository, tag) = parts(&template.image);
    Some((repository.into(), Selection::of(policy, tag.unwrap_or("latest"))?))
}

/// What running containers were made from, where the history was lost: they are of this very template with that image.
fn adopted(
    desired: &Desired,
    observed: &Observed,
    history: &History,
    key: &Key,
    template: &Template,
    now: Timestamp,
) -> Option<Choice> {
    if key.kind != Kind::Deployment || history.knows(key) {
        return None;
    }
    let contents = build::contents_in(desired, key, template);
    let own = observed.containers.values().filter(|container| container.owner == *key);
    let mut running = own.filter(|container| matches!(container.state, ContainerState::Running { .. }));
    running.find_map(|container| {
        let choice = choice_with(template, &container.reference, now)?;
        let hash = template_hash(&with_image(template, &container.reference), &contents, 0);
        (hash == container.template).then_some(choice)
    })
}

/// What was chosen for an object in an earlier pass.
fn chosen_before<'h>(history: &'h History, key: &Key) -> Option<&'h Choice> {
    match key.kind {
        Kind::Deployment => history.deployments.get(key)?.choice.as_ref(),
        Kind::Job => history.jobs.get(key)?.choice.as_ref(),
        Kind::CronJob => history.cron_jobs.get(key)?.choice.as_ref(),
        Kind::Namespace | Kind::Network | Kind::Volume | Kind::ConfigMap | Kind::Secret => None,
    }
}

/// Why an object keeps the image that it has, whatever is newer.
fn held(desired: &Desired, history: &History, key: &Key, template: &Template) -> Option<String> {
    let declared = desired.deployments.get(key)?;
    let history = history.deployments.get(key)?;
    if declared.spec.suspend {
        return Some("its manifest suspends it".into());
    }
    if history.paused {
        return Some("it is paused: `evenkeel rollout resume` goes on".into());
    }
    if history.pin.as_ref().is_some_and(|pin| pin.template == manifest_hash(desired, key, template, history)) {
        return Some("another revision was chosen, until its manifest's template changes".into());
    }
    // Whoever pushes often would else keep every rollout from its end.
    is_under_way(history).then(|| UNDER_WAY.into())
}

fn is_under_way(history: &DeploymentHistory) -> bool {
    match &history.rollout {
        Rollout::New => !history.revisions.is_empty(),
        Rollout::Progressing { failed_at, .. } => failed_at.is_none(),
        Rollout::RollingBack { .. } => true,
        Rollout::Complete { .. } | Rollout::Stalled { .. } => false,
    }
}

const UNDER_WAY: &str = "a rollout is under way: what is newer comes after it";

/// The hash of a template as its manifest has it, before anything was chosen: what a pin holds against.
pub fn manifest_hash(desired: &Desired, key: &Key, written: &Template, history: &DeploymentHistory) -> TemplateHash {
    template_hash(written, &build::contents_in(desired, key, written), history.restarts)
}

/// What is chosen, and what there is to say about it.
struct Verdict {
    choice: Option<Choice>,
    reason: &'static str,
    message: String,
}

/// What is chosen by what a registry has said. It only ever goes forward: a registry that has lost tags takes nothing back.
fn choose(
    known: Option<&Repository>,
    repository: &str,
    selection: &Selection,
    present: Option<&Choice>,
    now: Timestamp,
) -> Verdict {
    let stays = |reason, message| Verdict { choice: present.cloned(), reason, message };
    let verdict = match known.and_then(|known| known.answers.get(selection)) {
        Some(Answer::Found(found)) => match present {
            Some(present) if present.tagged == *found => stays("AsChosen", String::new()),
            Some(present) if selection.is_older(&found.tag, &present.tagged.tag) => {
                stays("OlderOnly", older_only(repository, found, present))
            }
            Some(_) | None => {
                let (repository, selection, tagged) = (repository.into(), selection.clone(), found.clone());
                let replaced = present.map(|present| present.tagged.clone());
                let choice = Choice { repository, selection, tagged, replaced, chosen_at: now };
                Verdict { choice: Some(choice), reason: "AsChosen", message: String::new() }
            }
        },
        Some(Answer::None { among }) => stays("TagMissing", missing(repository, selection, *among)),
        None if present.is_some() => stays("AsChosen", String::new()),
        None => stays("NotAsked", format!("{repository} has not been asked yet for its {selection}")),
    };
    match known.and_then(|known| known.failure.as_ref()) {
        Some(failure) => Verdict { reason: reason(failure.fault), message: unanswered(failure), ..verdict },
        None => verdict,
    }
}

fn older_only(repository: &str, found: &Tagged, present: &Choice) -> String {
    let (old, now) = (&found.tag, &present.tagged.tag);
    format!(
        "{repository} has no {now} any more, and the newest that is left, {old}, is older: {now} stays; `rollout undo` or \
         another imagePolicy goes back"
    )
}

fn missing(repository: &str, selection: &Selection, among: Option<usize>) -> String {
    match (selection, among) {
        (Selection::Tag(tag), _) => format!("{repository} has no tag {tag}, yet; it is looked for"),
        (_, None) => format!("{repository} is not there, yet; it is looked for"),
        (_, Some(0)) => format!("{repository} has no tags, yet; they are looked for"),
        (_, Some(count)) => {
            format!("none of the {count} tags of {repository} is of {selection}, yet; it is looked for")
        }
    }
}

fn reason(fault: Fault) -> &'static str {
    match fault {
        Fault::Unauthorized => "Unauthorized",
        Fault::RateLimited => "RateLimited",
        Fault::Invalid | Fault::ImageMissing | Fault::Unavailable | Fault::Timeout | Fault::Conflict => {
            "RegistryUnavailable"
        }
    }
}

fn unanswered(failure: &Unanswered) -> String {
    let way_out = match failure.fault {
        Fault::Unauthorized => "; see imagePullSecrets, or `docker login` as the daemon's user",
        Fault::RateLimited => "; a longer `interval`, or credentials, help",
        Fault::Invalid | Fault::ImageMissing | Fault::Unavailable | Fault::Timeout | Fault::Conflict => "",
    };
    format!("{}{way_out} (failed {}×; what runs goes on)", failure.message, failure.count)
}

/// The manifests with every chosen image in its place. A template without one keeps its policy, and is not resolved.
pub fn effective<'d>(desired: &'d Desired, follows: &Follows) -> Cow<'d, Desired> {
    let chosen = follows.iter().filter_map(|(key, follow)| Some((key, follow.choice.as_ref()?.image())));
    with_images(desired, chosen)
}

/// The same by what was chosen before alone.
pub fn effective_before<'d>(desired: &'d Desired, history: &History) -> Cow<'d, Desired> {
    let chosen = desired.templates().filter_map(|(key, template)| {
        let (repository, selection) = followed(template)?;
        let choice = chosen_before(history, key)?;
        (choice.repository == repository && choice.selection == selection).then(|| (key, choice.image()))
    });
    with_images(desired, chosen)
}

fn with_images<'d, 'k>(desired: &'d Desired, images: impl Iterator<Item = (&'k Key, String)>) -> Cow<'d, Desired> {
    let mut changed = Cow::Borrowed(desired);
    for (key, image) in images {
        let desired = changed.to_mut();
        let template = match key.kind {
            Kind::Deployment => desired.deployments.get_mut(key).map(|declared| &mut declared.spec.template),
            Kind::Job => desired.jobs.get_mut(key).map(|declared| &mut declared.spec.template),
            Kind::CronJob => desired.cron_jobs.get_mut(key).map(|declared| &mut declared.spec.template),
            Kind::Namespace | Kind::Network | Kind::Volume | Kind::ConfigMap | Kind::Secret => None,
        };
        if let Some(template) = template {
            let template = Arc::make_mut(template);
            (template.image, template.image_policy) = (image.clone(), None);
        }
        // Those of its gates' Jobs that take its image.
        let is_its = |job: &Key, of: Option<&crate::model::name::Name>| {
            key.kind == Kind::Deployment && job.namespace == key.namespace && of == Some(&key.name)
        };
        for (job, declared) in &mut desired.jobs {
            if is_its(job, declared.spec.image_of.as_ref()) {
                Arc::make_mut(&mut declared.spec.template).image.clone_from(&image);
            }
        }
    }
    changed
}

/// Takes what is chosen into the memory of an object, and tells of it.
pub fn take(world: World, decided: &mut Decided, key: &Key, memory: &mut Option<Choice>) {
    let chosen = world.follows.get(key).and_then(|follow| follow.choice.clone());
    if let Some(choice) = chosen.as_ref().filter(|choice| memory.as_ref().map(|m| &m.tagged) != Some(&choice.tagged)) {
        let image = choice.image();
        let before = memory.as_ref().filter(|before| before.repository == choice.repository);
        let tag = |before: &Choice| match before.tagged.tag == choice.tagged.tag {
            true => ", which has moved".to_owned(),
            false => format!(", in place of {}", before.tagged.tag),
        };
        let before = before.map(tag).unwrap_or_default();
        let message = format!("{}, by {}{before}", in_short(&image), choice.selection);
        decided.tell(world, key, Severity::Normal, "ImageChosen", message);
        // What is to be known of it is asked for at the next look.
        decided.wake(world.now);
    }
    *memory = chosen;
}

/// Looks again at once when the rollout is over that a newer image has waited for.
pub fn go_on(world: World, decided: &mut Decided, key: &Key, history: &DeploymentHistory) {
    let has_waited = world.follows.get(key).is_some_and(|follow| follow.message == UNDER_WAY);
    if has_waited && !is_under_way(history) {
        decided.wake(world.now);
    }
}

/// Why an object has no image yet, if its image is followed and nothing is chosen.
pub fn unchosen(world: World, key: &Key) -> Option<String> {
    let follow = world.follows.get(key).filter(|follow| follow.choice.is_none())?;
    Some(format!("its image: {}", follow.message))
}

/// The hash of the manifest's template of an object whose image is followed.
pub fn manifest_hash_of(world: World, key: &Key, history: &DeploymentHistory) -> Option<TemplateHash> {
    let follow = world.follows.get(key)?;
    Some(manifest_hash(world.desired, key, &follow.written, history))
}

/// The choice that an image stands for, where the manifest follows its repository: `web:1.4.2@sha256:…`.
pub fn choice_of(world: World, key: &Key, image: &str) -> Option<Choice> {
    choice_with(&world.follows.get(key)?.written, image, world.now)
}

fn choice_with(written: &Template, image: &str, now: Timestamp) -> Option<Choice> {
    let (repository, selection) = followed(written)?;
    let (named, digest) = image.split_once('@')?;
    let (of, tag) = parts(named);
    let tagged = Tagged { tag: tag?.into(), digest: digest.into() };
    (of == repository).then_some(Choice { repository, selection, tagged, replaced: None, chosen_at: now })
}

/// The manifest's template of an object whose image is followed, with this image in it.
pub fn written_with(world: World, key: &Key, image: &str) -> Option<Template> {
    Some(with_image(&world.follows.get(key)?.written, image))
}

fn with_image(written: &Template, image: &str) -> Template {
    Template { image: image.into(), image_policy: None, ..written.clone() }
}

/// How it stands with an object's image policy, and the condition that says so.
pub fn status(world: World, key: &Key) -> Option<(ImagePolicyStatus, Condition)> {
    let follow = world.follows.get(key)?;
    let known = world.observed.registries.get(&follow.repository);
    let choice = follow.choice.as_ref();
    let interval = follow.written.image_policy.as_ref().map(|policy| policy.interval).unwrap_or_default();
    let next_at = known.filter(|known| follow.asks && !known.is_asked).and_then(|known| match &known.failure {
        Some(failure) => Some(retry_at(failure)),
        None => known.answered_at.map(|at| at + interval),
    });
    let message = crate::model::text::printable(&follow.message);
    let status = ImagePolicyStatus {
        policy: follow.selection.to_string(),
        repository: follow.repository.clone(),
        tag: choice.map(|choice| choice.tagged.tag.clone()),
        digest: choice.map(|choice| choice.tagged.digest.clone()),
        chosen_at: choice.map(|choice| choice.chosen_at),
        asked_at: known.and_then(|known| known.answered_at),
        next_at,
        reason: follow.reason.into(),
        message: message.clone(),
    };
    let is_well = follow.reason == "AsChosen";
    Some((status, Condition { kind: FOLLOWED.into(), status: is_well, reason: follow.reason.into(), message }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::desired::Declared;
    use crate::model::name::Name;
    use crate::model::time::Span;

    const ASKED: Timestamp = Timestamp(1_000);
    const NOW: Timestamp = Timestamp(2_000);

    fn main() -> Selection {
        Selection::Tag("main".into())
    }

    fn said(answer: Answer) -> Repository {
        let answers = [(main(), answer)].into();
        Repository { answered_at: Some(ASKED), answers, failure: None, is_asked: false }
    }

    fn found() -> Tagged {
        Tagged { tag: "main".into(), digest: "sha256:1".into() }
    }

    #[test]
    fn what_is_chosen_stays_as_it_is_while_the_registry_says_the_same_or_nothing_yet() {
        let (repository, tagged, replaced) = ("web".to_owned(), found(), None);
        let present = Choice { repository, selection: main(), tagged, replaced, chosen_at: ASKED };
        for known in [Some(said(Answer::Found(found()))), None] {
            let Verdict { choice, reason, message } = choose(known.as_ref(), "web", &main(), Some(&present), NOW);
            assert_eq!((choice.as_ref(), reason, message.as_str()), (Some(&present), "AsChosen", ""));
        }
        let Verdict { choice, reason, message } = choose(None, "web", &main(), None, NOW);
        assert_eq!((choice, reason), (None, "NotAsked"));
        assert_eq!(message, "web has not been asked yet for its digest of main");
    }

    #[test]
    fn it_is_told_whether_an_image_is_as_chosen_and_when_its_registry_is_asked_again() {
        let key = Key::new(Kind::Deployment, Name::new("shop").unwrap(), Name::new("web").unwrap());
        let policy = json!({"digest": "Follow", "interval": "1m"});
        let spec = json!({"template": {"image": "web:main", "imagePolicy": policy, "hostNetwork": true}});
        let mut desired = Desired::default();
        desired.deployments.insert(key.clone(), Declared::bare(serde_json::from_value(spec).unwrap()));
        let told = |known: Repository| {
            let registries = [(parts("web:main").0.to_owned(), known)].into();
            let observed = Observed { registries, ..Observed::default() };
            let status = crate::plan::plan(&desired, &observed, &History::default(), NOW).status.remove(&key).unwrap();
            let condition = status.conditions.iter().find(|condition| condition.kind == FOLLOWED).unwrap().status;
            (condition, status.image_policy.unwrap().next_at)
        };
        let again = Some(ASKED + Span::secs(60));
        assert_eq!(told(said(Answer::Found(found()))), (true, again));
        assert_eq!(told(said(Answer::None { among: None })), (false, again));
        let under_way = Repository { is_asked: true, ..said(Answer::Found(found())) };
        assert_eq!(told(under_way), (true, None));
    }
}
