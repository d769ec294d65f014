//! Files of the host that Secrets and variables read: what is in them ends up in a container, or at a registry.

use std::collections::BTreeSet;

use super::Judge;
use super::paths::is_at_or_below;
use crate::model::name::{Key, Kind, Name};
use crate::model::policy::{HostFile, Origin};
use crate::model::revision::ContentId;

impl Judge<'_> {
    /// Judges the files that the Secrets of these contents are made of.
    pub(super) fn contents<'a>(&mut self, field: &str, contents: impl Iterator<Item = &'a ContentId>) {
        let wanted: BTreeSet<&ContentId> = contents.collect();
        let desired = self.ground.desired;
        for (key, declared) in &desired.contents {
            if key.namespace != *self.namespace || !wanted.contains(&declared.spec) {
                continue;
            }
            for file in desired.host_files.get(key).into_iter().flatten() {
                self.file(field, &format!("{key}"), file);
            }
        }
    }

    /// Judges the files of Secrets that are sent to a registry.
    pub(super) fn pull_secrets(&mut self, secrets: &[Name]) {
        let desired = self.ground.desired;
        let keys = secrets.iter().map(|name| Key::new(Kind::Secret, self.namespace.clone(), name.clone()));
        let contents = keys.filter_map(|key| desired.contents.get(&key)).map(|declared| &declared.spec);
        self.contents("template.imagePullSecrets", contents.collect::<Vec<_>>().into_iter());
    }

    /// Judges the files of the namespace's variables: they may be in any field.
    pub(super) fn variables(&mut self) {
        let key = Key::new(Kind::Namespace, self.namespace.clone(), self.namespace.clone());
        let desired = self.ground.desired;
        for file in desired.host_files.get(&key).into_iter().flatten() {
            self.file("variablesFrom", &key.to_string(), file);
        }
    }

    /// Judges where the content in force was read, and where its path leads by now: a push can change that, and leave the
    /// content in force by a mistake in any other manifest.
    fn file(&mut self, field: &str, reader: &str, file: &HostFile) {
        let place = match self.leads_to(&file.path) {
            Ok(place) => place,
            Err(why) => {
                let why = format!("comes from {reader}, and its file {} {why}", file.path);
                return self.refuse(field, "host-file", why, None);
            }
        };
        let read = match &file.origin {
            Origin::Source => &place,
            // A place without links is not compared with paths as they are written.
            Origin::Host(_) | Origin::Unknown if self.ground.paths.is_none() => &place,
            Origin::Host(read) => read,
            Origin::Unknown => {
                let why = format!("comes from {reader}, and nobody knows where its file {} was read", file.path);
                return self.refuse(field, "host-file", why, None);
            }
        };
        if let Some(place) = [read, &place].into_iter().find(|place| !self.may_be_read(place, file)) {
            let why = format!("comes from {reader}, which reads {place} on the host");
            self.refuse(field, "host-file", why, Some(format!("`hostFiles: [{place}]`")));
        }
    }

    fn may_be_read(&self, place: &str, file: &HostFile) -> bool {
        let excepted = self.exceptions.host_files.iter().filter_map(|path| self.meant_by(path));
        self.leads_to(&file.source).into_iter().chain(excepted).any(|base| is_at_or_below(place, &base))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::desired::{Declared, Desired};
    use crate::model::policy::{HostPath, Policy, PolicyFile, Refusal, Standing};
    use crate::policy::{Ground, examine};

    /// What is refused of a Secret whose file is inside the source by now.
    fn refused(origin: Origin) -> Vec<Refusal> {
        let shop = Name::new("shop").unwrap();
        let secret = Key::new(Kind::Secret, shop.clone(), Name::new("k").unwrap());
        let id = ContentId("1".into());
        let read = HostFile { path: "/srv/shop/key".into(), source: "/srv/shop".into(), origin };
        let (file, rules) = ("policy.yaml".into(), PolicyFile::default());
        let policy = Policy { file, rules, guarded: Vec::new(), writers: Vec::new() };
        let desired = Desired {
            policy: Standing::InForce(policy.into()),
            contents: [(secret.clone(), Declared::bare(id.clone()))].into(),
            host_files: [(secret, [read].into())].into(),
            ..Desired::default()
        };
        let real = |path: &str| (path.to_owned(), HostPath::Real { path: path.into(), loose: None, links: Vec::new() });
        let paths = [real("/srv/shop/key"), real("/srv/shop")].into();
        let (networks, volumes, host_subnets) = &Default::default();
        let ground = Ground { desired: &desired, networks, volumes, host_subnets, paths: Some(&paths) };
        examine(ground, &shop, |judge| judge.contents("template.mounts[0]", [&id].into_iter()))
    }

    #[test]
    fn content_is_judged_by_the_place_that_it_was_read_from() {
        assert_eq!(refused(Origin::Source), []);
        let why = |origin| refused(origin)[0].why.clone();
        let stolen = why(Origin::Host("/root/.ssh/id_ed25519".into()));
        assert_eq!(stolen, "comes from secret/shop/k, which reads /root/.ssh/id_ed25519 on the host");
        let unknown = "comes from secret/shop/k, and nobody knows where its file /srv/shop/key was read";
        assert_eq!(why(Origin::Unknown), unknown);
    }
}
