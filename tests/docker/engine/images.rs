//! Images: looked up, and pulled from a real registry.

use std::collections::BTreeSet;
use std::sync::Mutex;

use base64::Engine as _;
use evenkeel::engine::Credentials;
use evenkeel::model::observed::{Image, ImageState};
use evenkeel::model::revision::ImageId;
use evenkeel::model::secret::SecretBytes;

use super::*;
use crate::support::registry::{PASSWORD, USER};
use crate::support::{Registry, on_each_engine};

fn given(server: &str, password: &str) -> Vec<Credentials> {
    let password = SecretBytes::new(password.as_bytes().to_vec());
    vec![Credentials { server: server.to_owned(), username: USER.to_owned(), password }]
}

impl Door<'_> {
    fn pull(&self, image: &str, credentials: &[Credentials]) -> Result<Option<ImageId>, EngineError> {
        self.run(self.docker.pull(image, None, credentials, &|_| ()))
    }

    fn image(&self, reference: &str) -> Option<Image> {
        match self.run(self.docker.image(reference)).unwrap() {
            ImageState::Present(image) => Some(image),
            ImageState::Missing => None,
        }
    }

    /// Writes `config.json` as the docker command would.
    fn docker_config(&self, config: &Value) {
        let directory = self.bench.directory().join("docker-config");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("config.json"), config.to_string()).unwrap();
    }
}

on_each_engine! {
    fn an_image_is_known_with_what_it_brings_along(bench) {
        let door = Door::new(bench);
        assert_eq!(door.image("evenkeel-test/nowhere:1"), None);
        let plain = door.image(&bench.app_image("1", &[])).unwrap();
        assert!(plain.id.0.starts_with("sha256:") && plain.digests.is_empty());
        assert!(!plain.has_health_check && plain.volumes.is_empty());
        let rich = bench.app_image("2", &["VOLUME /data", "HEALTHCHECK CMD /app check"]);
        let rich = door.image(&rich).unwrap();
        assert!(rich.has_health_check && rich.volumes.contains("/data"));
        assert_eq!(door.image(&rich.id.0).unwrap(), rich);
    }

    fn a_tag_and_a_digest_are_pulled(bench) {
        let (door, registry) = (Door::new(bench), Registry::open(bench));
        let image = registry.push(&bench.app_image("1", &[]), "shop/web:1");
        assert_eq!(door.image(&image), None);
        let told = Mutex::new(Vec::new());
        door.run(door.docker.pull(&image, Some("linux/amd64"), &[], &|line| told.lock().unwrap().push(line))).unwrap();
        let found = door.image(&image).unwrap();
        let by_digest = format!("{}@{}", registry.reference("shop/web"), registry.digest("shop/web:1"));
        assert_eq!(found.digests, std::slice::from_ref(&by_digest));
        door.pull(&image, &[]).expect("up to date is a success");
        bench.engine.docker(&["rmi", &image]);
        assert_eq!(door.image(&by_digest), None);
        door.pull(&by_digest, &[]).unwrap();
        assert_eq!(door.image(&by_digest).unwrap().id, found.id);
        bench.engine.docker(&["rmi", &by_digest]);
    }

    fn what_cannot_be_pulled_says_whose_fault_it_is(bench) {
        let (door, mut registry) = (Door::new(bench), Registry::open(bench));
        let image = registry.push(&bench.app_image("1", &[]), "shop/web:1");
        fails(door.pull(&registry.reference("shop/web:nope"), &[]), Fault::ImageMissing, "manifest unknown");
        fails(door.pull(&registry.reference("nobody/unauthorized:1"), &[]), Fault::ImageMissing, "");
        fails(door.pull("sha256:0123", &[]), Fault::ImageMissing, "id");
        fails(door.pull("acme/UPPER:1", &[]), Fault::Invalid, "invalid");
        let other = door.run(door.docker.pull(&image, Some("linux/arm64"), &[], &|_| ()));
        fails(other, Fault::Invalid, "wanted linux/arm64, actual: linux/");
        registry.stop();
        fails(door.pull(&image, &[]), Fault::Unavailable, "refused");
    }

    fn a_private_registry_wants_the_right_password(bench) {
        let (door, registry) = (Door::new(bench), Registry::private(bench));
        let image = registry.push(&bench.app_image("1", &[]), "shop/web:1");
        fails(door.pull(&image, &[]), Fault::Unauthorized, "auth");
        fails(door.pull(&image, &given(&registry.address, "wrong")), Fault::Unauthorized, "auth");
        fails(door.pull(&image, &given("ghcr.io", PASSWORD)), Fault::Unauthorized, "auth");
        let error = door.pull(&image, &given(&registry.address, "hunter2-wrong")).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        // A wrong one first, then the right one.
        let both = [given(&registry.address, "wrong"), given("", PASSWORD)].concat();
        door.pull(&image, &both).unwrap();
        bench.engine.docker(&["rmi", &image]);
    }

    fn the_docker_commands_own_credentials_are_used(bench) {
        let (door, registry) = (Door::new(bench), Registry::private(bench));
        let image = registry.push(&bench.app_image("1", &[]), "shop/web:1");
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
        door.docker_config(&json!({"auths": {(&*registry.address): {"auth": auth}}}));
        door.pull(&image, &[]).unwrap();
        bench.engine.docker(&["rmi", &image]);
        door.docker_config(&json!({"auths": {"ghcr.io": {"auth": auth}}, "credsStore": "evenkeel-no-such-helper"}));
        fails(door.pull(&image, &[]), Fault::Unauthorized, "docker-credential-evenkeel-no-such-helper cannot be run");
    }

    fn what_is_named_as_built_here_goes_only_with_the_labels_of_this_instance(bench) {
        let door = Door::new(bench);
        let name = format!("evenkeel.local/{}:1", bench.instance);
        let references = BTreeSet::from([name.clone()]);
        let remove = |id: &ImageId| door.run(door.docker.remove_image(id, &references, &BTreeSet::new()));
        let ours = format!("LABEL evenkeel.dev/instance={}", bench.instance);
        let of_another = "LABEL evenkeel.dev/instance=another evenkeel.dev/build=1";
        for labels in [&[][..], &[of_another], &[&ours]] {
            bench.shared_app_image(&name, "1", labels);
            let Image { id, is_ours, .. } = door.image(&name).unwrap();
            assert!(!is_ours, "{labels:?}");
            fails(remove(&id).map(drop), Fault::Conflict, "its labels do not say so");
            bench.engine.docker(&["rmi", &name]);
        }
        bench.shared_app_image(&name, "1", &[&format!("{ours} evenkeel.dev/build=1")]);
        let Image { id, is_ours, .. } = door.image(&name).unwrap();
        assert!(is_ours);
        remove(&id).unwrap();
        assert_eq!(door.image(&id.0), None);
        remove(&id).expect("what is gone already is a success");
    }
}
