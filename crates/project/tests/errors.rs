//! What people see when a project is wrong: the place, what is wrong, and what would be right.

use std::sync::Arc;

use headstart_project::{ElementGraph, Host, LoadError, MemoryFiles, Nothing, Projects, Settings};

fn load(fixture: &str, options: &[(&str, &str)]) -> Result<ElementGraph, LoadError> {
    let mut files = MemoryFiles::from_fixture(fixture);
    if !fixture.contains("//- project.conf") {
        files.insert(
            "project.conf",
            "name: p\nmin-version: 2.0\nelement-path: e\n",
        );
        files.insert("e/other.bst", "kind: stack\n");
    }
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let host = Host {
        system: "Linux".to_owned(),
        machine: "x86_64".to_owned(),
        max_jobs: 2,
    };
    let settings = Settings {
        options: options.iter().map(owned).collect(),
        ..Settings::new(host, "/p")
    };
    Projects::load(Arc::new(files), Arc::new(Nothing), settings)?.load_elements(&["a.bst"])
}

/// Loads `a.bst` of a project and compares the message, with the line it shows below it.
#[track_caller]
fn check(fixture: &str, expected: &str) {
    check_with(fixture, &[], expected);
}

#[track_caller]
fn check_with(fixture: &str, options: &[(&str, &str)], expected: &str) {
    let error = match load(fixture, options) {
        Ok(_) => panic!("{fixture} was loaded"),
        Err(error) => error,
    };
    let mut message = error.to_string();
    if let Some((line, below)) = error.provenance().and_then(|at| at.excerpt()) {
        message += &format!("\n{line}\n{below}");
    }
    if let Some(hint) = error.hint() {
        message += &format!("\nhint: {hint}");
    }
    assert_eq!(message, expected.trim_start_matches('\n'), "{fixture}");
}

#[test]
fn text_that_is_no_yaml() {
    check(
        "//- e/a.bst\nkind: manual\nconfig: [1\n",
        "e/a.bst:3:1: invalid YAML: did not find expected ',' or ']' while parsing a flow sequence that begins at 2:9\n\n^",
    );
    check(
        "//- e/a.bst\nkind: stack\nkind: manual\n",
        "e/a.bst:2:1: the key 'kind' is already in this mapping\nkind: manual\n^^^^",
    );
}

#[test]
fn kinds_that_are_not_there() {
    check(
        "//- e/a.bst\nkind: manul\n",
        "e/a.bst:1:7: there is no element kind 'manul'\nkind: manul\n      ^^^^^\nhint: did you mean \
         'manual'?",
    );
    check(
        "//- e/a.bst\ndescription: x\n",
        "e/a.bst:1:1: expected the key 'kind' in this mapping\ndescription: x\n^",
    );
    check(
        "//- e/a.bst\nkind: cmake\n",
        "e/a.bst:1:7: the element kind 'cmake' comes from the package 'buildstream-plugins', which \
         project.conf does not name as its origin\nkind: cmake\n      ^^^^^\nhint: add 'cmake' to a \
         plugin origin 'pip' with the package 'buildstream-plugins' in project.conf",
    );
    check(
        "//- e/a.bst\nkind: import\nsources:\n- kind: zap\n",
        "e/a.bst:3:9: there is no source kind 'zap'\n- kind: zap\n        ^^^\nhint: did you mean 'zip'?",
    );
    check(
        "//- project.conf\nname: p\nmin-version: 2.0\nplugins:\n- {origin: local, path: x, elements: [own, manual]}\n\
         //- x/own.py\n//- a.bst\nkind: manual\n",
        "a.bst:1:7: the element plugin 'manual' of the directory 'x': plugins can't be run \
         here\nkind: manual\n      ^^^^^^",
    );
    check(
        "//- project.conf\nname: p\nmin-version: 2.0\nplugins:\n- {origin: pip, package-name: 'Other_plugins[x]>=2', elements: [own]}\n\
         //- a.bst\nkind: own\n",
        "a.bst:1:7: the element plugin 'own' of the Python package 'Other_plugins[x]>=2': plugins \
         can't be run here\nkind: own\n      ^^^",
    );
}

