//! Kind script: commands that are run on staged artifacts.

use std::sync::Arc;

use indexmap::IndexMap;

use super::{Input, Layout, layout_key, location};
use crate::error::LoadError;
use crate::json::Json;

/// What a script element does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The commands, in groups that have names.
    pub groups: IndexMap<Arc<str>, Vec<Arc<str>>>,
    /// The directory they are run in.
    pub cwd: Arc<str>,
    /// The directory that becomes the artifact.
    pub install_root: Arc<str>,
    /// Whether the rest of the sandbox can't be written to.
    pub root_read_only: bool,
    /// Where the dependencies are staged.
    pub layout: Layout,
}

impl Script {
    pub(super) fn load(input: &Input<'_>) -> Result<Self, LoadError> {
        let config = input.config;
        config.expect_keys(&["commands", "root-read-only"])?;
        let mut layout = Layout::new();
        for (dependency, config) in input.configured() {
            if let Some(config) = config {
                config.expect_keys(&["location"])?;
            }
            layout
                .entry(location(config)?)
                .or_default()
                .push(dependency);
        }
        let directory = |name| match input.variables.get_non_empty(name) {
            Some(directory) => directory.clone(),
            None => "/".into(),
        };
        Ok(Self {
            groups: [("commands".into(), config.strings("commands")?)].into(),
            cwd: directory("cwd"),
            install_root: directory("install-root"),
            root_read_only: config.boolean("root-read-only")?.unwrap_or(false),
            layout,
        })
    }

    /// All commands in the order they are run.
    pub fn commands(&self) -> impl Iterator<Item = &Arc<str>> {
        self.groups.values().flatten()
    }

    pub(super) fn unique_key(&self) -> Json {
        let groups = self.groups.iter();
        let groups = groups.map(|(name, commands)| (name.clone(), Json::strings(commands)));
        Json::map([
            ("commands", Json::map(groups)),
            ("cwd", (&self.cwd).into()),
            ("install-root", (&self.install_root).into()),
            ("layout", layout_key(&self.layout)),
            ("root-read-only", self.root_read_only.into()),
        ])
    }
}
