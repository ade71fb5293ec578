//! How an element becomes an artifact: what its sandbox holds, what runs in it, what is kept.
//!
//! As BuildStream 2.8 does it, action for action: dependencies are laid over each other in staging
//! order, integration commands run as one action, the element's own commands as another, and the
//! artifact is what is then found under the install root. Everything happens on trees in the store;
//! files appear on disk only where an action runs, and that is somebody else's work ([`RunAction`]).

mod action;
mod artifact;
mod assembly;
mod bare;
mod collect;
mod flatpak;
mod hosted;
mod prepare;
mod script;
mod shell;
mod staging;
mod written;

pub use artifact::{ArtifactParts, artifact_message};
pub use assembly::{
    AssembleError, Assembled, Inputs, KeepSandbox, KeptSandbox, RunAction, Trees, Verdict,
    assemble, digest_tree,
};
pub use bare::{BareBuild, bare_build_all, bare_commands};
pub use hosted::BuiltDependency;
pub use prepare::stage_artifacts;
pub use shell::ShellSandbox;
pub use staging::StagedArtifact;
