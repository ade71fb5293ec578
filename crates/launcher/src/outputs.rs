//! Writing what an action left: files, links, directories, and what it printed.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use headstart_merkle::{BlobDigest, DirectoryDigest};
use headstart_reapi::{Message, reapi};

use crate::client::Client;
use crate::failure::Failure;

/// Everything that a result says is to be written, relative to the current directory.
#[derive(Default)]
struct Plan {
    folders: Vec<PathBuf>,
    files: Vec<(PathBuf, BlobDigest, bool)>,
    links: Vec<(PathBuf, String)>,
}

/// Writes the outputs of `result` and what it printed, in that order; gives its exit code.
pub(crate) async fn write(
    result: &reapi::ActionResult,
    client: &Client,
    current: &Path,
) -> Result<i32, Failure> {
    let mut known = HashMap::new();
    let mut plan = plan(result, client, &mut known).await?;
    let stdout = stream(
        &result.stdout_raw,
        result.stdout_digest.as_ref(),
        &mut known,
    )?;
    let stderr = stream(
        &result.stderr_raw,
        result.stderr_digest.as_ref(),
        &mut known,
    )?;
    let mut wanted: Vec<_> = plan.files.iter().map(|(_, digest, _)| *digest).collect();
    wanted.extend(stdout.into_iter().chain(stderr));
    wanted.sort();
    wanted.dedup();
    wanted.retain(|digest| !known.contains_key(digest));
    known.extend(client.read(&wanted).await?);
    let content = |digest: &BlobDigest| {
        let missing = || Failure::answer("BatchReadBlobs", format!("{digest} is missing"));
        known.get(digest).ok_or_else(missing)
    };

    for folder in &plan.folders {
        let path = current.join(folder);
        fs::create_dir_all(&path).map_err(Failure::file(path))?;
    }
    // Sorted, so that what is written does not depend on the server's order.
    plan.files.sort();
    for (path, digest, executable) in &plan.files {
        write_file(&current.join(path), content(digest)?, *executable)?;
    }
    for (path, target) in &plan.links {
        write_link(&current.join(path), target)?;
    }
    print(io::stdout(), stdout.as_ref().map(content).transpose()?);
    print(io::stderr(), stderr.as_ref().map(content).transpose()?);
    Ok(result.exit_code)
}

async fn plan(
    result: &reapi::ActionResult,
    client: &Client,
    known: &mut HashMap<BlobDigest, Bytes>,
) -> Result<Plan, Failure> {
    let mut plan = Plan::default();
    for file in &result.output_files {
        let digest = required(file.digest.as_ref())?;
        if !file.contents.is_empty() && digest.matches(&file.contents) {
            known.insert(digest, file.contents.clone());
        }
        plan.files
            .push((checked(&file.path)?, digest, file.is_executable));
    }
    let links = result.output_symlinks.iter();
    let links = links
        .chain(&result.output_file_symlinks)
        .chain(&result.output_directory_symlinks);
    for link in links {
        plan.links.push((checked(&link.path)?, link.target.clone()));
    }
    for directory in &result.output_directories {
        let tree = match &directory.tree_digest {
            Some(digest) => {
                let digest = required(Some(digest))?;
                let read = client.read(&[digest]).await?;
                let bytes = read.get(&digest).cloned().unwrap_or_default();
                reapi::Tree::decode(bytes).map_err(|error| Failure::answer("Execute", error))?
            }
            None => {
                return Err(Failure::answer(
                    "Execute",
                    "an output directory has no tree",
                ));
            }
        };
        plan.add_tree(checked(&directory.path)?, &tree)?;
    }
    Ok(plan)
}

impl Plan {
    fn add_tree(&mut self, at: PathBuf, tree: &reapi::Tree) -> Result<(), Failure> {
        let children = tree.children.iter();
        let children: HashMap<DirectoryDigest, &reapi::Directory> = children
            .map(|child| (DirectoryDigest::of(&child.encode_to_vec()), child))
            .collect();
        let mut todo: Vec<(PathBuf, &reapi::Directory)> =
            tree.root.iter().map(|root| (at.clone(), root)).collect();
        while let Some((at, directory)) = todo.pop() {
            self.folders.push(at.clone());
            for file in &directory.files {
                let path = at.join(checked(&file.name)?);
                self.files
                    .push((path, required(file.digest.as_ref())?, file.is_executable));
            }
            for link in &directory.symlinks {
                self.links
                    .push((at.join(checked(&link.name)?), link.target.clone()));
            }
            for child in &directory.directories {
                let digest = required(child.digest.as_ref())?.cast();
                let missing = || Failure::answer("Execute", format!("{digest} is not in its tree"));
                let directory = children.get(&digest).ok_or_else(missing)?;
                todo.push((at.join(checked(&child.name)?), *directory));
            }
        }
        Ok(())
    }
}

fn required(digest: Option<&reapi::Digest>) -> Result<BlobDigest, Failure> {
    BlobDigest::required(digest).map_err(|error| Failure::answer("Execute", error))
}

/// A path of the server's, which must stay relative.
fn checked(path: &str) -> Result<PathBuf, Failure> {
    if path.is_empty() || path.starts_with('/') || path.contains('\0') {
        return Err(Failure::answer(
            "Execute",
            format!("{path:?} is no path of an output"),
        ));
    }
    Ok(PathBuf::from(path))
}

/// Notes inline content of a stream; gives the digest of what it printed, if anything.
fn stream(
    raw: &Bytes,
    digest: Option<&reapi::Digest>,
    known: &mut HashMap<BlobDigest, Bytes>,
) -> Result<Option<BlobDigest>, Failure> {
    if !raw.is_empty() {
        let digest = BlobDigest::of(raw);
        known.insert(digest, raw.clone());
        return Ok(Some(digest));
    }
    let digest = digest.filter(|digest| digest.size_bytes != 0);
    digest.map(|digest| required(Some(digest))).transpose()
}

/// Replaces `path` at once, so that nobody sees half a file and hard links elsewhere stay as they are.
fn write_file(path: &Path, content: &[u8], executable: bool) -> Result<(), Failure> {
    let failed = || Failure::file(path);
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed())?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = folder.join(name);
    let written = fs::File::create(&temporary).and_then(|mut file| {
        file.write_all(content)?;
        if executable {
            let mode = file.metadata()?.permissions().mode();
            // Executable for whoever may read, as a linker would leave it under the same umask.
            let mode = mode | ((mode & 0o444) >> 2);
            file.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        fs::rename(&temporary, path)
    });
    written.map_err(|error| {
        let _ = fs::remove_file(&temporary);
        failed()(error)
    })
}

fn write_link(path: &Path, target: &str) -> Result<(), Failure> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Failure::file(folder))?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Failure::file(path)(error));
        }
        _ => {}
    }
    std::os::unix::fs::symlink(target, path).map_err(Failure::file(path))
}

/// Prints what the command printed. A reader that has gone is nothing to fail for.
fn print(mut to: impl Write, content: Option<&Bytes>) {
    if let Some(content) = content {
        let _ = to.write_all(content).and_then(|()| to.flush());
    }
}
