//! What bad projects fail by, in BuildStream's words.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use headstart_project::{LoadError, Nothing, Problem, Projects};
use serde_json::{Value, json};

use crate::buildstream::Peer;
use crate::disk;
use crate::fixture::write;

const CONF: &str = "//- project.conf\nname: p\nmin-version: 2.0\n";

/// BuildStream's reasons that no project can fail by: it never gives them.
const NEVER_GIVEN: &[&str] = &["UNSUPPORTED_PLUGIN"];

/// Each is what is wrong with a project; those that name no project.conf have an ordinary one.
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
    // A path that is no file, or no directory.
    "//- a.bst/x\ny\n",
    "//- a.bst\nkind: stack\n(@): d\n//- d/x\ny\n",
    "//- project.conf/x\ny\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\nelement-path: a.bst\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\nelement-path: /tmp\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\nelement-path: ..\n//- a.bst\nkind: stack\n",
    "//- a.bst\nkind: import\nsources: [{kind: local, path: /etc/passwd}]\n",
    "//- no-project.conf\n",
    // Of project.conf.
    "//- project.conf\nmin-version: 2.0\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: two\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nformat-version: 18\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\nref-storage: here\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\nfatal-warnings: all\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\nvariables: {project-name: q}\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\nvariables: {a: '%{b}', b: '%{a}'}\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\naliases: [x]\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\nsandbox: {build-uid: me}\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\nsandbox: {some: x}\n//- a.bst\nkind: manual\n",
    "//- project.conf\nname: p\nmin-version: 2.0\nmirrors: [{name: m}]\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\nshell: {host-files: [{x: y}]}\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\nplugins: [{origin: moon}]\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\nplugins: [{origin: local, path: no, elements: [x]}]\n\
     //- a.bst\nkind: x\n",
    "//- project.conf\nname: p\nmin-version: 2.0\n(@): no.yml\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\n(?): [{'a': {}}]\n//- a.bst\nkind: stack\n",
    // Of options.
    "//- project.conf\nname: p\nmin-version: 2.0\noptions: {o: {type: odd, description: d}}\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\noptions: {o: {type: bool, description: d}}\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\noptions: {o-o: {type: bool, description: d, default: true}}\n\
     //- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\n\
     options: {o: {type: enum, description: d, values: [a], default: b}}\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\n\
     options: {o: {type: enum, description: d, values: []}}\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\n\
     options: {o: {type: arch, description: d, values: [abacus]}}\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\n\
     options: {o: {type: flags, description: d, values: [a], default: [b]}}\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\n\
     options: {o: {type: bool, description: d, default: true, variable: 1x}}\n//- a.bst\nkind: stack\n",
    // Of servers.
    "//- project.conf\nname: p\nmin-version: 2.0\nartifacts: {url: 'https://e.org'}\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\nartifacts: ['https://e.org']\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\n\
     artifacts: [{url: 'https://e.org', push: maybe}]\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\n\
     artifacts: [{url: 'https://e.org', type: both}]\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\nartifacts: [{push: true}]\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\nsource-caches: [{url: ''}]\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\n\
     source-caches: [{url: 'https://e.org', more: x}]\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\n\
     source-caches: [{url: 'https://e.org', instance-name: [x]}]\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\n\
     source-caches: [{url: 'https://e.org', auth: x}]\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\n\
     source-caches: [{url: 'https://e.org', auth: {key: x}}]\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\n\
     source-caches: [{url: 'https://e.org', auth: {client-key: x}}]\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\n\
     source-caches: [{url: 'https://e.org', auth: {client-cert: x}}]\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\n\
     source-caches: [{url: 'https://e.org', auth: {access-token-reload-interval: x}}]\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\n\
     source-caches: [{url: 'https://e.org', connection-config: x}]\n//- a.bst\nkind: stack\n",
    "//- a.bst\nkind: stack\ndepends: ['j.bst:x.bst']\n//- j.bst\nkind: junction\n\
     sources: [{kind: local, path: s}]\n//- s/project.conf\nname: s\nmin-version: 2.0\n\
     artifacts: [{url: 'https://e.org', push: maybe}]\n//- s/x.bst\nkind: stack\n",
    // Servers of a kind that is of no use, and what is looked at when they are needed.
    "//- project.conf\nname: p\nmin-version: 2.0\nartifacts: [{url: 'https://e.org', type: endpoint}]\n\
     source-caches: [{url: 'any:thing', connection-config: {more: x}, auth: {client-key: ''}}]\n\
     //- a.bst\nkind: stack\n",
    // Of dependencies.
    "//- a.bst\nkind: stack\ndepends: {b.bst: x}\n",
    "//- a.bst\nkind: stack\ndepends: [[b.bst]]\n",
    "//- a.bst\nkind: stack\ndepends: [{type: build}]\n",
    "//- a.bst\nkind: stack\nbuild-depends: [{filename: b.bst, type: build}]\n//- b.bst\nkind: stack\n",
    "//- a.bst\nkind: stack\ndepends: [{filename: b.bst, strict: false}]\n//- b.bst\nkind: stack\n",
    "//- a.bst\nkind: stack\nruntime-depends: [{filename: b.bst, config: {x: y}}]\n//- b.bst\nkind: stack\n",
    "//- a.bst\nkind: stack\ndepends: [{filename: 'j.bst:b.bst', junction: j.bst}]\n",
    "//- a.bst\nkind: stack\ndepends: [{filename: b.bst, more: x}]\n",
    "//- a.bst\nkind: stack\ndepends: ['../b.bst']\n",
    "//- a.bst\nkind: stack\ndepends: [b.bst]\n//- b.bst\nkind: stack\ndepends: [a.bst]\n",
    // Of elements.
    "//- a.bst\ndescription: x\n",
    "//- a.bst\nkind: [stack]\n",
    "//- a.bst\nkind: manual\nsandbox: {remote-apis-socket: {}}\n",
    "//- a.bst\nkind: manual\nsandbox: {build-arch: abacus}\n",
    "//- a.bst\nkind: manual\nvariables: {notparallel: perhaps}\n",
    "//- a.bst\nkind: manual\nvariables: {element-name: x}\n",
    "//- a.bst\nkind: manual\nvariables: {prefix: [a]}\n",
    "//- a.bst\nkind: manual\nvariables: {mine: [a]}\n",
    "//- a.bst\nkind: manual\nconfig: {build-commands: make}\n",
    "//- a.bst\nkind: manual\nconfig: {build-commands: ['%{no}']}\n",
    "//- a.bst\nkind: manual\npublic: {bst: {split-rules: [x]}}\n",
    "//- a.bst\nkind: manual\npublic: {bst: {integration-commands: {(>): [x], y: z}}}\n",
    "//- a.bst\nkind: manual\nenvironment-nocache: x\n",
    "//- a.bst\nkind: manual\n(?): [{'1 ==': {}}]\n",
    "//- a.bst\nkind: manual\n(?): [{a: {}, b: {}}]\n",
    "//- a.bst\nkind: manual\n(?): {a: {}}\n",
    "//- a.bst\nkind: manual\n(@): {a: {}}\n",
    "//- a.bst\nkind: compose\nconfig: {integrate: perhaps}\nbuild-depends: [b.bst]\n//- b.bst\nkind: stack\n",
    "//- a.bst\nkind: compose\nconfig: {some: x}\nbuild-depends: [b.bst]\n//- b.bst\nkind: stack\n",
    "//- a.bst\nkind: script\nsources: [{kind: local, path: project.conf}]\n",
    "//- a.bst\nkind: import\n",
    // Of sources.
    "//- a.bst\nkind: import\nsources: [{path: project.conf}]\n",
    "//- a.bst\nkind: import\nsources: [project.conf]\n",
    "//- a.bst\nkind: import\nsources: [{kind: nothing-such}]\n",
    "//- a.bst\nkind: import\nsources: [{kind: workspace}]\n",
    "//- a.bst\nkind: import\nsources: [{kind: local}]\n",
    "//- a.bst\nkind: import\nsources: [{kind: local, path: project.conf, more: x}]\n",
    "//- a.bst\nkind: import\nsources: [{kind: local, path: project.conf, provenance: {nobody: x}}]\n",
    "//- project.conf\nname: p\nmin-version: 2.0\nsource-provenance-attributes: {who: x}\n\
     //- a.bst\nkind: import\nsources: [{kind: local, path: project.conf, provenance: {who: [x]}}]\n",
    "//- a.bst\nkind: import\nsources: [{kind: tar}]\n",
    // Of junctions and links.
    "//- a.bst\nkind: link\nconfig: {}\n",
    "//- a.bst\nkind: link\nconfig: {target: a.bst}\n",
    "//- a.bst\nkind: link\nconfig: {target: no.bst}\n",
    "//- a.bst\nkind: link\nconfig: {target: a.bst, more: x}\n",
    "//- a.bst\nkind: link\nconfig: {target: 'j.bst:x.bst'}\n//- j.bst\nkind: link\nconfig: {target: 'k.bst:j.bst'}\n\
     //- k.bst\nkind: link\nconfig: {target: 'j.bst:k.bst'}\n",
    "//- a.bst\nkind: stack\ndepends: ['j.bst:x.bst']\n//- j.bst\nkind: junction\n",
    "//- a.bst\nkind: stack\ndepends: ['j.bst:x.bst']\n//- j.bst\nkind: junction\ndepends: [b.bst]\n\
     sources: [{kind: local, path: s}]\n//- s/project.conf\nname: s\nmin-version: 2.0\n//- b.bst\nkind: stack\n",
    "//- a.bst\nkind: stack\ndepends: ['j.bst:x.bst']\n//- j.bst\nkind: junction\nconfig: {options: {no: x}}\n\
     sources: [{kind: local, path: s}]\n//- s/project.conf\nname: s\nmin-version: 2.0\n//- s/x.bst\nkind: stack\n",
    "//- a.bst\nkind: stack\ndepends: ['j.bst:x.bst']\n//- j.bst\nkind: junction\nconfig: {path: no}\n\
     sources: [{kind: local, path: s}]\n//- s/project.conf\nname: s\nmin-version: 2.0\n//- s/x.bst\nkind: stack\n",
    "//- a.bst\nkind: stack\ndepends: ['j.bst:x.bst']\n//- j.bst\nkind: junction\nconfig: {more: no}\n\
     sources: [{kind: local, path: s}]\n//- s/project.conf\nname: s\nmin-version: 2.0\n//- s/x.bst\nkind: stack\n",
    "//- a.bst\nkind: stack\ndepends: ['j.bst:y.bst']\n//- j.bst\nkind: junction\n\
     sources: [{kind: local, path: s}]\n//- s/project.conf\nname: s\nmin-version: 2.0\n//- s/x.bst\nkind: stack\n",
    "//- a.bst\nkind: stack\n(@): 'j.bst:i.yml'\n//- j.bst\nkind: junction\n\
     sources: [{kind: local, path: s}]\n//- s/project.conf\nname: s\nmin-version: 2.0\n",
    "//- a.bst\nkind: stack\n(@): 'no.bst:i.yml'\n",
];

