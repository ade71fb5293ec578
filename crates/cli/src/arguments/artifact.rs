//! Commands of `artifact` that take artifacts' own names too.

use clap::Args;

use super::remotes::ArtifactServers;
use crate::selection::Deps;

/// Options of `artifact show`.
#[derive(Debug, Args)]
pub(crate) struct ShowStateArguments {
    /// Elements, or artifacts PROJECT/ELEMENT/KEY, which may be shell patterns
    #[arg(value_name = "ARTIFACT", required = true)]
    pub(crate) artifacts: Vec<String>,
    /// Dependencies to show too
    #[arg(short, long, value_enum, default_value_t = Deps::None)]
    pub(crate) deps: Deps,
    #[command(flatten)]
    pub(crate) servers: ArtifactServers,
}

/// Options of `artifact list-contents`.
#[derive(Debug, Args)]
pub(crate) struct ListContentsArguments {
    /// Elements, or artifacts PROJECT/ELEMENT/KEY, which may be shell patterns
    #[arg(value_name = "ARTIFACT", required = true)]
    pub(crate) artifacts: Vec<String>,
    /// Print modes, kinds and sizes too
    #[arg(short, long)]
    pub(crate) long: bool,
}

/// Options of `artifact delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArguments {
    /// Elements, or artifacts PROJECT/ELEMENT/KEY, which may be shell patterns
    #[arg(value_name = "ARTIFACT", required = true)]
    pub(crate) artifacts: Vec<String>,
    /// Dependencies whose artifacts to remove too
    #[arg(short, long, value_enum, default_value_t = Deps::None)]
    pub(crate) deps: Deps,
}
