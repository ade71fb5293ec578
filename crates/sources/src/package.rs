//! What the kinds of packages have in common: an archive of an index, without the folder that all of it is in.

use std::path::{Path, PathBuf};

use headstart_merkle::DirectoryDigest;
use headstart_project::{Address, PackageFile};

use crate::Store;
use crate::download::{directory_name, fetch};
use crate::error::SourceError;
use crate::tar::Tar;
use crate::unpacking::{Base, Format};
use crate::zip::Zip;

/// The tree of a package's file, fetched below the folder of its kind if it is not there yet.
pub(crate) fn stage(
    storage: &Address,
    name: &str,
    file: Option<&PackageFile>,
    folder: &Path,
    store: &Store,
) -> Result<DirectoryDigest, SourceError> {
    let PackageFile { sha256, suffix } = file.ok_or(SourceError::Unresolved)?;
    let path = fetch(&storage.below(suffix), sha256, &kept_in(folder, name))?;
    let format: &dyn Format = match suffix.ends_with(".zip") {
        true => &Zip,
        false => &Tar,
    };
    format.unpack(&path, &Base::InAny, suffix, store)
}

/// Where the files of a package are kept, below the folder of its kind.
pub(crate) fn kept_in(folder: &Path, name: &str) -> PathBuf {
    folder.join(directory_name(name))
}
