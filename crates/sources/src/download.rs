//! Downloads: kept by digest where BuildStream keeps them, checked before they are.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use headstart_project::{Address, Location};
use tempfile::NamedTempFile;

use crate::capture::digest_of;
use crate::curl::Curl;
use crate::error::SourceError;
use crate::netrc;
use crate::places::{fetch_from_first, track_at_first};

/// The file behind an address whose SHA-256 is `sha256`, fetched if it is not in `folder` yet.
pub(crate) fn fetch(
    address: &Address,
    sha256: &str,
    folder: &Path,
) -> Result<PathBuf, SourceError> {
    let path = folder.join(sha256);
    if path.is_file() {
        if hash_of(&path)? == sha256 {
            return Ok(path);
        }
        tracing::warn!(path = %path.display(), "a download is damaged, and is fetched again");
    }
    make_folder(folder)?;
    fetch_from_first(address, |location| {
        fetch_from(location, Some(sha256), folder)
    })?;
    Ok(path)
}

/// Fetches what is behind an address now, and gives its SHA-256, by which it is kept in `folder`.
pub(crate) fn fetch_newest(address: &Address, folder: &Path) -> Result<String, SourceError> {
    make_folder(folder)?;
    track_at_first(address, |location| fetch_from(location, None, folder))
}

/// Fetches what is behind an address now, and keeps it no longer than what is given is there.
pub(crate) fn fetch_temporary(
    address: &Address,
    folder: &Path,
) -> Result<NamedTempFile, SourceError> {
    make_folder(folder)?;
    track_at_first(address, |location| get(location, folder))
}

pub(crate) fn make_folder(folder: &Path) -> Result<(), SourceError> {
    fs::create_dir_all(folder).map_err(|error| SourceError::io(folder, error))
}

/// A file in `folder` for what is not whole yet.
pub(crate) fn temporary(folder: &Path) -> Result<NamedTempFile, SourceError> {
    tempfile::Builder::new()
        .prefix(".headstart-")
        .tempfile_in(folder)
        .map_err(|error| SourceError::io(folder, error))
}

/// Tries one place; gives the file's SHA-256. `expected` is what it must be.
fn fetch_from(
    location: &Location,
    expected: Option<&str>,
    folder: &Path,
) -> Result<String, SourceError> {
    let file = get(location, folder)?;
    let sha256 = hash_of(file.path())?;
    if let Some(expected) = expected
        && sha256 != expected
    {
        let reason = format!("its SHA-256 is {sha256}, expected the `ref` {expected}");
        return Err(SourceError::not_there(reason));
    }
    let path = folder.join(&sha256);
    file.persist(&path)
        .map_err(|error| SourceError::io(&path, error.error))?;
    Ok(sha256)
}

/// What is at a place, in a file of `folder`.
fn get(location: &Location, folder: &Path) -> Result<NamedTempFile, SourceError> {
    let mut file = temporary(folder)?;
    match location.url.strip_prefix("file://") {
        Some(local) => {
            let from = File::open(percent_decoded(local));
            from.and_then(|mut from| io::copy(&mut from, file.as_file_mut()))
                .map_err(|error| SourceError::not_there(error.to_string()))?;
        }
        None => fetch_by_curl(location, file.path())?,
    }
    Ok(file)
}

/// The SHA-256 of a file, in hexadecimal digits.
pub(crate) fn hash_of(path: &Path) -> Result<String, SourceError> {
    let failed = |error| SourceError::io(path, error);
    let digest = digest_of(&mut File::open(path).map_err(failed)?).map_err(failed)?;
    Ok(digest.hex())
}

fn fetch_by_curl(location: &Location, to: &Path) -> Result<(), SourceError> {
    let address = &location.url;
    if !["http://", "https://", "ftp://"]
        .iter()
        .any(|scheme| address.starts_with(scheme))
    {
        return Err(SourceError::not_there(
            "expected a file, http, https or ftp address",
        ));
    }
    let curl = Curl::new(address)
        .with(["--fail", "--retry", "2", "--output"])
        .with([to]);
    let curl = match location.bearer {
        false => curl.with(["--netrc-optional"]),
        true => match password(location) {
            Some(token) => curl.showing(&token),
            None => curl,
        },
    };
    let output = curl.run()?;
    if output.status.success() {
        return Ok(());
    }
    Err(SourceError::not_there(
        String::from_utf8_lossy(&output.stderr).trim(),
    ))
}

/// The user's password for the server.
fn password(location: &Location) -> Option<String> {
    let authority = location.url.split_once("://").map_or("", |(_, rest)| {
        rest.split(['/', '?', '#']).next().unwrap_or_default()
    });
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host,
    };
    netrc::password(host)
}

/// The folder of an address: all but letters, digits and `%` become `_`.
pub(crate) fn directory_name(url: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '%';
    url.chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect()
}

pub(crate) fn percent_decoded(text: &str) -> PathBuf {
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
