//! `evenkeel describe`: everything that is known of one object, or of the sources, for people.

use clap::Args;
use serde_json::Value;

use super::args::{Machine, Reach, Scope};
use super::client::Client;
use super::events;
use super::failure::{Exit, Failure};
use super::object::Wanted;
use super::output;
use super::rows;
use super::screen::Screen;
use super::sheet::{self, Sheet};
use crate::model::name::{Key, Kind};
use crate::model::status::Event;
use crate::model::view::ObjectView;
use crate::server::wire::{Events, Snapshot};

/// Show everything that is known of an object.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evenkeel describe deployment/web          why it is as it is, and all about it
  evenkeel describe job migrate -n shop
  evenkeel describe deploy/web job/migrate  several, one after the other
  evenkeel describe cronjob/backup          its runs, their last words, and the next time
  evenkeel describe sources                 every problem of the manifest directories")]
pub struct Describe {
    /// KIND/NAME …, KIND NAME … or a Deployment's or Job's NAME; or `sources`.
    #[arg(value_name = "KIND/NAME", required = true, num_args = 1..)]
    what: Vec<String>,
    #[command(flatten)]
    scope: Scope,
    /// Another format than text: the object as `get` gives it, with its events.
    #[arg(long, short)]
    output: Option<Machine>,
    #[command(flatten)]
    reach: Reach,
}

impl Describe {
    /// Asks and prints.
    pub async fn run(&self, screen: &Screen) -> Result<Exit, Failure> {
        let client = Client::new(&self.reach.socket);
        let snapshot: Snapshot = client.get("/v1/view").await?;
        let view = &snapshot.view;
        if self.what == ["sources"] || self.what == ["source"] {
            let chosen = rows::sources_of(view, self.scope.namespace.as_ref());
            screen.print(&match self.output {
                Some(format) => output::render(&output::list(chosen.map(output::source).collect()), format),
                None => sheet::sources(chosen, snapshot.now, screen.out),
            })?;
            return Ok(Exit::Done);
        }
        let kinds: Vec<Kind> = Kind::ALL.into_iter().rev().collect();
        let mut found: Vec<(&Key, &ObjectView)> = Vec::new();
        for wanted in Wanted::parse_all(&self.what, self.scope.namespace.as_ref())? {
            let one = wanted.find(view, &kinds)?;
            found.extend((!found.contains(&one)).then_some(one));
        }
        let known: Events = client.get("/v1/events").await?;
        let about = |key: &Key| known.events.iter().filter(|event| event.object == *key).collect::<Vec<&Event>>();
        rows::warn(view, screen);
        let Some(format) = self.output else {
            let sheet = |(key, object): &(&Key, &ObjectView)| {
                Sheet::new(screen.out, snapshot.now).object(key, object, view, &about(key))
            };
            screen.print(&found.iter().map(sheet).collect::<Vec<_>>().join("\n"))?;
            return Ok(Exit::Done);
        };
        let tree = |(key, object): &(&Key, &ObjectView)| {
            let mut tree = output::object(key, object);
            tree["events"] = about(key).into_iter().map(events::value).collect();
            tree
        };
        let mut trees: Vec<Value> = found.iter().map(tree).collect();
        let shown = if trees.len() == 1 { trees.remove(0) } else { output::list(trees) };
        screen.print(&output::render(&shown, format))?;
        Ok(Exit::Done)
    }
}
