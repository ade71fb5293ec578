//! Where a compiler looks for what is included.

use headstart_execution::ActionSpec;
use headstart_merkle::TreePath;

use crate::includes::Include;
use crate::table::Table;

/// Directories that compilers search by themselves, before those of their versions and platforms.
const SYSTEM: [&str; 2] = ["usr/local/include", "usr/include"];
/// Where the latter are. The recorded inputs tell which there are.
const SYSTEM_ABOVE: [&str; 3] = ["usr/include", "usr/lib/gcc", "usr/lib/clang"];

/// Where a compiler looks for what is included.
pub(super) struct Search {
    home: TreePath,
    /// For quoted names only, and then for all.
    quoted: Vec<TreePath>,
    all: Vec<TreePath>,
    /// Those of both that the command names.
    pub(super) named: Vec<TreePath>,
}

impl Search {
    pub(super) fn new(spec: &ActionSpec, inputs: &Table) -> Self {
        let mut search = Self {
            home: spec.working_directory.clone(),
            quoted: Vec::new(),
            all: Vec::new(),
            named: Vec::new(),
        };
        let (mut system, mut after) = (Vec::new(), Vec::new());
        let mut arguments = spec.arguments.iter().skip(1);
        while let Some(argument) = arguments.next() {
            for option in ["-iquote", "-isystem", "-idirafter", "-I"] {
                let Some(value) = argument.strip_prefix(option) else {
                    continue;
                };
                let value = match value {
                    "" => arguments.next().map_or("", String::as_str),
                    value => value,
                };
                let list = match option {
                    "-iquote" => &mut search.quoted,
                    "-isystem" => &mut system,
                    "-idirafter" => &mut after,
                    _ => &mut search.all,
                };
                list.extend(in_tree(&spec.working_directory, value));
                break;
            }
        }
        let lists = [&search.quoted, &search.all, &system, &after];
        search.named = lists.into_iter().flatten().cloned().collect();
        search.all.append(&mut system);
        let own = SYSTEM.iter().filter_map(|path| TreePath::new(path).ok());
        search.all.extend(own);
        let above = SYSTEM_ABOVE
            .iter()
            .filter_map(|path| TreePath::new(path).ok());
        search
            .all
            .extend(above.flat_map(|path| inputs.below(&path)));
        search.all.append(&mut after);
        search
    }

    /// The path of an argument that may name a file.
    pub(super) fn path(&self, argument: &str) -> Option<TreePath> {
        in_tree(&self.home, argument).filter(|_| !argument.starts_with('-'))
    }

    /// The paths that a directive in `file` may stand for, the first that is there being meant.
    pub(super) fn candidates(&self, file: &TreePath, include: &Include) -> Vec<TreePath> {
        let own = file.split().map(|(parent, _)| parent);
        let own = own.filter(|_| include.quoted);
        let quoted = self.quoted.iter().filter(|_| include.quoted).cloned();
        let directories = own
            .into_iter()
            .chain(quoted)
            .chain(self.all.iter().cloned());
        let paths = directories.filter_map(|directory| in_tree(&directory, &include.name));
        paths.collect()
    }
}

/// The path in the tree of `path`, which is absolute or below `home`.
fn in_tree(home: &TreePath, path: &str) -> Option<TreePath> {
    match path.starts_with('/') {
        true => TreePath::normalized(path).ok(),
        false => TreePath::normalized(&format!("{}/{path}", home.as_str())).ok(),
    }
}
