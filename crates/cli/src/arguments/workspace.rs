//! The commands of `workspace`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::remotes::SourceServers;

/// The commands of `workspace`.
#[derive(Debug, Subcommand)]
pub(crate) enum WorkspaceCommand {
    /// Put an element's sources into a directory, and build the element from there from now on
    Open(OpenArguments),
    /// Build elements from their own sources again
    Close(CloseArguments),
    /// Make a workspace what it was when it was opened
    Reset(ResetArguments),
    /// List the open workspaces
    List,
}

/// Options of `workspace open`.
#[derive(Debug, Args)]
pub(crate) struct OpenArguments {
    /// Elements to open workspaces for
    #[arg(value_name = "ELEMENT", required = true)]
    pub(crate) elements: Vec<String>,
    /// Take the directory as it is, without putting the sources into it
    #[arg(long)]
    pub(crate) no_checkout: bool,
    /// Open it even if the directory is not empty or the element has a workspace already; what is
    /// there is removed
    #[arg(short, long)]
    pub(crate) force: bool,
    /// The directory, for a single element [default: one named after the element]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) directory: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) servers: SourceServers,
}

/// Options of `workspace close`.
#[derive(Debug, Args)]
pub(crate) struct CloseArguments {
    /// Elements whose workspaces to close [default: that in whose workspace this is]
    #[arg(value_name = "ELEMENT")]
    pub(crate) elements: Vec<String>,
    /// Close all workspaces
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Remove their directories
    #[arg(long)]
    pub(crate) remove_dir: bool,
}

/// Options of `workspace reset`.
#[derive(Debug, Args)]
pub(crate) struct ResetArguments {
    /// Elements whose workspaces to reset [default: that in whose workspace this is]
    #[arg(value_name = "ELEMENT")]
    pub(crate) elements: Vec<String>,
    /// Reset all workspaces
    #[arg(short, long, conflicts_with = "elements")]
    pub(crate) all: bool,
    /// Leave the files as they are, and run the commands that configure again
    #[arg(long)]
    pub(crate) soft: bool,
}
