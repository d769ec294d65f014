//! What becomes of manifests in which an image is set, and what does not.

use std::collections::BTreeMap;

use super::*;
use crate::model::name::Name;

const HEAD: &str = "apiVersion: evenkeel.dev/v1\n";

/// A source with these files.
fn opened(files: &[(&str, &str)]) -> Opened {
    let source = Source { dir: "shop".into(), namespace: None, variables: BTreeMap::new() };
    let files = files.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec()));
    Opened { source, snapshot: Snapshot::of(files.collect()) }
}

/// A Deployment of the namespace `shop` with this line for its image.
fn deployment(name: &str, image: &str) -> String {
    format!("{HEAD}kind: Deployment\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  template:\n    {image}\n")
}

fn namespace(spec: &str) -> String {
    format!("{HEAD}kind: Namespace\nmetadata: {{name: shop}}\nspec: {spec}\n")
}

fn key(name: &str) -> Key {
    Key::new(Kind::Deployment, Name::new("shop").unwrap(), Name::new(name).unwrap())
}

/// Sets the image of `web`.
fn set(opened: &Opened, image: &str, literal: bool) -> Result<Edit, Refusal> {
    super::image(std::slice::from_ref(opened), 0, &key("web"), &Wish::parse(image).unwrap(), literal)
}

/// The file that is written, and its text.
fn written(edit: &Edit) -> (String, String) {
    let file = edit.file.as_ref().unwrap();
    (file.path.display().to_string(), String::from_utf8(file.after.clone()).unwrap())
}

/// Why it is refused, without the lines of the file.
fn why(result: Result<Edit, Refusal>) -> String {
    let problems = match result {
        Err(Refusal::Impossible(problem)) => vec![*problem],
        Err(Refusal::Invalid(problems)) => problems,
        Ok(edit) => panic!("it is not refused: {edit:?}"),
    };
    let mut text = String::new();
    for Diagnostic { spot, message, hint, .. } in problems {
        let hint = hint.unwrap_or_default();
        text.push_str(&format!("{}:{}: {message}\n  {hint}\n", spot.brief(), spot.column));
    }
    text
}

#[test]
fn an_image_is_set_and_every_other_byte_stays() {
    let text = format!("\u{feff}# ours\r\n{}", deployment("web", "image: 'web:1'   # ü").replace('\n', "\r\n"));
    let edit = set(&opened(&[("web.yaml", &text)]), ":2", false).unwrap();
    assert_eq!(written(&edit), ("web.yaml".into(), text.replace("web:1", "web:2")));
    assert_eq!(
        (edit.before.as_str(), edit.after.as_str(), edit.spot.brief()),
        ("web:1", "web:2", "shop/web.yaml:7".into())
    );
}

#[test]
fn one_document_of_many_is_edited() {
    let text =
        [deployment("api", "image: web:1"), deployment("web", "{image: web:1}"), deployment("x", "image: web:1")];
    let text = text.join("---\n").replace("    {image: web:1}", "    image: web:1 # here");
    let edit = set(&opened(&[("all.yaml", &text)]), "web:2", false).unwrap();
    assert_eq!(written(&edit).1, text.replace("web:1 # here", "web:2 # here"));
    assert!(edit.also.is_empty());
}

#[test]
fn what_is_there_already_is_no_change() {
    let source = opened(&[
        ("ns.yaml", &namespace("{variables: {TAG: '2'}}")),
        ("web.yaml", &deployment("web", "image: web:${TAG}")),
    ]);
    let edit = set(&source, "web:2", false).unwrap();
    assert!(!edit.is_change());
    assert_eq!(edit.spot.brief(), "shop/web.yaml:6");
    let edit = set(&source, ":2", true).unwrap();
    assert_eq!(written(&edit), ("web.yaml".into(), deployment("web", "image: web:2")), "literally it is another one");
}

