//! What the tests compare with: BuildStream as its users have it, in a virtual environment.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run;

/// The releases that keys, formats and protocols are compared with.
const PACKAGES: [&str; 6] = [
    "BuildStream==2.8.1",
    "buildstream-plugins==2.8.0",
    "buildstream-plugins-community==2.4.0",
    // What its kinds of sources need, and it does not ask for.
    "dulwich==1.2.21",
    "requests==2.34.2",
    "tomlkit==0.15.2",
];

/// Where the peers are.
pub(crate) struct Peers {
    /// The `bst` program.
    pub(crate) bst: PathBuf,
    /// The folder with `buildbox-casd` and `buildbox-run`.
    pub(crate) buildbox: PathBuf,
}

/// Installs the peers, unless they are there.
pub(crate) fn install(root: &Path) -> Result<Peers, String> {
    let home = root.join("target/peers");
    let python = home.join("bin/python");
    let stamp = home.join("installed");
    let wanted = PACKAGES.join("\n");
    if std::fs::read_to_string(&stamp).ok().as_deref() != Some(&wanted) {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv", "--clear"]).arg(&home);
        run(venv).map_err(|error| {
            format!("{error}; it needs Python 3.10 or newer: apt-get install python3-venv")
        })?;
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet"]).args(PACKAGES);
        run(pip)?;
        std::fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    }
    let root = root
        .canonicalize()
        .map_err(|error| format!("{}: {error}", root.display()))?;
    let home = root.join("target/peers");
    Ok(Peers {
        bst: home.join("bin/bst"),
        buildbox: buildbox(&home.join("bin/python"))?,
    })
}

/// The folder of the buildbox programs that BuildStream's wheel brings.
fn buildbox(python: &Path) -> Result<PathBuf, String> {
    let program = "import buildstream, os; \
                   print(os.path.join(os.path.dirname(buildstream.__file__), 'subprojects', 'buildbox'))";
    let output = Command::new(python)
        .args(["-c", program])
        .output()
        .map_err(|error| format!("{}: {error}", python.display()))?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if folder.join("buildbox-casd").exists() {
        Ok(folder)
    } else {
        Err(format!(
            "BuildStream brought no buildbox-casd: expected it in {}",
            folder.display()
        ))
    }
}
