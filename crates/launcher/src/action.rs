//! The Command and Action messages, in the form in which equal calls have equal digests.

use std::collections::BTreeMap;

use bytes::Bytes;
use headstart_merkle::{ActionDigest, BlobDigest, DirectoryDigest};
use headstart_reapi::{Message, reapi};

use crate::settings::Settings;

/// What is to be executed.
pub(crate) struct Job {
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    /// Files and directories, relative to the working directory.
    pub(crate) outputs: Vec<String>,
    pub(crate) platform: BTreeMap<String, String>,
    pub(crate) working_directory: String,
}

/// The messages of an action, encoded.
pub(crate) struct EncodedAction {
    pub(crate) digest: ActionDigest,
    /// The Action and its Command.
    pub(crate) blobs: Vec<(BlobDigest, Bytes)>,
}

impl Job {
    /// Encodes the action that runs this on `input_root`.
    pub(crate) fn encode(&self, input_root: DirectoryDigest, settings: &Settings) -> EncodedAction {
        let properties = self.platform.iter().filter(|(_, value)| !value.is_empty());
        let properties: Vec<_> = properties
            .map(|(name, value)| reapi::platform::Property {
                name: name.clone(),
                value: value.clone(),
            })
            .collect();
        let platform = Some(reapi::Platform { properties });
        let command = encoded(&self.command(platform.clone()));
        let action = encoded(&reapi::Action {
            command_digest: Some(command.0.into()),
            input_root_digest: Some(input_root.into()),
            do_not_cache: settings.uncacheable,
            salt: settings.salt.clone().into(),
            platform,
            ..Default::default()
        });
        EncodedAction {
            digest: action.0.cast(),
            blobs: vec![command, action],
        }
    }

    /// Environment, outputs and platform sorted, as the REAPI asks.
    fn command(&self, platform: Option<reapi::Platform>) -> reapi::Command {
        let mut output_paths = self.outputs.clone();
        output_paths.sort();
        output_paths.dedup();
        let variables = self.environment.iter();
        let variables = variables.map(|(name, value)| reapi::command::EnvironmentVariable {
            name: name.clone(),
            value: value.clone(),
        });
        reapi::Command {
            arguments: self.arguments.clone(),
            environment_variables: variables.collect(),
            output_paths,
            platform,
            working_directory: self.working_directory.clone(),
            ..Default::default()
        }
    }
}

/// A message's bytes and their digest.
pub(crate) fn encoded<M: Message>(message: &M) -> (BlobDigest, Bytes) {
    let bytes = Bytes::from(message.encode_to_vec());
    (BlobDigest::of(&bytes), bytes)
}