#[test]
fn the_variable_of_an_image_is_set_in_its_namespace() {
    let source = opened(&[
        ("ns.yaml", &namespace("\n  variables: # ours\n    TAG: '1' # by CI\n    OTHER: x")),
        ("web.yaml", &deployment("web", "image: ghcr/web:${TAG:?set it}")),
        ("api.yaml", &deployment("api", "image: ghcr/api:${TAG}")),
        ("db.yaml", &deployment("db", "image: db:1")),
    ]);
    for (image, tag) in [(":2", "2"), ("ghcr/web:sha-1a2b", "sha-1a2b")] {
        let edit = set(&source, image, false).unwrap();
        let text = namespace(&format!("\n  variables: # ours\n    TAG: '{tag}' # by CI\n    OTHER: x"));
        assert_eq!(written(&edit), ("ns.yaml".into(), text));
        assert_eq!(edit.variable, Some(Variable { name: "TAG".into(), before: "1".into(), after: tag.into() }));
        assert_eq!(edit.also, [key("api")].into(), "what uses the variable too is named");
        assert_eq!(edit.spot.brief(), "shop/ns.yaml:6");
    }
    let plain = opened(&[
        ("ns.yaml", &namespace("{variables: {TAG: main-latest}}")),
        ("web.yaml", &deployment("web", "image: web:${TAG}")),
    ]);
    let edit = set(&plain, ":2", false).unwrap();
    assert_eq!(written(&edit).1, namespace("{variables: {TAG: \"2\"}}"), "a number needs quotes to be a text");
}

