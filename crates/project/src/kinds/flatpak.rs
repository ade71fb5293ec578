//! Kinds flatpak_image and flatpak_repo: artifacts in the layout of Flatpak, and a repository of
//! them. See the reference manual of the package buildstream-plugins-community.

use std::sync::Arc;

use headstart_yaml::Mapping;
use indexmap::IndexMap;

use super::compose::sorted;
use super::{Input, Layout, Script, StagedDependency};
use crate::element::{ElementId, texts};
use crate::error::{LoadError, Problem};
use crate::json::Json;
use crate::variables::Variables;

/// Where the files of an image are staged.
const INPUT: &str = "/buildstream/allfiles";

/// The directory of the repository in the sandbox that makes it.
const REPOSITORY: &str = "/buildstream/repo";

/// What a flatpak_image element does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlatpakImage {
    /// The directory of the staged files that is taken: the prefix.
    pub directory: Arc<str>,
    /// The split domains that are taken; all if empty.
    pub include: Vec<Arc<str>>,
    /// The split domains that are left out.
    pub exclude: Vec<Arc<str>>,
    /// The components whose AppStream metadata are composed.
    pub component_ids: Vec<Arc<str>>,
    /// The content of the file `metadata`: for each section its keys and values.
    pub metadata: IndexMap<Arc<str>, IndexMap<Arc<str>, Arc<str>>>,
    /// Where dependencies are staged.
    pub layout: Layout,
}

impl FlatpakImage {
    /// The directory that those dependencies are staged in which become the image.
    pub const INPUT: &'static str = INPUT;

    pub(super) fn load(input: &Input<'_>) -> Result<Self, LoadError> {
        let config = input.config;
        config.expect_keys(&[
            "directory",
            "include",
            "exclude",
            "metadata",
            "component-ids",
        ])?;
        let mut metadata = IndexMap::new();
        let sections = config.mapping("metadata")?;
        let sections = sections.ok_or_else(|| config.missing("metadata"))?;
        for (key, _) in sections.iter() {
            let section = sections.mapping(&key.text)?;
            let section = section.map(texts).transpose()?.unwrap_or_default();
            metadata.insert(key.text.clone(), section);
        }
        if !metadata.contains_key("Application") && !metadata.contains_key("Runtime") {
            return Err(LoadError::at(&sections.at, Problem::FlatpakMetadata));
        }
        let mut layout = Layout::new();
        for (dependency, config) in input.configured() {
            let location = match config {
                None => INPUT.into(),
                Some(config) => {
                    config.expect_keys(&["location"])?;
                    config.required_scalar("location")?.value.clone()
                }
            };
            layout.entry(location).or_default().push(dependency);
        }
        let required = |key| {
            config
                .sequence(key)?
                .map_or_else(|| Err(config.missing(key)), |list| list.strings())
        };
        Ok(Self {
            directory: config.required_scalar("directory")?.value.clone(),
            include: required("include")?,
            exclude: required("exclude")?,
            component_ids: required("component-ids")?,
            metadata,
            layout,
        })
    }

    pub(super) fn unique_key(&self) -> Json {
        let section = |section: &IndexMap<Arc<str>, Arc<str>>| {
            let entries = section.iter();
            Json::map(entries.map(|(key, value)| (key.clone(), value.into())))
        };
        let metadata = self.metadata.iter();
        let metadata = metadata.map(|(name, entries)| (name.clone(), section(entries)));
        let mut key = vec![
            ("directory", (&self.directory).into()),
            ("exclude", sorted(&self.exclude)),
            ("include", sorted(&self.include)),
            ("metadata", Json::map(metadata)),
            ("version", Json::Int(4)),
        ];
        if !self.component_ids.is_empty() {
            key.push(("component-ids", Json::strings(&self.component_ids)));
        }
        Json::map(key)
    }
}

/// A flatpak_repo is a script: it exports each image to a repository.
pub(super) fn load_repository(input: &Input<'_>) -> Result<Script, LoadError> {
    let config = input.config;
    config.expect_keys(&["copy-refs", "repo-mode", "arch", "branch"])?;
    let mut repository = Repository {
        arch: config.required_string("arch")?,
        groups: IndexMap::new(),
        layout: Layout::new(),
    };
    let mode = config.required_string("repo-mode")?;
    repository.run(
        "init repository".to_owned(),
        format!("ostree init --repo={REPOSITORY} --mode={mode}"),
    );
    let default_branch = config.required_scalar("branch")?;
    let mut has_image = false;
    for (dependency, config) in input.configured() {
        let Some(config) = config else {
            let root = repository.layout.entry("/".into());
            root.or_default().push(dependency);
            continue;
        };
        config.expect_keys(&["flatpak-image", "flatpak-stack", "branch"])?;
        let branch = config.scalar("branch")?.unwrap_or(default_branch);
        for image in images(input, config, dependency)? {
            has_image = true;
            repository.export(input, image, &branch.value);
        }
    }
    if !has_image {
        return Err(LoadError::at(input.at, Problem::NoFlatpak));
    }
    let copies = config.sequence("copy-refs")?;
    let copies = copies.ok_or_else(|| config.missing("copy-refs"))?;
    for copy in copies.mappings()? {
        copy.expect_keys(&["src", "dest"])?;
        let (from, to) = (copy.required_string("src")?, copy.required_string("dest")?);
        repository.run(
            format!("copy ref {from} -> {to}"),
            format!("flatpak build-commit-from --src-ref={from} {REPOSITORY} {to}"),
        );
    }
    Ok(Script {
        groups: repository.groups,
        cwd: cwd(input.variables),
        install_root: REPOSITORY.into(),
        root_read_only: true,
        layout: repository.layout,
    })
}

fn cwd(variables: &Variables) -> Arc<str> {
    let cwd = variables.get_non_empty("cwd");
    cwd.map_or_else(|| "/".into(), Arc::clone)
}

/// The images that a dependency stands for: itself, or what a stack needs at runtime.
fn images(
    input: &Input<'_>,
    config: &Mapping,
    dependency: StagedDependency,
) -> Result<Vec<StagedDependency>, LoadError> {
    let is = |key| Ok::<_, LoadError>(config.boolean(key)?.unwrap_or(false));
    match (is("flatpak-image")?, is("flatpak-stack")?) {
        (true, false) => Ok(vec![dependency]),
        (false, true) => {
            let Some(stack) = input.element(dependency.element) else {
                return Ok(Vec::new());
            };
            let image = |&element: &ElementId| {
                let name = &input.element(element)?.name;
                let path = format!("{} ({name})", dependency.path).into();
                Some(StagedDependency { element, path })
            };
            let images = stack.runtime_dependencies.iter().filter_map(image);
            Ok(images.collect())
        }
        _ => Err(LoadError::at(&config.at, Problem::FlatpakDependency)),
    }
}

struct Repository<'a> {
    arch: &'a str,
    groups: IndexMap<Arc<str>, Vec<Arc<str>>>,
    layout: Layout,
}

impl Repository<'_> {
    fn run(&mut self, group: String, command: String) {
        self.groups.insert(group.into(), vec![command.into()]);
    }

    fn export(&mut self, input: &Input<'_>, image: StagedDependency, branch: &str) {
        let Some(element) = input.element(image.element) else {
            return;
        };
        let name = element.normal_name();
        let place = format!("/buildstream/input/{name}");
        let command = format!(
            "flatpak build-export --files=files --arch={} {REPOSITORY} {place} {branch}",
            self.arch
        );
        self.run(format!("export {}", image.path), command);
        let list = self.layout.entry(place.into());
        list.or_default().push(image);
    }
}
