//! Options that name servers, and the commands that are about nothing else.

use clap::Args;

use crate::selection::{Deps, Except};

/// Servers of artifacts.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ArtifactServers {
    /// Server of artifacts to use in place of those that the configuration names: a URL, or
    /// url=URL,KEY=VALUE… with type, push, instance-name, server-cert, client-cert, client-key,
    /// access-token; may be repeated
    #[arg(long = "artifact-remote", value_name = "SERVER")]
    pub(crate) artifact_remotes: Vec<String>,
    /// Do not use servers of artifacts that projects recommend
    #[arg(long)]
    pub(crate) ignore_project_artifact_remotes: bool,
}

/// Servers of sources.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SourceServers {
    /// Server of sources to use in place of those that the configuration names, as described for
    /// --artifact-remote; may be repeated
    #[arg(long = "source-remote", value_name = "SERVER")]
    pub(crate) source_remotes: Vec<String>,
    /// Do not use servers of sources that projects recommend
    #[arg(long)]
    pub(crate) ignore_project_source_remotes: bool,
}

/// Options of `artifact pull` and `artifact push`.
#[derive(Debug, Args)]
pub(crate) struct TransferArguments {
    /// Elements, or artifacts PROJECT/ELEMENT/KEY [default: the project's default targets]
    #[arg(value_name = "ARTIFACT")]
    pub(crate) artifacts: Vec<String>,
    /// Dependencies whose artifacts are meant too
    #[arg(short, long, value_enum, default_value_t = Deps::None)]
    pub(crate) deps: Deps,
    #[command(flatten)]
    pub(crate) servers: ArtifactServers,
}

/// Options of `source push`.
#[derive(Debug, Args)]
pub(crate) struct SourcePushArguments {
    /// Elements whose sources to push [default: the project's default targets]
    #[arg(value_name = "ELEMENT")]
    pub(crate) elements: Vec<String>,
    /// Dependencies whose sources to push too
    #[arg(short, long, value_enum, default_value_t = Deps::None)]
    pub(crate) deps: Deps,
    #[command(flatten)]
    pub(crate) except: Except,
    #[command(flatten)]
    pub(crate) servers: SourceServers,
}
