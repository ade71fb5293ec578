//! Storing the result of a command that was run here, so that its like is found later.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use headstart_merkle::BlobDigest;
use headstart_reapi::reapi;

use crate::client::{Client, Content};
use crate::failure::Failure;
use crate::inputs::digest_of;
use crate::local::Ran;
use crate::run::Prepared;

/// Stores what `ran` left: outputs, what it printed, the Action with its Command and Directories,
/// but no input files. Says whether it did: what lacks an output is not stored, and what failed only
/// with `also_failed`.
pub(crate) async fn store(
    prepared: Prepared,
    ran: Ran,
    client: &Client,
    current: &Path,
    also_failed: bool,
) -> Result<bool, Failure> {
    let failed = ran.exit_code != 0;
    if failed && !also_failed {
        return Ok(false);
    }
    let mut blobs: HashMap<BlobDigest, Content> = HashMap::new();
    let mut result = reapi::ActionResult {
        exit_code: ran.exit_code.into(),
        ..Default::default()
    };
    for output in &prepared.outputs {
        let path = current.join(output);
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(_) if failed => continue,
            Err(_) => return Ok(false),
        };
        if !metadata.is_file() {
            return Ok(false);
        }
        let digest = digest_of(&path)?;
        result.output_files.push(reapi::OutputFile {
            path: output.clone(),
            digest: Some(digest.into()),
            is_executable: metadata.permissions().mode() & 0o111 != 0,
            ..Default::default()
        });
        blobs.insert(digest, Content::File(path));
    }
    let mut add = |content: bytes::Bytes| {
        let digest = BlobDigest::of(&content);
        blobs.insert(digest, Content::Bytes(content));
        Some(digest.into())
    };
    if !ran.stdout.is_empty() {
        result.stdout_digest = add(ran.stdout);
    }
    if !ran.stderr.is_empty() {
        result.stderr_digest = add(ran.stderr);
    }
    let messages = prepared
        .root
        .directories
        .into_iter()
        .chain(prepared.action.blobs);
    blobs.extend(messages.map(|(digest, bytes)| (digest, Content::Bytes(bytes))));
    client.upload(&blobs).await?;
    client
        .update_action_result(prepared.action.digest, result)
        .await?;
    Ok(true)
}
