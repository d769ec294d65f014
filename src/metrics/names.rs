//! Every metric's name and help text, in one place. Base units; `_total` for counters only.

/// A metric's name and its help text.
pub(super) type Named = (&'static str, &'static str);

// Fed as things happen.
pub(super) const PASSES: Named = ("evenkeel_passes_total", "Passes made: one observe, plan and apply round each.");
pub(super) const PASS_DURATION: Named =
    ("evenkeel_pass_duration_seconds", "Time that a pass took, actions not included.");
pub(super) const ACTIONS: Named =
    ("evenkeel_actions_total", "Calls that change something in the engine, by what they do and how they ended.");
pub(super) const ACTION_DURATION: Named =
    ("evenkeel_action_duration_seconds", "Time that an action took, by what it does.");
pub(super) const PULLS: Named = ("evenkeel_image_pulls_total", "Image pulls, by how they ended.");
pub(super) const PULL_DURATION: Named =
    ("evenkeel_image_pull_duration_seconds", "Time that a successful image pull took.");
pub(super) const IMAGES_REMOVED: Named =
    ("evenkeel_images_removed_total", "Images removed that Evenkeel had pulled and nothing needed any more.");
pub(super) const IMAGE_BYTES_REMOVED: Named =
    ("evenkeel_images_removed_bytes_total", "Bytes of those images, layers that other images share included.");
pub(super) const ROLLOUTS: Named = (
    "evenkeel_rollouts_total",
    "Rollouts that ended, by result, and those that failed by the sort of failure; of the others it is the event's reason.",
);
pub(super) const ROLLOUT_DURATION: Named =
    ("evenkeel_rollout_duration_seconds", "Time from the begin of a rollout to its end, by result.");
pub(super) const GATES: Named = ("evenkeel_gates_total", "Gates of rollouts that ended, by result: passed or failed.");
pub(super) const EVENTS: Named = ("evenkeel_events_total", "Events, by severity and reason.");
pub(super) const REGISTRY_INQUIRIES: Named = (
    "evenkeel_registry_inquiries_total",
    "Rounds in which a registry was asked about a repository that is followed, by how they ended.",
);
pub(super) const PROBE_FAILURES: Named =
    ("evenkeel_probe_failures_total", "Single checks of Evenkeel's own probes that failed.");
pub(super) const PROBES_UNMADE: Named = (
    "evenkeel_probe_unmade_total",
    "Single checks of Evenkeel's own probes that could not be made, through no fault of the program's.",
);
pub(super) const STORE_WRITE_ERRORS: Named =
    ("evenkeel_store_write_errors_total", "Failed writes to the state directory. Nothing is done while they fail.");
pub(super) const NOTIFICATIONS: Named = (
    "evenkeel_notifications_total",
    "Notifications that came to their end, by receiver: delivered, failed or dropped.",
);
pub(super) const NOTIFICATIONS_QUEUED: Named =
    ("evenkeel_notifications_queued", "Notifications that wait for a receiver, the one under way among them.");

// Read off the view.
pub(super) const BUILD: Named = ("evenkeel_build_info", "Always 1; the version is a label.");
pub(super) const ENGINE_CONNECTED: Named =
    ("evenkeel_engine_connected", "Whether the Docker Engine answered the last time (1) or not (0).");
pub(super) const ENGINE: Named =
    ("evenkeel_engine_info", "Always 1; the engine's version and the API version spoken are labels.");
pub(super) const CONVERGED: Named =
    ("evenkeel_converged", "Whether there is nothing to do and nothing to wait for (1) or there is (0).");
pub(super) const LAST_PASS: Named =
    ("evenkeel_last_pass_timestamp_seconds", "When the last pass ended, also one that could not reach the engine.");
pub(super) const PLANNED: Named = ("evenkeel_planned_actions", "Actions that the last pass decided on.");
pub(super) const IN_FLIGHT: Named = ("evenkeel_actions_in_flight", "Actions under way.");
pub(super) const FAILING: Named =
    ("evenkeel_actions_failing", "Actions that failed last time and wait for their back-off.");
pub(super) const WARNINGS: Named = ("evenkeel_warnings", "Troubles that belong to no object.");
pub(super) const SOURCE_LOADED: Named =
    ("evenkeel_source_loaded", "Whether the newest manifests of a source are in force (1), or older ones or none (0).");
pub(super) const SOURCE_LOAD_TIME: Named =
    ("evenkeel_source_last_load_timestamp_seconds", "When the manifests in force were read.");
pub(super) const SOURCE_PROBLEMS: Named = ("evenkeel_source_problems", "Mistakes in the newest manifests of a source.");
pub(super) const SOURCE_GENERATION: Named =
    ("evenkeel_source_generation", "Counts the changes of what a source has in force.");
