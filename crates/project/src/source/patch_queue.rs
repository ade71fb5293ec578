//! Kind patch_queue: all patch files in a directory of the project, applied by `git apply` to the
//! sources before it.

use std::sync::Arc;

use headstart_yaml::Mapping;

use super::{Behaviour, SourceContext, expect_keys};
use crate::error::{LoadError, Problem};
use crate::json::Json;
use crate::keys::{Content, Contents};
use crate::path::{self, Expect};

/// Changes to the sources before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchQueue {
    /// The patch files in their order, relative to the project's directory.
    pub patches: Vec<Arc<str>>,
}

impl PatchQueue {
    pub(super) fn load(config: &Mapping, context: &SourceContext<'_>) -> Result<Self, LoadError> {
        expect_keys(config, &["path"])?;
        let path = config.required_scalar("path")?;
        let directory = path::check(context.files, path, Expect::Directory)?;
        let mut names = context.files.list(&directory).map_err(|error| {
            let path_text = directory.clone();
            LoadError::at(
                &path.at,
                Problem::Read {
                    path: path_text,
                    error,
                },
            )
        })?;
        names.sort();
        let below = |name: &String| match directory.as_str() {
            "" => name.as_str().into(),
            directory => format!("{directory}/{name}").into(),
        };
        Ok(Self {
            patches: names.iter().map(below).collect(),
        })
    }
}

impl Behaviour for PatchQueue {
    fn unique_key(&self, contents: &Contents) -> Option<Json> {
        let patches = self.contents();
        let hashes: Option<Vec<_>> = patches.iter().map(|patch| contents.get(patch)).collect();
        Some(Json::strings(hashes?))
    }

    fn is_fetched(&self) -> bool {
        false
    }

    fn contents(&self) -> Vec<Content> {
        self.patches.iter().cloned().map(Content::File).collect()
    }
}
