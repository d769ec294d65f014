//! `evenkeel get`: tables of objects, as kubectl prints them.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::Value;

use super::args::{Machine, Output, Reach, Scope};
use super::client::Client;
use super::failure::{Exit, Failure};
use super::object::{Wanted, parse_kind_or};
use super::output;
use super::rows::{self, Columns};
use super::screen::Screen;
use super::table::Table;
use crate::model::name::{Key, Kind, Name};
use crate::model::status::ContainerStatus;
use crate::model::view::{ObjectView, View};
use crate::server::wire::Snapshot;

/// List objects, or show one.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evenkeel get                          everything
  evenkeel get deployments -n shop      the Deployments of one namespace
  evenkeel get deploy,job               two kinds
  evenkeel get deploy/web -o yaml       one object, with all that is known of it
  evenkeel get deploy/web job/seed      several of them
  evenkeel get cronjobs                 their schedules, next times and last results
  evenkeel get replicas                 the containers of Deployments and Jobs
  evenkeel get sources                  the manifest directories, and whether they are in force
  evenkeel get deployments --watch      go on with a line for every change")]
pub struct Get {
    /// all, deployments, jobs, cronjobs, networks, volumes, configmaps, secrets, namespaces, several of these with commas between, replicas or sources; or objects: KIND/NAME …, KIND NAME …, or a NAME alone.
    #[arg(value_name = "KIND[/NAME]", default_value = "all", num_args = 1..)]
    what: Vec<String>,
    #[command(flatten)]
    scope: Scope,
    /// Another format than a table.
    #[arg(long, short)]
    output: Option<Output>,
    /// Go on after the list with a line for every change, until interrupted.
    #[arg(long, short)]
    watch: bool,
    #[command(flatten)]
    reach: Reach,
}

/// What `get` can list.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Listing {
    /// Objects of these kinds, in this order.
    Of(Vec<Kind>),
    Named(Vec<Wanted>),
    Replicas,
    Sources,
}

impl Get {
    /// Asks, prints, and with `--watch` goes on.
    pub async fn run(&self, screen: &Screen) -> Result<Exit, Failure> {
        let listing = self.listing()?;
        let client = Client::new(&self.reach.socket);
        if self.watch {
            return self.follow(&listing, &client, screen).await;
        }
        let snapshot: Snapshot = client.get("/v1/view").await?;
        rows::warn(&snapshot.view, screen);
        screen.print(&self.render(&listing, &snapshot, screen)?)?;
        Ok(Exit::Done)
    }

    fn listing(&self) -> Result<Listing, Failure> {
        let (word, named) = (self.word(), self.what.len() > 1 || self.word().contains('/'));
        Ok(match word {
            "all" if !named => Listing::Of(Kind::ALL.into_iter().rev().collect()),
            "replicas" | "replica" | "containers" | "pods" | "po" if !named => Listing::Replicas,
            "sources" | "source" if !named => Listing::Sources,
            kinds if !named => match kinds.split(',').map(kind_of).collect::<Result<_, _>>() {
                Ok(kinds) => Listing::Of(kinds),
                // No kind is called so; perhaps an object is.
                Err(unknown) => match Wanted::parse(&[kinds.to_string()], self.scope.namespace.as_ref()) {
                    Ok(wanted) => Listing::Named(vec![wanted]),
                    Err(_) => return Err(unknown),
                },
            },
            _ => Listing::Named(Wanted::parse_all(&self.what, self.scope.namespace.as_ref())?),
        })
    }

    /// The first word, which names a kind as a rule.
    fn word(&self) -> &str {
        self.what.first().map_or("all", String::as_str)
    }

    fn render(&self, listing: &Listing, snapshot: &Snapshot, screen: &Screen) -> Result<String, Failure> {
        let Some(format) = self.machine() else { return self.tables(listing, snapshot, screen) };
        Ok(output::render(&self.tree(listing, &snapshot.view)?, format))
    }

    fn tree(&self, listing: &Listing, view: &View) -> Result<Value, Failure> {
        let mut items: Vec<Value> = self.items(listing, view)?.into_iter().map(|(_, item)| item).collect();
        Ok(match (listing, items.pop()) {
            (Listing::Named(wanted), Some(one)) if wanted.len() == 1 => one,
            (_, last) => output::list(items.into_iter().chain(last).collect()),
        })
    }

