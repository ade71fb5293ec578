//! Whether this machine lets this user make sandboxes, and what to do if it does not.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use headstart_sandbox_init::{OVERLAY, Orders, Report, Role, receive, send};

use crate::modes::make_folders;
use crate::program;

/// Says in one sentence why no sandbox can be made here, `refused` being what the operating system said
/// when one was tried.
pub(crate) fn reason(refused: &str) -> String {
    let setting = |path: &str| {
        fs::read_to_string(path)
            .ok()
            .map(|text| text.trim().to_owned())
    };
    let is = |path: &str, value: &str| setting(path).as_deref() == Some(value);
    let advice = if is(
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
    ) {
        "AppArmor keeps users from making user namespaces: allow it with \
         `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`"
    } else if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "user namespaces are switched off: allow them with \
         `sudo sysctl kernel.unprivileged_userns_clone=1`"
    } else if is("/proc/sys/user/max_user_namespaces", "0") {
        "user namespaces are limited to none: allow them with \
         `sudo sysctl user.max_user_namespaces=10000`"
    } else {
        "user namespaces are not allowed here: in a container, start it with \
         `--security-opt seccomp=unconfined --security-opt systempaths=unconfined`"
    };
    format!("{advice} ({refused})")
}

/// Checks whether sandboxes can be made, by making user and mount namespaces in a process of its
/// own. The error is one sentence that says what to do.
pub fn check_available() -> Result<(), String> {
    probe().map_err(|refused| reason(&refused))
}

/// Makes the namespaces of a sandbox and nothing else; gives what the system refused.
fn probe() -> Result<(), String> {
    // Without folders the overlay can't be mounted; getting there is what was asked for.
    match ask(&orders(&[], Path::new("/nonexistent"))) {
        Ok(Report::Failed { step, .. }) if step == OVERLAY => Ok(()),
        told => without_program(told),
    }
}

/// Checks whether a sandbox can be made of a tree that is seen at `lower` and has nothing in it, and of folders below
/// `folder`, which is empty.
pub(crate) fn check_layer(lower: &Path, folder: &Path) -> Result<(), String> {
    let made = ["upper/dev", "upper/proc", "work", "root"]
        .iter()
        .try_for_each(|name| make_folders(&folder.join(name)));
    made.map_err(|error| error.to_string())?;
    without_program(ask(&orders(&[lower.to_owned()], folder)))
}

fn orders(lower: &[PathBuf], folder: &Path) -> Orders {
    Orders {
        lower: lower.to_vec(),
        upper: folder.join("upper"),
        work: folder.join("work"),
        root: folder.join("root"),
        arguments: Vec::new(),
        environment: Vec::new(),
        working_directory: PathBuf::from("/"),
        writable: None,
        uid: 0,
        gid: 0,
        network: false,
        binds: Vec::new(),
        stdin: None,
        nice: 0,
    }
}

/// Has a sandbox made, and hears what came of it.
fn ask(orders: &Orders) -> io::Result<Report> {
    let (mut ours, theirs) = UnixStream::pair()?;
    let mut child = program::command(Role::Init, theirs)?.spawn()?;
    send(&mut ours, orders)?;
    let report = receive(&mut ours);
    child.wait()?;
    report
}

/// What came of a sandbox that nothing was to be started in.
fn without_program(told: io::Result<Report>) -> Result<(), String> {
    match told {
        Ok(Report::Exited(_) | Report::NoProgram) => Ok(()),
        Ok(Report::Unavailable(refused)) => Err(refused),
        Ok(Report::Failed { step, reason }) => Err(format!("{step}: {reason}")),
        Err(error) => Err(error.to_string()),
    }
}
