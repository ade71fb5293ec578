//! A batch as a REAPI action, as BuildStream's `SandboxREAPI` makes it.

use bytes::Bytes;
use headstart_merkle::{ActionDigest, Digest, DirectoryDigest, Node, Properties, Tree, TreePath};
use headstart_project::Sandbox;
use headstart_reapi::{Message, reapi};

use crate::assembly::AssembleError;
use crate::script::Batch;
use crate::staging::{Store, place_path};

/// By this node property the sandbox knows what is read-only.
const READ_ONLY: &str = "SubtreeReadOnly";

/// What a batch may write to.
pub(crate) enum Writable<'a> {
    /// The whole tree.
    Root,
    /// These directories.
    Directories(&'a [&'a str]),
}

/// Prepares `tree` for the batch and writes the action that runs it.
pub(crate) fn write_action(
    tree: &mut Tree,
    batch: &Batch,
    writable: &Writable<'_>,
    marked: &[&str],
    config: &Sandbox,
    store: &Store,
) -> Result<ActionDigest, AssembleError> {
    let directory = place_path(&batch.directory)?;
    tree.make_directory(&directory, store)?;
    let read_only = matches!(writable, Writable::Directories(_));
    for place in ["dev", "proc", "tmp"].iter().chain(marked) {
        let path = place_path(place)?;
        tree.make_directory(&path, store)?;
        if read_only {
            tree.set_properties(&path, Properties::named(READ_ONLY, "false"), store)?;
        }
    }
    if read_only {
        tree.set_properties(
            &TreePath::root(),
            Properties::named(READ_ONLY, "true"),
            store,
        )?;
    }
    let root = tree.write(store)?;
    let outputs: Vec<String> = match writable {
        Writable::Root => vec![relative("/", &batch.directory)],
        Writable::Directories(places) => places
            .iter()
            .map(|place| relative(place, &batch.directory))
            .collect(),
    };
    let platform = platform(config);
    let command = command(batch, outputs, platform.clone());
    let write = |bytes: Vec<u8>| store.store().write(Bytes::from(bytes));
    let action = reapi::Action {
        command_digest: Some(write(command.encode_to_vec())?.into()),
        input_root_digest: Some(root.into()),
        platform: Some(platform),
        ..Default::default()
    };
    Ok(write(action.encode_to_vec())?.cast())
}

fn command(batch: &Batch, output_paths: Vec<String>, platform: reapi::Platform) -> reapi::Command {
    let mut environment = batch.environment.clone();
    environment.shift_remove("PWD");
    environment.insert("PWD".to_owned(), batch.directory.clone());
    let variables = environment.into_iter();
    let environment_variables = variables
        .map(|(name, value)| reapi::command::EnvironmentVariable { name, value })
        .collect();
    reapi::Command {
        arguments: ["sh", "-c", "-e", &batch.script]
            .map(str::to_owned)
            .to_vec(),
        environment_variables,
        output_paths,
        working_directory: batch.directory.trim_start_matches('/').to_owned(),
        output_directory_format: reapi::command::OutputDirectoryFormat::DirectoryOnly as i32,
        platform: Some(platform),
        ..Default::default()
    }
}

/// The platform properties, in order of their names.
fn platform(config: &Sandbox) -> reapi::Platform {
    let mut properties = vec![
        ("ISA", config.build_arch.to_owned()),
        ("OSFamily", config.build_os.to_string()),
    ];
    if let Some(socket) = &config.remote_apis_socket {
        properties.push((
            "remoteApisSocketPath",
            socket.path.trim_start_matches('/').to_owned(),
        ));
    }
    properties.extend(config.build_gid.map(|gid| ("unixGID", gid.to_string())));
    properties.extend(config.build_uid.map(|uid| ("unixUID", uid.to_string())));
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

/// Puts the outputs of an action back into the tree it ran in.
pub(crate) fn apply_outputs(
    tree: &mut Tree,
    batch: &Batch,
    result: &reapi::ActionResult,
    store: &Store,
) -> Result<(), AssembleError> {
    for output in &result.output_directories {
        let digest: DirectoryDigest = Digest::required(output.root_directory_digest.as_ref())
            .map_err(|error| {
                AssembleError::Element(format!("the output {:?} has no tree: {error}", output.path))
            })?;
        let path = place_path(&format!("{}/{}", batch.directory, output.path))?;
        tree.insert(&path, Node::Directory(digest), store)?;
    }
    Ok(())
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
