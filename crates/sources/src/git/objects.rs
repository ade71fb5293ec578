//! Objects of repositories, as `git cat-file` prints them.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::{Git, failed};
use crate::error::SourceError;

/// An object of a repository, as it is stored but not compressed.
pub(crate) struct Object {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) content: Vec<u8>,
}

impl Object {
    /// The values of a commit's or a tag's headers of one name.
    pub(crate) fn headers(&self, name: &str) -> impl Iterator<Item = String> {
        let lines = self.content.split(|byte| *byte == b'\n');
        let headers = lines.take_while(|line| !line.is_empty());
        headers.filter_map(move |line| {
            let (found, value) = std::str::from_utf8(line).ok()?.split_once(' ')?;
            (found == name).then(|| value.to_owned())
        })
    }

    /// As a file of the repository has it.
    pub(crate) fn compressed(&self) -> Result<Vec<u8>, SourceError> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        let header = format!("{} {}\0", self.kind, self.content.len());
        let written = encoder
            .write_all(header.as_bytes())
            .and_then(|()| encoder.write_all(&self.content));
        let compressed = written.and_then(|()| encoder.finish());
        compressed.map_err(|error| SourceError::io(Path::new(&self.id), error))
    }
}

/// Reads objects, in the order of their ids.
pub(crate) fn read(repository: &Path, ids: &[String]) -> Result<Vec<Object>, SourceError> {
    let output = Git::of(repository)
        .args(["cat-file", "--batch"])
        .output_of(ids.join("\n").as_bytes())?;
    let doing = "its objects can't be read";
    if !output.status.success() {
        return Err(failed(doing, &output));
    }
    let mut rest = &*output.stdout;
    let mut objects = Vec::with_capacity(ids.len());
    for id in ids {
        let (object, after) = parse(rest).ok_or_else(|| SourceError::Tool {
            doing: doing.to_owned(),
            said: format!("{id} is missing"),
        })?;
        objects.push(object);
        rest = after;
    }
    Ok(objects)
}

/// The first object in what `git cat-file --batch` prints, and what follows it.
fn parse(output: &[u8]) -> Option<(Object, &[u8])> {
    let end = output.iter().position(|byte| *byte == b'\n')?;
    let header = std::str::from_utf8(&output[..end]).ok()?;
    let mut fields = header.split(' ');
    let (id, kind) = (fields.next()?, fields.next()?);
    let size: usize = fields.next()?.parse().ok()?;
    let content = output.get(end + 1..)?.get(..size)?;
    let object = Object {
        id: id.to_owned(),
        kind: kind.to_owned(),
        content: content.to_owned(),
    };
    Some((object, output.get(end + 1 + size + 1..)?))
}

/// The modes and ids in a tree object.
pub(crate) fn entries(tree: &[u8]) -> Vec<(String, String)> {
    let mut entries = Vec::new();
    let mut rest = tree;
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        let Some(id) = rest.get(end + 1..end + 21) else {
            break;
        };
        let name = String::from_utf8_lossy(&rest[..end]);
        let mode = name.split(' ').next().unwrap_or_default().to_owned();
        entries.push((mode, const_hex::encode(id)));
        rest = &rest[end + 21..];
    }
    entries
}

/// Those of some objects that a repository does not have.
pub(crate) fn missing(repository: &Path, ids: &[String]) -> Result<HashSet<String>, SourceError> {
    let output = Git::of(repository)
        .args(["cat-file", "--batch-check=%(objectname)"])
        .output_of(ids.join("\n").as_bytes())?;
    if !output.status.success() {
        return Err(failed("its objects can't be listed", &output));
    }
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let missing = lines
        .lines()
        .filter_map(|line| line.strip_suffix(" missing"));
    Ok(missing.map(str::to_owned).collect())
}
