//! Projects that are joined to others, compared with what the real BuildStream makes of them.

use std::path::Path;
use std::sync::Arc;

use headstart_project::{LoadError, MemoryFiles, Nothing, Projects};

use crate::compare::check;
use crate::disk;
use crate::fixture::write;

/// Three projects one within the other, with all that junctions can say.
const JOINED: &str = include_str!("joined.txt");

#[test]
fn elements_of_joined_projects_have_the_same_keys() {
    let root = write(JOINED);
    check(root.path(), &[], &["all.bst", "mid.bst:tools/late.bst"]);
    check(root.path(), &[("level", "2")], &["all.bst"]);
}

#[test]
fn junctions_are_elements_too() {
    let root = write(JOINED);
    check(root.path(), &[], &["mid.bst"]);
}

fn load(fixture: &str) -> Result<Vec<String>, LoadError> {
    let files = MemoryFiles::from_fixture(fixture);
    let settings = disk::settings(Path::new("/p"));
    let projects = Projects::load(Arc::new(files), Arc::new(Nothing), settings)?;
    let graph = projects.load_elements(&["a.bst"])?;
    let names = graph
        .iter()
        .map(|(_, element)| element.full_name.to_string());
    Ok(names.collect())
}

/// Loads `a.bst` of a project with the junction `sub.bst` to another with the elements `x.bst` and
/// `y.bst`, and further files; compares what is loaded or the message.
#[track_caller]
fn expect(fixture: &str, expected: &str) {
    let base = "\
//- project.conf
name: top
min-version: 2.0
//- sub.bst
kind: junction
sources: [{kind: local, path: sub}]
//- sub/project.conf
name: sub
min-version: 2.0
//- sub/x.bst
kind: stack
//- sub/y.bst
kind: stack
depends: [x.bst]
";
    let loaded = match load(&format!("{base}{fixture}")) {
        Ok(names) => names.join(" "),
        Err(error) => error.to_string(),
    };
    assert_eq!(loaded, expected, "{fixture}");
}

#[test]
fn paths_lead_through_links_and_overrides() {
    expect(
        "//- a.bst\nkind: stack\ndepends: ['sub.bst:y.bst']\n",
        "sub.bst:x.bst sub.bst:y.bst a.bst",
    );
    expect(
        "//- a.bst\nkind: stack\ndepends: [{junction: sub.bst, filename: [x.bst, y.bst]}]\n",
        "sub.bst:x.bst sub.bst:y.bst a.bst",
    );
    expect(
        "//- a.bst\nkind: stack\ndepends: [l.bst, 'j.bst:x.bst']\n\
         //- l.bst\nkind: link\nconfig: {target: 'j.bst:y.bst'}\n\
         //- j.bst\nkind: link\nconfig: {target: sub.bst}\n",
        "sub.bst:x.bst sub.bst:y.bst a.bst",
    );
    expect(
        "//- a.bst\nkind: stack\ndepends: ['sub.bst:y.bst']\n\
         //- sub.bst\nkind: junction\nsources: [{kind: local, path: sub}]\n\
         config: {overrides: {x.bst: mine.bst}}\n\
         //- mine.bst\nkind: stack\n",
        "mine.bst sub.bst:y.bst a.bst",
    );
}

