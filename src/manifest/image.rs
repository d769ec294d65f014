//! The syntax of image references, as Docker's distribution defines it. It knows no registry.

/// Checks `registry/repository:tag@digest`; the error says which part is wrong.
pub fn check(image: &str) -> Result<(), String> {
    if image.is_empty() {
        return Err("the image is empty".into());
    }
    if let Some(c) = image.chars().find(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("an image has no {}", if c == ' ' { "spaces" } else { "white space" }));
    }
    if image.contains("://") {
        return Err("an image has no 'https://' before it".into());
    }
    let (rest, digest) = match image.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (image, None),
    };
    digest.map_or(Ok(()), check_digest)?;
    let (registry, rest) = split_registry(rest);
    registry.map_or(Ok(()), check_registry)?;
    let (repository, tag) = match rest.split_once(':') {
        Some((repository, tag)) => (repository, Some(tag)),
        None => (rest, None),
    };
    tag.map_or(Ok(()), check_tag)?;
    check_repository(repository)
}

/// An image without its tag and digest.
pub fn repository(image: &str) -> &str {
    let (named, _) = image.split_once('@').unwrap_or((image, ""));
    match named.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => named,
    }
}

/// The first part names a registry when it has a dot or a port, or is `localhost`.
fn split_registry(text: &str) -> (Option<&str>, &str) {
    match text.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), rest),
        _ => (None, text),
    }
}

fn check_digest(digest: &str) -> Result<(), String> {
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    match hex.len() == 64 && hex.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) {
        true => Ok(()),
        false => Err(format!("'{digest}' is not a digest: sha256: and 64 hexadecimal digits")),
    }
}

fn check_registry(registry: &str) -> Result<(), String> {
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (registry, None),
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '[' | ']' | ':');
    let port_ok = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    match !host.is_empty() && host.chars().all(legal) && port_ok {
        true => Ok(()),
        false => Err(format!("'{registry}' is not a registry's HOST or HOST:PORT")),
    }
}

fn check_tag(tag: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if tag.is_empty() {
        return Err("the tag after ':' is empty".into());
    }
    match tag.len() <= 128 && tag.chars().all(legal) && !tag.starts_with(['.', '-']) {
        true => Ok(()),
        false => Err(format!("'{tag}' is not a tag: at most 128 letters, digits, '_', '.' and '-'")),
    }
}

fn check_repository(repository: &str) -> Result<(), String> {
    if repository.chars().any(|c| c.is_ascii_uppercase()) {
        return Err(format!("the repository '{repository}' must be in lower case"));
    }
    let separators = ['.', '_', '-'];
    let part_ok = |part: &str| {
        let legal = part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || separators.contains(&c));
        let doubled = ["..", "___", "._", "_.", "-.", ".-", "_-", "-_"].iter().any(|pair| part.contains(pair));
        !part.is_empty() && legal && !doubled && !part.starts_with(separators) && !part.ends_with(separators)
    };
    match repository.len() <= 255 && repository.split('/').all(part_ok) {
        true => Ok(()),
        false => Err(format!("'{repository}' is not a repository: lower-case letters, digits, '.', '_', '-' and '/'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_takes_is_taken() {
        let digest = format!("web@sha256:{}", "a".repeat(64));
        for image in [
            "web",
            "web:1.4",
            "shop/web",
            "ghcr.io/shop/web:sha-1a2b",
            "127.0.0.1:5000/a_b/c-d:X",
            "localhost/x",
            "a__b",
            &digest,
        ] {
            assert_eq!(check(image), Ok(()), "{image}");
        }
    }

    #[test]
    fn a_repository_keeps_its_registrys_port() {
        for (image, of) in [
            ("web", "web"),
            ("web:1", "web"),
            ("web:1@sha256:ab", "web"),
            ("web@sha256:ab", "web"),
            ("localhost:5000/web", "localhost:5000/web"),
            ("localhost:5000/web:1", "localhost:5000/web"),
        ] {
            assert_eq!(repository(image), of);
        }
    }

    #[test]
    fn what_docker_refuses_is_refused_with_the_part_that_is_wrong() {
        for (image, part) in [
            ("", "empty"),
            ("Web:1", "lower case"),
            ("web:", "tag"),
            ("web:a b", "spaces"),
            ("web:-a", "tag"),
            ("https://ghcr.io/web", "https"),
            ("web@sha256:abc", "digest"),
            ("ghcr.io//web", "repository"),
            ("a..b", "repository"),
            ("ghcr.io:99999/web", "registry"),
        ] {
            assert!(check(image).unwrap_err().contains(part), "{image}: {:?}", check(image));
        }
    }
}
