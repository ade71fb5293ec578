//! `cargo2`: crates from a registry or from Git repositories, staged so that cargo finds them
//! without a network: each in a folder of its own, with a configuration that names the folder.

mod lock;
mod workspace;

use std::path::{Path, PathBuf};

use headstart_merkle::{DirectoryDigest, Node, Tree};
use headstart_project::{Address, Crate, CrateOrigin, Crates};
use toml::{Table, Value};

pub(crate) use lock::{to_yaml, track};

use crate::download::{directory_name, fetch};
use crate::error::SourceError;
use crate::files::put_file;
use crate::git::{fetch_commit, stage_commit};
use crate::tar::{self, Tar};
use crate::unpacking::{Base, Format as _};
use crate::{Store, toml as toml_text, tree_path};

/// Fetches all crates into `folder`, as far as they are not there.
pub(crate) fn download(source: &Crates, folder: &Path) -> Result<(), SourceError> {
    for each in &source.crates {
        match &each.origin {
            CrateOrigin::Registry { sha } => {
                let sha = sha.as_deref().ok_or(SourceError::Unresolved)?;
                fetch(&address(source, each), sha, &kept_in(source, each, folder))?;
            }
            CrateOrigin::Git { commit, .. } => {
                fetch_commit(&repository(&each.origin), commit, folder)?;
            }
        }
    }
    Ok(())
}

/// The tree with all crates and the configuration.
pub(crate) fn stage(
    source: &Crates,
    folder: &Path,
    store: &Store,
) -> Result<DirectoryDigest, SourceError> {
    let mut tree = Tree::empty();
    let vendor = tree_path(&source.vendor_dir)?;
    tree.make_directory(&vendor, store)?;
    let mut config = Table::new();
    let registry = [
        ("registry", source.registry.translated.as_str()),
        ("replace-with", "vendored-sources"),
    ];
    config.insert("crates-io".to_owned(), table(registry));
    for each in &source.crates {
        let at = vendor.join(&tree_path(&format!("{}-{}", each.name, each.version))?);
        if tree.get(&at, store)?.is_some() {
            return Err(SourceError::Tool {
                doing: format!("the crate {} {} can't be staged", each.name, each.version),
                said: "it comes from more than one source, which cargo does not support".to_owned(),
            });
        }
        match &each.origin {
            CrateOrigin::Registry { sha } => {
                let sha = sha.as_deref().ok_or(SourceError::Unresolved)?;
                let files = stage_from_registry(source, each, sha, folder, store)?;
                tree.merge(&vendor, files, store)?;
            }
            CrateOrigin::Git { commit, .. } => {
                let files = stage_commit(&repository(&each.origin), commit, folder, store)?;
                let files = workspace::find(files, &each.name, store)?;
                let files = with_checksum(files, "{\"files\": {}, \"package\": null}", store)?;
                tree.insert(&at, Node::Directory(files), store)?;
                let (name, entry) = git_entry(&each.origin);
                config.insert(name, entry);
            }
        }
    }
    let vendored = [("directory", &*source.vendor_dir)];
    config.insert("vendored-sources".to_owned(), table(vendored));
    let mut document = Table::new();
    document.insert("source".to_owned(), Value::Table(config));
    let text = toml_text::to_text(&document);
    put_file(
        &mut tree,
        &tree_path(".cargo/config.toml")?,
        text,
        false,
        store,
    )?;
    Ok(tree.write(store)?)
}

fn table<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    let entries = entries.into_iter();
    Value::Table(
        entries
            .map(|(key, value)| (key.to_owned(), Value::String(value.to_owned())))
            .collect(),
    )
}

/// Where a crate of the registry is.
fn address(source: &Crates, each: &Crate) -> Address {
    let Crate { name, version, .. } = each;
    source
        .registry
        .below(&format!("{name}/{name}-{version}.crate"))
}

/// Where a crate of the registry is kept.
fn kept_in(source: &Crates, each: &Crate, folder: &Path) -> PathBuf {
    folder
        .join(directory_name(&source.registry.url))
        .join(&*each.name)
        .join(&*each.version)
}

/// The repository of a crate, named as it is written and fetched from where mirrors say.
fn repository(origin: &CrateOrigin) -> Address {
    match origin {
        CrateOrigin::Git { repo, address, .. } => Address {
            url: repo.clone(),
            ..address.clone()
        },
        CrateOrigin::Registry { .. } => Address::discovered(""),
    }
}

fn stage_from_registry(
    source: &Crates,
    each: &Crate,
    sha: &str,
    folder: &Path,
    store: &Store,
) -> Result<DirectoryDigest, SourceError> {
    let address = address(source, each);
    let file = fetch(&address, sha, &kept_in(source, each, folder))?;
    let mut tree = Tree::stored(Tar.unpack(&file, &Base::All, &address.url, store)?);
    if let Some(first) = tar::first_name(&file, &address.url)? {
        let at = tree_path(&format!("{first}/.cargo-checksum.json"))?;
        let text = format!("{{\"package\": \"{sha}\", \"files\": {{}}}}");
        put_file(&mut tree, &at, text, false, store)?;
    }
    Ok(tree.write(store)?)
}

fn with_checksum(
    files: DirectoryDigest,
    text: &str,
    store: &Store,
) -> Result<DirectoryDigest, SourceError> {
    let mut tree = Tree::stored(files);
    put_file(
        &mut tree,
        &tree_path(".cargo-checksum.json")?,
        text.to_owned(),
        false,
        store,
    )?;
    Ok(tree.write(store)?)
}

/// What cargo's configuration says of a repository, so that cargo takes its crates from the folder.
fn git_entry(origin: &CrateOrigin) -> (String, Value) {
    let CrateOrigin::Git {
        translated, query, ..
    } = origin
    else {
        return (String::new(), Value::Table(Table::new()));
    };
    let mut entries = vec![
        ("git", translated.as_str()),
        ("replace-with", "vendored-sources"),
    ];
    entries.extend(query.iter().map(|(key, value)| (&**key, &**value)));
    let encoded = query.iter();
    let encoded: Vec<String> = encoded
        .map(|(key, value)| format!("{}={}", quoted(key), quoted(value)))
        .collect();
    let query = match encoded.is_empty() {
        true => String::new(),
        false => format!("?{}", encoded.join("&")),
    };
    (format!("git+{translated}{query}"), table(entries))
}

/// Text in a query, as Python's `urllib.parse.quote_plus` writes it.
fn quoted(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => {
                out.push(byte.into());
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
