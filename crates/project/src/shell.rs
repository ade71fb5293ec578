//! What project.conf says of shells in sandboxes of its elements.

use std::sync::Arc;

use headstart_yaml::{Mapping, Node};
use indexmap::IndexMap;

use crate::element::texts;
use crate::error::LoadError;

/// How a shell in a sandbox is started (`shell`). Variables of the caller's environment are still to
/// be replaced in the environment's values and in paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShellConfig {
    /// The command that is run if none is given.
    pub command: Vec<Arc<str>>,
    /// What is added to the environment, in order.
    pub environment: IndexMap<Arc<str>, Arc<str>>,
    /// What of the host is seen inside, in order.
    pub host_files: Vec<HostFile>,
}

/// A file or directory of the host, to be seen in a shell's sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFile {
    /// Where it is seen inside.
    pub path: Arc<str>,
    /// Where it is on the host.
    pub host_path: Arc<str>,
    /// Whether it does not matter if it is not there.
    pub optional: bool,
}

impl ShellConfig {
    pub(crate) fn load(config: &Mapping) -> Result<Self, LoadError> {
        config.expect_keys(&["command", "environment", "host-files"])?;
        let none = Mapping::default();
        let files = config.sequence("host-files")?;
        let files = files.iter().flat_map(|files| &files.items);
        Ok(Self {
            command: config.strings("command")?,
            environment: texts(config.mapping("environment")?.unwrap_or(&none))?,
            host_files: files.map(HostFile::load).collect::<Result<_, _>>()?,
        })
    }
}

impl HostFile {
    fn load(node: &Node) -> Result<Self, LoadError> {
        let file = match node {
            Node::Scalar(path) => {
                return Ok(Self {
                    path: path.value.clone(),
                    host_path: path.value.clone(),
                    optional: false,
                });
            }
            Node::Mapping(file) => file,
            Node::Sequence(_) => {
                return Err(node.unlike("a path, or a mapping with a path").into());
            }
        };
        file.expect_keys(&["path", "host_path", "optional"])?;
        let path = file.required_scalar("path")?.value.clone();
        let host_path = file.scalar("host_path")?;
        Ok(Self {
            host_path: host_path.map_or_else(|| path.clone(), |host| host.value.clone()),
            path,
            optional: file.boolean("optional")?.unwrap_or(false),
        })
    }
}
