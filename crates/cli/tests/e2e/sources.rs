//! Sources of all kinds, fetched, staged and tracked as the real BuildStream does it: the same trees
//! under the same keys, and each program uses what the other has downloaded.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use headstart_merkle::BlobDigest;

use crate::support::{BuildStream, Place, Repository, Upstream, finish, python, said};

const PLUGINS: &str = r"
min-version: 2.0
element-path: elements
plugins:
- origin: pip
  package-name: buildstream-plugins
  sources: [patch, git]
- origin: pip
  package-name: buildstream-plugins-community
  sources: [zip, git_repo, git_tag, git_module, patch_queue, cargo2, gen_cargo_lock, pypi, cpan]
";

/// A project whose aliases lead to `upstream`.
fn place(upstream: &Upstream, elements: &str) -> Place {
    let place = Place::bare(elements);
    let conf = format!(
        "name: sources\n{PLUGINS}aliases:\n  files: {}\n  repos: {}\n",
        upstream.files_url(),
        upstream.git_url()
    );
    place.write("project.conf", conf);
    fs::copy(
        upstream.folder().join("gitconfig"),
        place.home().join("gitconfig"),
    )
    .unwrap();
    place
}

pub(crate) fn sha256(path: impl AsRef<Path>) -> String {
    BlobDigest::of(&fs::read(path).unwrap()).hex()
}

/// The files of a folder by name, with their contents.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let contents = entries.map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read(entry.path()).unwrap())
    });
    contents.collect()
}

/// All below a folder, except what is below folders named `.git`: paths with what they are.
fn listing(folder: &Path) -> BTreeMap<String, String> {
    let mut listing = BTreeMap::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(path) = pending.pop() {
        for entry in fs::read_dir(&path).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let what = if metadata.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else if metadata.is_dir() {
                if !path.ends_with(".git") {
                    pending.push(path.clone());
                }
                "directory".to_owned()
            } else {
                let executable = metadata.permissions().mode() & 0o100 != 0;
                format!("{executable} {}", sha256(&path))
            };
            let name = path.strip_prefix(folder).unwrap();
            listing.insert(name.display().to_string(), what);
        }
    }
    listing
}

/// The elements of a project with archives in it.
fn archives(upstream: &Upstream) -> Place {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/support/archives.py");
    let made = Command::new(python())
        .arg(script)
        .arg(upstream.folder())
        .status();
    assert!(made.unwrap().success());
    let place = place(
        upstream,
        r"
== patches/1.patch
--- a/sub/file
+++ b/sub/file
@@ -1 +1 @@
-content
\ No newline at end of file
+changed
== patches/2.patch
--- a/sub/file
+++ b/sub/file
@@ -1 +1,2 @@
 changed
+twice
",
    );
    let sha = |name: &str| sha256(upstream.folder().join(name));
    let import = |name: &str, sources: &str| {
        place.write(
            &format!("elements/{name}.bst"),
            format!("kind: import\nsources:\n{sources}"),
        );
    };
    for name in ["a.tar", "a.tar.gz", "a.tar.xz", "a.tar.bz2", "a.zip"] {
        let kind = if name == "a.zip" { "zip" } else { "tar" };
        let sha = sha(name);
        let source = format!("- kind: {kind}\n  url: files:{name}\n  ref: {sha}\n");
        import(name, &source);
        import(
            &format!("{name}-all"),
            &format!("{source}  base-dir: ''\n  directory: below\n"),
        );
        import(
            &format!("{name}-2"),
            &format!("{source}  base-dir: '*-2'\n"),
        );
    }
    import(
        "changed",
        &format!(
            "- kind: tar\n  url: files:a.tar\n  ref: {}\n- kind: patch_queue\n  path: patches\n",
            sha("a.tar")
        ),
    );
    import(
        "pypi",
        &format!(
            "- kind: pypi\n  name: demo\n  url: 'files:'\n  ref: {{sha256sum: {}, suffix: demo-1.0.tar.gz}}\n\
             - kind: pypi\n  name: demo\n  url: 'files:'\n  directory: two\n  ref: {{sha256sum: {}, suffix: demo-2.0.zip}}\n",
            sha("demo-1.0.tar.gz"),
            sha("demo-2.0.zip")
        ),
    );
    import(
        "crates",
        &format!(
            "- kind: remote\n  url: files:a.tar\n  ref: {}\n- kind: gen_cargo_lock\n  ref: dmVyc2lvbiA9IDMK\n\
             - kind: cargo2\n  url: files:crates\n  ref:\n  - {{name: one, version: 1.0.0, sha: {}}}\n  \
             - {{name: two, version: 0.2.0, sha: {}}}\n",
            sha("a.tar"),
            sha("crates/one/one-1.0.0.crate"),
            sha("crates/two/two-0.2.0.crate")
        ),
    );
    place
}

