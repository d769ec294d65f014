//! What is told of images that are followed: whether their registries answer, by what the objects say that follow them. Pure;
//! one subject for each repository, however many objects follow it.

use std::collections::BTreeMap;

use super::message::{Message, Object, Tone};
use super::standing::{Lasting, Standing};
use crate::model::name::Key;
use crate::model::registry::ImagePolicyStatus;
use crate::model::time::Span;
use crate::model::view::View;

/// A registry that does not answer, or wants fewer requests, mostly does so again: this is told when it has lasted as long as
/// the alert waits.
pub const PATIENCE: Span = Span::secs(3600);

type Followers<'v> = Vec<(&'v Key, &'v ImagePolicyStatus)>;

/// How every repository stands.
pub fn standings(view: &View, lasting: &mut Lasting) -> Vec<Standing> {
    let mut repositories: BTreeMap<&str, Followers<'_>> = BTreeMap::new();
    for (key, object) in &view.objects {
        if let Some(status) = &object.status.image_policy {
            repositories.entry(&status.repository).or_default().push((key, status));
        }
    }
    repositories.into_iter().map(|(repository, followers)| standing(view, repository, &followers, lasting)).collect()
}

fn standing(view: &View, repository: &str, followers: &Followers<'_>, lasting: &mut Lasting) -> Standing {
    let subject = format!("images of {repository}");
    let told = |result, tone, message: &str| {
        Message::new(view.at, Object::other("Repository", repository), result, tone, message)
    };
    let in_trouble: Followers<'_> = followers.iter().filter(|(_, status)| status.is_trouble()).copied().collect();
    let results = match in_trouble[..] {
        [(_, status), ..] if lasting.is_enough(&subject, view.at, PATIENCE) => {
            let names: Vec<String> = in_trouble.iter().map(|(key, _)| key.to_string()).collect();
            let message = format!("its images cannot be followed, for {}; what runs goes on", names.join(", "));
            let trouble = told("ImageNotFollowed", Tone::Bad, &message).because(&status.message);
            vec![Message { of: status.reason.clone(), ..trouble }]
        }
        [_, ..] => Vec::new(),
        [] => {
            lasting.is_over(&subject);
            // That nobody asks it now says nothing of it.
            let is_well = followers.iter().any(|(_, status)| status.reason == "AsChosen");
            is_well
                .then(|| told("ImageFollowed", Tone::Recovered, "its images are followed again"))
                .into_iter()
                .collect()
        }
    };
    Standing { subject, results, is_old: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::declaration::Declaration;
    use crate::model::name::{Kind, Name};
    use crate::model::status::Status;
    use crate::model::time::Timestamp;
    use crate::model::view::{Detail, ObjectView};

    /// A view at this minute, in which each of these Deployments follows one repository and stands so.
    fn view(minute: i64, reasons: &[(&str, &str)]) -> View {
        let object = |(name, reason): &(&str, &str)| {
            let key = Key::new(Kind::Deployment, Name::new("shop").unwrap(), Name::new(*name).unwrap());
            let message = if *reason == "AsChosen" { "" } else { "registry r.example: it answered so" };
            let image_policy = ImagePolicyStatus {
                policy: "semver ^1".into(),
                repository: "r.example/shop/web".into(),
                tag: None,
                digest: None,
                chosen_at: None,
                asked_at: None,
                next_at: None,
                reason: (*reason).into(),
                message: message.into(),
            };
            let status = Status { image_policy: Some(image_policy), ..Status::default() };
            let detail = Detail::Deployment { revisions: Vec::new(), paused: false, pinned: false };
            let (declared, place, labels) = (Declaration::of(&1), String::new(), BTreeMap::new());
            (key, ObjectView { declared, place, labels, created_at: None, status, detail })
        };
        View { at: Timestamp(minute * 60_000), objects: reasons.iter().map(object).collect(), ..View::default() }
    }

    fn said(view: &View, lasting: &mut Lasting) -> String {
        let line = |m: &Message| format!("{} of {}: {}; {}", m.result, m.of, m.message, m.reason);
        let said = standings(view, lasting).into_iter().map(|standing| {
            let results: Vec<String> = standing.results.iter().map(line).collect();
            format!("{}: {}", standing.subject, results.join(" | "))
        });
        said.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_registry_in_trouble_is_told_once_for_all_that_follow_it_and_only_when_it_lasts() {
        let mut lasting = Lasting::default();
        let away =
            |minute| view(minute, &[("api", "RegistryUnavailable"), ("old", "Held"), ("web", "RegistryUnavailable")]);
        assert_eq!(said(&away(0), &mut lasting), "images of r.example/shop/web: ");
        assert_eq!(said(&away(59), &mut lasting), "images of r.example/shop/web: ");
        insta::assert_snapshot!(said(&away(60), &mut lasting), @"images of r.example/shop/web: ImageNotFollowed of RegistryUnavailable: its images cannot be followed, for deployment/shop/api, deployment/shop/web; what runs goes on; registry r.example: it answered so");
        let refused = view(61, &[("web", "Unauthorized")]);
        assert!(said(&refused, &mut lasting).contains("ImageNotFollowed of Unauthorized"));
        insta::assert_snapshot!(said(&view(62, &[("web", "AsChosen")]), &mut lasting), @"images of r.example/shop/web: ImageFollowed of : its images are followed again; ");
        assert_eq!(said(&away(63), &mut lasting), "images of r.example/shop/web: ", "the time begins anew");
    }

    #[test]
    fn what_is_not_asked_for_is_neither_in_trouble_nor_well() {
        for reason in ["Held", "NotAsked"] {
            assert_eq!(said(&view(60, &[("web", reason)]), &mut Lasting::default()), "images of r.example/shop/web: ");
        }
        assert!(standings(&View::default(), &mut Lasting::default()).is_empty());
    }
}
