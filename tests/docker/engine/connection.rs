//! The way to the engine: its generations, its outages, and a way over TCP with TLS.

use std::path::Path;
use std::process::Command;

use super::*;
use crate::support::{Engine, eventually, on_an_engine_of_its_own, on_each_engine, run};

on_each_engine! {
    fn the_engine_says_what_it_is(bench) {
        let version = { let door = Door::new(bench); door.run(door.docker.version()).unwrap() };
        let expected = if bench.engine.generation == 20 { ("20.10", "1.41") } else { ("26.1", "1.45") };
        assert!(version.version.starts_with(expected.0), "{version:?}");
        assert_eq!(version.api, expected.1);
    }

    fn the_engine_says_what_doctor_asks(bench) {
        let image = bench.app_image("1", &[]);
        let name = format!("{}-boundless", bench.instance);
        bench.run_foreign(&["--name", &name, "--log-driver", "json-file", &image]);
        let survey = { let door = Door::new(bench); door.run(door.docker.survey()).unwrap() };
        assert!(survey.boundless.contains(&name), "{survey:?}");
        assert!(survey.time.is_some() && survey.root.starts_with('/') && survey.limits_memory, "{survey:?}");
        assert!(!survey.subnets.is_empty() && !survey.log_driver.is_empty(), "{survey:?}");
    }

    fn a_socket_that_is_not_there_yet_is_found_when_it_is(bench) {
        let socket = bench.directory().join("later.sock");
        let door = Door::to(bench, Host::Unix(socket.clone()));
        fails(door.run(door.docker.list()), Fault::Unavailable, "later.sock");
        std::os::unix::fs::symlink(&bench.engine.socket, &socket).unwrap();
        door.run(door.docker.list()).unwrap();
    }
}

on_an_engine_of_its_own! {
    fn an_engine_that_goes_away_comes_back(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &[]));
        let id = door.serving(&image);
        let mark = door.run(door.docker.changed(None)).unwrap();
        bench.engine.kill();
        // Refused, or broken off where a connection was still open.
        fails(door.run(door.docker.list()), Fault::Unavailable, "docker.sock: ");
        fails(door.run(door.docker.changed(Some(mark.clone()))), Fault::Unavailable, "");
        fails(door.run(door.docker.start(&id)), Fault::Unavailable, "");
        bench.engine.start_again();
        eventually("it answers", Duration::from_secs(20), || door.run(door.docker.list()).map_err(|error| error.to_string()));
        door.run(door.docker.changed(None)).unwrap();
        door.run(door.docker.start(&id)).unwrap();
        assert!(runs(&door.look(&id)));
    }
}

/// Certificates of both sides, made by openssl: `ca.pem`, `cert.pem`, `key.pem` for the client, `server-*.pem`.
fn certificates(directory: &Path) {
    let script = r#"
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca-key.pem -out ca.pem -subj /CN=test-ca \
          -addext basicConstraints=critical,CA:TRUE
        issue() {
          openssl req -newkey rsa:2048 -nodes -keyout "$2" -out request.pem -subj "/CN=$1"
          printf '%s\n' "$4" >extensions
          openssl x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -out "$3" -extfile extensions
        }
        issue server server-key.pem server-cert.pem "$(printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth')"
        issue client key.pem cert.pem extendedKeyUsage=clientAuth
    "#;
    std::fs::create_dir_all(directory).unwrap();
    let output = Command::new("bash").args(["-euc", script]).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What [`over_tls`] runs beside the engine: this test binary again, because only there is the port reachable.
#[test]
#[ignore = "run by over_tls"]
fn inside_over_tls() {
    let directory = std::env::var("EVENKEEL_TEST_CERTIFICATES").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let instance = || Name::new("evenkeel").unwrap();
    let secured = Docker::connect(instance()).unwrap();
    let version = runtime.block_on(secured.version()).unwrap();
    runtime.block_on(secured.list()).unwrap();
    println!("connected to {}", version.version);
    let tls = |certificates: &str| Host::Tls { address: "127.0.0.1:2376".into(), certificates: certificates.into() };
    // Another authority's certificate is not trusted, and neither side talks without.
    let stranger = Docker::at(tls(&format!("{directory}/stranger")), None, instance());
    fails(runtime.block_on(stranger.list()), Fault::Unavailable, "certificate");
    let plain = Docker::at(Host::Tcp("127.0.0.1:2376".into()), None, instance());
    assert!(runtime.block_on(plain.list()).is_err());
}

fn over_tls(generation: u32) {
    let certificate_directory = tempfile::tempdir().unwrap();
    let directory = certificate_directory.path();
    certificates(directory);
    certificates(&directory.join("stranger"));
    run(Engine::own_with_tls(generation, directory), "over_tls", |bench| {
        let directory = bench.engine.tls.clone().unwrap();
        let output = bench
            .engine
            .command(std::env::current_exe().unwrap())
            .args(["--exact", "engine::connection::inside_over_tls", "--ignored", "--nocapture"])
            .env("EVENKEEL_TEST_CERTIFICATES", &directory)
            .env("DOCKER_HOST", "tcp://127.0.0.1:2376")
            .env("DOCKER_TLS_VERIFY", "1")
            .env("DOCKER_CERT_PATH", &directory)
            .output()
            .unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.contains("connected to"), "{said}");
    });
}

#[test]
fn over_tls_to_engine_20() {
    over_tls(20);
}

#[test]
fn over_tls_to_engine_26() {
    over_tls(26);
}
