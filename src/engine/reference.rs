//! An image's reference taken apart: which registry, which repository, which tag or digest. Nothing is looked up.

/// The registry that a name without a host belongs to, as credentials are filed under.
pub(super) const DOCKER_HUB: &str = "docker.io";

/// A reference that can be pulled.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference<'a> {
    /// Everything before the tag.
    pub(super) repository: &'a str,
    /// The tag, or the digest with its algorithm. Never absent: the engine would pull every tag there is.
    pub(super) version: &'a str,
}

impl<'a> Reference<'a> {
    /// None for an image's id, which no registry knows.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        if text.is_empty() || text.starts_with("sha256:") {
            return None;
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        // A colon before a slash is a port's.
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (name, "latest"),
        };
        Some(Self { repository, version: digest.unwrap_or(tag) })
    }

    /// The registry's host, with its port.
    pub(super) fn registry(&self) -> &'a str {
        match self.repository.split_once('/') {
            // An account of Docker Hub has neither dots nor ports nor capitals.
            Some((host, _)) if host == "localhost" || host.contains(|c: char| ".:".contains(c) || c.is_uppercase()) => {
                host
            }
            _ => DOCKER_HUB,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_has_a_registry_a_repository_and_a_version() {
        for (text, registry, repository, version) in [
            ("web", "docker.io", "web", "latest"),
            ("acme/web:2", "docker.io", "acme/web", "2"),
            ("ghcr.io/acme/web:2", "ghcr.io", "ghcr.io/acme/web", "2"),
            ("127.0.0.1:5000/web", "127.0.0.1:5000", "127.0.0.1:5000/web", "latest"),
            ("localhost/web:2@sha256:aa", "localhost", "localhost/web", "sha256:aa"),
            ("web@sha256:aa", "docker.io", "web", "sha256:aa"),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(
                (reference.registry(), reference.repository, reference.version),
                (registry, repository, version)
            );
        }
    }

    #[test]
    fn an_images_id_cannot_be_pulled() {
        assert_eq!(Reference::parse("sha256:aabb"), None);
    }
}
