//! Tracking `pypi`: the newest version among the index' files that a source wants.

use std::cmp::Ordering;

use headstart_project::PyPi;
use headstart_yaml::{Mapping, Node, Scalar};
use serde::Deserialize;

use super::version::Version;
use crate::curl::Curl;
use crate::error::SourceError;
use crate::glob::Glob;

const INDEX: &str = "https://pypi.org/simple/";
const STORAGE: &str = "https://files.pythonhosted.org/packages/";
const FORMAT: &str = "application/vnd.pypi.simple.v1+json";

/// What the index says of a package.
#[derive(Deserialize)]
struct Listing {
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    filename: String,
    url: String,
    hashes: Hashes,
    #[serde(default)]
    yanked: serde_json::Value,
}

#[derive(Deserialize)]
struct Hashes {
    sha256: Option<String>,
}

impl File {
    /// Withdrawn files have a reason, or just `true`.
    fn is_yanked(&self) -> bool {
        !matches!(
            &self.yanked,
            serde_json::Value::Null | serde_json::Value::Bool(false)
        )
    }

    /// The version of a source package: `NAME-VERSION.tar.gz` or `.zip`.
    fn version(&self) -> Option<Version> {
        let name = self.filename.strip_suffix(".tar.gz");
        let name = name.or_else(|| self.filename.strip_suffix(".zip"))?;
        Version::parse(name.rsplit_once('-')?.1)
    }
}

/// The new `ref`; none if no file is wanted.
pub(crate) fn track(source: &PyPi) -> Result<Option<Node>, SourceError> {
    newest(source, &ask(&format!("{INDEX}{}", source.name))?)
}

fn ask(url: &str) -> Result<Vec<u8>, SourceError> {
    let accept = format!("Accept: {FORMAT}");
    let output = Curl::new(url)
        .with(["--fail", "--max-time", "60", "--header", &accept])
        .run()?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(refuse(url, String::from_utf8_lossy(&output.stderr).trim())),
    }
}

fn refuse(what: &str, said: &str) -> SourceError {
    SourceError::Tool {
        doing: format!("{what} can't be tracked"),
        said: said.to_owned(),
    }
}

fn newest(source: &PyPi, listing: &[u8]) -> Result<Option<Node>, SourceError> {
    let listing: Listing = serde_json::from_slice(listing).map_err(|error| {
        refuse(
            &source.name,
            &format!("the index is not understood: {error}"),
        )
    })?;
    let include: Vec<Glob> = source.include.iter().map(|text| Glob::new(text)).collect();
    let exclude: Vec<Glob> = source.exclude.iter().map(|text| Glob::new(text)).collect();
    let wanted = |version: &Version| {
        let text = version.to_string();
        (source.prereleases || !version.is_prerelease())
            && include.iter().all(|glob| glob.matches(&text))
            && !exclude.iter().any(|glob| glob.matches(&text))
    };
    let mut newest: Option<(Version, &File)> = None;
    for file in listing.files.iter().filter(|file| !file.is_yanked()) {
        let Some(version) = file.version().filter(wanted) else {
            continue;
        };
        // Of two of the same version the later counts.
        if newest
            .as_ref()
            .is_none_or(|(newest, _)| version.cmp(newest) != Ordering::Less)
        {
            newest = Some((version, file));
        }
    }
    let Some((_, file)) = newest else {
        return Ok(None);
    };
    let sha256 = file.hashes.sha256.as_deref();
    let sha256 = sha256.ok_or_else(|| refuse(&file.filename, "the index has no SHA-256 of it"))?;
    let suffix = file.url.strip_prefix(STORAGE).unwrap_or(&file.url);
    Ok(Some(reference(sha256, suffix)))
}

/// A `ref`.
pub(crate) fn reference(sha256: &str, suffix: &str) -> Node {
    let mut node = Mapping::default();
    node.insert("sha256sum", Scalar::synthetic(sha256));
    node.insert("suffix", Scalar::synthetic(suffix));
    node.into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use headstart_project::{MemoryFiles, Nothing, Projects, Settings, SourceConfig};

    use super::*;

    #[test]
    fn the_newest_file_that_is_wanted_is_found() {
        let file = |name: &str, yanked: &str| {
            format!(
                r#"{{"filename": "{name}", "url": "{STORAGE}aa/{name}", "yanked": {yanked},
                    "hashes": {{"sha256": "hash of {name}"}}}}"#
            )
        };
        let files = [
            file("p-1.9.tar.gz", "false"),
            file("p-1.10.tar.gz", "false"),
            file("p-1.11-py3-none-any.whl", "false"),
            file("p-1.11.zip", "\"broken\""),
            file("p-2.0rc1.tar.gz", "false"),
        ];
        let listing = format!("{{\"files\": [{}]}}", files.join(","));
        let newest = |more: &str| {
            let source = load(more);
            let node = newest(&source, listing.as_bytes()).unwrap();
            node.map(|node| match node {
                Node::Mapping(node) => node.required_string("suffix").unwrap().to_owned(),
                _ => unreachable!(),
            })
        };
        assert_eq!(newest(""), Some("aa/p-1.10.tar.gz".to_owned()));
        assert_eq!(
            newest("exclude: ['1.1*']"),
            Some("aa/p-1.9.tar.gz".to_owned())
        );
        assert_eq!(
            newest("prereleases: true"),
            Some("aa/p-2.0rc1.tar.gz".to_owned())
        );
        assert_eq!(newest("include: ['3*']"), None);
    }

    fn load(more: &str) -> PyPi {
        let files = MemoryFiles::from_fixture(&format!(
            "//- project.conf\nname: p\nmin-version: 2.0\nplugins:\n- origin: pip\n  package-name: \
             buildstream-plugins-community\n  sources: [pypi]\n//- a.bst\nkind: import\nsources:\n\
             - kind: pypi\n  name: p\n  {more}\n"
        ));
        let host = headstart_project::Host {
            system: "Linux".to_owned(),
            machine: "x86_64".to_owned(),
            max_jobs: 1,
        };
        let settings = Settings::new(host, "");
        let projects = Projects::load(Arc::new(files), Arc::new(Nothing), settings).unwrap();
        let graph = projects.load_elements(&["a.bst"]).unwrap();
        match &graph[graph.targets()[0]].sources[0].config {
            SourceConfig::PyPi(source) => source.clone(),
            _ => unreachable!(),
        }
    }
}
