//! Shells in sandboxes, beside the real BuildStream's in the same project with the same cache.

use std::process::Output;

use headstart_reapi::{Message, buildstream};

use crate::support::{BuildStream, Place, WITHOUT_RECC, at_terminal, line, output_with, said};

const PROJECT: &str = r#"
== elements/base.bst
kind: import
sources:
- kind: local
  path: files/base
config:
  target: /usr/share/base
public:
  bst:
    integration-commands:
    - cat /usr/share/base/text > /usr/share/base/integrated
    - mkdir /seen
== files/base/text
base
== elements/tool.bst
kind: manual
depends:
- toolchain.bst
- base.bst
sources:
- kind: local
  path: files/tool
variables:
  command-subdir: below
environment:
  OWN: of-the-element
config:
  install-commands:
  - install -D -m 644 text %{install-root}/usr/share/tool/text
== files/tool/below/text
tool
== elements/broken.bst
kind: manual
depends:
- toolchain.bst
- base.bst
environment:
  OWN: of-the-broken
config:
  build-commands:
  - echo left > left
  - exit 3
== elements/never.bst
kind: manual
build-depends:
- broken.bst
"#;

const SHELL: &str = r#"
shell:
  command: ['sh', '-c', 'echo the default of $FROM']
  environment:
    FROM: '$HOME/x'
    OWN: of-the-shell
  host-files:
  - /etc/hostname
  - path: /seen/file
    host_path: ${HOME}/file
  - path: /seen/none
    optional: true
"#;

struct Both {
    place: Place,
    peer: BuildStream,
}

impl Both {
    fn new() -> Self {
        let place = Place::new(PROJECT);
        let conf = std::fs::read_to_string(place.project().join("project.conf")).unwrap();
        place.write("project.conf", conf + SHELL);
        std::fs::write(place.home().join("file"), "of the host\n").unwrap();
        let peer = BuildStream::new(&place.project(), &place.cache(), &place.home());
        Self { place, peer }
    }

    /// What each gives for the same arguments and standard input.
    fn run(&self, arguments: &[&str], input: &str) -> [Output; 2] {
        [self.place.headstart(), self.peer.command()]
            .map(|mut command| output_with(command.args(WITHOUT_RECC).args(arguments), input))
    }

    /// What both write to standard output and end with, which must be the same.
    fn same(&self, arguments: &[&str], input: &str) -> (String, i32) {
        let outputs = self.run(arguments, input);
        let seen = outputs.each_ref().map(|output| {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            (text, output.status.code().unwrap())
        });
        let [ours, theirs] = &outputs;
        let said = || format!("{arguments:?}: {}\n{}", said(ours), said(theirs));
        assert_eq!(seen[0], seen[1], "{}", said());
        let [seen, _] = seen;
        seen
    }
}

/// All that a command can tell of where it is.
const LOOK: &str = "env | sort; pwd; id -u; id -g; ls /; ls -A; find /buildstream* /usr/share/base /usr/share/tool /seen \
                    | sort; cat /seen/file /etc/hostname; grep -c : /proc/net/dev; \
                    for place in /usr . /tmp /buildstream-install; do \
                      touch $place/written && echo can write $place; \
                    done; ls /dev | wc -l";

