//! Images that are built on the host, from a directory beside the manifests.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::support::registry::{PASSWORD, USER};
use crate::support::{Bench, Deployment, Registry, eventually, object, on_each_engine, throughout};

const SOON: Duration = Duration::from_secs(60);
const STALLED: i32 = 3;

/// The demo application in a scratch image, built in stages; the stage `web` is not the last one.
const DOCKERFILE: &str = r#"FROM scratch AS tool
COPY app /app
FROM tool AS builder
ARG VERSION
ENV VERSION=${VERSION}
COPY . /context
RUN ["/app", "job", "--print", "compiling", "--write", "/built"]
FROM tool AS web
ARG VERSION
ENV VERSION=${VERSION}
COPY --from=builder /built /built
COPY --from=builder /context /context
EXPOSE 8080
ENTRYPOINT ["/app"]
FROM scratch AS nothing
"#;

/// A context with the demo application in it, and what its ignore file leaves out.
fn context(bench: &Bench) -> PathBuf {
    let context = bench.directory().join("app");
    fs::create_dir_all(context.join("node_modules/left-pad")).unwrap();
    fs::copy(bench.app(), context.join("app")).unwrap();
    fs::write(context.join("Dockerfile"), DOCKERFILE).unwrap();
    fs::write(context.join(".dockerignore"), "**/node_modules\n*.log\n!kept.log\n").unwrap();
    for file in ["node_modules/left-pad/index.js", "debug.log", "kept.log", "page"] {
        fs::write(context.join(file), "one").unwrap();
    }
    context
}

fn web(version: &str) -> Deployment {
    let build = format!("{{context: ../app, target: web, args: {{VERSION: {version}}}}}");
    Deployment::new("web", "").without("image").without("imagePullPolicy").template("build", &build)
}

fn file(bench: &Bench, path: &str) -> Result<String, String> {
    let web = bench.running("web").pop().ok_or("web does not run")?;
    bench.get(&format!("http://{}:8080/file?path={path}", web.address(None)))
}

fn ids(bench: &Bench) -> Vec<String> {
    bench.running("web").iter().map(|container| container.id().to_string()).collect()
}

