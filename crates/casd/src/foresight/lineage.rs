//! What makes two parent actions runs of the same thing.

use headstart_artifacts::ArtifactName;
use headstart_execution::ActionSpec;
use headstart_merkle::{BlobDigest, DirectoryDigest};
use headstart_speculation::{ElementId, NamedTree};
use headstart_store::BlobStore;

/// The project that lineages of bare parents are kept under; no project can have this name.
const PROJECT: &str = "+actions";

/// A parent's identity without its content: its command, platform and working directory.
///
/// The environment is not part of it: with BuildStream's `digest-environment` it holds digests of
/// trees, which change with every compiler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lineage {
    pub(super) name: ArtifactName,
    /// The same, as speculation knows it.
    pub(super) element: ElementId,
}

impl Lineage {
    pub(super) fn of(spec: &ActionSpec) -> Self {
        let platform = spec.platform.iter();
        // A tree is content, whatever names it.
        let platform = platform.filter(|(_, value)| value.parse::<DirectoryDigest>().is_err());
        let platform = platform.flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        let arguments = spec.arguments.iter().map(String::as_str);
        let parts = [spec.working_directory.as_str()]
            .into_iter()
            .chain(arguments)
            .chain(platform);
        // Each after its length, so that no two lists give the same text.
        let text: String = parts.map(|part| format!("{}:{part}", part.len())).collect();
        let hash = BlobDigest::of(text.as_bytes()).hex();
        let place = spec.working_directory.as_str().replace('/', "-");
        let place = if place.is_empty() { "root" } else { &place };
        let name = format!("{place}-{}", &hash[..16]);
        Self {
            element: ElementId::new(PROJECT, &name),
            name: ArtifactName {
                project: PROJECT.to_owned(),
                element: name,
            },
        }
    }
}

/// The trees whose digests the environment holds, by the names of their variables.
pub(super) fn named_trees(spec: &ActionSpec, store: &dyn BlobStore) -> Vec<NamedTree> {
    let variables = spec.environment.iter();
    let trees = variables.filter_map(|(name, value)| {
        let tree: DirectoryDigest = value.parse().ok()?;
        let there = store.contains(tree.blob()).unwrap_or(false);
        there.then(|| NamedTree {
            name: name.as_str().into(),
            tree,
        })
    });
    trees.collect()
}

#[cfg(test)]
mod tests {
    use headstart_merkle::{ActionDigest, TreePath};

    use super::*;

    fn spec(script: &str, compiler: &str, root: &str) -> ActionSpec {
        let tree = DirectoryDigest::of(compiler.as_bytes()).to_string();
        ActionSpec {
            digest: ActionDigest::of(root.as_bytes()),
            input_root: DirectoryDigest::of(root.as_bytes()),
            arguments: vec!["sh".into(), "-c".into(), script.into()],
            environment: vec![("COMPILER".into(), tree.clone())],
            working_directory: TreePath::new("build/app").unwrap(),
            outputs: Default::default(),
            platform: vec![
                ("OSFamily".into(), "linux".into()),
                ("chrootRootDigest".into(), tree),
            ],
            timeout: None,
            do_not_cache: false,
        }
    }

    #[test]
    fn content_is_no_part_of_it_and_the_command_is() {
        let lineage = Lineage::of(&spec("make", "gcc 12", "one"));
        assert_eq!(lineage, Lineage::of(&spec("make", "gcc 13", "two")));
        assert_ne!(lineage, Lineage::of(&spec("make all", "gcc 12", "one")));
        assert!(lineage.name.element.starts_with("build-app-"));
    }
}
