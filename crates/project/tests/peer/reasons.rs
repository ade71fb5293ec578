//! What bad projects fail by, in BuildStream's words.

use std::path::Path;
use std::sync::Arc;

use headstart_project::{LoadError, Nothing, Projects};
use serde_json::{Value, json};

use crate::buildstream::Peer;
use crate::disk;
use crate::fixture::write;

const CONF: &str = "//- project.conf\nname: p\nmin-version: 2.0\n";

/// Each is what is wrong with a project; those without a project.conf have an ordinary one.
const BAD: &[&str] = &[
    "//- a.bst\nkind: manual\nconfig: [1\n",
    "//- a.bst\nkind: stack\nkind: manual\n",
    "//- a.bst\nkind: &x stack\n",
    "//- a.bst\n- a list\n",
    "",
    "//- a.bst\nkind: nothing-such\n",
    "//- a.bst\nkind: stack\ndepends: [b.bst]\n",
    "//- a.bst\nkind: stack\ndepends: [b]\n",
    "//- a.bst\nkind: stack\ndepends: ['b?.bst']\n",
    "//- a.bst\nkind: stack\ndepends: [a.bst]\n",
    "//- a.bst\nkind: stack\ndepends: [{filename: b.bst, type: some}]\n//- b.bst\nkind: stack\n",
    "//- a.bst\nkind: stack\ndepends: [{filename: b.bst, type: build}]\n//- b.bst\nkind: stack\n",
    "//- a.bst\nkind: stack\nunknown: key\n",
    "//- a.bst\nkind: stack\nvariables: [x]\n",
    "//- a.bst\nkind: manual\nconfig: {build-commands: {(>): [x]}}\nenvironment: {PATH: [a]}\n",
    "//- a.bst\nkind: manual\nconfig: {other: {(>): [x]}}\n",
    "//- a.bst\nkind: manual\nvariables: {a: '%{no}'}\n",
    "//- a.bst\nkind: manual\nvariables: {a: '%{b}', b: '%{a}'}\n",
    "//- a.bst\nkind: manual\nvariables: {max-jobs: 3}\n",
    "//- a.bst\nkind: manual\n(@): no.yml\n",
    "//- a.bst\nkind: manual\n(@): i.yml\n//- i.yml\n(@): i.yml\n",
    "//- a.bst\nkind: manual\n(?): [{'no == 1': {}}]\n",
    "//- a.bst\nkind: manual\n(!): enough\n",
    "//- a.bst\nkind: import\nsources: [{kind: local, path: no}]\n",
    "//- a.bst\nkind: import\nsources: [{kind: local, path: ../x}]\n",
    "//- a.bst\nkind: import\nsources: [{kind: tar, url: 'no:x.tar'}]\n",
    "//- a.bst\nkind: stack\nsources: [{kind: local, path: project.conf}]\n",
    "//- a.bst\nkind: filter\n",
    "//- a.bst\nkind: compose\nruntime-depends: [b.bst]\n//- b.bst\nkind: stack\n",
    "//- a.bst\nkind: compose\nbuild-depends: [{filename: b.bst, config: {x: y}}]\n//- b.bst\nkind: stack\n",
    "//- a.bst\nkind: link\nconfig: {target: b.bst}\ndepends: [b.bst]\n//- b.bst\nkind: stack\n",
    "//- a.bst\nkind: stack\ndepends: ['j.bst:x.bst']\n//- j.bst\nkind: stack\n",
    "//- a.bst\nkind: stack\ndepends: [j.bst]\n//- j.bst\nkind: junction\n\
     sources: [{kind: local, path: s}]\n//- s/project.conf\nname: s\nmin-version: 2.0\n",
    "//- a.bst\nkind: stack\ndepends: ['j.bst:x.bst']\n//- j.bst\nkind: junction\n\
     sources: [{kind: local, path: s}]\n//- s/other\nx\n",
    "//- a.bst\nkind: stack\ndepends: ['j.bst:x.bst']\n//- j.bst\nkind: junction\n\
     sources: [{kind: tar, url: 'https://e.org/x'}]\n",
    "//- a.bst\nkind: stack\ndepends: ['j.bst:x.bst', 'k.bst:x.bst']\n//- j.bst\nkind: junction\n\
     sources: [{kind: local, path: s}]\n//- k.bst\nkind: junction\n\
     sources: [{kind: local, path: s}]\n//- s/project.conf\nname: s\nmin-version: 2.0\n\
     //- s/x.bst\nkind: stack\n",
    "//- project.conf\nname: 1p\nmin-version: 2.0\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 3.0\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\nelement-path: no\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\nunknown: key\n//- a.bst\nkind: stack\n",
];

fn load(root: &Path) -> Result<(), LoadError> {
    let files = Arc::new(disk::Disk(root.to_owned()));
    let projects = Projects::load(files, Arc::new(Nothing), disk::settings(root))?;
    projects.load_elements(&["a.bst"]).map(drop)
}

#[test]
fn bad_projects_fail_by_the_same_reasons() {
    let roots = BAD
        .iter()
        .map(|bad| match bad.contains("//- project.conf") {
            true => write(bad),
            false => write(&format!("{CONF}{bad}")),
        });
    let roots: Vec<_> = roots.collect();
    let paths: Vec<_> = roots.iter().map(|root| root.path().to_owned()).collect();
    let theirs = Peer::new().reasons(&paths);
    let mut wrong = Vec::new();
    for ((bad, path), theirs) in BAD.iter().zip(&paths).zip(theirs.as_array().unwrap()) {
        let ours = match load(path) {
            Ok(()) => Value::Null,
            Err(error) => json!([error.domain(), error.reason()]),
        };
        if ours != *theirs {
            wrong.push(format!("{ours}, BuildStream {theirs}: {bad}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
