//! A command as a REAPI action, as BuildStream's `SandboxREAPI` makes it.

use bytes::Bytes;
use headstart_merkle::{
    ActionDigest, BlobDigest, Digest, DirectoryDigest, Node, Properties, Tree, TreePath,
};
use headstart_project::Sandbox;
use headstart_reapi::{Message, reapi};
use headstart_store::read_message;

use crate::assembly::AssembleError;
use crate::script::Environment;
use crate::staging::{Store, place_path};

/// By this node property the sandbox knows what is read-only.
const READ_ONLY: &str = "SubtreeReadOnly";

/// What is run in a sandbox, and how it starts.
pub(crate) struct Invocation<'a> {
    pub(crate) arguments: Vec<String>,
    pub(crate) directory: &'a str,
    pub(crate) environment: &'a Environment,
}

/// What a command may do.
pub(crate) struct Permissions<'a> {
    /// Directories that are there, and that may be written to.
    pub(crate) marked: &'a [String],
    /// Whether nothing else may be written to.
    pub(crate) read_only: bool,
    /// For somebody at a terminal: their user and group, and the network.
    pub(crate) user: Option<(u32, u32)>,
    /// Whether times of modification of what it writes are wanted.
    pub(crate) times: bool,
}

/// Prepares `tree` for a command and writes the action that runs it.
pub(crate) fn write_action(
    tree: &mut Tree,
    invocation: &Invocation<'_>,
    permissions: &Permissions<'_>,
    config: &Sandbox,
    store: &Store,
) -> Result<ActionDigest, AssembleError> {
    tree.make_directory(&place_path(invocation.directory)?, store)?;
    let marked = permissions.marked.iter().map(String::as_str);
    for place in ["dev", "proc", "tmp"].into_iter().chain(marked) {
        let path = place_path(place)?;
        tree.make_directory(&path, store)?;
        if permissions.read_only {
            tree.set_properties(&path, Properties::named(READ_ONLY, "false"), store)?;
        }
    }
    if permissions.read_only {
        tree.set_properties(
            &TreePath::root(),
            Properties::named(READ_ONLY, "true"),
            store,
        )?;
    }
    let root = tree.write(store)?;
    let output = |place: &str| relative(place, invocation.directory);
    let outputs = match permissions.read_only {
        false => vec![output("/")],
        true => permissions.marked.iter().map(|it| output(it)).collect(),
    };
    let platform = platform(config, permissions.user);
    let mut command = command(invocation, outputs, platform.clone());
    if permissions.times {
        command.output_node_properties.push("mtime".to_owned());
    }
    let write = |bytes: Vec<u8>| store.store().write(Bytes::from(bytes));
    let action = reapi::Action {
        command_digest: Some(write(command.encode_to_vec())?.into()),
        input_root_digest: Some(root.into()),
        platform: Some(platform),
        ..Default::default()
    };
    Ok(write(action.encode_to_vec())?.cast())
}

fn command(
    invocation: &Invocation<'_>,
    output_paths: Vec<String>,
    platform: reapi::Platform,
) -> reapi::Command {
    let mut environment = invocation.environment.clone();
    environment.shift_remove("PWD");
    environment.insert("PWD".to_owned(), invocation.directory.to_owned());
    let variables = environment.into_iter();
    let environment_variables = variables
        .map(|(name, value)| reapi::command::EnvironmentVariable { name, value })
        .collect();
    reapi::Command {
        arguments: invocation.arguments.clone(),
        environment_variables,
        output_paths,
        working_directory: invocation.directory.trim_start_matches('/').to_owned(),
        output_directory_format: reapi::command::OutputDirectoryFormat::DirectoryOnly as i32,
        platform: Some(platform),
        ..Default::default()
    }
}

/// The platform properties, in order of their names.
fn platform(config: &Sandbox, user: Option<(u32, u32)>) -> reapi::Platform {
    let mut properties = vec![
        ("ISA", config.build_arch.to_owned()),
        ("OSFamily", config.build_os.to_string()),
    ];
    if user.is_some() {
        properties.push(("network", "on".to_owned()));
    }
    if let Some(socket) = &config.remote_apis_socket {
        properties.push((
            "remoteApisSocketPath",
            socket.path.trim_start_matches('/').to_owned(),
        ));
    }
    let (uid, gid) = match user {
        Some((uid, gid)) => (Some(uid.into()), Some(gid.into())),
        None => (config.build_uid, config.build_gid),
    };
    properties.extend(gid.map(|gid: i64| ("unixGID", gid.to_string())));
    properties.extend(uid.map(|uid: i64| ("unixUID", uid.to_string())));
    let properties = properties
        .into_iter()
        .map(|(name, value)| reapi::platform::Property {
            name: name.to_owned(),
            value,
        });
    reapi::Platform {
        properties: properties.collect(),
    }
}

/// `path` relative to the directory `start`, as Python's `os.path.relpath` writes it.
fn relative(path: &str, start: &str) -> String {
    let names = |path: &str| -> Vec<String> {
        path.split('/')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let (path, start) = (names(path), names(start));
    let common = path.iter().zip(&start).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..", start.len() - common);
    let relative: Vec<&str> = up
        .chain(path[common..].iter().map(String::as_str))
        .collect();
    if relative.is_empty() {
        ".".to_owned()
    } else {
        relative.join("/")
    }
}

/// Puts the outputs of an action that started in `directory` back into the tree it ran in.
pub(crate) fn apply_outputs(
    tree: &mut Tree,
    directory: &str,
    result: &reapi::ActionResult,
    store: &Store,
) -> Result<(), AssembleError> {
    for output in &result.output_directories {
        let digest = root_of(output, store)?;
        let path = place_path(&format!("{directory}/{}", output.path))?;
        tree.insert(&path, Node::Directory(digest), store)?;
    }
    Ok(())
}

/// An output's tree. Servers that give a Tree message only (API before 2.10) have its Directories stored here too.
fn root_of(
    output: &reapi::OutputDirectory,
    store: &Store,
) -> Result<DirectoryDigest, AssembleError> {
    if let Ok(root) = Digest::required(output.root_directory_digest.as_ref()) {
        return Ok(root);
    }
    let tree: BlobDigest = Digest::required(output.tree_digest.as_ref()).map_err(|error| {
        AssembleError::Element(format!("the output {:?} has no tree: {error}", output.path))
    })?;
    let tree: reapi::Tree = read_message(&**store.store(), tree, "a Tree")?;
    Ok(DirectoryDigest::of(
        &tree.root.unwrap_or_default().encode_to_vec(),
    ))
}

/// The tree without what says what was read-only in it.
pub(crate) fn write_unmarked(
    tree: &mut Tree,
    store: &Store,
) -> Result<DirectoryDigest, AssembleError> {
    tree.set_properties(&TreePath::root(), Properties::default(), store)?;
    Ok(tree.write(store)?)
}

#[cfg(test)]
mod tests {
    use super::relative;

    #[test]
    fn paths_are_relative_as_python_writes_them() {
        for (path, start, expected) in [
            ("/buildstream/p/e.bst", "/buildstream/p/e.bst", "."),
            (
                "/buildstream-install",
                "/buildstream/p/e.bst",
                "../../../buildstream-install",
            ),
            ("/buildstream/p/e.bst", "/buildstream/p/e.bst/sub", ".."),
            ("/", "/", "."),
            ("/", "/a/b", "../.."),
        ] {
            assert_eq!(relative(path, start), expected);
        }
    }
}