fn keep_only_downloads(cache: &Path) {
    for folder in ["cas", "elementsources", "source_protos", "artifacts"] {
        let _ = fs::remove_dir_all(cache.join(folder));
    }
}

/// Gives each cache what the other has downloaded, and nothing that was staged.
fn exchange_downloads(ours: &Path, theirs: &Path) {
    keep_only_downloads(ours);
    keep_only_downloads(theirs);
    let kept = ours.join("kept");
    fs::rename(ours.join("sources"), &kept).unwrap();
    fs::rename(theirs.join("sources"), ours.join("sources")).unwrap();
    fs::rename(&kept, theirs.join("sources")).unwrap();
}

#[test]
fn archives_and_crates_are_the_same_trees() {
    let mut upstream = Upstream::start();
    let place = archives(&upstream);
    let peer = BuildStream::beside(&place, "peer");
    place.run(&["source", "fetch"]);
    peer.run(&["source", "fetch"]);
    for kind in ["tar", "zip", "pypi", "cargo2", "gen_cargo_lock", "remote"] {
        let folder = Path::new("source_protos").join(kind);
        let ours = contents(&place.cache().join(&folder));
        assert_eq!(ours, contents(&peer.cache().join(&folder)), "{kind}");
    }
    let elements = contents(&place.cache().join("elementsources"));
    assert_eq!(elements.len(), 18);
    assert_eq!(elements, contents(&peer.cache().join("elementsources")));

    // Each does with what the other has downloaded.
    upstream.disconnect();
    exchange_downloads(&place.cache(), peer.cache());
    place.run(&["source", "fetch"]);
    peer.run(&["source", "fetch"]);
    assert_eq!(elements, contents(&place.cache().join("elementsources")));
    assert_eq!(elements, contents(&peer.cache().join("elementsources")));
}

/// Repositories with what is easily got wrong: submodules in submodules, tags of both kinds, line
/// ends, links; and a workspace of crates.
struct Repositories {
    head: String,
    described: String,
    light: String,
    submodule: String,
    crates: String,
}

fn repositories(upstream: &Upstream) -> Repositories {
    let git = upstream.git_url();
    let deep = upstream.repository("deep");
    deep.write("deep.txt", "deep\n").commit("deep");
    let sub = upstream.repository("sub");
    sub.write("sub.txt", "sub\n").commit("sub");
    add_submodule(&sub, &format!("{git}deep"), "deep");
    let submodule = sub.commit("submodule");

    let main = upstream.repository("main");
    main.write("a.txt", "one\n")
        .write("d/tool", "#!/bin/sh\n")
        .write("b.bat", "one\ntwo\n")
        .write(".gitattributes", "*.bat text eol=crlf\n");
    main.git(&["add", "--all"]);
    main.git(&["update-index", "--chmod=+x", "d/tool"]);
    std::os::unix::fs::symlink("d/tool", upstream.folder().join("main/link")).unwrap();
    main.git(&["commit", "--quiet", "--all", "--message", "one"]);
    main.git(&["tag", "--annotate", "v1", "--message", "v1"]);
    main.write("a.txt", "two\n").commit("two");
    add_submodule(&main, &format!("{git}sub"), "modules/sub");
    let head = main.commit("submodule");
    main.git(&["tag", "light"]);
    let describe = ["describe", "--tags", "--abbrev=40", "--long"];
    Repositories {
        described: main.git(&[&describe[..], &["--match=v1"]].concat()),
        light: main.git(&describe),
        head,
        submodule,
        crates: workspace(upstream),
    }
}

