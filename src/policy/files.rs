//! Files of the host that Secrets and variables read: what is in them ends up in a container, or at a registry.

use std::collections::BTreeSet;

use super::Judge;
use super::paths::is_at_or_below;
use crate::model::name::{Key, Kind, Name};
use crate::model::policy::HostFile;
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

    fn file(&mut self, field: &str, reader: &str, file: &HostFile) {
        let place = match self.leads_to(&file.path) {
            Ok(place) => place,
            Err(why) => {
                let why = format!("comes from {reader}, and its file {} {why}", file.path);
                return self.refuse(field, "host-file", why, None);
            }
        };
        let is_inside = |base: &String| self.leads_to(base).is_ok_and(|base| is_at_or_below(&place, &base));
        if is_inside(&file.source) || self.exceptions.host_files.iter().any(is_inside) {
            return;
        }
        let why = format!("comes from {reader}, which reads {place} on the host");
        self.refuse(field, "host-file", why, Some(format!("`hostFiles: [{place}]`")));
    }
}
