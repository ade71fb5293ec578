//! Builds the programs by a cargo of their own, since what cargo builds for this package is neither
//! static nor small.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The packages of the programs, which are called as these.
const PACKAGES: &[&str] = &["headstart-launcher", "headstart-sandbox-init"];

/// What the programs are built from, beside their dependencies outside.
const SOURCES: &[&str] = &[
    "crates/launcher/src",
    "crates/launcher/Cargo.toml",
    "crates/sandbox-init/src",
    "crates/sandbox-init/Cargo.toml",
    "crates/reapi/src",
    "crates/reapi/proto",
    "crates/reapi/build.rs",
    "crates/reapi/Cargo.toml",
    "crates/merkle/src",
    "crates/merkle/Cargo.toml",
    "Cargo.lock",
];

/// Variables of the build around this one that would change what is built, or where.
const OUTER: &[&str] = &[
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_BUILD_TARGET",
    "RUSTC_WORKSPACE_WRAPPER",
    "CLIPPY_ARGS",
    "CARGO_MAKEFLAGS",
    "MAKEFLAGS",
    "MFLAGS",
    "LLVM_PROFILE_FILE",
    "__CARGO_DEFAULT_LIB_METADATA",
];

fn main() -> Result<(), Box<dyn Error>> {
    let workspace = Path::new(&env::var("CARGO_MANIFEST_DIR")?)
        .ancestors()
        .nth(2)
        .ok_or("this package is not in its workspace")?
        .to_owned();
    println!("cargo:rerun-if-changed=build.rs");
    for source in SOURCES {
        println!(
            "cargo:rerun-if-changed={}",
            workspace.join(source).display()
        );
    }
    let output = PathBuf::from(env::var("OUT_DIR")?);
    let target = env::var("TARGET")?;
    let built = output.join("target").join(&target).join("release");
    for package in PACKAGES {
        let status = nested_cargo(&workspace, &output, &target, package)?.status()?;
        if !status.success() {
            return Err(format!("cargo could not build {package}: {status}").into());
        }
        let built = built.join(package);
        std::fs::copy(&built, output.join(package))
            .map_err(|error| format!("{}: {error}", built.display()))?;
    }
    Ok(())
}

/// The command that builds a program, to be found under `output`.
///
/// The target is named even where it is this machine: flags then go to the program and not to
/// build scripts and procedural macros, which can't be static.
fn nested_cargo(
    workspace: &Path,
    output: &Path,
    target: &str,
    package: &str,
) -> Result<Command, Box<dyn Error>> {
    let mut cargo = Command::new(env::var("CARGO")?);
    cargo
        .args([
            "rustc",
            "--quiet",
            "--locked",
            "--release",
            "--package",
            package,
            "--bin",
            package,
        ])
        .args(["--target", target, "--target-dir"])
        .arg(output.join("target"))
        .args([
            "--",
            "-Ctarget-feature=+crt-static",
            "-Crelocation-model=static",
        ])
        .current_dir(workspace);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let per_target = text.starts_with("CARGO_TARGET_") && text.ends_with("_RUSTFLAGS");
        let of_package = text.starts_with("CARGO_FEATURE_")
            || text.starts_with("CARGO_CFG_")
            || text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_PROFILE_");
        if OUTER.contains(&&*text) || per_target || of_package {
            cargo.env_remove(&name);
        }
    }
    let wrapper = env::var("RUSTC_WRAPPER").unwrap_or_default();
    if wrapper.contains("clippy") {
        cargo.env_remove("RUSTC_WRAPPER");
    }
    // Small, and no slower: the programs mostly wait, and the launcher hashes with the processor's
    // own instructions.
    cargo
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "2")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "4");
    Ok(cargo)
}
