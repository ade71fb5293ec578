//! A copy of a project in which other projects that it joins are ones of our own.
//!
//! A junction that plugins come from becomes a project with the plugins of the installed packages. Any other has
//! the options that are set for it, and a small element for each that something in the project names. What its
//! includes should say is found by trying: a variable that is missing is added to the first of them, until the
//! project can be loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use headstart_yaml::{Mapping, Node};

use super::Both;
use crate::run;

/// Values of options that name a machine, which the joining project sets to one of its own.
const MACHINES: [&str; 8] = [
    "x86_64",
    "aarch64",
    "ppc64le",
    "riscv64",
    "i686",
    "arm",
    "loongarch64",
    "ppc64",
];

/// An element of a stub: something with files.
const ELEMENT: &str = "kind: import\nsources: [{kind: local, path: stub}]\n";

/// The folder of the stubs in the project.
const STUBS: &str = "stubs";

/// How often something is added before it is given up: more than any project needs.
const TRIES: usize = 500;

/// Puts a stubbed copy in place of the project.
pub(super) fn stub(both: &mut Both) -> Result<(), String> {
    let copy = both.home.join("stubbed");
    let _ = fs::remove_dir_all(&copy);
    run_copy(&both.project, &copy)?;
    both.project = copy;
    let conf = read(&both.project.join("project.conf"))?;
    let elements = both
        .project
        .join(text(&conf, "element-path").unwrap_or_default());
    let files = Files::below(&both.project)?;
    // It may stay empty.
    create(&both.project.join(STUBS))?;
    let mut junctions = Vec::new();
    for (path, content) in files
        .0
        .iter()
        .filter(|(path, _)| path.starts_with(&elements))
    {
        let Ok(element) = headstart_yaml::parse("element", content) else {
            continue;
        };
        if text(&element, "kind").as_deref() != Some("junction") {
            continue;
        }
        if is_local(&element) {
            add_stubs(path, element)?;
        } else {
            let name = path.strip_prefix(&elements).unwrap_or(path);
            junctions.push((name.display().to_string(), path.clone(), element));
        }
    }
    // The variables of the project come from what project.conf includes.
    let mut variables = None;
    for (name, path, element) in &junctions {
        let stub = Stub {
            folder: both.project.join(STUBS).join(name.replace('/', "-")),
            junction: name,
        };
        let plugins = plugin_kinds(&conf, name);
        match plugins.is_empty() {
            true => stub.write_project(element, &files)?,
            false => stub.write_plugins(both, &plugins)?,
        }
        if variables.is_none() {
            variables = stub.first_include(&conf);
        }
        stub.redirect(path, element, &both.project)?;
    }
    println!("{} junctions are stubbed", junctions.len());
    complete(both, variables.as_deref())
}

/// Gives the stubs to a project that is part of this one, or this one with other options.
fn add_stubs(path: &Path, mut element: Mapping) -> Result<(), String> {
    let added = mapping(&format!(
        "{{kind: local, path: {STUBS}, directory: {STUBS}}}"
    ))?;
    if let Some(Node::Sequence(sources)) = element.get_mut("sources") {
        sources.items.push(added.into());
    }
    write(path, &headstart_yaml::to_text(&element))
}

/// Adds what is missing until the project can be loaded.
fn complete(both: &Both, include: Option<&Path>) -> Result<(), String> {
    let record = both.home.join("error.json");
    let (mut added, mut made) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..TRIES {
        let _ = fs::remove_file(&record);
        let output = both
            .headstart()
            .env("HEADSTART_ERROR_FILE", &record)
            .args(super::SHOW)
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            println!(
                "{} variables and {} files are made up",
                added.len(),
                made.len()
            );
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let failure = fs::read(&record).unwrap_or_default();
        let failure: serde_json::Value = serde_json::from_slice(&failure).unwrap_or_default();
        let message = failure["message"].as_str().unwrap_or_default();
        let element = missing_element(message).map(|path| (path, ELEMENT));
        // Keys and the like, which everybody makes for themselves.
        let file = missing_file(message).map(|path| (path, "A stub.\n"));
        if let Some((path, content)) = element.or(file)
            && made.insert(path.clone())
        {
            write(&both.project.join(path), content)?;
            continue;
        }
        let missing = match failure["reason"].as_str() {
            Some("UNRESOLVED_VARIABLE") => named(message),
            _ => None,
        };
        let (Some(name), Some(include)) = (missing, include) else {
            return Err(said);
        };
        if !added.insert(name) {
            return Err(said);
        }
        let lines = added.iter().map(|name| format!("  {name}: of-{name}\n"));
        write(
            include,
            &format!("variables:\n{}", lines.collect::<String>()),
        )?;
    }
    Err(format!("{TRIES} additions are not enough"))
}