#[test]
fn elements_and_files_that_are_not_there() {
    check("", "there is no element 'a.bst' in 'e'");
    check(
        "//- e/a.bst\nkind: stack\ndepends: [b.bst]\n",
        "e/a.bst:2:11: there is no element 'b.bst' in 'e'\ndepends: [b.bst]\n          ^^^^^",
    );
    check(
        "//- e/a.bst\nkind: stack\ndepends:\n- filename: [e/other.bst]\n",
        "e/a.bst:3:14: there is no element 'e/other.bst' in 'e'\n- filename: [e/other.bst]\n             \
         ^^^^^^^^^^^\nhint: did you mean 'other.bst'?",
    );
    check(
        "//- e/a.bst\nkind: stack\ndepends: [b]\n",
        "e/a.bst:2:11: 'b' can't be the name of an element: it does not end in '.bst'\ndepends: [b]\n          ^",
    );
    check(
        "//- e/a.bst\nkind: stack\ndepends: [../../b.bst]\n",
        "e/a.bst:2:11: '../../b.bst' can't be the name of an element: it leads out of the project's \
         elements\ndepends: [../../b.bst]\n          ^^^^^^^^^^^",
    );
    check(
        "//- e/a.bst\nkind: stack\ndepends: ['sub.bst:b.bst']\n",
        "e/a.bst:2:11: there is no element 'sub.bst' in 'e'\n\
         depends: ['sub.bst:b.bst']\n          ^^^^^^^^^^^^^^^",
    );
    check(
        "//- e/a.bst\nkind: stack\n(@): [no.yml]\n",
        "e/a.bst:2:7: can't read 'no.yml': there is no such file\n(@): [no.yml]\n      ^^^^^^",
    );
    check(
        "//- e/a.bst\nkind: stack\n(@): i.yml\n//- i.yml\n(@): i.yml\n",
        "i.yml:1:6: 'i.yml' includes itself\n(@): i.yml\n     ^^^^^",
    );
    for (path, problem) in [
        ("no/file", "does not exist"),
        ("../out", "leads out of the project's directory"),
        (
            "/etc/passwd",
            "is absolute: it must be relative to the project's directory",
        ),
    ] {
        check(
            &format!("//- e/a.bst\nkind: import\nsources:\n- kind: local\n  path: {path}\n"),
            &format!(
                "e/a.bst:4:9: the path '{path}' {problem}\n  path: {path}\n        {}",
                "^".repeat(path.len())
            ),
        );
    }
}

#[test]
fn circles() {
    check(
        "//- e/a.bst\nkind: stack\ndepends: [b.bst]\n//- e/b.bst\nkind: stack\ndepends:\n- c.bst\n\
         //- e/c.bst\nkind: manual\nbuild-depends:\n- other.bst\n- b.bst\n",
        "e/c.bst:4:3: the element 'b.bst' depends on itself: b.bst -> c.bst -> b.bst\n- b.bst\n  ^^^^^",
    );
    check(
        "//- e/a.bst\nkind: stack\ndepends: [./a.bst]\n",
        "e/a.bst:2:11: the element 'a.bst' depends on itself: a.bst -> a.bst\ndepends: [./a.bst]\n          ^^^^^^^",
    );
}

#[test]
fn dependencies_that_make_no_sense() {
    for (dependency, message) in [
        (
            "{filename: other.bst, type: never}",
            "e/a.bst:3:31: expected 'build', 'runtime' or 'all' as type of the dependency, found 'never'",
        ),
        (
            "{filename: other.bst, strict: false}",
            "e/a.bst:3:33: 'strict' can't be set to false: leave it out",
        ),
        (
            "{filename: other.bst, type: runtime, strict: true}",
            "e/a.bst:3:48: a runtime dependency can't have 'strict'",
        ),
        (
            "{filename: other.bst, type: runtime, config: {}}",
            "e/a.bst:3:48: a runtime dependency can't have 'config'",
        ),
        (
            "{filename: other.bst, config: {}}",
            "e/a.bst:3:33: elements of kind 'stack' take no 'config' for their dependencies",
        ),
        (
            "{filename: other.bst, as: x}",
            "e/a.bst:3:25: unexpected key 'as': expected one of 'filename', 'junction', 'strict', 'config', 'type'",
        ),
        (
            "[other.bst]",
            "e/a.bst:3:3: expected a string or a mapping as dependency, found a list",
        ),
        (
            "{type: all}",
            "e/a.bst:3:3: expected the key 'filename' in this mapping",
        ),
    ] {
        let error = load(
            &format!("//- e/a.bst\nkind: stack\ndepends:\n- {dependency}\n"),
            &[],
        );
        assert_eq!(error.unwrap_err().to_string(), message);
    }
}

