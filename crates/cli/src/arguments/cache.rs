//! The commands of `cache`.

use clap::{Args, Subcommand};

/// The commands of `cache`.
#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Check all that is stored, and remove what is damaged or of no use
    ///
    /// Reads every object. Damaged ones are removed, and made or fetched anew when they are needed; so are
    /// files that killed processes left half-written, and results of actions whose outputs are gone. Other
    /// programs may use the cache directory meanwhile. Ends with 1 if something was damaged.
    Scrub(ScrubArguments),
}

/// Options of `cache scrub`.
#[derive(Debug, Args)]
pub(crate) struct ScrubArguments {
    /// Only say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
}
