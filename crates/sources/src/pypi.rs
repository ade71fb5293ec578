//! `pypi`: a source package of the Python package index, without the folder that all of it is in.

mod track;
mod version;

use std::path::{Path, PathBuf};

use headstart_merkle::DirectoryDigest;
use headstart_project::{PyPi, PyPiFile};

pub(crate) use track::{reference, track};

use crate::Store;
use crate::download::{directory_name, fetch};
use crate::error::SourceError;
use crate::tar::Tar;
use crate::unpacking::{Base, Format};
use crate::zip::Zip;

/// The file of the package, fetched into `folder` if it is not there yet.
pub(crate) fn download(source: &PyPi, folder: &Path) -> Result<PathBuf, SourceError> {
    let file = file(source)?;
    let address = source.storage.below(&file.suffix);
    fetch(
        &address,
        &file.sha256,
        &folder.join(directory_name(&source.name)),
    )
}

/// The tree of the package.
pub(crate) fn stage(
    source: &PyPi,
    folder: &Path,
    store: &Store,
) -> Result<DirectoryDigest, SourceError> {
    let path = download(source, folder)?;
    let suffix = &file(source)?.suffix;
    let format: &dyn Format = match suffix.ends_with(".zip") {
        true => &Zip,
        false => &Tar,
    };
    format.unpack(&path, &Base::InAny, suffix, store)
}

fn file(source: &PyPi) -> Result<&PyPiFile, SourceError> {
    source.reference.as_ref().ok_or(SourceError::Unresolved)
}