#[test]
fn wrong_junctions_are_named_with_their_place() {
    let a = |path: &str| format!("//- a.bst\nkind: stack\ndepends: ['{path}']\n");
    expect(
        &a("sub.bst"),
        "a.bst:2:11: 'sub.bst' is a junction, which nothing can depend on: name an element behind it",
    );
    expect(
        &a("sub.bst:z.bst"),
        "a.bst:2:11: there is no element 'z.bst' in 'sub'",
    );
    expect(
        &(a("b.bst:x.bst") + "//- b.bst\nkind: stack\n"),
        "a.bst:2:11: 'b.bst' is no junction, so no element can be behind it",
    );
    expect(
        &(a("b.bst:x.bst")
            + "//- b.bst\nkind: junction\nsources: [{kind: local, path: sub}]\nconfig: {path: no}\n"),
        "a.bst:2:11: there is no project.conf in the sources of the junction 'b.bst', expected in 'no'",
    );
    expect(
        &(a("b.bst:x.bst")
            + "//- b.bst\nkind: junction\nsources: [{kind: tar, url: 'https://e.org/x'}]\n"),
        "a.bst:2:11: a source of the junction 'b.bst' has no reference, so its project can't be loaded",
    );
    expect(
        &(a("b.bst:x.bst")
            + "//- b.bst\nkind: junction\nsources: [{kind: tar, url: 'https://e.org/x', ref: '1'}]\n"),
        "b.bst:1:1: the sources of the junction 'b.bst' can't be staged: only junctions with a single \
         source of kind 'local' can be followed here",
    );
    expect(
        &(a("sub.bst:x.bst")
            + "//- sub.bst\nkind: junction\nsources: [{kind: local, path: sub}]\nconfig: {overrides: {x.bst: sub.bst}}\n"),
        "sub.bst:3:29: 'x.bst' can't be overridden by the junction itself",
    );
    expect(
        &(a("sub.bst:x.bst")
            + "//- sub.bst\nkind: junction\nsources: [{kind: local, path: sub}]\nconfig: {options: {no: 1}}\n"),
        "sub.bst:3:20: the project has no option 'no'",
    );
    expect(
        "//- a.bst\nkind: link\nconfig: {target: b.bst}\n//- b.bst\nkind: link\nconfig: {target: a.bst}\n",
        "b.bst:2:18: following 'a.bst' leads back to itself",
    );
    expect(
        &(a("b.bst:x.bst") + "//- b.bst\nkind: link\nconfig: {target: 'b.bst:c.bst'}\n"),
        "b.bst:2:18: following 'b.bst' leads back to itself",
    );
    expect(
        "//- a.bst\nkind: link\nconfig: {target: 'sub.bst:x.bst'}\ndepends: [b.bst]\n",
        "a.bst:3:11: a link can't have dependencies",
    );
}

#[test]
fn projects_that_are_loaded_twice_are_refused_unless_marked() {
    let twice = "//- a.bst\nkind: stack\ndepends: ['sub.bst:x.bst', 'b.bst:y.bst']\n\
                 //- b.bst\nkind: junction\nsources: [{kind: local, path: sub}]\n";
    expect(
        twice,
        "a.bst:2:28: the project 'sub' is loaded several times: 'sub.bst' (used at a.bst:2:11); \
         'b.bst' (used at a.bst:2:28)",
    );
    for mark in ["internal: [b.bst]", "duplicates: {sub: [sub.bst, b.bst]}"] {
        expect(
            &format!(
                "{twice}//- project.conf\nname: top\nmin-version: 2.0\njunctions: {{{mark}}}\n"
            ),
            "sub.bst:x.bst b.bst:x.bst b.bst:y.bst a.bst",
        );
    }
    expect(
        &format!(
            "{twice}//- project.conf\nname: top\nmin-version: 2.0\njunctions: {{duplicates: {{sub: [b.bst]}}}}\n"
        ),
        "a.bst:2:28: the project 'sub' is loaded several times: 'sub.bst' (used at a.bst:2:11); \
         'b.bst' (used at a.bst:2:28), duplicate of the top-level project",
    );
}

/// A project that is joined to itself and includes a file from there.
#[test]
fn endless_junctions_are_stopped() {
    let error = load(
        "//- project.conf\nname: p\nmin-version: 2.0\n(@): 'self.bst:i.yml'\n//- i.yml\n{}\n\
         //- self.bst\nkind: junction\nsources: [{kind: local, path: '.'}]\n",
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "project.conf:3:6: projects are joined to each other too deeply: at most 30 levels are loaded"
    );
}
