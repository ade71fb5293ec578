//! A build from beginning to end: the only place where the parts are put together and effects are
//! driven.
//!
//! [`Session`] opens a project with its caches. [`Session::build`] drives two state machines by one
//! stream of events: the pipeline, which says what to look up, fetch and build, and beside it the
//! primer, in a thread of its own ([`speculator`]), which says what to execute ahead of need. The
//! build never waits for the primer.

mod artifacts;
mod board;
mod build;
mod checkout;
mod clock;
mod config;
mod driver;
mod element;
mod error;
mod explain;
mod fetch;
mod files;
mod foresight;
mod history;
mod integrated;
mod journal;
mod latency;
mod lineage;
mod load;
mod marks;
mod outside;
mod parent;
mod pull;
mod push;
mod record;
mod records;
mod remotes;
mod report;
mod room;
mod session;
mod shared_records;
mod shell;
mod source_checkout;
mod source_info;
mod speculator;
mod standing;
mod stored;
mod track;
mod transfer;
mod workspaces;

pub use artifacts::{ContentEntry, ContentKind, NamedArtifact};
pub use build::{Ask, BuildRequest, BuildScope, FailedElement, Notice, Watcher};
pub use checkout::{CheckoutError, CheckoutTarget, Compression};
pub use config::{
    Amount, Caches, ConfigError, FarmConfig, InvalidServer, LoggingConfig, Server, Servers,
    SpeculationConfig, StorageConfig, UserConfig, xdg_folder,
};
pub use error::SessionError;
pub use explain::{
    BuildState, Call, DifferenceData, ElementExplanation, ExplainError, Hindsight, InputData,
    OriginData, Question, Reason, SessionExplanation, SideData, TimedEvent,
};
pub use files::{DiskFiles, find_project};
pub use headstart_artifacts::Cached;
pub use headstart_assemble::KeepSandbox;
pub use headstart_pipeline::{Decision, OnError};
pub use headstart_speculation::{Account, Mode};
pub use headstart_store_disk::{Finding, Layout, ScrubWatcher, Scrubbed, scrub};
pub use history::Header;
pub use latency::{Latencies, Latency};
pub use load::LoadLimits;
pub use push::Pushed;
pub use report::{BuildReport, ElementReport, ElementState};
pub use session::{Loaded, Session, SessionOptions};
pub use shell::{ShellRequest, ShellScene};
pub use source_checkout::{BuildScripts, SourceTarget};
pub use standing::Standings;
pub use stored::{ActionData, FoundUnder, OverlayData, RecordData, StoredError, StoredRecord};
pub use track::TrackReport;
pub use transfer::TransferReport;
pub use workspaces::{WorkspaceRequest, source_element};