pub(super) const OBJECT_PHASE: Named = ("evenkeel_object_phase", "Always 1; the phase of the object is a label.");
pub(super) const REPLICAS_DESIRED: Named =
    ("evenkeel_deployment_replicas_desired", "Replicas that the manifest asks for.");
pub(super) const REPLICAS_CURRENT: Named =
    ("evenkeel_deployment_replicas_current", "Replicas that exist and are not on their way out.");
pub(super) const REPLICAS_UPDATED: Named =
    ("evenkeel_deployment_replicas_updated", "Replicas of the revision being reached.");
pub(super) const REPLICAS_READY: Named = ("evenkeel_deployment_replicas_ready", "Replicas that are ready.");
pub(super) const REPLICAS_AVAILABLE: Named =
    ("evenkeel_deployment_replicas_available", "Replicas that have been ready for minReady.");
pub(super) const REVISION: Named =
    ("evenkeel_deployment_revision", "The number of the revision that is run or reached.");
pub(super) const REVISION_REJECTED: Named = (
    "evenkeel_deployment_revision_rejected",
    "Whether the revision that the manifest or an undo asks for failed its rollout (1) or not (0).",
);
pub(super) const PAUSED: Named =
    ("evenkeel_deployment_paused", "Whether rollout pause holds the Deployment (1) or not (0).");
pub(super) const JOB_SUCCEEDED: Named =
    ("evenkeel_job_succeeded", "Whether the Job's last finished run exited with 0 (1) or not (0).");
pub(super) const CRON_LAST_SUCCESS: Named = (
    "evenkeel_cronjob_last_success_timestamp_seconds",
    "When the CronJob's newest run that exited with 0 ended, in seconds since 1970.",
);
pub(super) const CRON_LAST_SCHEDULE: Named = (
    "evenkeel_cronjob_last_schedule_timestamp_seconds",
    "The newest time of the CronJob's schedule that got a run, in seconds since 1970.",
);
pub(super) const CRON_NEXT_SCHEDULE: Named = (
    "evenkeel_cronjob_next_schedule_timestamp_seconds",
    "The next time of the CronJob's schedule, in seconds since 1970; absent while it is suspended.",
);
pub(super) const CRON_LAST_DURATION: Named =
    ("evenkeel_cronjob_last_duration_seconds", "Time that the CronJob's last finished run took.");
pub(super) const CRON_ACTIVE: Named = ("evenkeel_cronjob_active", "Runs of the CronJob that are under way.");
pub(super) const JOB_DURATION: Named = ("evenkeel_job_duration_seconds", "Time that the Job's last finished run took.");
pub(super) const RESTARTS: Named = (
    "evenkeel_container_restarts",
    "Restarts of the containers that an object has now, by the engine and by Evenkeel.",
);
pub(super) const PRUNE_HELD: Named =
    ("evenkeel_prune_held", "Objects whose removal a brake holds until it is confirmed.");

pub(super) const REFUSED: Named =
    ("evenkeel_object_refused", "Always 1; an object of which the policy refuses something, with the first rule.");

pub(super) const IMAGE_TROUBLE: Named =
    ("evenkeel_object_image_trouble", "Always 1; an object whose imagePolicy cannot be followed now, with the reason.");

pub(super) const HOST_SHORT: Named = (
    "evenkeel_object_host_short",
    "Always 1; an object that waits for memory or disk space of the host, with the reason.",
);
pub(super) const HOST_MEMORY: Named = (
    "evenkeel_host_memory_available_bytes",
    "Memory of the engine's host that can be taken without swapping; absent where the engine runs on another machine.",
);
pub(super) const HOST_DISK_FREE: Named = (
    "evenkeel_host_disk_free_bytes",
    "Free bytes on the file system of the engine's data root; absent where it cannot be seen.",
);

// What Prometheus' client libraries call the process.
pub(super) const PROCESS_CPU: Named = ("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.");
pub(super) const PROCESS_RSS: Named = ("process_resident_memory_bytes", "Resident memory size in bytes.");
pub(super) const PROCESS_VIRTUAL: Named = ("process_virtual_memory_bytes", "Virtual memory size in bytes.");
pub(super) const PROCESS_FDS: Named = ("process_open_fds", "Number of open file descriptors.");
pub(super) const PROCESS_MAX_FDS: Named = ("process_max_fds", "Maximum number of open file descriptors.");
pub(super) const PROCESS_START: Named =
    ("process_start_time_seconds", "Start time of the process since unix epoch in seconds.");
