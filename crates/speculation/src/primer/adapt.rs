//! Writing an action again, with another input tree and other mentioned trees.

use headstart_merkle::{ActionDigest, Digest, Directory, DirectoryDigest, TreePath};
use headstart_reapi::{Message, reapi};
use headstart_store::read_message;

use crate::storage::{SpeculationError, Storage};

/// Texts, each with what takes its place.
pub(crate) type Replacements = Vec<(String, String)>;

/// What an action becomes.
pub(crate) struct Change<'a> {
    /// Its input tree; `None` if all that was in it is removed.
    pub(crate) input_root: Option<DirectoryDigest>,
    /// Texts to be replaced in its platform, environment and arguments.
    pub(crate) texts: &'a Replacements,
    /// Paths to be replaced in its environment and arguments, longer ones first.
    pub(crate) paths: &'a Replacements,
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
    if !change.texts.is_empty() || !change.paths.is_empty() {
        if let Some(platform) = &mut action.platform {
            replace_in_platform(platform, change.texts);
        }
        let mut command = read_command(&action, store)?;
        replace_in_command(&mut command, change);
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

fn replace_in_platform(platform: &mut reapi::Platform, texts: &Replacements) {
    for property in &mut platform.properties {
        replace(&mut property.value, texts);
    }
}

fn replace_in_command(command: &mut reapi::Command, change: &Change<'_>) {
    if let Some(platform) = &mut command.platform {
        replace_in_platform(platform, change.texts);
    }
    let variables = command.environment_variables.iter_mut();
    let values = variables.map(|variable| &mut variable.value);
    for text in values.chain(&mut command.arguments) {
        replace(text, change.texts);
        for (old, new) in change.paths {
            replace_path(text, old, new);
        }
    }
}

fn replace(text: &mut String, texts: &Replacements) {
    for (old, new) in texts {
        if text.contains(old.as_str()) {
            *text = text.replace(old.as_str(), new);
        }
    }
}

/// Replaces a path wherever it, or one below it, stands in a command: alone, after an option's letters,
/// in a list, or in quotes.
fn replace_path(text: &mut String, old: &str, new: &str) {
    let mut replaced = String::new();
    let mut kept = 0;
    for (at, _) in text.match_indices(old) {
        let (before, after) = (&text[..at], &text[at + old.len()..]);
        let word = before.rfind(delimits).map_or(0, |end| end + 1);
        let begins = match before[word..].strip_prefix('-') {
            Some(option) => option.bytes().all(|byte| byte.is_ascii_alphabetic()),
            None => word == at,
        };
        let ends = after.is_empty() || after.starts_with(|next| next == '/' || delimits(next));
        if begins && ends {
            replaced.push_str(&text[kept..at]);
            replaced.push_str(new);
            kept = at + old.len();
        }
    }
    if kept > 0 {
        replaced.push_str(&text[kept..]);
        *text = replaced;
    }
}

/// Whether a character stands between paths.
fn delimits(one: char) -> bool {
    one.is_ascii_whitespace() || "=:;,'\"()".contains(one)
}

#[cfg(test)]
mod tests {
    use super::replace_path;

    #[test]
    fn paths_are_replaced_where_they_stand_whole() {
        for (text, old, new, expected) in [
            ("/usr/a-1", "/usr/a-1", "/usr/a-2", "/usr/a-2"),
            ("/usr/a-1/x.h", "/usr/a-1", "/usr/a-2", "/usr/a-2/x.h"),
            ("-I/usr/a-1", "/usr/a-1", "/usr/a-2", "-I/usr/a-2"),
            (
                "-isystem/usr/a-1/b",
                "/usr/a-1",
                "/usr/a-2",
                "-isystem/usr/a-2/b",
            ),
            (
                "-DD=\"/usr/a-1\"",
                "/usr/a-1",
                "/usr/a-2",
                "-DD=\"/usr/a-2\"",
            ),
            (
                "/usr/a-1:/b:/usr/a-1/c",
                "/usr/a-1",
                "/usr/a-2",
                "/usr/a-2:/b:/usr/a-2/c",
            ),
            (
                "-fx-map=/usr/a-1=.",
                "/usr/a-1",
                "/usr/a-2",
                "-fx-map=/usr/a-2=.",
            ),
            ("-Ia-1/b", "a-1", "a-2", "-Ia-2/b"),
            // Others.
            ("/usr/a-10", "/usr/a-1", "/usr/a-2", "/usr/a-10"),
            ("/opt/usr/a-1", "/usr/a-1", "/usr/a-2", "/opt/usr/a-1"),
            ("-I../usr/a-1", "/usr/a-1", "/usr/a-2", "-I../usr/a-1"),
            ("-Ib/a-1", "a-1", "a-2", "-Ib/a-1"),
            ("a-1.c", "a-1", "a-2", "a-1.c"),
        ] {
            let mut replaced = text.to_owned();
            replace_path(&mut replaced, old, new);
            assert_eq!(replaced, expected, "{old} in {text}");
        }
    }
}
