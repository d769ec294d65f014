//! Images that are followed in a real registry, through everything that befalls one, promoted, and cleaned up.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::registry::{PASSWORD, USER};
use crate::support::{Bench, Deployment, Registry, eventually, object, on_each_engine, throughout};

const SOON: Duration = Duration::from_secs(40);

/// How the way to the registry is.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Open,
    /// Every connection is closed at once.
    Cut,
    /// Every request is answered with 429, and the wish to be left alone for two seconds.
    Limited,
}

/// What stands between the registry and everybody who asks it.
struct Proxy {
    /// `127.0.0.1:PORT`, the first part of images' names.
    address: String,
    way: Arc<Mutex<Way>>,
}

impl Proxy {
    fn before(bench: &Bench, registry: &str) -> Self {
        let listener = bench.engine.listener();
        let address = listener.local_addr().expect("it listens").to_string();
        let way = Arc::new(Mutex::new(Way::Open));
        let (registry, seen) = (registry.to_owned(), way.clone());
        bench.engine.spawn_beside(move || forward(&listener, &registry, &seen));
        Self { address, way }
    }

    fn set(&self, way: Way) {
        *self.way.lock().expect("nobody panics with it") = way;
    }
}

/// In the network of the engine: threads stay where the one was that has made them.
fn forward(listener: &TcpListener, registry: &str, way: &Arc<Mutex<Way>>) {
    for stream in listener.incoming().flatten() {
        let (registry, way) = (registry.to_owned(), *way.lock().expect("nobody panics with it"));
        std::thread::spawn(move || match way {
            Way::Cut => {}
            Way::Limited => refuse(stream),
            Way::Open => drop(TcpStream::connect(&registry).map(|other| join(stream, other))),
        });
    }
}