#[test]
fn directives_that_can_not_be_followed() {
    check(
        "//- e/a.bst\nkind: manual\nconfig:\n  build-commands:\n    (>): [x]\n    y: z\n",
        "e/a.bst:4:5: list directives and other keys can't be in one mapping\n    (>): [x]\n    ^",
    );
    check(
        "//- e/a.bst\nkind: manual\npublic:\n  own:\n    (>): [x]\n",
        "e/a.bst:4:5: the list directive '(>)' has no list to change\n    (>): [x]\n    ^^^",
    );
    check(
        "//- e/a.bst\nkind: manual\nvariables:\n  (?):\n  - debug == 1:\n      x: y\n",
        "e/a.bst:4:5: can't evaluate 'debug == 1': there is no option 'debug'\n  - debug == 1:\n    ^^^^^^^^^^",
    );
    check(
        "//- e/a.bst\nkind: manual\nvariables:\n  (?):\n  - a: {}\n    b: {}\n",
        "e/a.bst:4:5: expected one condition and what to use if it is true\n  - a: {}\n    ^",
    );
    check(
        "//- e/a.bst\nkind: manual\n(?):\n- 1 == 1:\n    (!): This can't be.\n",
        "e/a.bst:4:10: This can't be.\n    (!): This can't be.\n         ^^^^^^^^^^^^^^",
    );
    check(
        "//- e/a.bst\nkind: manual\nvariables:\n  prefix: [x]\n",
        "e/a.bst:3:11: can't compose a list at 'prefix' over a string at projectconfig.yaml:7:11\n  \
         prefix: [x]\n          ^",
    );
}

#[test]
fn variables_that_are_wrong() {
    check(
        "//- e/a.bst\nkind: manual\nvariables:\n  unused: \"%{nothing}\"\n",
        "e/a.bst:3:11: the variable 'nothing' is not defined\n  unused: \"%{nothing}\"\n          ^^^^^^^^^^^^",
    );
    check(
        "//- e/a.bst\nkind: manual\nconfig:\n  build-commands:\n  - make %{jobs}\n",
        "e/a.bst:4:5: the variable 'jobs' is not defined\n  - make %{jobs}\n    ^^^^^^^^^^^^",
    );
    check(
        "//- e/a.bst\nkind: manual\nvariables:\n  x: \"%{y}\"\n  y: \"%{x}\"\n",
        "e/a.bst:3:6: the variable 'x' refers to itself: x -> y -> x\n  x: \"%{y}\"\n     ^^^^^^",
    );
    check(
        "//- e/a.bst\nkind: manual\nvariables:\n  max-jobs: 4\n",
        "e/a.bst:3:13: the variable 'max-jobs' is set by the program and can't be changed\n  max-jobs: \
         4\n            ^",
    );
}

