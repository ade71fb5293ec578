//! Aliases of addresses, and mirrors for them.

use std::sync::Arc;

use headstart_yaml::{Mapping, Provenance, Scalar};
use indexmap::IndexMap;

use crate::error::{LoadError, Problem};
use crate::variables::Variables;

/// Beginnings of addresses that are not taken for aliases.
const SCHEMES: [&str; 7] = ["http", "https", "ftp", "file", "git", "sftp", "ssh"];

/// What the beginnings of addresses stand for.
#[derive(Clone, Debug, Default)]
pub struct Aliases {
    aliases: IndexMap<Arc<str>, Arc<str>>,
    /// For each mirror, in the order they are tried, its addresses for aliases.
    mirrors: Vec<IndexMap<Arc<str>, Vec<Arc<str>>>>,
}

impl Aliases {
    /// Reads `aliases` and `mirrors` of project.conf; `variables` are those they may use.
    pub(crate) fn load(config: &mut Mapping, variables: &Variables) -> Result<Self, LoadError> {
        let mut aliases = IndexMap::new();
        if let Some(mut node) = config.take_mapping("aliases")? {
            variables.expand(&mut node)?;
            for (key, _) in node.iter() {
                let address = node.required_scalar(&key.text)?.value.clone();
                aliases.insert(key.text.clone(), address);
            }
        }
        let mut mirrors = Vec::new();
        if let Some(list) = config.sequence("mirrors")? {
            for mirror in list.mappings()? {
                mirrors.push(load_mirror(mirror.clone(), variables)?);
            }
        }
        Ok(Self { aliases, mirrors })
    }

    /// Whether an address begins with an alias, which must be one of the project's.
    pub(crate) fn check(&self, url: &Scalar) -> Result<bool, LoadError> {
        match url.value.split_once(':') {
            Some((alias, _)) if !SCHEMES.contains(&&*alias.to_lowercase()) => {
                if self.aliases.contains_key(alias) {
                    return Ok(true);
                }
                let problem = Problem::UnknownAlias(alias.to_owned());
                Err(LoadError::at(&url.at, problem))
            }
            _ => Ok(false),
        }
    }

    /// The alias that an address begins with, and what follows.
    fn split<'a>(&self, url: &'a str) -> Option<(&'a str, &'a str)> {
        url.split_once(':')
            .filter(|(alias, _)| self.aliases.contains_key(*alias))
    }

    /// The address with its alias, if it has one, replaced.
    pub fn translate(&self, url: &str) -> String {
        match self.split(url) {
            Some((alias, rest)) => format!("{}{rest}", self.aliases[alias]),
            None => url.to_owned(),
        }
    }

    /// Where to look for an address, in order: the mirrors of its alias, then the alias itself.
    pub fn addresses(&self, url: &str) -> Vec<String> {
        let mut addresses = Vec::new();
        if let Some((alias, rest)) = self.split(url) {
            let mirrors = self.mirrors.iter().filter_map(|mirror| mirror.get(alias));
            addresses.extend(mirrors.flatten().map(|mirror| format!("{mirror}{rest}")));
        }
        addresses.push(self.translate(url));
        addresses
    }
}

fn load_mirror(
    mut node: Mapping,
    variables: &Variables,
) -> Result<IndexMap<Arc<str>, Vec<Arc<str>>>, LoadError> {
    if let Some(kind) = node.scalar("kind")?
        && &*kind.value != "default"
    {
        let problem = Problem::Unsupported(format!("the mirror kind '{}' is", kind.value));
        return Err(LoadError::at(&kind.at, problem));
    }
    variables.expand(&mut node)?;
    node.expect_keys(&["kind", "name", "aliases"])?;
    node.required_scalar("name")?;
    let mut addresses = IndexMap::new();
    if let Some(aliases) = node.mapping("aliases")? {
        for (key, _) in aliases.iter() {
            addresses.insert(key.text.clone(), aliases.strings(&key.text)?);
        }
    }
    Ok(addresses)
}

/// The project's variables with the four that only aliases and mirrors have.
pub(crate) fn variables(base: &Mapping, directory: &str) -> Result<Variables, LoadError> {
    let mut base = base.clone();
    base.at = Provenance::SYNTHETIC;
    let uri = file_uri(directory);
    for (name, value) in [
        ("project-root", directory),
        ("toplevel-root", directory),
        ("project-root-uri", &uri),
        ("toplevel-root-uri", &uri),
    ] {
        base.insert(name, Scalar::synthetic(value));
    }
    Variables::resolve_possible(&base)
}

/// A path as a `file:` address, escaped as Python's `urllib.parse.quote` does.
fn file_uri(path: &str) -> String {
    let mut uri = String::from("file://");
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' | b'/' => {
                uri.push(byte.into());
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}