fn add_submodule(repository: &Repository<'_>, url: &str, path: &str) {
    repository.git(&["submodule", "--quiet", "add", url, path]);
}

/// A repository with a workspace of crates; gives its commit.
fn workspace(upstream: &Upstream) -> String {
    let root = r#"
[workspace]
members = ["parts/*"]
[workspace.package]
edition = "2021"
license = "MIT"
[workspace.dependencies]
serde = { version = "1", default-features = false, features = ["derive"] }
log = "0.4"
hidden = { path = "hidden" }
[workspace.lints.rust]
unused = "allow"
"#;
    let part = r#"
[package]
name = "part"
version = "0.1.0"
edition.workspace = true
license = { workspace = true }
[features]
default = ["x"]
x = []
[lints]
workspace = true
[[bin]]
name = "tool"
path = "tool.rs"
[dependencies]
serde = { workspace = true, optional = true, features = ["std"] }
log.workspace = true
local = { path = "../../hidden" }
[target.'cfg(unix)'.dependencies]
log.workspace = true
"#;
    let repository = upstream.repository("crates-git");
    repository
        .write("Cargo.toml", root)
        .write("parts/part/Cargo.toml", part)
        .write("parts/part/src/lib.rs", "\n")
        .write(
            "hidden/Cargo.toml",
            "[package]\nname = \"hidden\"\nversion = \"0.3.0\"\n",
        )
        .commit("workspace")
}

#[test]
fn repositories_are_the_same_files() {
    let mut upstream = Upstream::start();
    let made = repositories(&upstream);
    let Repositories {
        head,
        described,
        light,
        submodule,
        crates,
    } = &made;
    let place = place(&upstream, "");
    let sources = [
        (
            "git",
            format!("{{kind: git, url: 'repos:main', ref: {head}}}"),
        ),
        (
            "git-tags",
            format!(
                "{{kind: git, url: 'repos:main', ref: {head}, checkout-submodules: false, tags: \
                 [{{tag: v1, commit: {described}, annotated: true}}, {{tag: light, commit: {head}, annotated: false}}]}}",
            ),
        ),
        (
            "repo",
            format!("{{kind: git_repo, url: 'repos:main', ref: {head}}}"),
        ),
        (
            "repo-tag",
            format!(
                "{{kind: git_repo, url: 'repos:main', ref: {described}}}\n- {{kind: git_module, url: \
                 'repos:sub', path: modules/sub, ref: {submodule}}}"
            ),
        ),
        (
            "repo-light",
            format!("{{kind: git_repo, url: 'repos:main.git', ref: {light}}}"),
        ),
        (
            "tag",
            format!("{{kind: git_tag, url: 'repos:main', ref: {light}}}"),
        ),
        (
            "tag-full",
            format!(
                "{{kind: git_tag, url: 'repos:main', ref: {described}, checkout-submodules: false}}"
            ),
        ),
        (
            "crates",
            format!(
                "{{kind: remote, url: 'files:gitconfig', ref: {0}}}\n- kind: cargo2\n  url: 'files:'\n  ref:\n  \
                 - {{kind: git, name: part, version: 0.1.0, repo: 'repos:crates-git', commit: {crates}, query: {{branch: a b}}}}\n  \
                 - {{kind: git, name: hidden, version: 0.3.0, repo: 'repos:crates-git', commit: {crates}}}",
                sha256(upstream.folder().join("gitconfig"))
            ),
        ),
    ];
    // A submodule is known by its own address.
    let commit = upstream
        .repository("main")
        .git(&["rev-list", "-n", "1", "v1"]);
    for (name, source) in &sources {
        let text = format!("kind: import\nsources:\n- {source}\n");
        let text = text.replace(
            &format!("commit: {described}"),
            &format!("commit: {commit}"),
        );
        place.write(&format!("elements/{name}.bst"), text);
    }
    std::os::unix::fs::symlink("main", upstream.folder().join("main.git")).unwrap();
    let peer = BuildStream::beside(&place, "peer");
    // What needs less of a history takes nothing away from what needs more, whichever is first.
    for (name, _) in sources.iter().filter(|(name, _)| *name != "repo-light") {
        place.run(&["source", "fetch", &format!("{name}.bst")]);
    }
    place.run(&["source", "fetch", "repo-light.bst"]);
    keep_only_downloads(&place.cache());
    peer.run(&["source", "fetch"]);
    upstream.disconnect();
    let stack = sources.iter().map(|(name, _)| format!("- {name}.bst\n"));
    let stack: String = stack.collect();
    place.write(
        "elements/all.bst",
        format!("kind: stack\ndepends:\n{stack}"),
    );
    let compare = |round: &str| {
        let folder = |who: &str| place.home().join(format!("{round}-{who}"));
        let checkout = |to: &Path| {
            let to = to.to_str().unwrap();
            let checkout = [
                "source",
                "checkout",
                "--deps",
                "all",
                "--directory",
                to,
                "all.bst",
            ];
            checkout.map(str::to_owned)
        };
        let (ours, theirs) = (folder("ours"), folder("theirs"));
        place.run(&checkout(&ours).each_ref().map(String::as_str));
        peer.run(&checkout(&theirs).each_ref().map(String::as_str));
        assert_eq!(listing(&ours), listing(&theirs));
    };
    compare("first");
    describes(&place, "first-ours/repo-tag", described);
    describes(&place, "first-ours/git-tags", light);
    describes(&place, "first-ours/tag", light);

    exchange_downloads(&place.cache(), peer.cache());
    compare("second");
}

