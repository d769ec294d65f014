//! All that comes out, by where, and the search in it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use evenkeel::manifest::Source;
use evenkeel::metrics::Metrics;
use evenkeel::model::command::Command;
use evenkeel::model::desired::Settings;
use evenkeel::model::name::Key;
use evenkeel::model::view::View;
use evenkeel::reconciler::rules::Place;
use evenkeel::reconciler::{Setup, offline};

use crate::support::scenario::stage::Stage;

/// What a log writes to.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Takes in everything that is logged on this thread at any level, until the guard is gone.
    pub fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let writer = self.clone();
        let subscriber =
            tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone());
        tracing::subscriber::set_default(subscriber.finish())
    }

    /// What was logged.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// All that came out, by where.
#[derive(Default)]
pub struct Sinks {
    pub all: BTreeMap<&'static str, String>,
    /// Views that tell news, for who is told of them later.
    pub views: Vec<Arc<View>>,
}

impl Sinks {
    pub fn take(&mut self, sink: &'static str, text: impl AsRef<str>) {
        let all = self.all.entry(sink).or_default();
        // What stays the same for a while need not be kept again.
        if !all.ends_with(text.as_ref()) {
            all.push_str(text.as_ref());
        }
    }

    /// Takes in what the stage shows at this moment.
    pub fn look(&mut self, stage: &mut Stage) {
        let view = stage.view();
        self.take("views", serde_json::to_string(&*view).unwrap());
        let news = |view: &View| {
            view.objects.iter().map(|(key, it)| format!("{key} {:?}", it.status.phase)).collect::<Vec<_>>()
        };
        if self.views.last().is_none_or(|last| news(last) != news(&view)) {
            self.views.push(view.clone());
        }
        self.take("events", serde_json::to_string(&*view.events).unwrap());
        let metrics = Metrics::new();
        view.events.iter().for_each(|event| metrics.event(event));
        self.take("metrics", metrics.render(&view).unwrap());
        let labels = stage.sim.with(|world| {
            let containers = world.containers.values().map(|c| format!("{} {:?} {:?}\n", c.name, c.labels, c.spec));
            containers
                .chain(world.networks.values().map(|n| format!("{} {:?}\n", n.name, n.labels)))
                .chain(world.volumes.iter().map(|(name, volume)| format!("{name} {:?}\n", volume.labels)))
                .chain(world.images.values().map(|image| format!("{:?} {:?}\n", image.id, image.app)))
                .chain(world.tags.keys().map(|tag| format!("{tag}\n")))
                .collect::<String>()
        });
        self.take("labels", labels);
        let mut files = String::new();
        read_all(&stage.path("state"), &mut files);
        self.take("state files", files);
    }

    pub async fn plan(&mut self, stage: &Stage) {
        let source = Source { dir: stage.path("manifests"), namespace: None, variables: BTreeMap::new() };
        let policy = Place { file: stage.path("policy.yaml"), is_required: false, guarded: Vec::new() };
        let (settings, state_dir) = (Settings::default(), stage.path("state"));
        let setup = Setup { settings, sources: vec![source], state_dir, policy };
        match offline::plan(&setup, &stage.sim).await {
            Ok(outlook) => self.take("plans", format!("{outlook:?}")),
            Err(error) => self.take("errors of plans", format!("{error:?}")),
        }
    }

    /// What `rollout history --diff`, `releases` and `get sources` are made of: everything else is a view.
    pub async fn answers(&mut self, stage: &Stage) {
        for name in ["web", "store", "made"] {
            let key = Key::try_from(format!("deployment/shop/{name}")).unwrap();
            if let Some(Ok(answer)) = stage.ask(Command::Revisions(key)).await {
                self.take("revisions", serde_json::to_string(&answer).unwrap());
            }
        }
        for (sink, command) in [("release log", Command::Releases), ("sources", Command::Look)] {
            if let Some(Ok(answer)) = stage.ask(command).await {
                self.take(sink, serde_json::to_string(&answer).unwrap());
            }
        }
    }

    /// The places with this text, and a piece of each.
    pub fn leaks(&self, text: &str) -> Vec<String> {
        let piece = |(sink, all): (&&str, &String)| {
            let at = all.find(text)?;
            let before: String = all[..at].chars().rev().take(200).collect();
            Some(format!("{sink}: …{}{text}…", before.chars().rev().collect::<String>()))
        };
        self.all.iter().filter_map(piece).collect()
    }

    pub fn with(&self, text: &str) -> Vec<&'static str> {
        self.all.iter().filter(|(_, all)| all.contains(text)).map(|(sink, _)| *sink).collect()
    }
}

/// Names and contents of the state directory, but for the contents of Secrets themselves and the files made of them,
/// which a rollback needs, and which only their owner can reach.
fn read_all(dir: &Path, into: &mut String) {
    let mut entries: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        into.push_str(&path.display().to_string());
        if path.is_file() {
            into.push_str(&String::from_utf8_lossy(&fs::read(&path).unwrap()));
        } else if !path.ends_with("state/contents") && !path.ends_with("state/files") {
            read_all(&path, into);
        }
    }
}