fn refuse(mut stream: TcpStream) {
    let mut request = [0; 4096];
    // Its first bytes are all of it that matters.
    let _ = stream.read(&mut request);
    let body = r#"{"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}"#;
    let head = format!("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 2\r\nContent-Length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

fn join(one: TcpStream, other: TcpStream) {
    let (mut from, mut to) = (one.try_clone().expect("a socket"), other.try_clone().expect("a socket"));
    let there = std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    let (mut from, mut to) = (other, one);
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Write);
    let _ = there.join();
}

fn login(bench: &Bench, password: &str) {
    let file = bench.directory().join("login.env");
    fs::write(&file, format!("username='{USER}'\npassword='{password}'\n")).unwrap();
    bench.write("login.yaml", &object("Secret", "login", &format!("{{envFiles: ['{}']}}", file.display())));
}

/// What `describe` says of the Deployment `web`.
fn described(bench: &Bench, words: &str) -> Result<(), String> {
    let text = bench.try_evenkeel(&["describe", "deployment/web"])?;
    assert!(!text.contains(PASSWORD) && !text.contains("wr0ng"), "{text}");
    if text.contains(words) { Ok(()) } else { Err(text) }
}

fn ids(bench: &Bench) -> Vec<String> {
    bench.running("web").iter().map(|container| container.id().to_string()).collect()
}

fn unharmed(bench: &Bench, before: &[String]) {
    throughout("nothing is touched", Duration::from_secs(2), || {
        let now = ids(bench);
        if now == before { Ok(()) } else { Err(format!("{now:?}")) }
    });
}

on_each_engine! {
    fn a_tag_is_waited_for_and_followed_through_refusals_outages_and_limits(bench) {
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &[]));
        let registry = Registry::private(bench);
        let proxy = Proxy::before(bench, &registry.address);
        login(bench, "wr0ng");
        let image = format!("{}/shop/web:edge", proxy.address);
        let web = Deployment::new("web", &image)
            .replicas(2)
            .template("imagePullSecrets", "[login]")
            .template("imagePolicy", "{digest: Follow, interval: 10s}");
        bench.write("web.yaml", &web.to_string());
        let _controller = bench.start_controller();
        eventually("the wrong password is refused", SOON, || described(bench, "it answered 401 Unauthorized"));
        eventually("and the way out is said", SOON, || described(bench, "see imagePullSecrets"));
        login(bench, PASSWORD);
        eventually("the tag is looked for", SOON, || described(bench, "TagMissing"));
        registry.push(&one, "shop/web:edge");
        bench.settled("web", 2, &one, SOON);
        let before = ids(bench);
        proxy.set(Way::Cut);
        eventually("the outage is told", SOON, || described(bench, "RegistryUnavailable"));
        eventually("by the registry's name", SOON, || described(bench, &format!("registry {}: it cannot be reached", proxy.address)));
        registry.push(&two, "shop/web:edge");
        unharmed(bench, &before);
        proxy.set(Way::Limited);
        eventually("the limit is told", SOON, || described(bench, "429 Too Many Requests"));
        unharmed(bench, &before);
        proxy.set(Way::Open);
        bench.settled("web", 2, &two, Duration::from_secs(90));
        eventually("all is well again", SOON, || described(bench, "AsChosen"));
        let metric = |result: &str| {
            let repository = format!("{}/shop/web", proxy.address);
            bench.metric(&format!("evenkeel_registry_inquiries_total{{repository=\"{repository}\",result=\"{result}\"}}"))
        };
        assert!(metric("error") >= Some(3.0) && metric("success") >= Some(2.0), "{:?}", metric("error"));
        let history = bench.evenkeel(&["rollout", "history", "deployment/web"]);
        assert!(history.contains("shop/web:edge@sha256:"), "{history}");
    }

    fn the_newest_version_is_rolled_out_and_a_bad_one_goes_back(bench) {
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &[]));
        let bad = bench.app_image("3", &["ENV CRASH=1"]);
        let registry = Registry::open(bench);
        registry.push(&one, "shop/web:1.0.0");
        let web = Deployment::new("web", &registry.reference("shop/web"))
            .spec("monitor", "0s")
            .template("imagePolicy", "{semver: '^1', interval: 10s}");
        bench.write("web.yaml", &web.to_string());
        let _controller = bench.start_controller();
        bench.settled("web", 1, &one, SOON);
        registry.push(&bad, "shop/web:1.9.0");
        registry.push(&bad, "shop/web:2.0.0");
        eventually("the bad one has gone back", Duration::from_secs(90), || described(bench, "RolledBack"));
        bench.settled("web", 1, &one, SOON);
        registry.push(&two, "shop/web:1.10.0");
        bench.settled("web", 1, &two, SOON);
    }

    fn what_one_namespace_runs_is_promoted_to_another_by_digest(bench) {
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &[]));
        let registry = Registry::open(bench);
        let [old, new] = [(&one, "shop/web:1"), (&two, "shop/web:2")].map(|(image, name)| registry.push(image, name));
        let of = |namespace: &str, image: &str| {
            Deployment::new("web", image).to_string().replace("namespace: shop", &format!("namespace: {namespace}"))
        };
        bench.write("staging.yaml", &of("staging", &new));
        bench.write("production.yaml", &of("production", &old));
        let _controller = bench.start_controller();
        assert_eq!(bench.applied(), 0);
        // A tag that moves meanwhile changes nothing.
        let digest = registry.digest("shop/web:2");
        registry.push(&one, "shop/web:2");
        let (code, out, err) = bench.evenkeel_outcome(&["promote", "staging", "production", "--wait", "--timeout", "60s"]);
        assert_eq!(code, 0, "{out}{err}");
        let written = fs::read_to_string(bench.manifests.join("production.yaml")).unwrap();
        assert!(written.contains(&format!("{new}@{digest}")), "{written}");
        let id = bench.image_id(&two).unwrap();
        let running = bench.running("web");
        assert!(running.len() == 2 && running.iter().all(|container| container.image() == id), "{out}");
    }

    fn images_that_nothing_needs_are_removed_and_no_others(bench) {
        let registry = Registry::open(bench);
        let pushed: Vec<(String, String)> = (1..=5).map(|number| {
            let local = bench.app_image(&number.to_string(), &[]);
            let id = bench.image_id(&local).unwrap();
            let reference = registry.push(&local, &format!("shop/web:{number}"));
            // What the engine has already is not ours.
            if number != 2 {
                bench.engine.docker(&["rmi", &local]);
            }
            (reference, id)
        }).collect();
        let config = bench.directory().join("evenkeel.yaml");
        fs::write(&config, "minFreeDisk: 0\nimages: {grace: 2s}\n").unwrap();
        let _controller = bench.start_controller_with(&["--config", &config.display().to_string()]);
        let web = |number: usize| {
            let web = Deployment::new("web", &pushed[number - 1].0).spec("monitor", "0s");
            web.spec("revisionHistoryLimit", "1").to_string()
        };
        let mine = format!("evenkeel-test/{}-mine:1", bench.instance);
        for number in 1..=5 {
            bench.apply("web.yaml", &web(number));
            if number == 3 {
                bench.engine.docker(&["tag", &pushed[2].0, &mine]);
            }
        }
        let is_there = |number: usize| bench.image_id(&pushed[number - 1].1).is_ok();
        eventually("the first is gone", SOON, || if is_there(1) { Err("it is there".into()) } else { Ok(()) });
        throughout("the others stay", Duration::from_secs(8), || {
            let there: Vec<usize> = (1..=5).filter(|number| is_there(*number)).collect();
            if there == [2, 3, 4, 5] { Ok(()) } else { Err(format!("{there:?}")) }
        });
        let told = bench.evenkeel(&["events"]);
        assert!(told.contains("ImageRemoved") && told.contains("shop/web:1"), "{told}");
        assert_eq!(bench.metric("evenkeel_images_removed_total"), Some(1.0));
        bench.evenkeel(&["rollout", "undo", "deployment/web"]);
        bench.settled("web", 1, &pushed[3].1, SOON);
        bench.engine.docker(&["rmi", &mine]);
    }
}
