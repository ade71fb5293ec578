//! What loading needs of the world beyond the project's own files, as a trait: no IO happens here.

use std::error::Error;

use crate::graph::ElementGraph;
use crate::hosted::PluginHost;

/// Why something can't be had.
pub type OutsideError = Box<dyn Error + Send + Sync>;

/// The world beyond the project's own files.
pub trait Outside: Send + Sync {
    /// Fetches and stages the sources of a junction, the only element of the graph. Gives the
    /// directory that they are in, relative to the top-level project's directory and below it.
    fn stage_junction(&self, junction: &ElementGraph) -> Result<String, OutsideError>;

    /// The text of a file of an installed Python package of plugins, by the package's name and the
    /// file's path in it; none if it is not there.
    fn package_file(&self, package: &str, file: &str) -> Option<String> {
        let _ = (package, file);
        None
    }

    /// Says that [`Self::plugins`] will probably be asked for, so that it can be got ready meanwhile.
    fn expect_plugins(&self) {}

    /// Whoever runs the plugins that are not built in, or why nobody does.
    fn plugins(&self) -> Result<&dyn PluginHost, OutsideError> {
        Err("plugins can't be run here".into())
    }
}

/// A world that has nothing: for projects that need nothing but their own files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

impl Outside for Nothing {
    fn stage_junction(&self, _: &ElementGraph) -> Result<String, OutsideError> {
        Err("only junctions with a single source of kind 'local' can be followed here".into())
    }
}