/// What BuildStream takes as long as nobody looks at it, and we refuse: it is of no use to anybody.
const STRICTER: &[&str] = &[
    "//- project.conf\nname: p\nmin-version: 2.0\nsplit-rules: {x: y}\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\nenvironment: {A: [b]}\n//- a.bst\nkind: stack\n",
    "//- project.conf\nname: p\nmin-version: 2.0\njunctions: {duplicates: {x: y}}\n//- a.bst\nkind: stack\n",
];

fn load(root: &Path) -> Result<(), LoadError> {
    let files = Arc::new(disk::Disk(root.to_owned()));
    let projects = Projects::load(files, Arc::new(Nothing), disk::settings(root))?;
    projects.load_elements(&["a.bst"]).map(drop)
}

#[test]
fn bad_projects_fail_by_the_same_reasons() {
    let all: Vec<&str> = BAD.iter().chain(STRICTER).copied().collect();
    let roots = all.iter().map(|bad| {
        match bad.contains("//- project.conf") || bad.contains("//- no-project.conf") {
            true => write(bad),
            false => write(&format!("{CONF}{bad}")),
        }
    });
    let roots: Vec<_> = roots.collect();
    let paths: Vec<_> = roots.iter().map(|root| root.path().to_owned()).collect();
    let theirs = Peer::new().reasons(&paths);
    let mut wrong = Vec::new();
    let mut given = BTreeSet::new();
    let failures = theirs["failures"].as_array().unwrap();
    for ((bad, path), theirs) in all.iter().zip(&paths).zip(failures) {
        let error = load(path).err();
        let ours = error
            .as_ref()
            .map_or(Value::Null, |error| json!([error.domain(), error.reason()]));
        let is_expected = match &theirs[0] {
            // BuildStream itself breaks down: any reason is better.
            Value::String(bug) if bug == "BUG" => error.is_some(),
            Value::Null if STRICTER.contains(bad) => error.is_some(),
            _ => ours == *theirs,
        };
        if !is_expected {
            wrong.push(format!("{ours}, BuildStream {theirs}: {bad}"));
        }
        if let Some(error) = &error
            && !has_caret(error)
        {
            wrong.push(format!("{error} has no place: {bad}"));
        }
        if theirs[0] == "LOAD" {
            given.insert(theirs[1].as_str().unwrap());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let reasons = theirs["reasons"].as_array().unwrap();
    let reasons = reasons.iter().map(|reason| reason.as_str().unwrap());
    let missing: Vec<_> = reasons.filter(|reason| !given.contains(reason)).collect();
    assert_eq!(
        missing, NEVER_GIVEN,
        "reasons that no project here fails by"
    );
}

/// Whether people see where it is. What only the command line names is nowhere, nor is a file that is
/// not there, or is no file.
fn has_caret(error: &LoadError) -> bool {
    let place = error.provenance().and_then(|at| at.excerpt());
    let nowhere = matches!(
        error.problem(),
        Problem::NoElement { .. }
            | Problem::NoProject(_)
            | Problem::Read { .. }
            | Problem::ConflictingProjects { .. }
    );
    place.is_some_and(|(_, below)| below.contains('^')) || nowhere && error.provenance().is_none()
}
