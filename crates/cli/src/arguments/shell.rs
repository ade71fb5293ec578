//! Options of `shell`.

use std::path::PathBuf;

use clap::Args;

use super::remotes::{ArtifactServers, SourceServers};

/// Options of `shell`.
#[derive(Debug, Args)]
pub(crate) struct ShellArguments {
    /// Stage what the element is built with, and its sources; else the element and what it needs to
    /// run
    #[arg(short, long)]
    pub(crate) build: bool,
    /// Mount a file or directory of the host into the sandbox
    #[arg(long, num_args = 2, value_names = ["HOSTPATH", "PATH"])]
    pub(crate) mount: Vec<PathBuf>,
    /// Give it neither network nor files of the host, as in a build
    #[arg(long)]
    pub(crate) isolate: bool,
    /// Go where the element's build has ended: that of a failed one is kept, others only with
    /// `cache-buildtrees: always` in the configuration
    #[arg(short = 't', long)]
    pub(crate) use_buildtree: bool,
    #[command(flatten)]
    pub(crate) artifact_servers: ArtifactServers,
    #[command(flatten)]
    pub(crate) source_servers: SourceServers,
    /// Element in whose sandbox to be [default: that in whose workspace this is]
    #[arg(value_name = "ELEMENT")]
    pub(crate) element: Option<String>,
    /// The command, best after `--` [default: what the project says, or an interactive sh]
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    pub(crate) command: Vec<String>,
}