    /// What is listed, for machines, each thing by what its row is known by.
    fn items(&self, listing: &Listing, view: &View) -> Result<Vec<(String, Value)>, Failure> {
        let namespace = self.scope.namespace.as_ref();
        Ok(match listing {
            Listing::Named(wanted) => {
                let objects = self.named(wanted, view)?.into_iter();
                objects.map(|(key, object)| (key.to_string(), output::object(key, object))).collect()
            }
            Listing::Sources => {
                let sources = rows::sources_of(view, namespace);
                sources.map(|source| (source.dir.clone(), output::source(source))).collect()
            }
            Listing::Replicas => {
                let owners = selected(view, &Kind::ALL, namespace);
                let containers = owners.flat_map(|(_, object)| &object.status.containers);
                let value = |container: &ContainerStatus| {
                    let mut value = serde_json::json!(container);
                    output::times(&mut value);
                    value
                };
                containers.map(|container| (container.id.clone(), value(container))).collect()
            }
            Listing::Of(kinds) => {
                let objects = selected(view, kinds, namespace);
                objects.map(|(key, object)| (key.to_string(), output::object(key, object))).collect()
            }
        })
    }

    fn tables(&self, listing: &Listing, snapshot: &Snapshot, screen: &Screen) -> Result<String, Failure> {
        let tables = self.build(listing, snapshot)?;
        if tables.is_empty() {
            screen.note(&nothing(self.scope.namespace.as_ref(), &snapshot.view));
        }
        Ok(tables.iter().map(|(_, table)| table.render(screen.out)).collect::<Vec<_>>().join("\n"))
    }