/// The file of an element that a stub has not, by what is said of that: its name is written apart from that of
/// the junction.
fn missing_element(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("there is no element '")?;
    let mut quoted = rest.split('\'');
    let (name, folder) = (quoted.next()?, quoted.nth(1)?);
    folder
        .starts_with(&format!("{STUBS}/"))
        .then(|| format!("{folder}/{name}"))
}

/// A file of the project that is not there, by what is said of that.
fn missing_file(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("the path '")?;
    let (path, rest) = rest.split_once('\'')?;
    (rest.trim() == "does not exist").then(|| path.to_owned())
}

/// What is between the first quotes of a message, or behind `%{`.
fn named(message: &str) -> Option<String> {
    let between = |begin: &str, end: char| {
        let (_, rest) = message.split_once(begin)?;
        Some(rest.split_once(end)?.0.to_owned())
    };
    between("%{", '}').or_else(|| between("'", '\''))
}

struct Stub<'a> {
    folder: PathBuf,
    /// The junction's name.
    junction: &'a str,
}

impl Stub<'_> {
    /// A project that has whatever of it is named in the project.
    fn write_project(&self, junction: &Mapping, files: &Files) -> Result<(), String> {
        let name = self.junction.trim_end_matches(".bst").replace('/', "-");
        let mut conf = format!("name: {name}\nmin-version: 2.0\nelement-path: elements\n");
        let mut options = BTreeMap::new();
        if let Ok(Some(config)) = junction.mapping("config")
            && let Some(set) = config.get("options")
        {
            collect_options(set, &mut options);
        }
        if !options.is_empty() {
            conf.push_str("options:\n");
        }
        for (name, values) in options {
            let is_bool = !values.is_empty()
                && values
                    .iter()
                    .all(|value| matches!(value.to_lowercase().as_str(), "true" | "false"));
            conf.push_str(&match is_bool {
                true => format!("  {name}: {{type: bool, description: d, default: false}}\n"),
                false => {
                    let values: BTreeSet<&str> =
                        MACHINES.into_iter().chain(values.iter().map(String::as_str)).collect();
                    let values = values.into_iter().collect::<Vec<_>>().join(", ");
                    format!("  {name}: {{type: enum, description: d, default: x86_64, values: [{values}]}}\n")
                }
            });
        }
        write(&self.folder.join("project.conf"), &conf)?;
        write(&self.folder.join("stub"), "A stub.\n")?;
        create(&self.folder.join("elements"))?;
        let mut named: BTreeSet<String> = files
            .named_behind(self.junction)
            .into_iter()
            .map(str::to_owned)
            .collect();
        // What is replaced must be there.
        if let Ok(Some(config)) = junction.mapping("config")
            && let Ok(Some(overrides)) = config.mapping("overrides")
        {
            named.extend(overrides.iter().map(|(key, _)| key.text.to_string()));
        }
        for path in named {
            match path.ends_with(".bst") {
                true => write(&self.folder.join("elements").join(&path), ELEMENT)?,
                false => write(&self.folder.join(&path), "{}\n")?,
            }
        }
        Ok(())
    }

    /// A project with the plugins of the packages that have these kinds.
    fn write_plugins(
        &self,
        both: &Both,
        kinds: &BTreeMap<&str, BTreeSet<String>>,
    ) -> Result<(), String> {
        let mut conf = format!(
            "name: {}\nmin-version: 2.0\nplugins:\n",
            self.junction.trim_end_matches(".bst").replace('/', "-")
        );
        for (group, kinds) in kinds {
            let has_all = |folder: &PathBuf| {
                let mut kinds = kinds.iter();
                kinds.all(|kind| folder.join(format!("{kind}.py")).exists())
            };
            let packages = both.peers.plugins.iter();
            let folder = packages.map(|package| package.join(group)).find(has_all);
            let folder = folder.ok_or_else(|| {
                format!(
                    "{}: no package has all of its {group}: {kinds:?}",
                    self.junction
                )
            })?;
            run_copy(&folder, &self.folder.join(group))?;
            let names: Vec<&str> = kinds.iter().map(String::as_str).collect();
            conf.push_str(&format!(
                "- {{origin: local, path: {group}, {group}: [{}]}}\n",
                names.join(", ")
            ));
        }
        write(&self.folder.join("project.conf"), &conf)
    }

    /// The first file that project.conf includes from it.
    fn first_include(&self, conf: &Mapping) -> Option<PathBuf> {
        let includes = conf.sequence("(@)").ok()??;
        let includes = includes.scalars().ok()?;
        let path = includes.into_iter().find_map(|include| {
            let (junction, path) = include.value.split_once(':')?;
            (junction == self.junction).then(|| path.to_owned())
        })?;
        Some(self.folder.join(path))
    }

    /// Makes the junction lead here. What else it says stays.
    fn redirect(&self, path: &Path, element: &Mapping, project: &Path) -> Result<(), String> {
        let mut element = element.clone();
        let folder = self.folder.strip_prefix(project).unwrap_or(&self.folder);
        let source = mapping(&format!(
            "sources: [{{kind: local, path: '{}'}}]\n",
            folder.display()
        ))?;
        if let Some(list) = source.get("sources") {
            element.insert("sources", list.clone());
        }
        write(path, &headstart_yaml::to_text(&element))
    }
}

