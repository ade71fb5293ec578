//! The commands of `source`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::CompressionArgument;
use super::remotes::{SourcePushArguments, SourceServers};
use crate::selection::{Deps, Except};

/// The commands of `source`.
#[derive(Debug, Subcommand)]
pub(crate) enum SourceCommand {
    /// Fetch sources into the cache
    Fetch(FetchArguments),
    /// Find the newest versions of sources, and write them into the project
    Track(TrackArguments),
    /// Give sources to servers
    Push(SourcePushArguments),
    /// Write elements' sources to a directory or a tar
    Checkout(SourceCheckoutArguments),
}

/// Options of `source fetch`.
#[derive(Debug, Args)]
pub(crate) struct FetchArguments {
    /// Elements whose sources to fetch [default: the project's default targets]
    #[arg(value_name = "ELEMENT")]
    pub(crate) elements: Vec<String>,
    /// Dependencies whose sources to fetch too
    #[arg(short, long, value_enum, default_value_t = Deps::None)]
    pub(crate) deps: Deps,
    #[command(flatten)]
    pub(crate) except: Except,
    #[command(flatten)]
    pub(crate) servers: SourceServers,
}

/// Options of `source track`.
#[derive(Debug, Args)]
pub(crate) struct TrackArguments {
    /// Elements whose sources to track [default: the project's default targets]
    #[arg(value_name = "ELEMENT")]
    pub(crate) elements: Vec<String>,
    /// Dependencies whose sources to track too
    #[arg(short, long, value_enum, default_value_t = Deps::None)]
    pub(crate) deps: Deps,
    #[command(flatten)]
    pub(crate) except: Except,
    /// Track the sources of joined projects too: their refs are kept in project.refs
    #[arg(short = 'J', long)]
    pub(crate) cross_junctions: bool,
}

/// Options of `source checkout`.
#[derive(Debug, Args)]
pub(crate) struct SourceCheckoutArguments {
    /// Element whose sources to write [default: that in whose workspace this is]
    #[arg(value_name = "ELEMENT")]
    pub(crate) element: Option<String>,
    /// Dependencies whose sources to write too
    #[arg(short, long, value_enum, default_value_t = Deps::None)]
    pub(crate) deps: Deps,
    #[command(flatten)]
    pub(crate) except: Except,
    /// Directory to write to: each element's sources are in one of its name
    #[arg(long, default_value = "source-checkout", value_name = "DIRECTORY")]
    pub(crate) directory: PathBuf,
    /// Tar to write; `-` for standard output
    #[arg(long, conflicts_with = "directory", value_name = "FILE")]
    pub(crate) tar: Option<PathBuf>,
    /// How to compress the tar
    #[arg(long, requires = "tar", value_enum)]
    pub(crate) compression: Option<CompressionArgument>,
    /// Write even if the directory is not empty or the tar exists
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Write scripts too that build the elements on the machine itself, without sandboxes, and install
    /// them into its root: build.sh, which runs one for each element
    #[arg(long)]
    pub(crate) include_build_scripts: bool,
    #[command(flatten)]
    pub(crate) servers: SourceServers,
}
