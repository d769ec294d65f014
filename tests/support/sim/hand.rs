//! What people and accidents do to the simulated engine, past Evenkeel: `docker` by hand, crashes, other people's things.

use std::collections::BTreeSet;

use evenkeel::model::action::NetworkCreate;
use evenkeel::model::container::Adjustable;
use evenkeel::model::observed::{ContainerId, Fault};
use evenkeel::model::spec::RestartPolicy;

use super::app::{App, Ending};
use super::container::Publish;
use super::world::{Refusal, World, refuse};

impl World {
    /// The program dies by a signal from outside Docker; the restart policy decides.
    pub fn crash(&mut self, id: &ContainerId) -> Result<(), Refusal> {
        match self.get(id)?.is_alive() {
            true => {
                self.ended(id, 137);
                Ok(())
            }
            false => refuse(409, Fault::Conflict, "it is not running"),
        }
    }

    /// `docker kill`: the engine will not start it again.
    pub fn kill(&mut self, id: &ContainerId) -> Result<(), Refusal> {
        self.get(id)?;
        self.container(id).stopped_by_call = true;
        self.container(id).stops += 1;
        self.crash(id)
    }

    /// `docker rm -f`.
    pub fn remove_by_force(&mut self, id: &ContainerId) -> Result<(), Refusal> {
        self.get(id)?;
        self.container(id).stopped_by_call = true;
        self.container(id).stops += 1;
        if self.container(id).is_alive() {
            self.ended(id, 137);
        }
        self.removed(id);
        Ok(())
    }

    /// `docker rename`: its names on its networks stay.
    pub fn rename(&mut self, id: &ContainerId, to: &str) -> Result<(), Refusal> {
        self.get(id)?;
        if self.by_name(to).is_some() {
            return refuse(409, Fault::Conflict, format!("the name {to} is taken"));
        }
        self.container(id).name = to.into();
        self.tell("rename", Some(id));
        Ok(())
    }

    /// `docker start`: none of the starts that are counted, which are the controller's.
    pub fn start_by_hand(&mut self, id: &ContainerId) -> Result<(), Refusal> {
        let name = self.get(id)?.name.clone();
        let counted = self.starts.get(&name).copied().unwrap_or(0);
        self.start(id)?;
        self.starts.insert(name, counted);
        Ok(())
    }

    /// The program goes on running and stops answering, until it is started again.
    pub fn hang(&mut self, id: &ContainerId, hung: bool) -> Result<(), Refusal> {
        self.get(id)?;
        self.container(id).hung = hung;
        self.version += 1;
        Ok(())
    }

    /// What its own file system holds breaks its program: this run and every further one ends at once.
    pub fn spoil(&mut self, id: &ContainerId) -> Result<(), Refusal> {
        self.get(id)?;
        let container = self.container(id);
        container.app.ends = Some(Ending { after: 50, code: 1, runs: u32::MAX });
        container.app.last_words = vec!["there is a stale lock file".into()];
        self.crash(id)
    }

    /// An engine with live-restore was killed in the middle of a disconnect: the records alone have the network.
    pub fn unplug(&mut self, id: &ContainerId) -> Result<(), Refusal> {
        self.get(id)?;
        self.container(id).endpoints.values_mut().for_each(|endpoint| endpoint.plugged = false);
        self.version += 1;
        Ok(())
    }

    /// The program never answers again, however often it is started.
    pub fn mute(&mut self, id: &ContainerId) -> Result<(), Refusal> {
        let has_served = self.get(id)?.served_in_this_run(self.now);
        let container = self.container(id);
        container.served |= has_served;
        container.app.ready_after = None;
        self.version += 1;
        Ok(())
    }

    /// `docker update`.
    pub fn adjust(&mut self, id: &ContainerId, change: impl FnOnce(&mut Adjustable)) -> Result<(), Refusal> {
        let mut wanted = self.get(id)?.adjustable.clone();
        change(&mut wanted);
        self.update(id, &wanted)
    }

    /// Somebody else's network, with a subnet from the engine's own pools.
    pub fn foreign_network(&mut self, name: &str, subnet: Option<&str>) -> Result<(), Refusal> {
        let network = NetworkCreate {
            name: name.to_string(),
            labels: [("somebody".to_string(), "else".to_string())].into(),
            driver: "bridge".into(),
            internal: false,
            subnets: subnet.map(str::to_string).into_iter().collect(),
            options: Default::default(),
        };
        self.create_network(&network).map(drop)
    }

    /// Somebody else's container, running.
    pub fn foreign_container(
        &mut self,
        name: &str,
        networks: &[String],
        host_port: Option<u16>,
        app: App,
    ) -> Result<ContainerId, Refusal> {
        if self.by_name(name).is_some() {
            return refuse(409, Fault::Conflict, format!("the name {name} is taken"));
        }
        let image = "somebody-elses:1";
        // Whoever runs it wants it back after a fall of the engine, however that ends it.
        self.build(image, App { stop_code: 143, ..app });
        let image = self.image(image).expect("it was just built").clone();
        let mut container = self.blank(name, &image, "somebody-elses:1".into());
        container.labels.insert("somebody".into(), "else".into());
        container.adjustable.restart_policy = RestartPolicy::OnFailure;
        container.publishes = host_port
            .map(|port| Publish { container_port: port, address: [0, 0, 0, 0].into(), first: port, last: port })
            .into_iter()
            .collect();
        let id = container.id.clone();
        self.containers.insert(id.clone(), container);
        self.tell("create", Some(&id));
        for network in networks {
            self.connect(&id, network, &BTreeSet::from([name.to_string()]), None)?;
        }
        self.start(&id)?;
        Ok(id)
    }

    /// What makes a container the same as before, for the check that nobody touched it.
    pub fn likeness(&self, id: &ContainerId) -> Option<String> {
        let c = self.containers.get(id)?;
        let endpoints: Vec<_> = c.endpoints.iter().map(|(name, e)| (name, &e.network, &e.aliases)).collect();
        let (stops, runs) = (c.stops, c.runs - c.revivals);
        Some(format!("{} {:?} {stops} {runs} {endpoints:?} {:?}", c.name, c.labels, c.adjustable))
    }
}
