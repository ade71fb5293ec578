//! From what a sandbox gave to an ActionResult.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use headstart_execution::{ActionSpec, SandboxOutcome};
use headstart_merkle::{DirectoryDigest, Node, TreeError};
use headstart_reapi::reapi;
use headstart_store::{BlobStore, Directories, StoreError};

use crate::runner::WantedOutput;
use crate::trees::write_tree;

/// Longer output goes to the store and is named by digest.
const INLINE: usize = 16 * 1024;

/// The ActionResult of `outcome`.
pub(crate) fn action_result<S: BlobStore + ?Sized + 'static>(
    spec: &ActionSpec,
    wanted: &[WantedOutput],
    outcome: SandboxOutcome,
    queued: SystemTime,
    directories: &Directories<S>,
) -> Result<reapi::ActionResult, StoreError> {
    let store = directories.store().as_ref();
    let mut result = reapi::ActionResult {
        exit_code: outcome.exit_code,
        execution_metadata: Some(metadata(&outcome, queued)),
        ..Default::default()
    };
    for (path, node) in outcome.outputs {
        // Several names may mean the same path; each gets its own entry.
        for output in wanted.iter().filter(|output| output.path == path) {
            add_output(&mut result, spec, output.name.clone(), &node, directories)?;
        }
    }
    (result.stdout_raw, result.stdout_digest) = stream(outcome.stdout, store)?;
    (result.stderr_raw, result.stderr_digest) = stream(outcome.stderr, store)?;
    Ok(result)
}

fn add_output<S: BlobStore + ?Sized + 'static>(
    result: &mut reapi::ActionResult,
    spec: &ActionSpec,
    path: String,
    node: &Node,
    directories: &Directories<S>,
) -> Result<(), StoreError> {
    match node {
        Node::File(file) => result.output_files.push(reapi::OutputFile {
            path,
            digest: Some(file.digest.into()),
            is_executable: file.executable,
            node_properties: file.properties.to_message(),
            ..Default::default()
        }),
        Node::Symlink(link) => result.output_symlinks.push(reapi::OutputSymlink {
            path,
            target: link.target.to_string(),
            node_properties: link.properties.to_message(),
        }),
        Node::Directory(root) => {
            let tree = if spec.outputs.trees {
                let tree = write_tree(*root, directories);
                Some(tree.map_err(|error| of_tree(root, error))?.into())
            } else {
                None
            };
            result.output_directories.push(reapi::OutputDirectory {
                path,
                tree_digest: tree,
                is_topologically_sorted: false,
                root_directory_digest: spec.outputs.root_directories.then(|| (*root).into()),
            });
        }
    }
    Ok(())
}

fn of_tree(root: &DirectoryDigest, error: TreeError) -> StoreError {
    match error {
        TreeError::Missing(digest) => StoreError::Missing(digest),
        error => StoreError::Invalid {
            digest: root.blob(),
            what: "a tree that can be read",
            reason: error.to_string(),
        },
    }
}

fn stream<S: BlobStore + ?Sized + 'static>(
    content: Bytes,
    store: &S,
) -> Result<(Bytes, Option<reapi::Digest>), StoreError> {
    if content.len() <= INLINE {
        return Ok((content, None));
    }
    Ok((Bytes::new(), Some(store.write(content)?.into())))
}

fn metadata(outcome: &SandboxOutcome, queued: SystemTime) -> reapi::ExecutedActionMetadata {
    let completed = SystemTime::now();
    let before = |duration: Duration| completed.checked_sub(duration).unwrap_or(completed);
    let ran = before(outcome.capturing);
    let staged = before(outcome.capturing + outcome.running);
    let started = before(outcome.capturing + outcome.running + outcome.staging);
    let time = |time: SystemTime| Some(prost_types::Timestamp::from(time));
    reapi::ExecutedActionMetadata {
        worker: rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
        queued_timestamp: time(queued),
        worker_start_timestamp: time(started),
        input_fetch_start_timestamp: time(started),
        input_fetch_completed_timestamp: time(staged),
        execution_start_timestamp: time(staged),
        execution_completed_timestamp: time(ran),
        output_upload_start_timestamp: time(ran),
        output_upload_completed_timestamp: time(completed),
        worker_completed_timestamp: time(completed),
        ..Default::default()
    }
}