#[test]
fn what_kinds_demand() {
    check(
        "//- e/a.bst\nkind: import\n",
        "e/a.bst:1:1: an element of kind 'import' must have a source\nkind: import\n^",
    );
    check(
        "//- e/a.bst\nkind: stack\nbuild-depends: [other.bst]\n",
        "e/a.bst:2:17: 'other.bst' must be both a build and a runtime dependency of this stack\n\
         build-depends: [other.bst]\n                ^^^^^^^^^\nhint: declare the dependencies of a \
         stack in 'depends', without a type",
    );
    check(
        "//- e/a.bst\nkind: filter\nbuild-depends: [other.bst]\n",
        "e/a.bst:2:17: the filtered element 'other.bst' has no artifact: it is a stack\n\
         build-depends: [other.bst]\n                ^^^^^^^^^",
    );
    check(
        "//- e/a.bst\nkind: filter\n",
        "e/a.bst:1:1: an element of kind 'filter' must have exactly one build dependency, this has \
         0\nkind: filter\n^",
    );
    check(
        "//- e/a.bst\nkind: script\nruntime-depends: [other.bst]\n",
        "e/a.bst:2:19: elements of kind 'script' can't have runtime dependencies\n\
         runtime-depends: [other.bst]\n                  ^^^^^^^^^",
    );
    check(
        "//- e/a.bst\nkind: compose\nconfig:\n  integrate: perhaps\n",
        "e/a.bst:3:14: expected a boolean ('true' or 'false'), found 'perhaps'\n  integrate: \
         perhaps\n             ^^^^^^^",
    );
    check(
        "//- e/a.bst\nkind: manual\nconfig:\n  make-commands: []\n",
        "e/a.bst:3:3: unexpected key 'make-commands': expected one of 'configure-commands', \
         'build-commands', 'install-commands', 'strip-commands'\n  make-commands: []\n  ^^^^^^^^^^^^^",
    );
    check(
        "//- e/a.bst\nkind: manual\nsandbox:\n  build-arch: abacus\n",
        "e/a.bst:3:15: 'abacus' is not the name of a known machine architecture\n  build-arch: \
         abacus\n              ^^^^^^",
    );
}

#[test]
fn projects_that_are_wrong() {
    let check_conf = |conf: &str, expected: &str| {
        check(
            &format!("//- project.conf\n{conf}//- a.bst\nkind: stack\n"),
            expected,
        );
    };
    check_conf(
        "name: p\n",
        "project.conf:1:1: expected the key 'min-version' in this mapping\nname: p\n^",
    );
    check_conf(
        "name: p\nmin-version: 3.0\n",
        "project.conf:2:14: the project needs BuildStream 3.0, this is as BuildStream 2.8\n\
         min-version: 3.0\n             ^^^",
    );
    check_conf(
        "name: 1p\nmin-version: 2.0\n",
        "project.conf:1:7: '1p' is not a name of a project: it must begin with a letter or underscore \
         and hold only letters, digits, underscores and dashes\nname: 1p\n      ^^",
    );
    check_conf(
        "name: p\nmin-version: 2.0\nplugins:\n- {origin: local, path: no, elements: [own]}\n",
        "project.conf:4:25: the path 'no' does not exist\n- {origin: local, path: no, elements: \
         [own]}\n                        ^^",
    );
    check_conf(
        "name: p\nmin-version: 2.0\nelement-path: no\n",
        "project.conf:3:15: the path 'no' does not exist\nelement-path: no\n              ^^",
    );
    check_conf(
        "name: p\nmin-version: 2.0\nelments: {}\n",
        &format!(
            "project.conf:3:1: unexpected key 'elments': expected one of '{}'\nelments: {{}}\n^^^^^^^\n\
             hint: did you mean 'elements'?",
            "min-version', 'element-path', 'variables', 'environment', 'environment-nocache', \
             'split-rules', 'elements', 'plugins', 'aliases', 'name', 'defaults', 'artifacts', \
             'options', 'fail-on-overlap', 'shell', 'fatal-warnings', 'ref-storage', 'sandbox', \
             'mirrors', 'sources', 'source-caches', 'junctions', 'source-provenance-attributes', \
             '(@)', '(?)"
        ),
    );
    check_conf(
        "name: p\nmin-version: 2.0\n(?):\n- 1 == 2:\n    name: q\n",
        "project.conf:5:5: 'name' can't be conditional\n    name: q\n    ^^^^",
    );
    check_conf(
        "name: p\nmin-version: 2.0\n(@): i.yml\n//- i.yml\nplugins: []\n",
        "i.yml:1:10: 'plugins' can only be set in project.conf itself, not in a file it includes\n\
         plugins: []\n         ^",
    );
    check_conf(
        "name: p\nmin-version: 2.0\naliases: {a: \"%{element-name}\"}\n",
        "project.conf:3:14: the variable 'element-name' is not defined\naliases: {a: \
         \"%{element-name}\"}\n             ^^^^^^^^^^^^^^^^^",
    );
    assert_eq!(
        Projects::load(
            Arc::new(MemoryFiles::default()),
            Arc::new(Nothing),
            Settings::new(
                Host {
                    system: "Linux".to_owned(),
                    machine: "x86_64".to_owned(),
                    max_jobs: 2
                },
                "/p"
            )
        )
        .err()
        .unwrap()
        .to_string(),
        "there is no project at '/p'"
    );
}

