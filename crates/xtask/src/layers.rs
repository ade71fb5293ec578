//! The arrows between our crates: which crate may use which others of ours.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Each crate with those it may use directly, lowest first. A crate may use only what stands above
/// it in this list, so that there can be no cycle.
const LAYERS: &[(&str, &[&str])] = &[
    ("allocator", &[]),
    ("reapi", &[]),
    ("merkle", &["reapi"]),
    ("store", &["reapi", "merkle"]),
    ("store-disk", &["reapi", "merkle", "store"]),
    ("hostfs", &["reapi", "merkle", "store"]),
    ("treefs", &["merkle", "store", "store-disk"]),
    ("execution", &["reapi", "merkle", "store"]),
    ("remote", &["reapi", "merkle", "store", "execution"]),
    ("launcher", &["reapi", "merkle"]),
    ("sandbox-init", &[]),
    ("embed", &[]),
    (
        "sandbox",
        &[
            "reapi",
            "merkle",
            "store",
            "store-disk",
            "treefs",
            "execution",
            "sandbox-init",
            "embed",
        ],
    ),
    ("speculation", &["reapi", "merkle", "store", "execution"]),
    ("yaml", &[]),
    ("project", &["yaml", "merkle"]),
    ("plugins", &["yaml", "project"]),
    ("pipeline", &["project"]),
    (
        "simulator",
        &[
            "merkle",
            "store",
            "execution",
            "speculation",
            "project",
            "pipeline",
        ],
    ),
    ("artifacts", &["reapi", "merkle", "store", "store-disk"]),
    (
        "sources",
        &[
            "reapi",
            "merkle",
            "store",
            "artifacts",
            "project",
            "plugins",
            "yaml",
        ],
    ),
    (
        "assemble",
        &[
            "reapi",
            "merkle",
            "store",
            "execution",
            "artifacts",
            "sources",
            "project",
            "plugins",
            "yaml",
        ],
    ),
    (
        "daemon",
        &["reapi", "merkle", "store", "hostfs", "execution", "remote"],
    ),
    (
        "casd",
        &[
            "reapi",
            "merkle",
            "store",
            "store-disk",
            "hostfs",
            "execution",
            "remote",
            "sandbox",
            "speculation",
            "artifacts",
            "daemon",
        ],
    ),
    (
        "session",
        &[
            "reapi",
            "merkle",
            "store",
            "store-disk",
            "execution",
            "remote",
            "sandbox",
            "speculation",
            "project",
            "plugins",
            "yaml",
            "pipeline",
            "artifacts",
            "sources",
            "assemble",
            "daemon",
        ],
    ),
    (
        "cli",
        &[
            "allocator",
            "session",
            "casd",
            "merkle",
            "execution",
            "project",
            "yaml",
            "embed",
        ],
    ),
];

/// May use anything.
const FREE: &[&str] = &["bench", "xtask"];

/// Without IO, clock or environment; these may not depend on a runtime or a transport either.
const PURE: &[&str] = &[
    "merkle",
    "yaml",
    "project",
    "speculation",
    "pipeline",
    "simulator",
];
const IMPURE_DEPENDENCIES: &[&str] = &["tokio", "tonic", "rustix", "tempfile", "rayon"];

/// Checks what the manifests say against [`LAYERS`] and [`PURE`].
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version=1", "--no-deps"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        wrong.extend(check_package(package));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

fn check_package(package: &Value) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or_default();
    let name = match name.strip_prefix("headstart-") {
        Some(layer) => layer,
        // The program itself.
        None if name == "headstart" => "cli",
        None => return Vec::new(),
    };
    let normal = package["dependencies"].as_array().into_iter().flatten();
    let used: BTreeSet<&str> = normal
        .filter(|dependency| dependency["kind"].is_null())
        .filter_map(|dependency| dependency["name"].as_str())
        .collect();
    let mut wrong = Vec::new();
    let layer = LAYERS.iter().find(|(layer, _)| *layer == name);
    if layer.is_none() && !FREE.contains(&name) {
        wrong.push(format!("layers: nothing says what `{name}` may use"));
    }
    if let Some((_, allowed)) = layer {
        let ours = used
            .iter()
            .filter_map(|name| name.strip_prefix("headstart-"));
        wrong.extend(
            ours.filter(|other| !allowed.contains(other))
                .map(|other| format!("layers: `{name}` must not use `{other}`")),
        );
    }
    if PURE.contains(&name) {
        wrong.extend(
            used.iter()
                .filter(|dependency| IMPURE_DEPENDENCIES.contains(dependency))
                .map(|dependency| {
                    format!("layers: `{name}` is pure and must not use `{dependency}`")
                }),
        );
    }
    wrong
}
