//! What happens while everybody repeats the secrets: every feature that is given one, and everything that can go wrong with it.

/// The world: everything that can be given a secret.
pub const WORLD: &str = r#"
image web:1 ready after 2s
image web:2 exits with 3 after 1s, says "about to fail"
image web:3 ready after 1s
image web:4 has a health check every 1s 1 retries, never ready
image web:5 has no entrypoint
image migrate:1 exits with 1 after 1s
image store:1 ready after 1s
image store:2 ready after 1s, fails at /health
image store:3 ready after 1s
image check:1 exits with 0 after 1s
image check:2 exits with 4 after 1s
image dump:1 exits with 1 after 2s
image base:1 ready after 1s
allow downtime
--- app/Dockerfile
FROM base:1
ARG VERSION
RUN echo planted-canary
--- manifests/web.yaml
apiVersion: evenkeel.dev/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  minReady: 1s
  progressDeadline: 20s
  template:
    image: web:1
    imagePullSecrets: [login, config]
    ports: [{name: http, port: 80}]
    drain: 1s
    labels: {planted: planted-canary}
    lifecycle: {preStop: {exec: {command: [flush]}}}
    readinessProbe: {httpGet: {port: http}, period: 1s}
    env: {ONE: {secret: env, key: KEY_0}}
    envFrom: [{secret: env, prefix: ALL_}, {secret: changing}]
    mounts: [{secret: files, path: /run/secrets}, {secret: env, path: /run/env}]
---
apiVersion: evenkeel.dev/v1
kind: Job
metadata: {name: migrate, namespace: shop}
spec: {template: {image: "migrate:1", envFrom: [{secret: job}]}}
--- manifests/store.yaml
apiVersion: evenkeel.dev/v1
kind: Namespace
metadata: {name: shop}
spec: {variables: {VERSION: planted-canary}}
---
apiVersion: evenkeel.dev/v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
spec: {data: {app.conf: "version ${VERSION}"}}
---
apiVersion: evenkeel.dev/v1
kind: Deployment
metadata: {name: store, namespace: shop}
spec:
  minReady: 1s
  progressDeadline: 30s
  gates:
    before: [{job: check}]
    after:
      - {exec: {command: [probe]}, retries: 1, period: 1s}
      - {httpGet: {port: http, path: /health, headers: {X-Probe: planted-canary}}, retries: 1, period: 1s}
  template:
    image: store:1
    requiredEnv: [KEY_30]
    ports: [{name: http, port: 80}]
    readinessProbe: {exec: {command: [ready]}, period: 1s}
    livenessProbe: {httpGet: {port: http, path: /live}, period: 2s}
    envFrom: [{secret: gate}]
    mounts: [{configMap: settings, path: /etc/app}, {secret: latin, path: /run/latin}]
---
apiVersion: evenkeel.dev/v1
kind: Job
metadata: {name: check, namespace: shop}
spec: {backoffLimit: 1, template: {image: "check:1", envFrom: [{secret: gate}], mounts: [{secret: files, path: /run/secrets}]}}
---
apiVersion: evenkeel.dev/v1
kind: CronJob
metadata: {name: backup, namespace: shop}
spec:
  schedule: "@daily"
  quiesce: [store]
  backoffLimit: 1
  template: {image: "dump:1", envFrom: [{secret: cron}]}
---
apiVersion: evenkeel.dev/v1
kind: Deployment
metadata: {name: made, namespace: shop}
spec:
  minReady: 1s
  template:
    build: {context: ../app, args: {VERSION: "${VERSION}"}}
    imagePullSecrets: [builder]
    envFrom: [{secret: job}]
    readinessProbe: {tcpSocket: {port: 80}, period: 1s}
