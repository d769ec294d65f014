//! What the policy bars before anything is done for it: a template that is new, or a revision to go to. What is made
//! after all is judged once more, each by itself, when it is planned and when it is asked of the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::build::{self, Source};
use super::follow::Follows;
use super::headroom::Promised;
use super::holdings::Holdings;
use super::world::{Decided, World, wards};
use super::{networks, volumes};
use crate::model::action::Call;
use crate::model::desired::Desired;
use crate::model::history::DeploymentHistory;
use crate::model::name::Key;
use crate::model::observed::Observed;
use crate::model::policy::Refusal;
use crate::model::revision::{Contents, ImageId, RevisionId, template_hash};
use crate::model::spec::Template;
use crate::model::time::Timestamp;
use crate::policy;

/// What the policy does not allow of a template's containers, and of the build of its image, before that is known.
pub fn template_refusals(world: World, owner: &Key, template: &Template, contents: &Contents) -> Vec<Refusal> {
    if policy::is_free(&world.desired.policy, &owner.namespace) {
        return Vec::new();
    }
    let (revision, image) = (RevisionId("new".into()), ImageId(template.image.clone()));
    let template_hash = &template_hash(template, contents, 0);
    let source = Source { owner, revision: &revision, template_hash, template, contents, image: &image };
    let mut refused = refusals(world, source);
    if let Some(build) = world.desired.builds.get(&template.image) {
        let call = Call::Build { build: build.clone(), secrets: Vec::new() };
        let of_build = policy::refusals(world.ground(), &owner.namespace, &call);
        refused.extend(of_build.into_iter().filter(|refusal| !refused.contains(refusal)).collect::<Vec<_>>());
    }
    refused
}

/// The revisions of which the policy allows no container: none is begun. Of the wanted one it is told why.
pub fn barred(
    world: World,
    decided: &mut Decided,
    owner: &Key,
    history: &DeploymentHistory,
    wanted: Option<&RevisionId>,
) -> BTreeSet<RevisionId> {
    let mut barred = BTreeSet::new();
    if policy::is_free(&world.desired.policy, &owner.namespace) {
        return barred;
    }
    for revision in &history.revisions {
        let source = Source {
            owner,
            revision: &revision.id,
            template_hash: &revision.template_hash,
            template: &revision.template,
            contents: &revision.contents,
            image: &revision.image,
        };
        let refused = refusals(world, source);
        if refused.is_empty() {
            continue;
        }
        barred.insert(revision.id.clone());
        if Some(&revision.id) == wanted {
            decided.refuse(refused);
        }
    }
    barred
}

/// What the policy refuses of everything that is declared, told from the manifests alone.
pub fn declared(desired: &Desired) -> BTreeMap<Key, Vec<Refusal>> {
    let observed = Observed::default();
    let by_owner = BTreeMap::new();
    let holdings = Holdings::default();
    let promised = Promised::default();
    let now = Timestamp::default();
    let follows = Follows::new();
    let (by_owner, wards, holdings, promised, follows) = (&by_owner, &wards(desired), &holdings, &promised, &follows);
    let world = World {
        desired,
        observed: &observed,
        now,
        by_owner,
        wards,
        holdings,
        promised,
        follows,
        gone: &BTreeMap::new(),
    };
    let template = |(key, template): (&Key, &Arc<Template>)| {
        (key.clone(), template_refusals(world, key, template, &build::contents(world, key, template)))
    };
    let templates = desired.templates().map(template);
    let mut pool = networks::Pool::new(world);
    let networks = desired
        .networks
        .iter()
        .map(|(key, declared)| (key.clone(), networks::network(world, &mut pool, key, declared).refused));
    let volumes =
        desired.volumes.iter().map(|(key, declared)| (key.clone(), volumes::volume(world, key, declared).refused));
    templates.chain(networks).chain(volumes).filter(|(_, refused)| !refused.is_empty()).collect()
}

fn refusals(world: World, source: Source) -> Vec<Refusal> {
    let container = build::container(world, source, 0, false);
    policy::refusals(world.ground(), &source.owner.namespace, &Call::CreateContainer(Box::new(container)))
}
