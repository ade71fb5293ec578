//! `cpan`: the newest distribution of a module, by the list of Perl's archive network.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use headstart_project::{Cpan, PackageFile};

use crate::download::{fetch_newest, fetch_temporary};
use crate::error::SourceError;
use crate::package::kept_in;

/// The list, below the index: lines that say what it is, an empty one, and then for each module its name,
/// its version and where its distribution is.
const LIST: &str = "modules/02packages.details.txt.gz";

/// What the places in the list begin with, below the index.
const DISTRIBUTIONS: &str = "authors/id/";

/// Longest line of the list that is looked at.
const MAX_LINE: u64 = 1 << 16;

/// The file that the module is in now.
pub(crate) fn track(source: &Cpan, folder: &Path) -> Result<PackageFile, SourceError> {
    let folder = kept_in(folder, &source.name);
    let list = fetch_temporary(&source.index.below(LIST), &folder)?;
    let path = list.path();
    let opened = File::open(path).map_err(|error| SourceError::io(path, error))?;
    let found = find(&source.name, MultiGzDecoder::new(opened));
    let found = found.map_err(|error| refuse(source, &format!("its list is damaged: {error}")))?;
    let found = found.ok_or_else(|| refuse(source, "it is not in the list"))?;
    let suffix = format!("{DISTRIBUTIONS}{found}");
    let sha256 = fetch_newest(&source.index.below(&suffix), &folder)?;
    Ok(PackageFile {
        sha256: sha256.into(),
        suffix: suffix.into(),
    })
}

fn refuse(source: &Cpan, said: &str) -> SourceError {
    SourceError::Tool {
        doing: format!(
            "the module '{}' can't be tracked in {}",
            source.name, source.index.url
        ),
        said: said.to_owned(),
    }
}

/// Where the distribution of a module is, by the unpacked list.
fn find(module: &str, list: impl Read) -> std::io::Result<Option<String>> {
    let mut list = BufReader::new(list);
    let mut line = Vec::new();
    let mut is_head = true;
    while list.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        let mut words = text.split_whitespace();
        match words.next() {
            None => is_head = false,
            Some(name) if !is_head && name == module => return Ok(words.nth(1).map(str::to_owned)),
            Some(_) => {}
        }
        line.clear();
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_found_behind_the_head_of_the_list() {
        let list = "File: a b c\nA::B: 1 2\n\nA 0.1 A/A-0.1.tar.gz\nA::B   undef\tB/B.zip\n";
        let find = |module| find(module, list.as_bytes()).unwrap();
        assert_eq!(find("A::B"), Some("B/B.zip".to_owned()));
        assert_eq!(find("A"), Some("A/A-0.1.tar.gz".to_owned()));
        assert_eq!(find("File:"), None);
    }
}
