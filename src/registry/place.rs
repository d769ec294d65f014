//! Where a repository is: which host answers for it, whether over TLS, and what it is called there.

/// Where Docker Hub's API is, which answers for names without a host.
const DOCKER_HUB_API: &str = "registry-1.docker.io";

/// Where a repository is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The registry as people know it.
    pub(super) registry: String,
    /// `https://HOST` or `http://HOST`.
    base: String,
    /// What the repository is called there.
    pub(super) name: String,
}

impl Place {
    pub(super) fn of(repository: &str) -> Self {
        let (host, name) = match repository.split_once('/') {
            // An account of Docker Hub has neither dots nor ports.
            Some((host, name)) if host == "localhost" || host.contains(['.', ':']) => (host, name),
            _ => ("docker.io", repository),
        };
        if matches!(host, "docker.io" | "index.docker.io") {
            let name = if name.contains('/') { name.into() } else { format!("library/{name}") };
            return Self { registry: "docker.io".into(), base: format!("https://{DOCKER_HUB_API}"), name };
        }
        let scheme = if is_loopback(host) { "http" } else { "https" };
        Self { registry: host.into(), base: format!("{scheme}://{host}"), name: name.into() }
    }

    /// A URL of its API: `tags/list`, `manifests/1.4`.
    pub(super) fn url(&self, what: &str) -> String {
        format!("{}/v2/{}/{what}", self.base, self.name)
    }

    /// The URL of a path that the registry itself has named, on the same host: where the next page is.
    pub(super) fn at(&self, target: &str) -> Option<String> {
        let path = target.strip_prefix(&self.base).unwrap_or(target);
        path.starts_with("/v2/").then(|| format!("{}{path}", self.base))
    }
}

/// Whether a host, perhaps with a port, is this machine itself: there the engine too speaks plain HTTP.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_where_the_engine_would_pull_it_from() {
        for (repository, registry, url) in [
            ("web", "docker.io", "https://registry-1.docker.io/v2/library/web/tags/list"),
            ("shop/web", "docker.io", "https://registry-1.docker.io/v2/shop/web/tags/list"),
            ("docker.io/web", "docker.io", "https://registry-1.docker.io/v2/library/web/tags/list"),
            ("r.example/shop/web", "r.example", "https://r.example/v2/shop/web/tags/list"),
            ("r.example:5000/web", "r.example:5000", "https://r.example:5000/v2/web/tags/list"),
            ("127.0.0.1:5000/shop/web", "127.0.0.1:5000", "http://127.0.0.1:5000/v2/shop/web/tags/list"),
            ("localhost:5000/web", "localhost:5000", "http://localhost:5000/v2/web/tags/list"),
            ("127.0.0.1.example/web", "127.0.0.1.example", "https://127.0.0.1.example/v2/web/tags/list"),
        ] {
            let place = Place::of(repository);
            assert_eq!((place.registry.as_str(), place.url("tags/list").as_str()), (registry, url));
        }
    }

    #[test]
    fn the_next_page_is_on_the_same_host() {
        let place = Place::of("r.example/web");
        let next = "/v2/web/tags/list?n=2&last=b";
        assert_eq!(place.at(next).unwrap(), format!("https://r.example{next}"));
        assert_eq!(place.at(&format!("https://r.example{next}")).unwrap(), format!("https://r.example{next}"));
        assert_eq!(place.at("https://evil.example/v2/web/tags/list"), None);
        assert_eq!(place.at("https://r.example.evil/v2/"), None);
    }
}
