//! Elements that run commands on their sources: manual, autotools, cmake, make, meson. They differ
//! only in their defaults.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Input, Layout, StagedDependency, layout_key, location};
use crate::error::LoadError;
use crate::json::Json;

/// The steps in the order they are run, by the names of their keys.
pub const STEPS: [&str; 4] = [
    "configure-commands",
    "build-commands",
    "install-commands",
    "strip-commands",
];

/// What a build element does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// The commands of each of [`STEPS`].
    pub commands: [Vec<Arc<str>>; 4],
    /// The directory below the build root that commands are run in.
    pub command_subdir: Option<Arc<str>>,
    /// Whether the element asked not to be built in parallel.
    pub notparallel: bool,
    /// Where its build dependencies are staged.
    pub layout: Layout,
    /// For each environment variable, the dependencies whose tree's digest it is set to.
    pub digest_environment: BTreeMap<Arc<str>, Vec<StagedDependency>>,
}

impl Build {
    pub(super) fn load(input: &Input<'_>) -> Result<Self, LoadError> {
        input.config.expect_keys(&STEPS)?;
        let mut commands = [const { Vec::new() }; 4];
        for (list, step) in commands.iter_mut().zip(STEPS) {
            *list = input.config.strings(step)?;
        }
        let mut layout = Layout::new();
        let mut digest_environment = BTreeMap::<_, Vec<_>>::new();
        for (dependency, config) in input.configured() {
            if let Some(config) = config {
                config.expect_keys(&["digest-environment", "location"])?;
                if let Some(variable) = config.scalar("digest-environment")? {
                    let list = digest_environment.entry(variable.value.clone());
                    list.or_default().push(dependency.clone());
                }
            }
            layout
                .entry(location(config)?)
                .or_default()
                .push(dependency);
        }
        Ok(Self {
            commands,
            command_subdir: input.variables.get_non_empty("command-subdir").cloned(),
            // Any text counts, even "False".
            notparallel: input.variables.get_non_empty("notparallel").is_some(),
            layout,
            digest_environment,
        })
    }

    /// The commands of all steps, with their step, in the order they are run.
    pub fn steps(&self) -> impl Iterator<Item = (&'static str, &Arc<str>)> {
        let steps = STEPS.into_iter().zip(&self.commands);
        steps.flat_map(|(step, commands)| commands.iter().map(move |command| (step, command)))
    }

    pub(super) fn unique_key(&self) -> Json {
        let commands = self.commands.iter().map(Json::strings);
        let mut key: BTreeMap<Arc<str>, Json> =
            STEPS.map(Arc::from).into_iter().zip(commands).collect();
        if let Some(directory) = &self.command_subdir {
            key.insert("command-subdir".into(), directory.into());
        }
        if self.notparallel {
            key.insert("notparallel".into(), true.into());
        }
        if self
            .layout
            .keys()
            .any(|place| !matches!(&**place, "" | "/"))
        {
            key.insert("layout".into(), layout_key(&self.layout));
        }
        if !self.digest_environment.is_empty() {
            // The spelling is BuildStream's, and keys hold it.
            key.insert(
                "digest-enviornment".into(),
                layout_key(&self.digest_environment),
            );
        }
        Json::Map(key)
    }
}