---
apiVersion: evenkeel.dev/v1
kind: Volume
metadata: {name: data, namespace: shop}
spec: {labels: {planted: planted-canary}}
--- manifests/secrets.yaml
apiVersion: evenkeel.dev/v1
kind: Secret
metadata: {name: env, namespace: shop}
spec: {envFiles: [../host/web.env]}
---
apiVersion: evenkeel.dev/v1
kind: Secret
metadata: {name: changing, namespace: shop}
spec: {envFiles: [../host/first.env]}
---
apiVersion: evenkeel.dev/v1
kind: Secret
metadata: {name: files, namespace: shop}
spec: {files: {tls.key: ../host/tls.key, token: ../host/token, settings.json: ../host/settings.json, windows.ini: ../host/windows.ini}}
---
apiVersion: evenkeel.dev/v1
kind: Secret
metadata: {name: login, namespace: shop}
spec: {envFiles: [../host/login.env]}
---
apiVersion: evenkeel.dev/v1
kind: Secret
metadata: {name: config, namespace: shop}
spec: {files: {config.json: ../host/config.json}}
---
apiVersion: evenkeel.dev/v1
kind: Secret
metadata: {name: job, namespace: shop}
spec: {envFiles: [../host/job.env]}
---
apiVersion: evenkeel.dev/v1
kind: Secret
metadata: {name: cron, namespace: shop}
spec: {envFiles: [../host/cron.env]}
---
apiVersion: evenkeel.dev/v1
kind: Secret
metadata: {name: gate, namespace: shop}
spec: {envFiles: [../host/gate.env]}
---
apiVersion: evenkeel.dev/v1
kind: Secret
metadata: {name: builder, namespace: shop}
spec: {envFiles: [../host/builder.env]}
---
apiVersion: evenkeel.dev/v1
kind: Secret
metadata: {name: latin, namespace: shop}
spec: {files: {latin.ini: ../host/latin.ini}}
--- script
run for 1s
"#;

/// Everything that can go wrong, one after the other.
pub const STORY: &str = "
fail pull web:* with error
fail create network shop.default with error
fail create shop.web.* with error
fail start shop.web.* with refusal
fail list * with error
fail inspect shop.web.* with error
fail log shop.web.* with timeout
run for 60s
edit manifests/web.yaml s/web:1/web:2/
run for 60s
edit manifests/web.yaml s/web:2/web:4/
fail exec shop.web.* with error
fail stop shop.web.* with error
fail remove shop.web.* with error
run for 60s
edit manifests/web.yaml s/web:4/web:5/
run for 60s
edit manifests/store.yaml s/store:1/store:2/
run for 60s
edit manifests/store.yaml s/check:1/check:2/
edit manifests/store.yaml s/store:2/store:3/
run for 60s
edit manifests/store.yaml s/check:2/check:1/
run for 30s
request cronjob/shop/backup run now
fail start shop.backup.* with refusal
run for 60s
edit app/Dockerfile s/echo planted-canary/exit 3/
run for 30s
edit app/Dockerfile s/exit 3/echo again/
fail build * with error
run for 30s
registry unauthorized
edit manifests/store.yaml s/store:3/store:4/
run for 20s
registry fine
edit manifests/store.yaml s/store:4/store:3/
run for 10s
add host/pasted.yaml as manifests/pasted.yaml
run for 10s
delete manifests/pasted.yaml
edit manifests/secrets.yaml s/cron.env/half.env/
run for 10s
edit manifests/secrets.yaml s/half.env/cron.env/
run for 10s
edit host/first.env s/canary24sesame/another1/
edit host/first.env s/canary25sesame/another2/
edit host/first.env s/canary26sesame/another3/
edit host/first.env s/canary27sesame/another4/
edit manifests/web.yaml s/web:5/web:3/
fail disconnect shop.web.* with error
fail connect shop.web.* with error
run for 60s
edit host/job.env s/KEY_20=/KEY 20 = \"/
run for 10s
edit host/login.env s/password=/password'=/
run for 10s
controller crash
controller start
run for 10s
edit manifests/secrets.yaml s/job.env/nowhere.env/
edit manifests/web.yaml s/KEY_0/KEY_99/
run for 10s
engine crash
run for 20s
";
