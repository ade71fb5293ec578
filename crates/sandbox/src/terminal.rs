//! The terminal that a command was given.

use rustix::termios::{isatty, tcsetpgrp};

/// Makes this process's group the one that the terminal at standard input belongs to. A shell makes
/// its own group that, and can't give it back: in its process namespace it does not see the other.
pub(crate) fn take_back() {
    let stdin = std::io::stdin();
    if !isatty(&stdin) {
        return;
    }
    // A process that is not in the terminal's group would be stopped for this.
    // SAFETY: the signal is ignored and then handled as before; no handler is run.
    let before = unsafe { libc::signal(libc::SIGTTOU, libc::SIG_IGN) };
    // Without it somebody has to bring this process to the foreground; nothing else is lost.
    let _ = tcsetpgrp(&stdin, rustix::process::getpgrp());
    // SAFETY: as above; it is what was there before.
    unsafe { libc::signal(libc::SIGTTOU, before) };
}