#[test]
fn addresses_that_are_wrong() {
    let project = |conf: &str, url: &str| {
        format!(
            "//- project.conf\nname: p\nmin-version: 2.0\n{conf}//- a.bst\nkind: import\nsources:\n\
             - {{kind: tar, url: '{url}'}}\n"
        )
    };
    let message = |conf, url| load(&project(conf, url), &[]).unwrap_err().to_string();
    assert_eq!(
        message("", "up:x.tar"),
        "a.bst:3:20: the alias 'up' is not defined in project.conf"
    );
    let fatal = "fatal-warnings: [unaliased-url]\n";
    assert_eq!(
        message(fatal, "https://e.org/x.tar"),
        "a.bst:3:20: the address 'https://e.org/x.tar' has no alias, which project.conf makes an \
         error ('unaliased-url')"
    );
    let graph = load(&project("", "https://e.org/x.tar"), &[]).unwrap();
    let warnings: Vec<_> = graph.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["a.bst:3:20: the address 'https://e.org/x.tar' has no alias"]
    );
}

/// Each file includes the next one three times over: no memory would hold that.
#[test]
fn includes_that_multiply_are_stopped() {
    let mut fixture = String::from("//- e/a.bst\nkind: stack\n(@): i0.yml\n");
    for index in 0..18 {
        fixture += &format!("//- i{index}.yml\n");
        for key in ["x", "y", "z"] {
            fixture += &format!("{key}: {{(@): i{}.yml}}\n", index + 1);
        }
    }
    fixture += "//- i18.yml\nend: here\n";
    let message = load(&fixture, &[]).unwrap_err().to_string();
    assert!(
        message.ends_with("too much is included: at most 67108864 bytes are read"),
        "{message}"
    );
}

/// As deep as files may be, and as many within each other.
#[test]
fn depth_does_not_overflow_the_stack() {
    let mut fixture = String::from("//- e/a.bst\nkind: stack\npublic: {(@): i0.yml}\n");
    for index in 0..20 {
        let deep = "{a: ".repeat(97);
        let end = "}".repeat(97);
        fixture += &format!(
            "//- i{index}.yml\na: {deep}{{(@): i{}.yml}}{end}\n",
            index + 1
        );
    }
    let message = load(&fixture, &[]).unwrap_err().to_string();
    assert_eq!(
        message,
        "i19.yml:1:398: files include each other too deeply: at most 20 levels are read"
    );
    let fixture = fixture.replace("{(@): i20.yml}", "end");
    assert!(load(&fixture, &[]).is_ok());
}

#[test]
fn provenance_that_the_project_does_not_know() {
    check(
        "//- project.conf\nname: p\nmin-version: 2.0\nsource-provenance-attributes: {homepage: where}\n\
         //- a.bst\nkind: import\nsources:\n- {kind: local, path: project.conf, provenance: {hompage: x}}\n",
        "a.bst:3:50: the project has no provenance attribute 'hompage' for sources: project.conf lists \
         them in 'source-provenance-attributes'\n- {kind: local, path: project.conf, provenance: \
         {hompage: x}}\n                                                 ^^^^^^^\nhint: did you mean \
         'homepage'?",
    );
}