    /// The objects that are meant, each once.
    fn named<'a>(&self, wanted: &[Wanted], view: &'a View) -> Result<Vec<(&'a Key, &'a ObjectView)>, Failure> {
        let mut found: Vec<(&Key, &ObjectView)> = Vec::new();
        for one in wanted {
            let (key, object) = self.one(one, view)?;
            if !found.iter().any(|(known, _)| *known == key) {
                found.push((key, object));
            }
        }
        Ok(found)
    }

    /// The object that is meant. What is neither a kind nor the name of one is more likely a slip of the first.
    fn one<'a>(&self, wanted: &Wanted, view: &'a View) -> Result<(&'a Key, &'a ObjectView), Failure> {
        let kinds: Vec<Kind> = Kind::ALL.into_iter().rev().collect();
        wanted.find(view, &kinds).map_err(|missing| match (&wanted.kind, kind_of(self.word())) {
            (None, Err(unknown)) if !view.objects.keys().any(|key| key.name == wanted.name) => {
                let name = &wanted.name;
                Failure::new(format!("{}, and no object is called so", unknown.message)).hint(format!(
                    "{} (an object is named by its kind too: `evenkeel get deployment/{name}`)",
                    unknown.hint
                ))
            }
            _ => missing,
        })
    }

    /// The tables of a listing that have rows, with what each row is about.
    fn build(&self, listing: &Listing, snapshot: &Snapshot) -> Result<Vec<(Vec<String>, Table)>, Failure> {
        let columns = Columns {
            namespace: self.scope.namespace.is_none(),
            wide: self.output == Some(Output::Wide),
            prefixed: match listing {
                Listing::Of(kinds) => kinds.len() > 1,
                Listing::Named(wanted) => wanted.iter().any(|one| one.kind != wanted[0].kind),
                Listing::Replicas | Listing::Sources => false,
            },
            now: snapshot.now,
        };
        let view = &snapshot.view;
        let namespace = self.scope.namespace.as_ref();
        let of_kind = |kind: Kind, objects: &[(&Key, &ObjectView)]| {
            (objects.iter().map(|(key, _)| key.to_string()).collect(), rows::objects(kind, objects, &columns))
        };
        let tables = match listing {
            Listing::Of(kinds) => {
                let all = |kind: &Kind| of_kind(*kind, &selected(view, &[*kind], namespace).collect::<Vec<_>>());
                kinds.iter().map(all).collect()
            }
            Listing::Named(wanted) => {
                let named = self.named(wanted, view)?;
                let mut kinds: Vec<Kind> = named.iter().map(|(key, _)| key.kind).collect();
                let mut seen = std::collections::BTreeSet::new();
                kinds.retain(|kind| seen.insert(*kind));
                let own = |kind| named.iter().copied().filter(|(key, _)| key.kind == kind).collect::<Vec<_>>();
                kinds.into_iter().map(|kind| of_kind(kind, &own(kind))).collect()
            }
            Listing::Replicas => {
                let owners: Vec<_> = selected(view, &Kind::ALL, namespace).collect();
                vec![rows::replicas(&owners, &columns)]
            }
            Listing::Sources => vec![rows::sources(rows::sources_of(view, namespace), &columns)],
        };
        Ok(tables.into_iter().filter(|(_, table)| !table.is_empty()).collect())
    }

    /// Prints the list, and then what changes: rows, or for machines each object in a document of its own. What only
    /// grows older has not changed.
    async fn follow(&self, listing: &Listing, client: &Client, screen: &Screen) -> Result<Exit, Failure> {
        let mut views = client.lines::<Snapshot>("/v1/view/watch").await?;
        let mut printed: Option<BTreeMap<String, String>> = None;
        while let Some(snapshot) = views.next().await? {
            let now = self.standing_rows(listing, &snapshot)?;
            match &printed {
                None => screen.print(&self.render(listing, &snapshot, screen)?)?,
                Some(before) => self.print_changes(before, &now, listing, &snapshot, screen)?,
            }
            printed = Some(now);
        }
        Err(Failure::new("the daemon has stopped"))
    }

    fn print_changes(
        &self,
        before: &BTreeMap<String, String>,
        now: &BTreeMap<String, String>,
        listing: &Listing,
        snapshot: &Snapshot,
        screen: &Screen,
    ) -> Result<(), Failure> {
        let changed = |id: &String| before.get(id) != now.get(id);
        if let Some(format) = self.machine() {
            let items = self.items(listing, &snapshot.view)?.into_iter().filter(|(id, _)| changed(id));
            return items.into_iter().try_for_each(|(_, item)| screen.print(&output::render(&item, format)));
        }
        for (ids, table) in self.build(listing, snapshot)? {
            for (_, row) in ids.iter().zip(table.render_rows(screen.out)).filter(|(id, _)| changed(id)) {
                screen.print(&row)?;
            }
        }
        Ok(())
    }

    /// The format for machines, if one is asked for.
    fn machine(&self) -> Option<Machine> {
        match self.output {
            Some(Output::Json) => Some(Machine::Json),
            Some(Output::Yaml) => Some(Machine::Yaml),
            Some(Output::Wide) | None => None,
        }
    }

    /// Every row by what it is about, without its ages.
    fn standing_rows(&self, listing: &Listing, snapshot: &Snapshot) -> Result<BTreeMap<String, String>, Failure> {
        let frozen = Snapshot { now: crate::model::time::Timestamp(0), view: snapshot.view.clone() };
        let tables = self.build(listing, &frozen)?;
        let rows = tables.into_iter().flat_map(|(ids, table)| {
            ids.into_iter().zip(table.render_rows(super::screen::Paint::OFF)).collect::<Vec<_>>()
        });
        Ok(rows.map(|(id, row)| (id, row.split_whitespace().collect::<Vec<_>>().join(" "))).collect())
    }
}

/// A kind, as `get` takes them.
fn kind_of(word: &str) -> Result<Kind, Failure> {
    parse_kind_or(word, &["all", "replicas", "sources"])
}

/// The objects of some kinds, of one namespace or all.
fn selected<'a, 's>(
    view: &'a View,
    kinds: &'s [Kind],
    namespace: Option<&'s Name>,
) -> impl Iterator<Item = (&'a Key, &'a ObjectView)> {
    let of_kind = |key: &Key| kinds.contains(&key.kind);
    let in_namespace = move |key: &Key| namespace.is_none_or(|name| *name == key.namespace);
    view.objects.iter().filter(move |(key, _)| of_kind(key) && in_namespace(key))
}

fn nothing(namespace: Option<&Name>, view: &View) -> String {
    match namespace {
        _ if view.passes == 0 => "Nothing is known yet: the engine was not seen since the daemon began.".into(),
        Some(name) => format!("Nothing found in namespace {name}."),
        None if view.objects.is_empty() => "Nothing is declared; see `evenkeel get sources`.".into(),
        None => "Nothing found.".into(),
    }
}
