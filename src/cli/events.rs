//! `evenkeel events`: what happened, oldest first.

use clap::Args;
use serde_json::Value;

use super::age;
use super::args::{Machine, Reach, Scope};
use super::client::Client;
use super::failure::{Exit, Failure};
use super::object::Wanted;
use super::output;
use super::screen::{Screen, Tone};
use super::table::{Table, cell, toned};
use crate::model::name::Kind;
use crate::model::status::{Event, Severity};
use crate::model::text::printable;
use crate::model::time::Timestamp;
use crate::server::wire::{self, Snapshot};

/// Show what happened.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evenkeel events                       the last 1000 events
  evenkeel events deployment/web        those of one object
  evenkeel events -n shop --watch       go on with new ones, until interrupted")]
pub struct Events {
    /// KIND/NAME or KIND NAME [default: every object].
    #[arg(value_name = "KIND/NAME", num_args = 0..=2)]
    what: Vec<String>,
    #[command(flatten)]
    scope: Scope,
    /// Go on with new events, until interrupted.
    #[arg(long, short)]
    watch: bool,
    /// Another format than a table.
    #[arg(long, short)]
    output: Option<Machine>,
    #[command(flatten)]
    reach: Reach,
}

impl Events {
    /// Asks, prints, and with `--watch` goes on.
    pub async fn run(&self, screen: &Screen) -> Result<Exit, Failure> {
        let wanted = match self.what[..] {
            [] => None,
            _ => Some(Wanted::parse(&self.what, self.scope.namespace.as_ref())?),
        };
        let client = Client::new(&self.reach.socket);
        if self.watch {
            return self.follow(wanted.as_ref(), &client, screen).await;
        }
        let known: wire::Events = client.get("/v1/events").await?;
        let events = self.chosen(wanted.as_ref(), &known.events);
        if let Some(wanted) = &wanted
            && !known.events.iter().any(|event| wanted.is(&event.object))
        {
            // No event of it: is there such an object at all?
            let snapshot: Snapshot = client.get("/v1/view").await?;
            wanted.find(&snapshot.view, &Kind::ALL)?;
        }
        match self.output {
            Some(format) => screen.print(&output::render(&output::list(events.map(value).collect()), format))?,
            None => {
                let table = table(events, known.now, true);
                if table.is_empty() {
                    screen.note("No events.");
                } else {
                    screen.print(&table.render(screen.out))?;
                }
            }
        }
        Ok(Exit::Done)
    }

    async fn follow(&self, wanted: Option<&Wanted>, client: &Client, screen: &Screen) -> Result<Exit, Failure> {
        let mut news = client.lines::<wire::Events>("/v1/events/watch").await?;
        while let Some(known) = news.next().await? {
            for event in self.chosen(wanted, &known.events) {
                screen.print(&match self.output {
                    Some(Machine::Json) => output::line(&value(event)),
                    Some(Machine::Yaml) => format!("---\n{}", output::render(&value(event), Machine::Yaml)),
                    None => line(event, screen),
                })?;
            }
        }
        Err(Failure::new("the daemon has stopped"))
    }

    fn chosen<'a>(&self, wanted: Option<&Wanted>, events: &'a [Event]) -> impl Iterator<Item = &'a Event> {
        let (wanted, scope) = (wanted.cloned(), self.scope.namespace.clone());
        events.iter().filter(move |event| match &wanted {
            Some(wanted) => wanted.is(&event.object),
            None => scope.as_ref().is_none_or(|namespace| *namespace == event.object.namespace),
        })
    }
}

/// Events as kubectl lists them.
pub fn table<'a>(events: impl Iterator<Item = &'a Event>, now: Timestamp, with_object: bool) -> Table {
    let mut header = vec!["AGE", "TYPE", "REASON"];
    header.extend(with_object.then_some("OBJECT"));
    header.push("MESSAGE");
    let mut table = Table::new(header);
    for event in events {
        let mut row = vec![cell(age::since(event.at, now)), toned(word(event), tone(event)), cell(&event.reason)];
        row.extend(with_object.then(|| cell(event.object.to_string())));
        row.push(cell(&event.message));
        table.row(row);
    }
    table
}

/// An event on a line of its own, with its time: its age would be wrong as soon as it is printed.
fn line(event: &Event, screen: &Screen) -> String {
    let word = screen.out.paint(tone(event), &format!("{:<7}", word(event)));
    let rest = printable(&format!("{}  {}  {}", event.object, event.reason, event.message));
    format!("{}  {word}  {rest}", event.at)
}

/// An event for machines.
pub fn value(event: &Event) -> Value {
    let mut value = serde_json::json!(event);
    output::times(&mut value);
    value
}

fn word(event: &Event) -> &'static str {
    match event.severity {
        Severity::Normal => "Normal",
        Severity::Warning => "Warning",
    }
}

fn tone(event: &Event) -> Tone {
    match event.severity {
        Severity::Normal => Tone::Plain,
        Severity::Warning => Tone::Bad,
    }
}
