//! An action, ready to be run: Action and Command messages, checked once and put together.

use std::time::Duration;

use headstart_merkle::{ActionDigest, CommandDigest, Digest, DirectoryDigest, TreePath};
use headstart_reapi::reapi;
use headstart_store::{BlobStore, StoreError, read_message};
use thiserror::Error;

/// An action with its command.
#[derive(Debug, Clone, PartialEq)]
pub struct ActionSpec {
    /// The digest it is known by.
    pub digest: ActionDigest,
    /// The tree it runs in.
    pub input_root: DirectoryDigest,
    /// The program and its arguments; never empty.
    pub arguments: Vec<String>,
    /// The whole environment, in the order of the message.
    pub environment: Vec<(String, String)>,
    /// Where it starts, below the input root.
    pub working_directory: TreePath,
    /// What is wanted of it.
    pub outputs: OutputsWanted,
    /// Platform properties: the action's, or else the command's, as API 2.2 asks.
    pub platform: Vec<(String, String)>,
    /// How long it may take; `None` if the action sets no bound.
    pub timeout: Option<Duration>,
    /// Whether its result must not be remembered, nor shared with others that ask for the same.
    pub do_not_cache: bool,
}

/// The outputs that a command names, below the working directory unless `..` leads out of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OutputsWanted {
    /// Paths of any kind (API 2.1), as written; the two older lists are in here too.
    pub paths: Vec<String>,
    /// Those that must be directories (API 2.0).
    pub directories: Vec<String>,
    /// Node properties to be captured.
    pub node_properties: Vec<String>,
    /// Whether output directories are given as Tree messages.
    pub trees: bool,
    /// Whether output directories are given as the root of stored Directories.
    pub root_directories: bool,
}

/// An action that can't be run as it is.
#[derive(Debug, Error)]
pub enum InvalidAction {
    /// A message it needs is missing or unreadable.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A field is wrong.
    #[error("the action {action} is not valid: {reason}")]
    Field {
        /// The action.
        action: ActionDigest,
        /// What is wrong with it.
        reason: String,
    },
}

impl ActionSpec {
    /// Reads the action and its command from `store`.
    pub fn read(
        digest: ActionDigest,
        store: &(impl BlobStore + ?Sized),
    ) -> Result<Self, InvalidAction> {
        let action: reapi::Action = read_message(store, digest, "an Action")?;
        let command = read_message(store, Self::command(digest, &action)?, "a Command")?;
        Self::of(digest, action, command)
    }

    /// Where the command of an action is that has this digest.
    pub fn command(
        digest: ActionDigest,
        action: &reapi::Action,
    ) -> Result<CommandDigest, InvalidAction> {
        let command = Digest::required(action.command_digest.as_ref());
        command.map_err(|error| InvalidAction::Field {
            action: digest,
            reason: format!("command_digest: {error}"),
        })
    }

    /// Puts an action that has this digest and its command together.
    pub fn of(
        digest: ActionDigest,
        action: reapi::Action,
        command: reapi::Command,
    ) -> Result<Self, InvalidAction> {
        let invalid = |reason: String| InvalidAction::Field {
            action: digest,
            reason,
        };
        let input_root = Digest::required(action.input_root_digest.as_ref())
            .map_err(|error| invalid(format!("input_root_digest: {error}")))?;
        if command.arguments.is_empty() {
            return Err(invalid("the command has no arguments".to_owned()));
        }
        let working_directory = TreePath::normalized(&command.working_directory)
            .map_err(|error| invalid(format!("working_directory: {error}")))?;
        let timeout = action.timeout.map(|timeout| {
            let seconds = u64::try_from(timeout.seconds).unwrap_or(0);
            Duration::new(seconds, u32::try_from(timeout.nanos).unwrap_or(0))
        });
        let platform = action
            .platform
            .or_else(|| command.platform.clone())
            .unwrap_or_default();
        Ok(Self {
            digest,
            input_root,
            outputs: OutputsWanted::of(&command),
            arguments: command.arguments,
            environment: command
                .environment_variables
                .into_iter()
                .map(|variable| (variable.name, variable.value))
                .collect(),
            working_directory,
            platform: platform
                .properties
                .into_iter()
                .map(|p| (p.name, p.value))
                .collect(),
            timeout,
            do_not_cache: action.do_not_cache,
        })
    }

    /// What it makes, in order: paths from the root of the tree it runs in. Paths that lead out of
    /// that are left out.
    pub fn output_paths(&self) -> Vec<TreePath> {
        let home = self.working_directory.as_str();
        let paths = self.outputs.paths.iter();
        let paths = paths.filter_map(|path| TreePath::normalized(&format!("{home}/{path}")).ok());
        let mut paths: Vec<TreePath> = paths.collect();
        paths.sort();
        paths
    }

    /// The value of a platform property; the first, if it is given several times.
    pub fn property(&self, name: &str) -> Option<&str> {
        let property = self.platform.iter().find(|(key, _)| key == name);
        property.map(|(_, value)| value.as_str())
    }
}

impl OutputsWanted {
    fn of(command: &reapi::Command) -> Self {
        use reapi::command::OutputDirectoryFormat as Format;
        let mut paths = command.output_paths.clone();
        let mut directories = Vec::new();
        // The older lists only count where the newer one is not used.
        if paths.is_empty() {
            paths.extend(command.output_files.iter().cloned());
            paths.extend(command.output_directories.iter().cloned());
            directories.clone_from(&command.output_directories);
        }
        let format = command.output_directory_format();
        Self {
            paths,
            directories,
            node_properties: command.output_node_properties.clone(),
            trees: format != Format::DirectoryOnly,
            root_directories: format != Format::TreeOnly,
        }
    }
}
