//! A generated project in which elements use everything that the format has, in random combinations.

use std::fmt::Write as _;

use crate::compare::check;
use crate::fixture::write;

const ELEMENTS: usize = 160;

const BASE: &str = r#"
//- project.conf
name: generated
min-version: 2.0
element-path: elements
(@): [include/flags.yml]
aliases: {up: 'https://example.org/%{project-name}/'}
options:
  arch: {type: arch, description: arch, variable: arch, values: [x86_64, aarch64]}
  debug: {type: bool, description: debug, default: false, variable: debug}
  parts: {type: flags, description: parts, values: [a, b, c], default: [c, a]}
fatal-warnings: [overlaps]
split-rules:
  devel: {(>): ['%{libdir}/cmake/**']}
  own: ['/own/**']
environment-nocache: [V]
elements:
  manual:
    config: {strip-commands: ['strip %{install-root}']}
    variables: {from-kind: '%{flags}'}
  script:
    environment: {KIND: script}
//- include/flags.yml
variables:
  flags: '-O2 %{arch-flags}'
  (?):
  - arch == "x86_64": {arch-flags: -mfoo}
  - arch == "aarch64": {arch-flags: -mbar}
environment: {V: '1', CFLAGS: '%{flags}'}
//- include/build.yml
variables: {args: '--prefix=%{prefix} %{local}', local: ''}
environment: {INCLUDED: '%{args}'}
config: {install-commands: {(<): [first], (>): [last]}}
//- files/data.txt
data
"#;

struct Random(u32);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % limit
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

fn name(index: usize) -> String {
    format!("g{}/e{:03}.bst", index % 7, index * 7919 % 1000)
}

/// An element of a kind that needs no particular dependencies.
fn ordinary(index: usize, kind: &str, random: &mut Random) -> String {
    let mut text = format!("kind: {kind}\n");
    let list = if kind == "stack" {
        "depends"
    } else {
        ["depends", "build-depends", "runtime-depends"][random.below(3)]
    };
    let mut chosen: Vec<usize> = (0..random.below(6)).map(|_| random.below(index)).collect();
    chosen.sort_unstable();
    chosen.dedup();
    if !chosen.is_empty() {
        let _ = writeln!(text, "{list}:");
    }
    for dependency in chosen {
        let name = name(dependency);
        let config = kind == "manual" && list == "build-depends";
        let _ = match random.below(5) {
            0 if config => writeln!(text, "- {{filename: {name}, config: {{location: /deps}}}}"),
            1 if config => writeln!(
                text,
                "- {{filename: {name}, config: {{digest-environment: TREE}}}}"
            ),
            2 if list != "runtime-depends" => {
                writeln!(text, "- {{filename: [{name}], strict: true}}")
            }
            _ => writeln!(text, "- {name}"),
        };
    }
    if kind != "stack" {
        text += match random.below(3) {
            0 => "sources: [{kind: local, path: files, directory: '%{arch}'}]\n",
            1 => "sources: [{kind: tar, url: 'up:x.tar', ref: '01', base-dir: ''}]\n",
            _ => "sources: [{kind: remote, url: 'up:y', ref: '02', executable: true}]\n",
        };
    }
    if random.one_in(3) {
        text += "public: {bst: {integration-commands: ['run %{bindir}'], split-rules: {devel: {(>): ['%{sbindir}/x']}}}}\n";
    }
    if kind == "manual" {
        text += manual(random);
    }
    text
}

fn manual(random: &mut Random) -> &'static str {
    [
        "(@): include/build.yml\nvariables: {local: --with-x, notparallel: true}\n\
         config: {install-commands: [make install]}\n",
        "variables:\n  (?):\n  - debug: {flags: -O0}\n  - '\"a\" in parts and arch in [\"x86_64\"]': {flags: -O3}\n\
         config: {build-commands: ['make %{max-jobs} %{flags}']}\nenvironment-nocache: [CFLAGS]\n",
        "sandbox: {build-uid: 7, build-os: linux, remote-apis-socket: {path: /s, action-cache-enable-update: true}}\n\
         config: {strip-commands: {(=): [other], (>): ['%{from-kind}']}}\n",
        "variables: {command-subdir: sub, prefix: '/opt/%{element-name}'}\nenvironment: {P: '%{libdir}'}\n",
    ][random.below(4)]
}

fn generated() -> String {
    let mut random = Random(7);
    let mut text = BASE.to_owned();
    let mut builds = Vec::new();
    for index in 0..ELEMENTS {
        let earlier = |random: &mut Random| name(random.below(index));
        let kind = if index == 0 { 1 } else { random.below(9) };
        let element = match kind {
            0 => ordinary(index, "stack", &mut random),
            1 | 2 if index == 0 => {
                "kind: import\nsources: [{kind: local, path: files/data.txt}]\n".to_owned()
            }
            1 | 2 => ordinary(index, "import", &mut random),
            3 => format!(
                "kind: compose\nbuild-depends: ['{}']\nconfig: {{include: [own, devel], integrate: {}}}\n",
                earlier(&mut random),
                ["true", "false"][random.below(2)]
            ),
            4 if !builds.is_empty() => format!(
                "kind: filter\nbuild-depends: ['{}']\nconfig: {{exclude: [own], include-orphans: true}}\n",
                name(builds[random.below(builds.len())])
            ),
            5 => format!(
                "kind: script\nbuild-depends: [{{filename: '{}', config: {{location: /in}}}}]\n\
                 variables: {{cwd: /in, install-root: /out}}\n\
                 config: {{root-read-only: true, commands: ['cp %{{flags}}']}}\n",
                earlier(&mut random)
            ),
            _ => {
                builds.push(index);
                ordinary(index, "manual", &mut random)
            }
        };
        let _ = write!(text, "//- elements/{}\n{element}", name(index));
    }
    text += "//- elements/all.bst\nkind: stack\ndepends:\n";
    for index in 0..ELEMENTS {
        let _ = writeln!(text, "- {}", name(index));
    }
    text
}

#[test]
fn a_project_that_uses_everything_has_the_same_keys() {
    let root = write(&generated());
    check(
        root.path(),
        &[("debug", "true"), ("parts", "b,a")],
        &["all.bst"],
    );
}
