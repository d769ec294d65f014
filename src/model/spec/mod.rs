//! The manifest types: what a user writes, one file per kind. Doc comments become the JSON Schema's descriptions,
//! so each gives its unit, its default and its limit. They hold no decisions.

mod build;
mod config;
mod cronjob;
mod deployment;
mod gate;
mod image_policy;
mod job;
mod metadata;
mod namespace;
mod network;
mod probe;
mod template;
mod volume;

pub use build::Build;
pub use config::{ConfigMapSpec, SecretSpec};
pub use cronjob::{ConcurrencyPolicy, CronJobSpec, Quiesce, QuiesceBy, QuiesceDetails};
pub use deployment::{DeploymentSpec, OnFailure, Strategy, StrategyType};
pub use gate::{Gate, Gates};
pub use image_policy::{DigestPolicy, INTERVAL_MIN, ImagePolicy, TagOrder};
pub use job::JobSpec;
pub use metadata::{API_GROUP, API_VERSION, Metadata};
pub use namespace::{NamespaceDefaults, NamespaceSpec, VariablesFile};
pub use network::NetworkSpec;
pub use probe::{Exec, Grpc, HealthCheck, HttpGet, Lifecycle, Loopback, PortRef, PreStop, Probe, TcpSocket};
pub use template::*;
pub use volume::{AccessMode, VolumeSpec};