#[test]
fn a_variable_that_cannot_be_set_is_refused_with_the_way_out() {
    let with = |spec: &str, image: &str| {
        opened(&[("ns.yaml", &namespace(spec)), ("web.yaml", &deployment("web", &format!("image: {image}")))])
    };
    let tag = "{variables: {TAG: '1', REPO: web, EMPTY: ''}}";
    let mut said = String::new();
    for (source, image) in [
        (with(tag, "web:${TAG}"), "api:2"),
        (with(tag, "${REPO}:${TAG}"), ":2"),
        (with(tag, "web:${NONE:-1}"), ":2"),
        (with(tag, "web${TAG:-:9}"), "web"),
        (with("{variablesFrom: [{file: /nowhere, optional: true}]}", "web:${TAG:-1}"), ":2"),
        (with("\n  variables:\n    TAG: >-\n      one", "web:${TAG}"), ":2"),
        (with("{variables: {TAG: &tag '1', OLD: *tag}}", "web:${TAG}"), ":2"),
        (opened(&[("web.yaml", &deployment("web", "image: web:${TAG:-1}"))]), ":2"),
    ] {
        said.push_str(&why(set(&source, image, false)));
    }
    let mut source = with(tag, "web:${TAG}");
    source.source.variables = [("TAG".to_string(), "7".to_string())].into();
    said.push_str(&why(set(&source, ":2", false)));
    source = with("{variables: {TAG: '${HOST}'}}", "web:${TAG}");
    source.source.variables = [("HOST".to_string(), "7".to_string())].into();
    said.push_str(&why(set(&source, ":2", false)));
    insta::assert_snapshot!(said, @r"
    shop/web.yaml:6:12: 'api:2' does not fit the text around the variable 'TAG'
      --literal replaces the whole text with the image as given
    shop/web.yaml:6:12: the image has more than one variable (REPO, TAG): which is meant?
      edit their values in the Namespace; --literal replaces the whole text with the image as given
    shop/web.yaml:6:12: the variable 'NONE' is not in 'variables' of the Namespace in shop/ns.yaml:1
      set it in 'variables' of the Namespace; --literal replaces the whole text with the image as given
    shop/ns.yaml:4:25: with this value the image would be 'web:9'
      --literal replaces the text with the image as given
    shop/web.yaml:6:12: the variable 'TAG' is not in 'variables' of the Namespace in shop/ns.yaml:1; is it in one of its files?
      set it in 'variables' of the Namespace; --literal replaces the whole text with the image as given
    shop/ns.yaml:6:10: 'TAG' is a block of text, whose lines cannot be kept
      write it in one line after the ':', then set it
    shop/ns.yaml:4:25: 'TAG' has the anchor &tag: what repeats it would change too
      write the value without the anchor, and itself where it was repeated, then set it
    shop/web.yaml:6:12: the variable 'TAG' is set by no Namespace 'shop' of this source
      set it in 'variables' of the Namespace; --literal replaces the whole text with the image as given
    shop/web.yaml:6:12: the variable 'TAG' is set by the configuration of the source, which wins over its Namespace
      change it there; --literal replaces the whole text with the image as given
    shop/ns.yaml:4:25: the value of 'TAG' has a variable itself
      --literal replaces the whole text with the image as given
    ");
    let edit = set(&with(tag, "${REPO}:${TAG}"), "api:2", true).unwrap();
    assert_eq!(written(&edit).1, deployment("web", "image: api:2"), "literally everything can be set");
}

#[test]
fn a_value_that_is_repeated_is_not_changed_behind_somebodys_back() {
    let refused = |text: &str| why(set(&opened(&[("web.yaml", text)]), ":2", false));
    let aliased = deployment("web", "image: *image").replace("{name: web,", "{name: web, labels: {a: &image web:1},");
    insta::assert_snapshot!(refused(&aliased), @r"
    shop/web.yaml:6:12: 'image' is the alias *image: to change it here would change it elsewhere
      write the value here instead of the alias, then set it
    ");
    let anchored = deployment("web", "image: &image web:1\n    env: {IMAGE: *image}");
    insta::assert_snapshot!(refused(&anchored), @r"
    shop/web.yaml:6:12: 'image' has the anchor &image: what repeats it would change too
      write the value without the anchor, and itself where it was repeated, then set it
    ");
    let block = deployment("web", "image: >-\n      web:1");
    insta::assert_snapshot!(refused(&block), @r"
    shop/web.yaml:6:12: 'image' is a block of text, whose lines cannot be kept
      write it in one line after the ':', then set it
    ");
    let merged = deployment("web", "image: web:1")
        .replace("  template:\n    image", "  template: &t\n    env: {A: &e b}\n    <<: {env: {}}\n    image");
    assert!(set(&opened(&[("web.yaml", &merged)]), ":2", false).is_ok(), "a merge beside it does not matter");
}

#[test]
fn a_mapping_that_an_alias_or_a_merge_repeats_is_refused_as_a_whole() {
    let refused = |namespace: &str| {
        let text = format!("{HEAD}kind: Namespace\n{namespace}\n");
        why(set(&opened(&[("ns.yaml", &text), ("web.yaml", &deployment("web", "image: web:${TAG}"))]), ":2", false))
    };
    insta::assert_snapshot!(refused("spec: {variables: &all {TAG: '1'}}\nmetadata: {name: shop, labels: *all}"), @r"
    shop/ns.yaml:3:25: 'TAG' is repeated elsewhere in this manifest, which would change too
      write the values themselves instead of an alias or a merge, then set it
    ");
    insta::assert_snapshot!(refused("metadata: {name: shop, labels: &all {TAG: '1'}}\nspec: {variables: {<<: *all}}"), @r"
    shop/ns.yaml:3:38: 'TAG' is repeated elsewhere in this manifest, which would change too
      write the values themselves instead of an alias or a merge, then set it
    ");
}

#[test]
fn a_source_that_is_invalid_or_would_be_is_not_edited() {
    let source =
        opened(&[("web.yaml", &deployment("web", "image: web:1")), ("api.yaml", &deployment("api", "imag: api:1"))]);
    insta::assert_snapshot!(why(set(&source, ":2", false)), @r"
    shop/api.yaml:5:3: spec.template needs the field 'image'
      image: the image, such as `shop/web:1.4`; or build: what to build it from
    shop/api.yaml:6:5: spec.template has no field 'imag'
      did you mean 'image'?
    ");
    let source = opened(&[
        ("ns.yaml", &namespace("{variables: {PORT: '80'}}")),
        ("web.yaml", &deployment("web", "image: web:${PORT}\n    ports: [{name: http, port: '${PORT}'}]")),
    ]);
    insta::assert_snapshot!(why(set(&source, ":latest", false)), @r"
    shop/web.yaml:7:32: spec.template.ports[0].port must be a whole number, not the text 'latest'
    ");
}

#[test]
fn what_is_built_or_takes_anothers_image_has_none_to_set() {
    let built = opened(&[("web.yaml", &deployment("web", "build: {context: ../app}"))]);
    let told = why(set(&built, ":2", false));
    assert!(
        told.contains("web.yaml:6:5: the image of deployment/shop/web is built, so there is none to set"),
        "{told}"
    );
    let gate = deployment("web", "args: [migrate]").replace("kind: Deployment", "kind: Job");
    let web = deployment("web", "image: web:1").replace("template:", "gates: {before: [{job: web}]}\n  template:");
    let job = opened(&[("job.yaml", &gate), ("web.yaml", &web)]);
    let key = Key { kind: Kind::Job, ..key("web") };
    let told = why(super::image(&[job], 0, &key, &Wish::parse(":2").unwrap(), false));
    assert!(told.contains("job.yaml:5:3: job/shop/web names no image"), "{told}");
}

#[test]
fn a_wrong_image_can_be_set_right() {
    let source = opened(&[("web.yaml", &deployment("web", "image: Web:1"))]);
    assert_eq!(written(&set(&source, "web:1", false).unwrap()).1, deployment("web", "image: web:1"));
    let source = opened(&[("web.yaml", &deployment("web", "image: web:${TAG}"))]);
    assert!(why(set(&source, "web:1", false)).contains("variable 'TAG' is not set"));
    assert_eq!(written(&set(&source, "web:1", true).unwrap()).1, deployment("web", "image: web:1"));
}
