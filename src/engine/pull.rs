//! Pulling an image: with the right credentials, with a word now and then for people, and without hanging.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;
use tokio::time::{Instant, timeout};

use super::EngineError;
use super::auth::Candidates;
use super::client::Client;
use super::errors::Failed;
use super::images;
use super::reference::Reference;
use crate::model::observed::Fault;
use crate::model::platform::Platform;

/// How long a pull may show no progress at all.
const NO_PROGRESS: Duration = Duration::from_secs(120);
/// How often people are told.
const TELL_EVERY: Duration = Duration::from_secs(1);

type Progress<'a> = &'a (dyn Fn(String) + Send + Sync);

pub(super) async fn pull(
    client: &Client,
    image: &str,
    platform: Option<&str>,
    candidates: Candidates,
    progress: Progress<'_>,
) -> Result<(), EngineError> {
    let Some(reference) = Reference::parse(image) else {
        return Err(EngineError {
            attempted: format!("pull {image}"),
            message: "this is an image's id, which no registry knows".into(),
            fault: Fault::ImageMissing,
        });
    };
    let mut result = Err(Failed::Unreachable("nothing was tried".into()));
    // Without any credentials the registry is asked anonymously.
    let attempts = candidates.credentials.into_iter().map(Some).collect::<Vec<_>>();
    for credentials in if attempts.is_empty() { vec![None] } else { attempts } {
        result = once(client, image, &reference, platform, credentials, progress).await;
        let Err(failed) = &result else { break };
        if !failed.unauthorized(reference.repository) {
            break;
        }
    }
    match result {
        Ok(()) => fits(client, image, platform).await,
        Err(failed) => {
            let mut error = failed.pulling(image, reference.repository);
            if let (Fault::Unauthorized, Some(trouble)) = (error.fault, candidates.trouble) {
                error.message = format!("{} ({trouble})", error.message);
            }
            Err(error)
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "how often to tell of progress is no decision")]
async fn once(
    client: &Client,
    image: &str,
    reference: &Reference<'_>,
    platform: Option<&str>,
    credentials: Option<DockerCredentials>,
    progress: Progress<'_>,
) -> Result<(), Failed> {
    let options = CreateImageOptionsBuilder::default().from_image(reference.repository).tag(reference.version);
    let options = platform.into_iter().fold(options, |options, platform| options.platform(platform)).build();
    let mut lines = client.session().await?.calls.create_image(Some(options), None, credentials);
    let mut layers = Layers::default();
    let mut told_at = Instant::now();
    while let Some(line) = timeout(NO_PROGRESS, lines.next()).await.map_err(|_| Failed::Late(NO_PROGRESS))? {
        match line.map_err(|error| client.failed(error)) {
            Ok(line) => layers.add(line),
            // bollard 0.21.1 can stumble over the end of a stream that said everything: then it is no failure.
            Err(Failed::Unreachable(_)) if layers.complete => break,
            Err(failed) => return Err(failed),
        }
        if told_at.elapsed() >= TELL_EVERY {
            told_at = Instant::now();
            layers.sum().into_iter().for_each(|sum| progress(format!("pulling {image}: {sum}")));
        }
    }
    Ok(())
}

/// Engine 20.10 answers "up to date" for an image of another platform.
async fn fits(client: &Client, image: &str, platform: Option<&str>) -> Result<(), EngineError> {
    let Some(wanted) = platform else { return Ok(()) };
    let Some(actual) = images::inspect(client, image).await?.as_ref().map(images::platform) else { return Ok(()) };
    if Platform::of(wanted).is(&actual) {
        return Ok(());
    }
    // In the words of later engines.
    let message = format!("the image does not match the specified platform: wanted {wanted}, actual: {actual}");
    Err(EngineError { attempted: format!("pull {image}"), message, fault: Fault::Invalid })
}

/// How far each layer is.
#[derive(Default)]
struct Layers {
    downloads: BTreeMap<String, (u64, u64)>,
    complete: bool,
}

impl Layers {
    fn add(&mut self, line: CreateImageInfo) {
        let status = line.status.unwrap_or_default();
        self.complete |= status.starts_with("Status: ");
        let Some(layer) = line.id else { return };
        let detail = line.progress_detail.unwrap_or_default();
        let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0);
        match status.as_str() {
            "Downloading" => {
                self.downloads.insert(layer, (number(detail.current), number(detail.total)));
            }
            "Verifying Checksum" | "Download complete" | "Extracting" | "Pull complete" => {
                self.downloads.entry(layer).and_modify(|(current, total)| *current = *total);
            }
            _ => {}
        }
    }

    /// None while no layer is on its way.
    fn sum(&self) -> Option<String> {
        let (current, total) =
            self.downloads.values().fold((0, 0), |(current, total), layer| (current + layer.0, total + layer.1));
        match total {
            0 => None,
            _ if current >= total => Some(format!("{} downloaded, unpacking", megabytes(total))),
            _ => Some(format!("{} of {}", megabytes(current), megabytes(total))),
        }
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, status: &str, current: i64, total: i64) -> CreateImageInfo {
        let line =
            serde_json::json!({"id": id, "status": status, "progressDetail": {"current": current, "total": total}});
        serde_json::from_value(line).unwrap()
    }

    #[test]
    fn progress_is_the_sum_of_the_layers() {
        let mut layers = Layers::default();
        assert_eq!(layers.sum(), None);
        layers.add(line("a", "Pulling fs layer", 0, 0));
        layers.add(line("a", "Downloading", 14_000_000, 20_000_000));
        layers.add(line("b", "Downloading", 20_000_000, 100_000_000));
        assert_eq!(layers.sum().unwrap(), "34 MB of 120 MB");
        layers.add(line("a", "Download complete", 0, 0));
        layers.add(line("b", "Extracting", 5, 100_000_000));
        assert_eq!(layers.sum().unwrap(), "120 MB downloaded, unpacking");
    }

    #[test]
    fn the_last_line_says_that_everything_was_said() {
        let mut layers = Layers::default();
        layers.add(serde_json::from_value(serde_json::json!({"status": "Digest: sha256:aa"})).unwrap());
        assert!(!layers.complete);
        layers.add(serde_json::from_value(serde_json::json!({"status": "Status: Image is up to date for x"})).unwrap());
        assert!(layers.complete);
    }
}
