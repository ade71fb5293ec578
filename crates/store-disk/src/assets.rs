//! Names of contents as files, one a name.
//!
//! A file is the digest as `HASH/SIZE`, ` elsewhere` if the content is on other servers, a line's end, and
//! the name: what the key is made of, for people.

use std::fs;
use std::io;
use std::path::PathBuf;

use headstart_store::{Asset, AssetName, Assets, StoreError};

use crate::layout::{Layout, sharded};
use crate::temporary::Temporary;

const ELSEWHERE: &str = " elsewhere";

/// Names as files below `assets/headstart`.
#[derive(Debug, Clone)]
pub struct DiskAssets {
    names: PathBuf,
    temporary: PathBuf,
}

impl DiskAssets {
    /// Opens the names in a cache directory.
    pub fn open(layout: &Layout) -> Self {
        let names = layout.assets();
        // Others who clear the directory rely on the folder. Where it can't be made, that is told of when a
        // name is put there.
        let _ = fs::create_dir_all(&names);
        Self {
            names,
            temporary: layout.temporary(),
        }
    }
}

impl Assets for DiskAssets {
    fn get(&self, name: &AssetName) -> Result<Option<Asset>, StoreError> {
        let path = sharded(&self.names, name.key());
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io(path, error)),
        };
        // What is torn or damaged is not known.
        let asset = text.split_once('\n').and_then(|(line, _)| {
            let digest = line.strip_suffix(ELSEWHERE);
            Some(Asset {
                content: digest.unwrap_or(line).parse().ok()?,
                elsewhere: digest.is_some(),
            })
        });
        Ok(asset)
    }

    fn put(&self, name: &AssetName, asset: &Asset) -> Result<(), StoreError> {
        let mut temporary = Temporary::create(&self.temporary)?;
        let elsewhere = if asset.elsewhere { ELSEWHERE } else { "" };
        let text = format!("{}{elsewhere}\n{}\n", asset.content, name.uri);
        temporary.write_all(text.as_bytes())?;
        temporary.place(&sharded(&self.names, name.key()), 0o644)
    }
}