#[test]
fn shells_are_as_buildstreams() {
    let both = Both::new();
    let (_, code) = both.same(&["shell", "tool.bst", "--", "true"], "");
    assert_eq!(code, 255, "nothing is built");
    let build = ["--option", "recc", "off", "build", "tool.bst"];
    let output = both.place.headstart().args(build).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));

    let look = |options: &[&str]| {
        let arguments = [&["shell"], options, &["tool.bst", "--", "sh", "-c", LOOK]].concat();
        both.same(&arguments, "").0
    };
    let run = look(&[]);
    for expected in [
        "OWN=of-the-shell",
        "\nof the host\n",
        "/usr/share/base/integrated",
        "/usr/share/tool/text",
        "can write /tmp",
    ] {
        assert!(run.contains(expected), "{expected}: {run}");
    }
    assert!(!run.contains("can write /usr"), "{run}");
    let isolated = look(&["--isolate"]);
    assert!(isolated.contains("OWN=of-the-element"), "{isolated}");
    assert!(!isolated.contains("of the host"), "{isolated}");
    let build = look(&["--build"]);
    for expected in [
        "/buildstream/e2e/tool.bst/below/text",
        "\ntext\n",
        "can write /buildstream-install",
    ] {
        assert!(build.contains(expected), "{expected}: {build}");
    }
    assert!(!build.contains("/usr/share/tool/text"), "{build}");
    look(&["--build", "--isolate"]);

    let shell = |script| {
        both.same(
            &["shell", "tool.bst", "--", "sh", "-c", script],
            "from outside",
        )
    };
    assert_eq!(shell("cat; exit 7"), ("from outside".to_owned(), 7));
    shell("kill -9 $$");
    let (default, _) = both.same(&["shell", "tool.bst"], "");
    assert_eq!(
        default,
        format!("the default of {}/x\n", both.place.home().display())
    );
    let file = both.place.home().join("file");
    let mount = [
        "shell",
        "--mount",
        file.to_str().unwrap(),
        "/made/here",
        "tool.bst",
    ];
    let (mounted, _) = both.same(&[&mount[..], &["cat", "/made/here"]].concat(), "");
    assert_eq!(mounted, "of the host\n");
    for refused in [
        &["shell", "tool.bst", "--", "not-there"][..],
        &["shell", "--mount", "/not/there", "/x", "tool.bst", "true"],
        &["shell", "never.bst", "true"],
        &["shell", "--use-buildtree", "tool.bst", "true"],
        &["shell", "--use-buildtree", "never.bst", "true"],
    ] {
        let (text, code) = both.same(refused, "");
        assert_eq!((&*text, code > 1), ("", true), "{refused:?}");
    }
}

#[test]
fn what_a_failed_build_has_left_can_be_looked_into() {
    let both = Both::new();
    let build = ["--option", "recc", "off", "build", "broken.bst"];
    let output = both.place.headstart().args(build).output().unwrap();
    assert_eq!(output.status.code(), Some(255), "{}", said(&output));
    let shell = [
        "shell",
        "--use-buildtree",
        "broken.bst",
        "--",
        "sh",
        "-c",
        LOOK,
    ];
    let (left, code) = both.same(&shell, "");
    assert_eq!(code, 0, "{left}");
    assert!(left.contains("\nleft\n"), "{left}");
    let inside = [
        "shell",
        "--use-buildtree",
        "broken.bst",
        "--",
        "cat",
        "left",
    ];
    assert_eq!(both.same(&inside, ""), ("left\n".to_owned(), 0));

    // It is what BuildStream keeps itself.
    let key = both.same(
        &[
            "show",
            "--deps",
            "none",
            "--format",
            "%{full-key}",
            "broken.bst",
        ],
        "",
    );
    let refs = "artifacts/refs/e2e/broken";
    let artifact = |cache: &std::path::Path| {
        let bytes = std::fs::read(cache.join(refs).join(key.0.trim())).unwrap();
        let message: buildstream::Artifact = Message::decode(&*bytes).unwrap();
        (
            message.buildroot,
            message.buildtree,
            message.sources,
            message.buildsandbox,
        )
    };
    let ours = artifact(&both.place.cache());
    std::fs::remove_dir_all(both.place.cache().join(refs)).unwrap();
    let output = both.peer.output(&build);
    assert_eq!(output.status.code(), Some(255), "{}", said(&output));
    assert_eq!(ours, artifact(&both.place.cache()));
}

#[test]
fn a_shell_has_the_terminal_and_gives_it_back() {
    let both = Both::new();
    let build = ["--option", "recc", "off", "build", "tool.bst"];
    let output = both.place.headstart().args(build).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let mut shell = both.place.headstart();
    shell.args([
        "--option", "recc", "off", "shell", "tool.bst", "--", "sh", "-i",
    ]);
    // With job control the inner shell is in a group of its own. The outer one can read on only if
    // the terminal is its again.
    let script = format!(
        "{}; echo ended with $?; read answer; echo heard $answer",
        line(&shell)
    );
    let steps = [
        ("]$ ", "test -t 0 && echo at a $((40 + 2))\n"),
        ("at a 42", "exit 5\n"),
        ("ended with", "the end\n"),
    ];
    let output = at_terminal(&shell, &script, &steps);
    let text = said(&output);
    for expected in ["at a 42", "heard the end"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}