on_each_engine! {
    fn an_image_is_built_updated_by_an_edit_and_gone_back_from(bench) {
        let context = context(bench);
        let _controller = bench.start_controller();
        bench.apply("web.yaml", &web("1").to_string());
        assert_eq!(file(bench, "/built").unwrap().trim(), "version 1");
        assert_eq!(file(bench, "/context/page").unwrap(), "one");
        assert_eq!(file(bench, "/context/kept.log").unwrap(), "one");
        for left_out in ["/context/debug.log", "/context/node_modules/left-pad/index.js"] {
            assert!(file(bench, left_out).is_err(), "{left_out}");
        }
        let first = ids(bench);
        let image = bench.running("web")[0].0["Config"]["Image"].as_str().unwrap().to_string();
        assert!(image.starts_with("evenkeel.local/shop:"), "{image}");
        let labels = bench.engine.docker(&["image", "inspect", "--format", "{{json .Config.Labels}}", &image]);
        assert!(labels.contains(&format!("\"evenkeel.dev/instance\":\"{}\"", bench.instance)), "{labels}");

        // What is left out is nobody's business.
        fs::write(context.join("debug.log"), "two").unwrap();
        throughout("nothing happens", Duration::from_secs(2), || {
            if ids(bench) == first { Ok(()) } else { Err("another container".into()) }
        });
        fs::write(context.join("page"), "two").unwrap();
        eventually("the edit is served", SOON, || match file(bench, "/context/page")?.as_str() {
            "two" if bench.containers("web").len() == 1 => Ok(()),
            other => Err(other.to_string()),
        });
        assert_eq!(bench.applied(), 0);

        // A step that fails leaves everything as it is, and its words are shown.
        let second = ids(bench);
        let fails = DOCKERFILE.replace("\"compiling\"", "\"cannot find left-pad\", \"--exit\", \"3\"");
        fs::write(context.join("Dockerfile"), fails).unwrap();
        let described = eventually("it is told", SOON, || {
            let described = bench.try_evenkeel(&["describe", "deployment", "web", "-n", "shop"])?;
            let told = described.contains("returned a non-zero code: 3") && described.contains("cannot find left-pad");
            if told { Ok(described) } else { Err(described) }
        });
        assert!(described.contains("Waiting"), "{described}");
        let (code, said, _) = bench.evenkeel_outcome(&["rollout", "status", "web", "-n", "shop"]);
        assert_eq!(code, STALLED, "{said}");
        assert!(bench.evenkeel(&["events", "-n", "shop"]).contains("BuildFailed"));
        let failures = || bench.metric("evenkeel_actions_total{call=\"build\",result=\"error\"}").unwrap_or_default();
        let before = failures();
        assert_eq!(bench.applied(), STALLED, "a person asks for another try");
        assert_eq!(failures(), before + 1.0);
        assert_eq!((ids(bench), file(bench, "/context/page").unwrap()), (second, "two".to_string()));
        // Other tests share the engine: a step's container is known by what it ran.
        let commands = bench.engine.docker(&["ps", "--all", "--no-trunc", "--format", "{{.Command}}"]);
        assert!(!commands.contains("cannot find left-pad"), "a step's container is left: {commands}");

        // Mended, it is built at once. Going back takes the image that is still here.
        fs::write(context.join("Dockerfile"), DOCKERFILE).unwrap();
        eventually("it is where it was", SOON, || match bench.applied() {
            0 => Ok(()),
            code => Err(code.to_string()),
        });
        bench.evenkeel(&["rollout", "undo", "web", "-n", "shop"]);
        eventually("the first page is served", SOON, || match file(bench, "/context/page")?.as_str() {
            "one" if bench.containers("web").len() == 1 => Ok(()),
            other => Err(other.to_string()),
        });
    }

    fn a_build_that_takes_long_holds_nothing_else_up(bench) {
        let context = context(bench);
        let slow = DOCKERFILE.replace("\"/built\"]", "\"/built\", \"--sleep\", \"20s\"]");
        // Steps that another test builds too may be removed as that one's, in the middle of this build.
        let slow = slow.replace("AS tool\n", &format!("AS tool\nLABEL of={}\n", bench.instance));
        fs::write(context.join("Dockerfile"), slow).unwrap();
        let [one, two] = ["1", "2"].map(|version| bench.app_image(version, &[]));
        let _controller = bench.start_controller();
        bench.apply("beside.yaml", &Deployment::new("beside", &one).to_string());
        bench.write("web.yaml", &web("1").to_string());
        eventually("it is being built", SOON, || {
            let told = bench.try_evenkeel(&["describe", "deployment/web", "-n", "shop"])?;
            if told.contains("build evenkeel.local/") { Ok(()) } else { Err(told) }
        });
        bench.write("beside.yaml", &Deployment::new("beside", &two).to_string());
        bench.settled("beside", 1, &two, SOON);
        assert_eq!(bench.containers("web").len(), 0, "the build was over before the update");
        assert_eq!(bench.applied(), 0);
        assert_eq!(file(bench, "/built").unwrap().trim(), "version 1");
    }

    fn a_base_image_comes_from_a_private_registry(bench) {
        let context = context(bench);
        let image = bench.app_image("1", &[]);
        let registry = Registry::private(bench);
        let base = registry.push(&image, "base:1");
        bench.engine.docker(&["rmi", &image]);
        fs::write(context.join("Dockerfile"), format!("FROM {base} AS web\nCOPY page /context/page\n")).unwrap();
        let login = bench.directory().join("login.env");
        let server = base.split('/').next().unwrap();
        fs::write(&login, format!("server='{server}'\nusername='{USER}'\npassword='{PASSWORD}'\n")).unwrap();
        bench.write("login.yaml", &object("Secret", "login", &format!("{{envFiles: ['{}']}}", login.display())));
        bench.write("web.yaml", &web("1").to_string());
        let _controller = bench.start_controller();
        eventually("it is told that credentials are missing", SOON, || {
            let described = bench.try_evenkeel(&["describe", "deployment", "web", "-n", "shop"])?;
            let refused = described.contains("no basic auth credentials") || described.contains("pull access denied");
            if refused { Ok(()) } else { Err(described) }
        });
        bench.write("web.yaml", &web("1").template("imagePullSecrets", "[login]").to_string());
        eventually("the page is served", SOON, || file(bench, "/context/page"));
    }

    fn what_was_built_and_nothing_needs_is_removed_with_its_steps(bench) {
        let context = context(bench);
        let config = bench.directory().join("evenkeel.yaml");
        fs::write(&config, "minFreeDisk: 0\nimages: {grace: 2s}\n").unwrap();
        let _controller = bench.start_controller_with(&["--config", &config.display().to_string()]);
        // No other test has built it.
        let page = |number: u32| format!("{} {number}", bench.instance);
        fs::write(context.join("page"), page(1)).unwrap();
        bench.apply("web.yaml", &web("1").spec("revisionHistoryLimit", "1").spec("monitor", "0s").to_string());
        let images: Vec<(String, BTreeSet<String>)> = (1..=3).map(|number| {
            fs::write(context.join("page"), page(number)).unwrap();
            eventually("the page is served", SOON, || match file(bench, "/context/page")? {
                served if served == page(number) && bench.containers("web").len() == 1 => Ok(()),
                other => Err(other),
            });
            assert_eq!(bench.applied(), 0);
            let id = bench.running("web")[0].image().to_string();
            (id.clone(), steps(bench, &id))
        }).collect();
        let [(first, before), (second, later), (third, last)] = &images[..] else { panic!("three were built") };
        let own: Vec<&String> = before.iter().filter(|step| !later.contains(*step) && !last.contains(*step)).collect();
        assert!(own.len() > 3, "a step of each line after the first that differs: {own:?}");
        let is_there = |image: &str| bench.image_id(image).is_ok();
        eventually("the first is gone, with what its build has left", SOON, || {
            let left: Vec<&String> = own.iter().copied().chain([first]).filter(|image| is_there(image)).collect();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        });
        throughout("what runs and what may be gone back to stays", Duration::from_secs(5), || {
            let gone: Vec<&String> = [second, third].into_iter().chain(last).filter(|image| !is_there(image)).collect();
            if gone.is_empty() { Ok(()) } else { Err(format!("{gone:?}")) }
        });
        let told = bench.evenkeel(&["events"]);
        assert!(told.contains("ImageRemoved") && told.contains("evenkeel.local/shop:"), "{told}");
        bench.evenkeel(&["rollout", "undo", "web", "-n", "shop"]);
        eventually("the second page is served", SOON, || match file(bench, "/context/page")? {
            served if served == page(2) => Ok(()),
            other => Err(other),
        });
    }
}

/// What the controller has noted of the steps of an image's build: a moment after the image is there, which may run by then.
fn steps(bench: &Bench, image: &str) -> BTreeSet<String> {
    eventually("the steps of its build are noted", SOON, || {
        let noted =
            fs::read_to_string(bench.state_directory().join("images.json")).map_err(|error| error.to_string())?;
        let noted: serde_json::Value = serde_json::from_str(&noted).map_err(|error| error.to_string())?;
        let known = noted.as_object().and_then(|noted| noted.values().find_map(|value| value.get(image)));
        let steps = known.and_then(|known| known["steps"].as_array()).into_iter().flatten();
        let steps: BTreeSet<String> = steps.filter_map(|step| step.as_str().map(str::to_owned)).collect();
        if steps.is_empty() { Err(format!("{image}: {noted}")) } else { Ok(steps) }
    })
}
