//! Kind go_module: a module of Go, where `go build` looks for it without a network.

use std::sync::Arc;

use headstart_yaml::Mapping;

use super::{Address, Behaviour, DescribedRef, SourceContext, expect_keys, text};
use crate::error::{LoadError, Warning};
use crate::json::Json;
use crate::keys::Contents;
use crate::path;

/// A module of Go, in a Git repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoModule {
    /// The repository.
    pub address: Address,
    /// The module's path, below which it is staged.
    pub module: Arc<str>,
    /// The version of the module.
    pub reference: Option<GoRef>,
    /// How it is known whether the sources ask for the module themselves.
    pub explicit: ExplicitIn,
}

/// What says whether sources ask for a module themselves, or only modules that they ask for: releases of
/// buildstream-plugins-community differ in that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExplicitIn {
    /// The `ref` of the module: 2.2.0 to 2.3.1.
    Ref,
    /// The `go.mod` of the sources, which may also replace modules by others: 2.3.2 and later.
    GoMod,
}

/// A version of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoRef {
    /// Its name among Go's versions.
    pub version: Arc<str>,
    /// Its commit.
    pub commit: DescribedRef,
    /// The directory of the repository that has the module.
    pub subdirectory: Option<Arc<str>>,
    /// What it says of whether the sources ask for the module themselves.
    pub explicit: Explicit,
}

/// What a `ref` says of whether the sources ask for the module themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Explicit {
    /// That they do, or don't.
    Said(bool),
    /// Something, but nobody listens.
    Ignored,
    /// Nothing.
    Unsaid,
}

impl GoModule {
    pub(super) fn load(
        config: &Mapping,
        explicit: ExplicitIn,
        context: &SourceContext<'_>,
    ) -> Result<Self, LoadError> {
        expect_keys(config, &["ref", "url", "module"])?;
        let reference = config.mapping("ref")?;
        let reference = reference.map(|node| GoRef::load(node, explicit, context));
        let module = config.required_scalar("module")?;
        path::check_below(module, "leads out of the sources")?;
        Ok(Self {
            reference: reference.transpose()?,
            address: Address::load(config.required_scalar("url")?, context)?,
            module: module.value.clone(),
            explicit,
        })
    }
}

impl GoRef {
    fn load(
        node: &Mapping,
        explicit: ExplicitIn,
        context: &SourceContext<'_>,
    ) -> Result<Self, LoadError> {
        node.expect_keys(&["go-version", "git-ref", "explicit", "subdirectory"])?;
        let explicit = match (explicit, node.get("explicit")) {
            (ExplicitIn::Ref, None) => return Err(node.missing("explicit").into()),
            (ExplicitIn::Ref, Some(_)) => {
                Explicit::Said(node.boolean("explicit")?.unwrap_or_default())
            }
            (ExplicitIn::GoMod, None) => Explicit::Unsaid,
            (ExplicitIn::GoMod, Some(said)) => {
                (context.warn)(Warning {
                    at: said.at().clone(),
                    text: "'explicit' is deprecated and ignored".to_owned(),
                });
                Explicit::Ignored
            }
        };
        if let Some(subdirectory) = node.scalar("subdirectory")? {
            path::check_below(subdirectory, "leads out of the repository")?;
        }
        Ok(Self {
            version: node.required_scalar("go-version")?.value.clone(),
            commit: DescribedRef::load(node.required_scalar("git-ref")?)?,
            subdirectory: text(node, "subdirectory")?,
            explicit,
        })
    }

    fn unique_key(&self) -> Json {
        let mut key = vec![
            ("go-version", (&self.version).into()),
            ("git-ref", (&self.commit.written).into()),
        ];
        match self.explicit {
            Explicit::Said(explicit) => key.push(("explicit", explicit.into())),
            Explicit::Ignored => key.push(("explicit", Json::Null)),
            Explicit::Unsaid => {}
        }
        let subdirectory = self.subdirectory.as_ref();
        key.extend(subdirectory.map(|path| ("subdirectory", path.into())));
        Json::map(key)
    }
}

impl Behaviour for GoModule {
    fn unique_key(&self, _: &Contents) -> Option<Json> {
        let reference = self.reference.as_ref()?;
        Some(Json::map([
            ("ref", reference.unique_key()),
            ("module", (&self.module).into()),
            ("bugfix", Json::Int(1)),
        ]))
    }

    fn is_resolved(&self) -> bool {
        self.reference.is_some()
    }
}