#[test]
fn options_that_are_wrong() {
    let conf = |options: &str| {
        format!(
            "//- project.conf\nname: p\nmin-version: 2.0\noptions:\n  o: {options}\n//- a.bst\nkind: stack\n"
        )
    };
    let taste = "{type: enum, description: d, values: [a, b], default: a}";
    check_with(&conf(taste), &[("x", "a")], "the project has no option 'x'");
    check_with(
        &conf(taste),
        &[("o", "c")],
        "'c' is not a value of the option 'o': expected one of 'a', 'b'",
    );
    check_with(
        &conf("{type: bool, description: d, default: false}"),
        &[("o", "1")],
        "'1' is not a value of the option 'o': expected 'true' or 'false'",
    );
    for (options, message) in [
        (
            "{type: enum, description: d, values: [a], default: b}",
            "project.conf:4:57: 'b' is not a value of the option 'o': expected one of 'a'",
        ),
        (
            "{type: enum, description: d, default: b}",
            "project.conf:4:6: expected the key 'values' in this mapping",
        ),
        (
            "{type: enum, values: [a], default: a}",
            "project.conf:4:6: expected the key 'description' in this mapping",
        ),
        (
            "{type: number, description: d}",
            "project.conf:4:13: expected 'bool', 'enum', 'flags', 'arch', 'os' or 'element-mask', found 'number'",
        ),
        (
            "{type: arch, description: d, values: [aarch64]}",
            "project.conf:4:3: 'x86-64' is not a value of the option 'o': expected one of 'aarch64'",
        ),
        (
            "{type: arch, description: d, values: [abacus]}",
            "project.conf:4:6: 'abacus' is not the name of a known machine architecture",
        ),
        (
            "{type: bool, description: d, default: x}",
            "project.conf:4:44: expected a boolean ('true' or 'false'), found 'x'",
        ),
        (
            "{type: flags, description: d, values: [a], default: [a, c]}",
            "project.conf:4:58: 'c' is not a value of the option 'o': expected one of 'a'",
        ),
    ] {
        assert_eq!(load(&conf(options), &[]).unwrap_err().to_string(), message);
    }
}

#[test]
fn the_first_element_with_an_error_is_told_of_whatever_it_is() {
    let wrong = [
        "kind: unknown\n",
        "kind: manual\nvariables: {v: '%{nothing}'}\n",
        "kind: manual\nsources: [{kind: unknown}]\n",
        "kind: manual\nconfig: {commands: []}\n",
    ];
    for first in 0..wrong.len() {
        // Enough for several threads, with the same errors in another order at the end.
        let mut fixture = "//- e/a.bst\nkind: stack\ndepends:\n".to_owned();
        let names: Vec<_> = (0..400).map(|number| format!("{number:03}.bst")).collect();
        names
            .iter()
            .for_each(|name| fixture += &format!("- {name}\n"));
        for (number, name) in names.iter().enumerate() {
            let element = match number {
                200.. => wrong[(first + number - 200) % wrong.len()],
                _ => "kind: import\nsources: [{kind: remote, url: y}]\n",
            };
            fixture += &format!("//- e/{name}\n{element}");
        }
        let error = load(&fixture, &[]).unwrap_err();
        let place = error.provenance().unwrap().to_string();
        assert!(place.starts_with("e/200.bst:"), "{error}");
    }
}

#[test]
fn modules_of_go_stay_among_the_sources() {
    const CONF: &str = "//- project.conf\nname: p\nmin-version: 2.0\nelement-path: e\nplugins:\n- origin: pip\n  \
         package-name: buildstream-plugins-community\n  sources: [go_module]\n";
    let element = |module: &str, subdirectory: &str| {
        format!(
            "{CONF}//- e/a.bst\nkind: import\nsources:\n- kind: remote\n  url: y\n- kind: go_module\n  url: y\n  module: {module}\n  ref:\n    \
             go-version: v1.0.0\n    git-ref: v1.0.0-0-g{}\n    subdirectory: {subdirectory}\n",
            "0".repeat(40)
        )
    };
    load(&element("example.org/x", "a/../b"), &[]).unwrap();
    for path in ["../x", "a/../../x", "/x", ".."] {
        let error = load(&element(path, "b"), &[]).unwrap_err();
        let place = error.provenance().unwrap().to_string();
        assert_eq!(place, "e/a.bst:7:11", "{error}");
        let error = load(&element("x", path), &[]).unwrap_err();
        let place = error.provenance().unwrap().to_string();
        assert_eq!(place, "e/a.bst:11:19", "{error}");
    }
}
