//! Whether this machine lets this user make sandboxes, and what to do if it does not.

use std::fs;

/// Says in one sentence why no sandbox can be made here; `None` if nothing speaks against it.
///
/// `refused` is what the operating system said when one was tried.
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
pub fn check_available(program: &crate::InitProgram) -> Result<(), String> {
    program.probe().map_err(|refused| reason(&refused))
}