/// What `git` says of checked out sources.
fn describes(place: &Place, folder: &str, expected: &str) {
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(place.home().join(folder))
            .output()
            .unwrap();
        assert!(output.status.success(), "{folder}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(
        git(&["describe", "--tags", "--abbrev=40", "--long"]),
        expected
    );
    git(&["log", "-1"]);
    if !folder.contains("git-tags") {
        assert_eq!(git(&["status", "--porcelain"]), "");
    }
}

#[test]
fn refs_are_tracked_and_written_in_their_places() {
    let upstream = Upstream::start();
    let place = archives(&upstream);
    let made = repositories(&upstream);
    fs::remove_dir_all(place.project().join("elements")).unwrap();
    let element = |name: &str, text: &str| {
        place.write(&format!("elements/{name}.bst"), text);
    };
    element(
        "files",
        "# About it.\nkind: import\n\nsources:\n- kind: tar # an archive\n  ref: 'old'   # of old\n  url: files:a.tar\n\n\
         - {kind: zip, url: \"files:a.zip\"}\n# The end.\n- kind: remote\n  url: files:gitconfig\n",
    );
    element(
        "git",
        "kind: import\nsources:\n- kind: git_repo\n  url: repos:main\n  track: v*\n  ref-format: git-describe\n\
         - kind: git_module\n  url: repos:sub\n  path: modules/sub\n  # which one\n  ref: ''\n",
    );
    element(
        "git2",
        "kind: import\nsources:\n- kind: git_repo\n  url: repos:main\n  track: main\n\
         - kind: git_module\n  url: repos:sub\n  path: modules/sub\n  # which one\n  ref: old\n",
    );
    element(
        "branches",
        "kind: import\nsources:\n- kind: git\n  url: repos:main\n  track: main\n  ref-format: git-describe\n\
         - kind: git_tag\n  url: repos:main\n  track: main\n  match: ['v*']\n  directory: tag\n",
    );
    element(
        "tagged",
        "kind: import\nsources:\n- kind: git\n  url: repos:main\n  track: main\n  track-tags: true\n",
    );
    let list = upstream
        .folder()
        .join("cpan/modules/02packages.details.txt");
    fs::create_dir_all(list.parent().unwrap()).unwrap();
    fs::write(
        &list,
        "File: x\n\nA 1.0 A/A-1.0.zip\nSome::Module 1.5 S/a.tar.gz\n",
    )
    .unwrap();
    finish(Command::new("gzip").arg("-n").arg(&list));
    let distributions = upstream.folder().join("cpan/authors/id/S");
    fs::create_dir_all(&distributions).unwrap();
    fs::copy(
        upstream.folder().join("a.tar"),
        distributions.join("a.tar.gz"),
    )
    .unwrap();
    let perl =
        "kind: import\nsources:\n- {kind: cpan, index: 'files:cpan/', name: 'Some::Module'}\n";
    element("perl", perl);
    let lock = format!(
        "version = 3\n[[package]]\nname = \"mine\"\nversion = \"1.0.0\"\n[[package]]\nname = \"two\"\nversion = \"0.2.0\"\n\
         source = \"registry+https://github.com/rust-lang/crates.io-index\"\n[[package]]\nname = \"part\"\n\
         version = \"0.1.0\"\nsource = \"git+{}crates-git?branch=main#{}\"\n",
        upstream.git_url(),
        made.crates
    );
    place.write("lock/Cargo.lock", lock);
    element(
        "crates",
        "kind: import\nsources:\n- kind: local\n  path: lock\n  directory: below\n- kind: cargo2\n  directory: below\n  url: files:crates\n  ref: # all of them\n    \
         - name: one\n      version: 1.0.0\n      sha: old\n  # behind\n\n# The end.\n",
    );
    // git_module has no ref at the end of what has no submodule.
    place.edit("elements/git.bst", "  ref: ''\n", "");
    place.edit("elements/git.bst", "track: v*", "track: light");

    // Another project of the same files, for BuildStream.
    let theirs = place.home().join("theirs");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(place.project())
        .arg(&theirs)
        .status();
    assert!(copied.unwrap().success());
    let peer = BuildStream::new(&theirs, &place.home().join("peer"), &place.home());
    place.run(&["source", "track"]);
    peer.run(&["source", "track"]);

    let show = ["show", "--deps", "none", "--format", "%{name} %{full-key}"];
    let sorted = |text: String| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(place.run(&show)), sorted(peer.run(&show)));
    let read =
        |name: &str| fs::read_to_string(place.project().join("elements").join(name)).unwrap();
    let sha = |name: &str| sha256(upstream.folder().join(name));
    assert_eq!(
        read("files.bst"),
        format!(
            "# About it.\nkind: import\n\nsources:\n- kind: tar # an archive\n  ref: '{}'   # of old\n  url: files:a.tar\n\n\
             - {{kind: zip, url: \"files:a.zip\", ref: {}}}\n# The end.\n- kind: remote\n  url: files:gitconfig\n  ref: {}\n",
            sha("a.tar"),
            sha("a.zip"),
            sha("gitconfig")
        )
    );
    assert_eq!(
        read("crates.bst"),
        format!(
            "kind: import\nsources:\n- kind: local\n  path: lock\n  directory: below\n- kind: cargo2\n  directory: below\n  url: files:crates\n  ref:\n    \
             - kind: git\n      commit: {}\n      repo: {}crates-git\n      query:\n        branch: main\n      name: part\n      version: 0.1.0\n    \
             - kind: registry\n      name: two\n      version: 0.2.0\n      sha: {}\n  # behind\n\n# The end.\n",
            made.crates,
            upstream.git_url(),
            sha("crates/two/two-0.2.0.crate")
        )
    );
    // Kept apart, with nothing of what is beside the sources. BuildStream's `cargo2` can't do that, its `cpan`
    // not if something is there.
    for project in [&place.project(), &theirs] {
        fs::write(project.join("elements/perl.bst"), perl).unwrap();
        fs::remove_file(project.join("elements/crates.bst")).unwrap();
        let path = project.join("project.conf");
        let conf = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{conf}ref-storage: project.refs\n")).unwrap();
    }
    place.run(&["source", "track"]);
    peer.run(&["source", "track"]);
    assert_eq!(sorted(place.run(&show)), sorted(peer.run(&show)));
    // Nothing new.
    assert_eq!(
        place.run(&["source", "track"]),
        "0 new refs, 0 elements failed\n"
    );
}

