//! The Artifact message of what was assembled.

use std::sync::Arc;

use bytes::Bytes;
use headstart_merkle::{BlobDigest, DirectoryDigest};
use headstart_project::{CacheKey, ElementGraph, ElementId, ElementKeys};
use headstart_reapi::buildstream::{Artifact, artifact};
use headstart_reapi::reapi::command::EnvironmentVariable;
use headstart_store::{BlobStore, StoreError};

use crate::assembly::{Assembled, KeptSandbox, Verdict};

/// What an Artifact message says beside the element itself.
pub struct ArtifactParts<'a> {
    /// All elements.
    pub graph: &'a ElementGraph,
    /// The element.
    pub element: ElementId,
    /// Its keys.
    pub keys: ElementKeys,
    /// Its strong key.
    pub strong: CacheKey,
    /// The strong key of a dependency's artifact.
    pub strong_of: &'a dyn Fn(ElementId) -> Option<CacheKey>,
    /// What was assembled.
    pub assembled: &'a Assembled,
    /// Its sources.
    pub sources: DirectoryDigest,
    /// The name and the content of its log.
    pub log: (String, BlobDigest),
    /// The record of its subactions.
    pub speculative_actions: Option<BlobDigest>,
}

/// The Artifact message; what it refers to is written to `store`.
pub fn artifact_message(
    parts: &ArtifactParts<'_>,
    store: &dyn BlobStore,
) -> Result<Artifact, StoreError> {
    let element = &parts.graph[parts.element];
    let write = |text: String| store.write(Bytes::from(text));
    let integration: Option<Vec<Arc<str>>> =
        parts
            .assembled
            .integration_commands
            .as_ref()
            .map(|commands| {
                commands
                    .iter()
                    .map(|command| command.as_str().into())
                    .collect()
            });
    let public_data = match &parts.assembled.public_data {
        Some(public_data) => public_data.clone(),
        None => element.public_data(integration.as_deref()),
    };
    let (success, error, files) = match &parts.assembled.verdict {
        Verdict::Success(files) => (true, "succeeded".to_owned(), *files),
        Verdict::Failure(description) => (false, description.clone(), None),
    };
    let scope = parts.graph.build_scope(parts.element).into_iter();
    let build_deps = scope.map(|id| artifact::Dependency {
        project_name: parts.graph[id].project.to_string(),
        element_name: parts.graph[id].name.to_string(),
        cache_key: (parts.strong_of)(id)
            .map(|key| key.hex())
            .unwrap_or_default(),
        was_workspaced: parts.graph[id].workspace().is_some(),
    });
    let kept = parts.assembled.kept.as_ref();
    let environment = parts.assembled.environment.as_deref();
    let low_diversity_meta = element.low_diversity_meta(environment);
    Ok(Artifact {
        version: 2,
        build_success: success,
        build_error: error,
        strong_key: parts.strong.hex(),
        weak_key: parts.keys.weak.hex(),
        strict_key: parts.keys.strict.hex(),
        was_workspaced: element.workspace().is_some(),
        files: files.map(Into::into),
        build_deps: build_deps.collect(),
        public_data: Some(write(public_data)?.into()),
        logs: vec![artifact::LogFile {
            name: parts.log.0.clone(),
            digest: Some(parts.log.1.into()),
        }],
        buildtree: kept.and_then(|kept| kept.build_tree).map(Into::into),
        sources: kept.map(|_| parts.sources.into()),
        buildroot: kept.map(|kept| kept.root.into()),
        buildsandbox: kept.map(sandbox_state),
        low_diversity_meta: Some(write(low_diversity_meta)?.into()),
        high_diversity_meta: Some(write(element.high_diversity_meta())?.into()),
        speculative_actions: parts.speculative_actions.map(Into::into),
        ..Default::default()
    })
}

fn sandbox_state(kept: &KeptSandbox) -> artifact::SandboxState {
    let environment = kept.environment.iter().cloned();
    let digests = kept.named_trees.iter();
    artifact::SandboxState {
        environment: environment
            .map(|(name, value)| EnvironmentVariable { name, value })
            .collect(),
        working_directory: kept.directory.clone(),
        subsandbox_digests: digests.map(|tree| (*tree).into()).collect(),
        marked_directories: kept.marked.clone(),
    }
}