/// The texts of all YAML files of a project.
struct Files(BTreeMap<PathBuf, String>);

impl Files {
    fn below(folder: &Path) -> Result<Self, String> {
        let mut files = BTreeMap::new();
        let mut pending = vec![folder.to_owned()];
        while let Some(at) = pending.pop() {
            let failed = |error: std::io::Error| format!("{}: {error}", at.display());
            for entry in fs::read_dir(&at).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let path = entry.path();
                let name = entry.file_name().to_string_lossy().into_owned();
                let is_yaml = [".bst", ".yml", ".yaml", ".conf", ".inc"]
                    .iter()
                    .any(|ending| name.ends_with(ending));
                if entry.file_type().map_err(failed)?.is_dir() {
                    pending.push(path);
                } else if is_yaml && let Ok(text) = fs::read_to_string(&path) {
                    files.insert(path, text);
                }
            }
        }
        Ok(Self(files))
    }

    /// The paths that are named behind a junction's name.
    fn named_behind<'a>(&'a self, junction: &str) -> BTreeSet<&'a str> {
        let begin = format!("{junction}:");
        let mut found = BTreeSet::new();
        for text in self.0.values() {
            for (at, _) in text.match_indices(&begin) {
                let rest = &text[at + begin.len()..];
                let ends = |char: char| !char.is_alphanumeric() && !"_-./+".contains(char);
                let path = rest.split(ends).next().unwrap_or_default();
                if !path.is_empty() && !path.split('/').any(|part| part == "..") {
                    found.insert(path);
                }
            }
        }
        found
    }
}

/// The kinds of elements and sources for which a junction is the origin, by these words.
fn plugin_kinds<'a>(conf: &'a Mapping, junction: &str) -> BTreeMap<&'a str, BTreeSet<String>> {
    let mut kinds: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let origins = conf.sequence("plugins").ok().flatten();
    for origin in origins
        .and_then(|list| list.mappings().ok())
        .unwrap_or_default()
    {
        if text(origin, "junction").as_deref() != Some(junction) {
            continue;
        }
        for group in ["elements", "sources"] {
            let list = origin.sequence(group).ok().flatten();
            for node in list.map_or(&[][..], |list| &list.items) {
                let name = match node {
                    Node::Scalar(scalar) => Some(scalar.value.to_string()),
                    Node::Mapping(mapping) => text(mapping, "kind"),
                    Node::Sequence(_) => None,
                };
                kinds.entry(group).or_default().extend(name);
            }
        }
    }
    kinds
}

/// The options that a junction sets, on whatever condition, with the values that stand there.
fn collect_options(node: &Node, options: &mut BTreeMap<String, BTreeSet<String>>) {
    match node {
        Node::Scalar(_) => {}
        Node::Sequence(list) => {
            // Conditions: each is a mapping of one.
            for item in &list.items {
                if let Node::Mapping(condition) = item {
                    condition
                        .iter()
                        .for_each(|(_, node)| collect_options(node, options));
                }
            }
        }
        Node::Mapping(mapping) => {
            for (key, node) in mapping.iter() {
                match node {
                    Node::Scalar(scalar) => {
                        let values = options.entry(key.text.to_string()).or_default();
                        if !scalar.value.contains("%{") {
                            values.insert(scalar.value.to_string());
                        }
                    }
                    node => collect_options(node, options),
                }
            }
        }
    }
}

/// Whether all sources of an element are files of the project.
fn is_local(element: &Mapping) -> bool {
    let sources = element.sequence("sources").ok().flatten();
    let sources = sources
        .and_then(|list| list.mappings().ok())
        .unwrap_or_default();
    sources
        .iter()
        .all(|source| text(source, "kind").as_deref() == Some("local"))
}

fn text(node: &Mapping, key: &str) -> Option<String> {
    Some(node.string(key).ok()??.to_owned())
}

fn read(path: &Path) -> Result<Mapping, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    headstart_yaml::parse(&path.display().to_string(), &text).map_err(|error| error.to_string())
}

fn mapping(text: &str) -> Result<Mapping, String> {
    headstart_yaml::parse("stub", text).map_err(|error| error.to_string())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    if let Some(folder) = path.parent() {
        create(folder)?;
    }
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn create(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

fn run_copy(from: &Path, to: &Path) -> Result<(), String> {
    if let Some(folder) = to.parent() {
        create(folder)?;
    }
    let mut copy = Command::new("cp");
    copy.arg("-a").arg(from).arg(to);
    run(copy)
}
