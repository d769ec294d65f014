//! "Did you mean": the known word that is nearest to a mistyped one, and the word for those who come from elsewhere.

/// Words of Compose and Kubernetes with what they are called here.
const FOREIGN: &[(&str, &str)] = &[
    ("activeDeadlineSeconds", "activeDeadline, such as 5m"),
    ("annotation", "annotations"),
    ("bind", "hostPath"),
    ("cap_add", "capabilities: {add: […]}"),
    ("cap_drop", "capabilities: {drop: […]}"),
    ("cmd", "args"),
    ("containerPort", "port"),
    ("container_name", "metadata.name; Evenkeel names the containers"),
    ("containers", "template: one container to a Deployment"),
    ("cpu", "resources: {limits: {cpu: …}}"),
    ("cpus", "resources: {limits: {cpu: …}}"),
    ("cronJob", "nothing: a CronJob runs for ever, so nothing can wait for its end"),
    ("data", "files or envFiles, in spec: a secret's value never stands in a manifest"),
    ("deploy", "replicas, strategy and resources"),
    ("entrypoint", "command"),
    ("env_file", "envFrom, with a Secret that has envFiles"),
    ("environment", "env"),
    ("failureThresholds", "failureThreshold"),
    ("imagePullSecret", "imagePullSecrets"),
    ("initialDelaySeconds", "initialDelay, such as 5s"),
    ("ipv4_address", "address"),
    ("jobTemplate", "template: the container, with nothing between"),
    ("limits", "resources: {limits: {…}}"),
    ("link", "networks"),
    ("links", "networks"),
    ("mem_limit", "resources: {limits: {memory: …}}"),
    ("memory", "resources: {limits: {memory: …}}"),
    ("metadata", "labels, beside image"),
    ("minReadySeconds", "minReady, such as 10s"),
    ("mountPath", "path"),
    ("network_mode", "hostNetwork"),
    ("percent", "a number"),
    ("periodSeconds", "period, such as 10s"),
    ("progressDeadlineSeconds", "progressDeadline, such as 5m"),
    ("published", "hostPort"),
    ("reclaimPolicy", "nothing: a volume is always retained"),
    ("restart", "restartPolicy"),
    ("securityContext", "user, capabilities, readOnlyRootFilesystem and their neighbours"),
    ("selector", "nothing: a Deployment owns what it made"),
    ("source", "volume or hostPath"),
    ("spec", "nothing: image, command, env and the others stand here, beside each other"),
    ("startingDeadlineSeconds", "startingDeadline, such as 1h"),
    ("stop_grace_period", "terminationGracePeriod"),
    ("stringData", "files or envFiles: a secret's value never stands in a manifest"),
    ("target", "path for a mount, port for a port"),
    ("targetPort", "port"),
    ("terminationGracePeriodSeconds", "terminationGracePeriod, such as 30s"),
    ("timeoutSeconds", "timeout, such as 1s"),
    ("valueFrom", "{secret: NAME, key: KEY} or {configMap: NAME, key: KEY}"),
    ("volumeMounts", "mounts"),
    ("volumes", "mounts"),
    ("volumesFrom", "mounts"),
];

/// Kinds of Kubernetes, and what does their work here.
const FOREIGN_KINDS: &[(&str, &str)] = &[
    ("DaemonSet", "there is one host: use a Deployment"),
    ("Ingress", "publish a port with 'hostPort', or run a proxy as a Deployment"),
    ("PersistentVolume", "use a Volume"),
    ("PersistentVolumeClaim", "use a Volume"),
    ("Pod", "use a Deployment, or a Job for what ends by itself"),
    ("ReplicaSet", "use a Deployment"),
    ("Service", "leave it out: a Deployment's own name leads to its ready replicas"),
    ("StatefulSet", "use a Deployment with a Volume"),
];

/// Whether a kind of Kubernetes has nothing that stands for it here: no reference can mean an object of it.
pub fn has_no_place(kind: &str) -> bool {
    matches!(kind, "Service" | "Ingress")
}

/// What to say about an unknown kind.
pub fn kind_hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    match FOREIGN_KINDS.iter().find(|(foreign, _)| *foreign == word) {
        Some((_, here)) => Some((*here).into()),
        None => hint(word, known, "the kinds are"),
    }
}

/// How many known words are listed when none is near.
const LISTED_MAX: usize = 60;

/// What to say about `word`, given the known ones: a near one, its name here, or all of them.
pub fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>, what: &str) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(near) = nearest(word, known.iter().copied()) {
        return Some(format!("did you mean '{near}'?"));
    }
    if let Some(here) = foreign(word) {
        return Some(match here.strip_prefix("nothing: ") {
            Some(why) => format!("leave it out: {why}"),
            None => format!("here it is called {here}"),
        });
    }
    match known.len() {
        0 => None,
        n if n > LISTED_MAX => Some(format!("{what}: {}, … ({n} in all)", known[..LISTED_MAX].join(", "))),
        _ => Some(format!("{what}: {}", known.join(", "))),
    }
}

/// What a word of Compose or Kubernetes, even a mistyped one, is called here.
fn foreign(word: &str) -> Option<&'static str> {
    let near = nearest(word, FOREIGN.iter().map(|(foreign, _)| *foreign));
    FOREIGN.iter().find(|(foreign, _)| fold(foreign) == fold(word) || Some(*foreign) == near).map(|(_, here)| *here)
}

/// Among so many known words one is looked for; whoever has thousands is not asked for one of them.
pub const KNOWN_MAX: usize = 1_000;

/// The known word that `word` is most likely a slip of.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word);
    // A third of the letters may be wrong; a comparison of very long words would only cost time.
    let allowed = (folded.chars().count() / 3).clamp(1, 4);
    if folded.chars().count() > 64 {
        return None;
    }
    // Words of another length are further away than that, whatever their letters are.
    let is_near = |other: &String| other.chars().count().abs_diff(folded.chars().count()) <= allowed;
    let known = known.into_iter().take(KNOWN_MAX).filter(|other| other.len() <= 64);
    let near = known.map(|other| (fold(other), other)).filter(|(other, _)| is_near(other));
    let best = near.map(|(other, known)| (strsim::damerau_levenshtein(&folded, &other), known)).min()?;
    (best.0 <= allowed && best.1 != word && best.0 < folded.chars().count()).then_some(best.1)
}

/// `depends_on`, `dependson` and `dependsOn` are one word.
fn fold(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_and_another_spelling_are_recognised() {
        let known = ["replicas", "dependsOn", "healthCheck", "env"];
        assert_eq!(nearest("replcas", known), Some("replicas"));
        assert_eq!(nearest("depends_on", known), Some("dependsOn"));
        assert_eq!(nearest("healthcheck", known), Some("healthCheck"));
        assert_eq!(nearest("volumes", known), None);
        assert_eq!(nearest("x", known), None);
    }

    #[test]
    fn somebody_who_comes_from_compose_is_told_the_word() {
        assert_eq!(hint("entrypoint", ["command"], "fields").as_deref(), Some("here it is called command"));
        assert_eq!(hint("enviroment", ["command"], "fields").as_deref(), Some("here it is called env"));
        assert_eq!(hint("qqqqqq", ["a", "b"], "fields").as_deref(), Some("fields: a, b"));
    }
}
