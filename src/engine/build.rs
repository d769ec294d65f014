//! Building an image: `POST /build` with the context as a stream, by the builder that every engine has. What it says comes
//! line by line.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::models::BuildInfo;
use bollard::query_parameters::{BuildImageOptions, BuildImageOptionsBuilder};
use futures_util::{StreamExt, stream};
use hyper::body::Bytes;
use tokio::time::timeout;

use super::client::Client;
use super::errors::Failed;
use super::{Context, EngineError, images, steps};
use crate::model::build::ImageBuild;
use crate::model::container::label;
use crate::model::image::Built;
use crate::model::name::Instance;
use crate::model::observed::Fault;
use crate::model::revision::ImageId;

/// How long a builder may take until it says that it begins: it unpacks the context before.
const FIRST_WORD: Duration = Duration::from_secs(180);
/// How long it may say nothing after that: one step can be long and silent.
const SILENCE: Duration = Duration::from_secs(1800);

type Output<'a> = &'a (dyn Fn(String) + Send + Sync);

#[allow(clippy::disallowed_types, reason = "the engine's client encodes it into a header")]
pub(super) async fn build(
    client: &Client,
    instance: &Instance,
    build: &ImageBuild,
    context: Context,
    credentials: BTreeMap<String, DockerCredentials>,
    output: Output<'_>,
) -> Result<Built, EngineError> {
    let attempted = || format!("build {}", build.image);
    let session = client.session().await.map_err(|failed| failed.attempting(attempted()))?;
    let before = images::ids(client).await?;
    let credentials =
        Some(credentials.into_iter().collect()).filter(|all: &std::collections::HashMap<_, _>| !all.is_empty());
    let body = bollard::body_try_stream(pieces(context));
    let mut said = session.calls.build_image(options(instance, build), credentials, Some(body));
    let (mut lines, mut results) = (Lines::default(), BTreeSet::new());
    let mut patience = FIRST_WORD;
    let failed = loop {
        match timeout(patience, said.next()).await {
            Ok(Some(Ok(info))) => {
                patience = SILENCE;
                results.extend(result(&info));
                lines.add(info).into_iter().for_each(output);
            }
            Ok(Some(Err(error))) => break Some(client.failed(error)),
            Ok(None) => break None,
            Err(_) => break Some(Failed::Late(patience)),
        }
    };
    lines.rest().into_iter().for_each(output);
    let found = match failed {
        // bollard 0.21.1 can stumble over the end of a stream that said everything: what counts is whether the image is there.
        None | Some(Failed::Unreachable(_)) => images::inspect(client, &build.image).await?,
        Some(_) => None,
    };
    match (failed, found.and_then(|found| found.id)) {
        (_, Some(id)) => {
            let id = ImageId(id);
            Ok(Built { steps: steps::left(client, &id, &results, &before).await, id })
        }
        (Some(failed), None) => Err(failed.building(attempted())),
        (None, None) => {
            let message = "the engine says that it has built it, and does not have it".into();
            Err(EngineError { attempted: attempted(), message, fault: Fault::Unavailable })
        }
    }
}

fn pieces(context: Context) -> impl futures_util::Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    stream::unfold(context, |mut context| async move {
        let piece = context.next().await?;
        Some((piece.map(Bytes::from), context))
    })
}

#[allow(clippy::disallowed_types, reason = "the engine's client takes them")]
fn options(instance: &Instance, build: &ImageBuild) -> BuildImageOptions {
    let labels = [(label::INSTANCE, instance.as_str()), (label::BUILD, build.content.as_str())];
    let args = build.args.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    // A step that fails leaves its container, unless that is asked to go whatever happens.
    BuildImageOptionsBuilder::default()
        .t(&build.image)
        .dockerfile(&build.dockerfile)
        .buildargs(&args)
        .target(build.target.as_deref().unwrap_or_default())
        .platform(build.platform.as_deref().unwrap_or_default())
        .labels(&labels.into_iter().collect())
        .rm(true)
        .forcerm(true)
        .build()
}

/// The image that a stage has ended with, if that is what the builder says.
fn result(info: &BuildInfo) -> Option<ImageId> {
    info.aux.as_ref().and_then(|aux| aux.id.clone()).map(ImageId)
}

/// The longest line that is kept, in bytes: of a longer one, the end.
const LINE_MAX: usize = 16 << 10;

/// What the builder says, cut into lines. A line that is written over, such as a bar that grows, is as it was last.
#[derive(Default)]
struct Lines {
    open: String,
}

impl Lines {
    /// The lines that are whole now.
    fn add(&mut self, info: BuildInfo) -> Vec<String> {
        let said = info.stream.unwrap_or_default();
        let mut whole = Vec::new();
        for piece in said.split_inclusive('\n') {
            self.go_on(piece);
            if piece.ends_with('\n') {
                let line = std::mem::take(&mut self.open);
                whole.push(line.trim_end().to_owned());
            }
        }
        whole.retain(|line| !line.is_empty());
        whole
    }

    /// The open line goes on. What nobody will see any more is not kept, however long no newline comes.
    fn go_on(&mut self, piece: &str) {
        self.open.push_str(piece);
        // At the end, it may be half of a newline.
        if let Some(over) = self.open.trim_end().rfind('\r') {
            self.open.drain(..=over);
        }
        let surplus = self.open.len().saturating_sub(LINE_MAX);
        self.open.drain(..self.open.ceil_char_boundary(surplus));
    }

    /// What was not ended by a newline.
    fn rest(self) -> Option<String> {
        Some(self.open.trim().to_owned()).filter(|rest| !rest.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_cut_into_lines_wherever_it_was_torn() {
        let mut lines = Lines::default();
        let mut add = |text: &str| lines.add(serde_json::from_value(serde_json::json!({ "stream": text })).unwrap());
        assert_eq!(add("Step 1/2 : FROM a"), [""; 0]);
        assert_eq!(add("\n ---> 0123\nnpm "), ["Step 1/2 : FROM a", " ---> 0123"]);
        assert_eq!(add("10%\r 20%\r\n\n\nlast"), [" 20%"]);
        assert_eq!(lines.rest().as_deref(), Some("last"));
    }

    #[test]
    fn a_line_that_never_ends_is_kept_as_it_is_last_and_no_longer_than_anybody_reads() {
        let mut lines = Lines::default();
        let said = |text: &str| serde_json::from_value::<BuildInfo>(serde_json::json!({ "stream": text })).unwrap();
        for percent in 0..=100 {
            assert_eq!(lines.add(said(&format!("npm {percent}%\r"))), [""; 0]);
        }
        assert_eq!(lines.open, "npm 100%\r");
        assert_eq!(lines.add(said("\n")), ["npm 100%"], "a newline that was torn");
        for _ in 0..2_000 {
            assert_eq!(lines.add(said("..........é")), [""; 0]);
        }
        assert!((LINE_MAX - 1..=LINE_MAX).contains(&lines.open.len()), "{}", lines.open.len());
        assert_eq!(lines.add(said("\rdone\n")), ["done"]);
        assert!(lines.add(said(&format!("{}end\n", "x".repeat(LINE_MAX)))).concat().ends_with("xend"));
        assert_eq!(lines.rest(), None);
    }
}
