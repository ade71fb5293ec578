//! Whether this machine lets this user make sandboxes, and what to do if it does not.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use headstart_sandbox_init::{Orders, Report, Role, receive, send};

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
    let nowhere = PathBuf::from("/nonexistent");
    let orders = Orders {
        lower: Vec::new(),
        upper: nowhere.clone(),
        work: nowhere.clone(),
        root: nowhere.clone(),
        arguments: Vec::new(),
        environment: Vec::new(),
        working_directory: nowhere,
        writable: None,
        uid: 0,
        gid: 0,
        network: false,
        binds: Vec::new(),
        stdin: None,
        nice: 0,
    };
    let probe = || -> io::Result<Report> {
        let (mut ours, theirs) = UnixStream::pair()?;
        let mut child = program::command(Role::Init, theirs)?.spawn()?;
        send(&mut ours, &orders)?;
        let report = receive(&mut ours);
        child.wait()?;
        report
    };
    match probe() {
        // Without folders the overlay can't be mounted; getting there is what was asked for.
        Ok(Report::Failed { step, .. }) if step == "mount the overlay" => Ok(()),
        Ok(Report::Unavailable(refused)) => Err(refused),
        Ok(Report::Failed { step, reason }) => Err(format!("{step}: {reason}")),
        Ok(Report::Exited(_) | Report::NoProgram) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}
