//! Writing an action again, with another input tree and other mentioned trees.

use headstart_merkle::{ActionDigest, Digest, Directory, DirectoryDigest, TreePath};
use headstart_reapi::{Message, reapi};
use headstart_store::read_message;

use crate::storage::{SpeculationError, Storage};

/// What an action becomes.
pub(crate) struct Change<'a> {
    /// Its input tree; `None` if all that was in it is removed.
    pub(crate) input_root: Option<DirectoryDigest>,
    /// Texts to be replaced in its platform, environment and arguments.
    pub(crate) texts: &'a [(String, String)],
}

/// Writes `base` as it would be asked for today and gives its digest, which is that of `base` if
/// nothing has changed.
pub(crate) fn adapt(
    base: ActionDigest,
    change: &Change<'_>,
    store: &dyn Storage,
) -> Result<ActionDigest, SpeculationError> {
    let mut action: reapi::Action = read_message(store.blobs(), base, "an Action")?;
    let root = match change.input_root {
        Some(root) => root,
        None => {
            let empty = Directory::default();
            store.write_directory(empty.digest(), empty.encode())?;
            empty.digest()
        }
    };
    action.input_root_digest = Some(root.into());
    if !change.texts.is_empty() {
        if let Some(platform) = &mut action.platform {
            replace_in_platform(platform, change.texts);
        }
        let mut command = read_command(&action, store)?;
        replace_in_command(&mut command, change.texts);
        let written = store.blobs().write(command.encode_to_vec().into())?;
        action.command_digest = Some(written.into());
    }
    let encoded = action.encode_to_vec();
    let digest = ActionDigest::of(&encoded);
    if digest != base {
        store.blobs().write(encoded.into())?;
    }
    Ok(digest)
}

/// Whether the command of `action` names one of `paths` as an argument: then it can't do without.
pub(crate) fn names_one_of(
    action: ActionDigest,
    paths: &[TreePath],
    store: &dyn Storage,
) -> Result<bool, SpeculationError> {
    let action: reapi::Action = read_message(store.blobs(), action, "an Action")?;
    let command = read_command(&action, store)?;
    let named = |path: &TreePath| {
        let Some((_, name)) = path.split() else {
            return false;
        };
        let last = |argument: &str| argument.rsplit('/').next() == Some(name.as_str());
        command.arguments.iter().any(|argument| last(argument))
    };
    Ok(paths.iter().any(named))
}

fn read_command(
    action: &reapi::Action,
    store: &dyn Storage,
) -> Result<reapi::Command, SpeculationError> {
    let digest: headstart_merkle::CommandDigest = Digest::required(action.command_digest.as_ref())
        .map_err(|error| SpeculationError::Message(error.to_string()))?;
    Ok(read_message(store.blobs(), digest, "a Command")?)
}

fn replace_in_platform(platform: &mut reapi::Platform, texts: &[(String, String)]) {
    for property in &mut platform.properties {
        replace(&mut property.value, texts);
    }
}

fn replace_in_command(command: &mut reapi::Command, texts: &[(String, String)]) {
    if let Some(platform) = &mut command.platform {
        replace_in_platform(platform, texts);
    }
    for variable in &mut command.environment_variables {
        replace(&mut variable.value, texts);
    }
    for argument in &mut command.arguments {
        replace(argument, texts);
    }
}

fn replace(text: &mut String, texts: &[(String, String)]) {
    for (old, new) in texts {
        if text.contains(old.as_str()) {
            *text = text.replace(old.as_str(), new);
        }
    }
}
