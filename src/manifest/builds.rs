//! The images that templates say to build: their contexts as they are now, and the references that follow from them. It
//! builds nothing.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::context::{Asked, Context, Contexts, Trouble};
use super::diagnostic::{Diagnostic, Problems, Spot};
use super::door;
use super::git::Git;
use super::host::Host;
use super::objects::{Object, Objects};
use super::place::At;
use super::substitute::is_variable;
use crate::model::build::{ImageBuild, reference};
use crate::model::name::Key;
use crate::model::spec::{Build, EnvValue, Template};
use crate::model::text::hex;

/// The version of the digest below. Raising it builds every image anew and starts new containers everywhere.
const DIGEST_VERSION: u32 = 1;

/// What there is to build, by the object that names it. Of any other, its mistakes are in `problems`.
pub fn read(
    objects: &Objects,
    host: &mut Host<'_>,
    contexts: &Contexts,
    problems: &mut Problems,
) -> BTreeMap<Key, ImageBuild> {
    let mut found = BTreeMap::new();
    for object in objects.list.values() {
        let Some(template) = object.spec.template() else { continue };
        let Some(build) = &template.build else { continue };
        let at = object.document.at().field("spec").field("template").field("build");
        let before = problems.count();
        let args = args(at.field("args"), build, problems);
        let context = context(object, at, build, host, contexts, problems);
        if let (Some(context), true) = (context, problems.count() == before) {
            found.insert(object.key.clone(), image(object, template, build, args, context, host));
        }
    }
    found
}

/// The values of the arguments, if all are plain.
fn args(at: At<'_>, build: &Build, problems: &mut Problems) -> BTreeMap<String, String> {
    let mut plain = BTreeMap::new();
    for (name, value) in &build.args {
        if !is_variable(name) {
            let problem =
                problems.error(at.file, at.key(name).pos, format!("'{name}' is not the name of a build argument"));
            problem.hint("a name has letters, digits and '_', and does not begin with a digit");
        }
        let from = match value {
            EnvValue::Text(text) => {
                plain.insert(name.clone(), text.clone());
                continue;
            }
            EnvValue::Secret(_) => "Secret",
            EnvValue::ConfigMap(_) => "ConfigMap",
        };
        let message = format!("the value of the build argument '{name}' cannot come from a {from}");
        let problem = problems.error(at.file, at.key(name).pos, message);
        problem.hint(match value {
            EnvValue::Secret(_) => {
                "anybody who has the image can read its build arguments; give the secret to the container, in 'env' or 'mounts'"
            }
            EnvValue::Text(_) | EnvValue::ConfigMap(_) => "write the value here, or ${NAME} for a variable of the namespace",
        });
    }
    plain
}

fn context(
    object: &Object,
    at: At<'_>,
    build: &Build,
    host: &mut Host<'_>,
    contexts: &Contexts,
    problems: &mut Problems,
) -> Option<Context> {
    let dockerfile = build.dockerfile();
    let at_dockerfile = if build.dockerfile.is_some() { at.field("dockerfile") } else { at.field("context") };
    let Some(inside) = door::below(Path::new(""), dockerfile).filter(|path| !path.as_os_str().is_empty()) else {
        let message = format!("the Dockerfile '{dockerfile}' is not inside the context");
        problems.error(at.file, at_dockerfile.pos, message).hint("choose a context that contains it");
        return None;
    };
    let directory = host.path(&object.document, &build.context);
    let asked = Asked { directory, dockerfile: inside.to_string_lossy().into_owned() };
    let found = contexts.read(&asked);
    let at_context = at.field("context");
    let (place, message, hint) = match found {
        Ok(context) => {
            host.folders.extend(context.folders.iter().cloned());
            host.contexts.insert(asked.clone(), context.seen(&asked));
            return Some(context);
        }
        Err(Trouble::Wrong(why)) => {
            let hint = "the path is absolute, or relative to this manifest; what the build does not need is left out by a .dockerignore";
            (at_context, format!("the context '{}' {why}", build.context), hint)
        }
        Err(Trouble::Unsettled(why)) => {
            let message = format!("the context '{}' is being changed: {why}", build.context);
            (at_context, message, "it is read again when it has become quiet")
        }
        Err(Trouble::Dockerfile(why)) => {
            let message = format!("the Dockerfile '{dockerfile}' {why}");
            (at_dockerfile, message, "its path is relative to the context")
        }
        Err(Trouble::Ignore(file, mistake)) => {
            let spot = Spot { line: mistake.line, column: 1, width: 1, ..Spot::file(file.display().to_string()) };
            problems
                .push(Diagnostic::error(spot, mistake.message))
                .hint("these are Docker's rules, which are not git's");
            return None;
        }
    };
    problems.error(at.file, place.pos, message).hint(hint);
    None
}

fn image(
    object: &Object,
    template: &Template,
    build: &Build,
    args: BTreeMap<String, String>,
    context: Context,
    host: &Host<'_>,
) -> ImageBuild {
    let source = std::fs::canonicalize(&host.source.dir).unwrap_or_else(|_| host.source.dir.clone());
    let checkout = Git::around(&source).map(|git| git.root().display().to_string());
    let mut image = ImageBuild {
        image: String::new(),
        context: context.root.display().to_string(),
        source: source.display().to_string(),
        checkout,
        dockerfile: build.dockerfile().trim_start_matches("./").into(),
        args,
        target: build.target.clone(),
        platform: template.platform.clone(),
        content: context.content,
    };
    image.image = reference(&object.key.namespace, &digest(&image));
    image
}

/// The hash of everything that an image's content depends on.
fn digest(build: &ImageBuild) -> String {
    let ImageBuild { image: _, context: _, source: _, checkout: _, dockerfile, args, target, platform, content } =
        build;
    let all = (DIGEST_VERSION, content, dockerfile, args, target, platform);
    hex(&Sha256::digest(serde_json::to_vec(&all).expect("it is plain data")), 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_release_builds_nobodys_images_anew() {
        let build = ImageBuild {
            image: String::new(),
            context: "/srv/app".into(),
            source: "/srv/app".into(),
            checkout: None,
            dockerfile: "Dockerfile".into(),
            args: BTreeMap::from([("A".into(), "1".into())]),
            target: Some("web".into()),
            platform: None,
            content: "0".repeat(64),
        };
        // If this changes, an upgrade builds every image and replaces every container of it. Do not update it: mend the code.
        assert_eq!(digest(&build)[..16], *"b96f01c60bc64fe1");
        let moved = ImageBuild { context: "/srv/other".into(), source: "/srv".into(), ..build.clone() };
        assert_eq!(digest(&moved), digest(&build), "where it lies is not what it is");
        for other in [
            ImageBuild { content: "1".repeat(64), ..build.clone() },
            ImageBuild { target: None, ..build.clone() },
            ImageBuild { args: BTreeMap::new(), ..build.clone() },
            ImageBuild { dockerfile: "web.Dockerfile".into(), ..build.clone() },
            ImageBuild { platform: Some("linux/arm64".into()), ..build.clone() },
        ] {
            assert_ne!(digest(&other), digest(&build), "{other:?}");
        }
    }
}