/// Runs one of the tools that some kinds of sources need.
fn tool(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .env("HOME", folder)
        .env("BRZ_EMAIL", "Tester <tester@example.org>")
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| panic!("{program}, which `.ci/run` installs: {error}"));
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn what_bzr_and_ostree_fetch_is_the_same_trees() {
    let mut upstream = Upstream::start();
    let folder = upstream.folder().to_owned();
    let bzr = |arguments: &[&str]| tool(&folder, "bzr", arguments);
    let ostree = |arguments: &[&str]| tool(&folder, "ostree", arguments);
    bzr(&["init-repo", "--quiet", "bazaar"]);
    bzr(&["init", "--quiet", "bazaar/trunk"]);
    let trunk = folder.join("bazaar/trunk");
    fs::create_dir(trunk.join("d")).unwrap();
    fs::write(trunk.join("d/tool"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(trunk.join("d/tool"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("d/tool", trunk.join("link")).unwrap();
    for message in ["one", "two"] {
        fs::write(trunk.join("file"), message).unwrap();
        bzr(&["add", "--quiet", "bazaar/trunk"]);
        bzr(&["commit", "--quiet", "--message", message, "bazaar/trunk"]);
    }
    ostree(&["init", "--repo=ostree", "--mode=archive"]);
    ostree(&["commit", "--repo=ostree", "--branch=main", "bazaar/trunk/d"]);
    let commit = ostree(&["rev-parse", "--repo=ostree", "main"]);

    let place = place(&upstream, "");
    let conf = fs::read_to_string(place.project().join("project.conf")).unwrap();
    let conf = conf
        .replace("[patch, git]", "[bzr]")
        .replace("[zip, ", "[ostree, zip, ");
    place.write("project.conf", conf);
    place.write(
        "elements/both.bst",
        format!(
            "kind: import\nsources:\n- kind: bzr\n  url: files:bazaar\n  track: trunk\n  ref: 1\n\
             - kind: ostree\n  url: files:ostree\n  track: main\n  ref: {commit}\n  directory: below\n"
        ),
    );
    let peer = BuildStream::beside(&place, "peer");
    place.run(&["source", "fetch"]);
    peer.run(&["source", "fetch"]);
    let elements = contents(&place.cache().join("elementsources"));
    assert_eq!(elements.len(), 1);
    assert_eq!(elements, contents(&peer.cache().join("elementsources")));

    assert!(place.run(&["source", "track"]).starts_with("1 new refs"));
    let text = || fs::read_to_string(place.project().join("elements/both.bst")).unwrap();
    let tracked = text();
    assert!(tracked.contains("  ref: 2\n"), "{tracked}");
    place.edit("elements/both.bst", "ref: 2", "ref: 1");
    peer.run(&["source", "track", "both.bst"]);
    assert_eq!(text(), tracked);

    place.edit("elements/both.bst", "ref: 2", "ref: 1");
    upstream.disconnect();
    exchange_downloads(&place.cache(), peer.cache());
    place.run(&["source", "fetch"]);
    peer.run(&["source", "fetch"]);
    assert_eq!(elements, contents(&place.cache().join("elementsources")));
    assert_eq!(elements, contents(&peer.cache().join("elementsources")));
}

#[test]
fn what_can_not_be_fetched_is_said_with_its_place() {
    let upstream = Upstream::start();
    let place = place(&upstream, "");
    let commit = "0123456789abcdef0123456789abcdef01234567";
    upstream.repository("main").write("a", "a").commit("a");
    for (source, expected) in [
        (
            format!("kind: git\n  url: repos:main\n  ref: {commit}"),
            "repos:main has no commit '0123456789abcdef0123456789abcdef01234567'",
        ),
        (
            format!("kind: git_repo\n  url: repos:none\n  ref: {commit}"),
            "repos:none can't be fetched: ",
        ),
        (
            "kind: git\n  url: '--upload-pack=touch /tmp/never'\n  ref: main".to_owned(),
            "--upload-pack=touch /tmp/never can't be fetched: ",
        ),
        (
            "kind: git_tag\n  url: 'ext::sh -c true'\n  ref: main".to_owned(),
            "the alias 'ext' is not defined",
        ),
        (
            "kind: git\n  url: repos:main\n  ref: --all".to_owned(),
            "elements/a.bst:5:8: '--all' can't begin with '-'",
        ),
    ] {
        place.write(
            "elements/a.bst",
            format!("kind: import\nsources:\n- {source}\n"),
        );
        let output = place
            .headstart()
            .args(["source", "fetch", "a.bst"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(255), "{}", said(&output));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(errors.contains(expected), "{errors}");
        assert!(errors.contains("elements/a.bst:"), "{errors}");
    }
    assert!(!Path::new("/tmp/never").exists());
}
