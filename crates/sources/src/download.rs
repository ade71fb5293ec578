//! Downloads: kept by digest where BuildStream keeps them, checked before they are.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use headstart_merkle::BlobDigest;
use headstart_project::Download;

use crate::capture::digest_of;
use crate::error::SourceError;

/// The file of a download, fetched if it is not there yet.
pub(crate) fn fetch(
    download: &Download,
    kind: &str,
    source_dir: &Path,
) -> Result<PathBuf, SourceError> {
    let reference = download.reference.as_ref();
    let reference = reference.ok_or(SourceError::Unresolved)?;
    let folder = source_dir.join(kind).join(directory_name(&download.url));
    let path = folder.join(&**reference);
    if path.is_file() {
        if digest_of_file(&path)?.hex() == **reference {
            return Ok(path);
        }
        tracing::warn!(path = %path.display(), "a download is damaged, and is fetched again");
    }
    fs::create_dir_all(&folder).map_err(|error| SourceError::io(&folder, error))?;
    let mut reasons = Vec::new();
    for address in &download.addresses {
        match fetch_from(address, reference, &folder, &path)? {
            None => return Ok(path),
            Some(reason) => reasons.push(format!("{address}: {reason}")),
        }
    }
    Err(SourceError::Fetch {
        url: download.url.to_string(),
        reasons,
    })
}

/// Tries one address; gives the reason if the file can't be had there.
fn fetch_from(
    address: &str,
    reference: &str,
    folder: &Path,
    path: &Path,
) -> Result<Option<String>, SourceError> {
    let mut file = tempfile::Builder::new()
        .prefix(".headstart-")
        .tempfile_in(folder)
        .map_err(|error| SourceError::io(folder, error))?;
    if let Some(local) = address.strip_prefix("file://") {
        let copied = File::open(percent_decoded(local))
            .and_then(|mut from| io::copy(&mut from, file.as_file_mut()));
        if let Err(error) = copied {
            return Ok(Some(error.to_string()));
        }
    } else if let Some(reason) = fetch_by_curl(address, file.path())? {
        return Ok(Some(reason));
    }
    let digest = digest_of_file(file.path())?;
    if digest.hex() != reference {
        let found = digest.hex();
        return Ok(Some(format!(
            "its SHA-256 is {found}, expected the `ref` {reference}"
        )));
    }
    file.persist(path)
        .map_err(|error| SourceError::io(path, error.error))?;
    Ok(None)
}

fn digest_of_file(path: &Path) -> Result<BlobDigest, SourceError> {
    let failed = |error| SourceError::io(path, error);
    digest_of(&mut File::open(path).map_err(failed)?).map_err(failed)
}

fn fetch_by_curl(address: &str, to: &Path) -> Result<Option<String>, SourceError> {
    if !["http://", "https://", "ftp://"]
        .iter()
        .any(|scheme| address.starts_with(scheme))
    {
        return Ok(Some(
            "expected a file, http, https or ftp address".to_owned(),
        ));
    }
    let output = Command::new("curl")
        .args([
            "--fail",
            "--location",
            "--silent",
            "--show-error",
            "--retry",
            "2",
            "--output",
        ])
        .arg(to)
        .args(["--url", address])
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(None),
        Ok(output) => Ok(Some(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        )),
        Err(_) => Err(SourceError::NoProgram {
            program: "curl",
            purpose: "fetch sources from the network",
        }),
    }
}

/// The folder of an address: all but letters, digits and `%` become `_`.
fn directory_name(url: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '%';
    url.chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect()
}

fn percent_decoded(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = bytes.get(at + 1..at + 3).and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            (bytes[at] == b'%')
                .then(|| u8::from_str_radix(digits, 16).ok())
                .flatten()
        });
        decoded.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    std::ffi::OsString::from_vec(decoded).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_folders_and_paths() {
        assert_eq!(directory_name("crates:a-1.0.crate"), "crates_a_1_0_crate");
        assert_eq!(percent_decoded("/a%20b%2"), Path::new("/a b%2"));
    }
}
