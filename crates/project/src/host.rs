//! The machine that is loaded for, told by the caller, and BuildStream's names for machines.

use crate::element::Sandbox;

/// What a project's options and sandboxes take from the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The operating system as `uname -s` says it: `Linux`.
    pub system: String,
    /// The machine as `uname -m` says it: `x86_64`.
    pub machine: String,
    /// What `%{max-jobs}` is: the user's setting, or the number of usable processors, at most 8.
    pub max_jobs: u32,
}

impl Host {
    /// The canonical name of the machine, if it has one.
    pub fn arch(&self) -> Option<&'static str> {
        canonical_arch(&self.machine)
    }

    /// Whether commands of elements that ask for this sandbox can run on the machine.
    pub fn runs(&self, sandbox: &Sandbox) -> bool {
        *sandbox.build_os == *self.system.to_lowercase() && Some(sandbox.build_arch) == self.arch()
    }
}

/// BuildStream's canonical name of a machine architecture, whatever its spelling; the names are
/// those of its reference manual, "Project options", "Architecture".
pub fn canonical_arch(name: &str) -> Option<&'static str> {
    Some(match &*name.replace('_', "-").to_lowercase() {
        "aarch32" | "arm" => "aarch32",
        "aarch64" | "armv8l" => "aarch64",
        "aarch64-be" | "armv8b" => "aarch64-be",
        "amd64" | "x86-64" => "x86-64",
        "i386" | "i486" | "i586" | "i686" | "x86-32" => "x86-32",
        "la64v100" | "loong64" | "loongarch64" => "la64v100",
        "power-isa-be" | "powerpc" | "powerpc64" | "ppc64" => "power-isa-be",
        "power-isa-le" | "powerpc64le" | "ppc64le" => "power-isa-le",
        "riscv32" | "rv32g" => "rv32g",
        "riscv64" | "rv64g" => "rv64g",
        "sparc" | "sparc64" | "sparc-v9" | "sun4v" => "sparc-v9",
        _ => return None,
    })
}
