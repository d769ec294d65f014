//! Networks and volumes, and containers on them.

use evenkeel::model::action::VolumeCreate;

use super::*;
use crate::support::{Load, eventually, on_each_engine};

on_each_engine! {
    fn a_network_is_created_once_with_its_subnet(bench) {
        let door = Door::new(bench);
        let wanted = door.network("app", &free_subnet());
        door.run(door.docker.create_network(free(&wanted))).unwrap();
        door.run(door.docker.create_network(free(&wanted))).expect("there is there");
        let all = door.run(door.docker.networks()).unwrap();
        let found: Vec<_> = all.into_iter().filter(|network| network.name == wanted.name).collect();
        assert_eq!(found.len(), 1);
        assert_eq!((&found[0].subnets, &found[0].labels, &*found[0].driver), (&wanted.subnets, &wanted.labels, "bridge"));

        let mut other = wanted.clone();
        other.labels.insert("evenkeel.dev/spec".into(), "2".into());
        fails(door.run(door.docker.create_network(free(&other))), Fault::Conflict, "another network");
        let overlapping = door.network("overlapping", &wanted.subnets[0]);
        fails(door.run(door.docker.create_network(free(&overlapping))), Fault::Conflict, "overlaps");
        let mut strange = door.network("strange", &free_subnet());
        strange.driver = "no-such-driver".into();
        fails(door.run(door.docker.create_network(free(&strange))), Fault::Invalid, "no-such-driver");
        let wrong = door.network("wrong", "nonsense");
        fails(door.run(door.docker.create_network(free(&wrong))), Fault::Invalid, "nonsense");

        door.run(door.docker.remove_network(&found[0].id)).unwrap();
        door.run(door.docker.remove_network(&found[0].id)).expect("gone is gone");
    }

    fn two_who_create_a_network_at_once_end_with_one(bench) {
        let door = Door::new(bench);
        for round in 0..5 {
            let wanted: Vec<_> = (0..4)
                .map(|_| NetworkCreate { subnets: vec![free_subnet()], ..door.network(&format!("app{round}"), "") })
                .collect();
            let results = door.run(async {
                tokio::join!(
                    door.docker.create_network(free(&wanted[0])),
                    door.docker.create_network(free(&wanted[1])),
                    door.docker.create_network(free(&wanted[2])),
                    door.docker.create_network(free(&wanted[3])),
                )
            });
            for result in [results.0, results.1, results.2, results.3] {
                result.unwrap();
            }
            let all = door.run(door.docker.networks()).unwrap();
            assert_eq!(all.iter().filter(|network| network.name == wanted[0].name).count(), 1);
        }
    }

    fn a_network_in_use_is_not_removed(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &[]));
        let name = door.network_created("app");
        let spec = ContainerSpec { networks: vec![attachment(&name, &[])], ..door.spec(&image, json!({})) };
        let id = door.started(&spec);
        let network = door.look(&id).networks[&name].network.clone();
        fails(door.run(door.docker.remove_network(&network)), Fault::Conflict, "active endpoints");
    }

    fn a_container_joins_further_networks_before_and_after_its_start(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &[]));
        let [one, two, three] = ["one", "two", "three"].map(|name| door.network_created(name));
        let mut spec = door.spec(&image, json!({}));
        spec.networks = vec![attachment(&one, &["web"]), attachment(&two, &["web"])];
        let id = door.created(&spec);
        door.run(door.docker.connect(&connection(&id, &two, &["db"]))).unwrap();
        door.run(door.docker.connect(&connection(&id, &two, &["db"]))).expect("there is there");
        door.run(door.docker.start(&id)).unwrap();
        let mut third = connection(&id, &three, &["cache"]);
        third.address = Some(bench.engine.inspect(&three).unwrap()["IPAM"]["Config"][0]["Subnet"].as_str().unwrap().replace(".0/24", ".77").parse().unwrap());
        door.run(door.docker.connect(&third)).unwrap();
        door.run(door.docker.connect(&third)).expect("there is there");
        let networks = door.look(&id).networks;
        let aliases = |name: &str| networks[name].aliases.clone();
        assert_eq!([aliases(&one), aliases(&two), aliases(&three)], [names(&["web"]), names(&["db"]), names(&["cache"])]);
        assert_eq!(networks[&three].address, third.address);
        let taken = Connection { container: door.serving(&image), ..third };
        bench.engine.docker(&["network", "disconnect", "none", &taken.container.0]);
        fails(door.run(door.docker.connect(&taken)), Fault::Conflict, "in use");
        fails(door.run(door.docker.connect(&connection(&id, "no-such-network", &[]))), Fault::Unavailable, "not found");
    }

    fn an_alias_comes_and_goes_and_open_connections_stay(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &[]));
        let network = door.network_created("app");
        let spec = ContainerSpec { networks: vec![attachment(&network, &[])], ..door.spec(&image, json!({})) };
        let id = door.started(&spec);
        let before = door.look(&id);
        let address = before.networks[&network].address.unwrap();
        let url = format!("http://{address}:8080/");
        eventually("it answers", Duration::from_secs(20), || bench.get(&url));
        let load = Load::start(bench, &url, &["1"]);
        for aliases in [&["web"][..], &[], &["web", "www"], &[]] {
            std::thread::sleep(Duration::from_millis(300));
            door.run(door.docker.reconnect(&connection(&id, &network, aliases))).unwrap();
            let after = door.look(&id);
            assert_eq!(after.networks[&network].aliases, names(aliases));
            assert_eq!((after.networks[&network].address, &after.state), (Some(address), &before.state));
        }
        std::thread::sleep(Duration::from_millis(300));
        let counted = load.stop();
        assert_eq!(counted.failed(), 0, "{counted:?}");
    }

    fn a_container_that_lost_its_network_is_brought_back(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &[]));
        let network = door.network_created("app");
        let spec = ContainerSpec { networks: vec![attachment(&network, &[])], ..door.spec(&image, json!({})) };
        let id = door.started(&spec);
        bench.engine.docker(&["network", "disconnect", &network, &id.0]);
        assert!(!door.look(&id).networks.contains_key(&network));
        door.run(door.docker.reconnect(&connection(&id, &network, &["web"]))).unwrap();
        assert_eq!(door.look(&id).networks[&network].aliases, names(&["web"]));
    }

    fn where_no_address_can_be_chosen_any_will_do(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &[]));
        let name = bench.engine_name("shop", "external");
        bench.engine.docker(&["network", "create", "--label", &format!("evenkeel-test={}", bench.instance), &name]);
        let spec = ContainerSpec { networks: vec![attachment(&name, &[])], ..door.spec(&image, json!({})) };
        let id = door.started(&spec);
        door.run(door.docker.reconnect(&connection(&id, &name, &["web"]))).unwrap();
        let endpoint = door.look(&id).networks[&name].clone();
        assert_eq!(endpoint.aliases, names(&["web"]));
        assert!(endpoint.address.is_some());
    }

    fn a_volume_is_created_once_with_its_labels(bench) {
        let door = Door::new(bench);
        let wanted = VolumeCreate {
            name: bench.engine_name("shop", "data"),
            labels: BTreeMap::from([("evenkeel.dev/instance".to_owned(), bench.instance.clone())]),
            driver: "local".into(),
            options: [("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        };
        door.run(door.docker.create_volume(free(&wanted))).unwrap();
        door.run(door.docker.create_volume(free(&wanted))).expect("there is there");
        let all = door.run(door.docker.volumes()).unwrap();
        let found = all.iter().find(|volume| volume.name == wanted.name).unwrap();
        assert_eq!((&found.labels, &found.options, &*found.driver), (&wanted.labels, &wanted.options, "local"));
        let wrong = VolumeCreate { options: [("no".to_owned(), "such".to_owned())].into(), name: "wrong".into(), ..wanted };
        fails(door.run(door.docker.create_volume(free(&wrong))), Fault::Invalid, "no");
    }
}
