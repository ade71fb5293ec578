//! The init process of a sandbox.
//!
//! The program is started again under a private first argument, so that what is forked from is small
//! and has one thread ([`program`](crate::program)). It makes the namespaces and forks: the child is
//! process 1 inside, mounts, runs the command, reaps, and reports. The parent stays outside and waits for the child or for the
//! socket to be closed, whichever comes first: then the child is killed, and with it, by the kernel,
//! everything in its process namespace.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, pidfd_open, wait, waitpid,
};
use rustix::thread::UnshareFlags;

use crate::modes::MASK;
use crate::mounts::{enter, step};
use crate::namespaces::{map_ids, unshare};
use crate::network::{Network, bring_up_loopback};
use crate::protocol::{Orders, Report, receive, send};

/// Standard input: the socket to the sandbox's maker.
fn socket() -> UnixStream {
    // SAFETY: descriptor 0 is open, it is the socket that the maker gave, and nothing else in this
    // process uses it.
    UnixStream::from(unsafe { OwnedFd::from_raw_fd(0) })
}

/// Makes a sandbox as it is told on standard input, from a process that has that network, and gives the exit code
/// for it.
pub(crate) fn run(network: Network) -> i32 {
    let mut socket = socket();
    let Ok(orders) = receive::<Orders>(&mut socket) else {
        return 1;
    };
    rustix::process::umask(MASK);
    if orders.stdin.is_some() {
        leave_interrupts_to_the_command();
    }
    if let Err(report) = make_namespaces(&orders, network) {
        return i32::from(send(&mut socket, &report).is_err());
    }
    // SAFETY: this process has one thread, so the child may use everything.
    match unsafe { libc::fork() } {
        -1 => {
            let reason = io::Error::last_os_error().to_string();
            i32::from(
                send(
                    &mut socket,
                    &Report::Failed {
                        step: "fork".into(),
                        reason,
                    },
                )
                .is_err(),
            )
        }
        0 => {
            let report = inside(&orders).unwrap_or_else(|report| report);
            i32::from(send(&mut socket, &report).is_err())
        }
        child => watch(&socket, child),
    }
}

/// What is typed at a terminal is for the command that has it, not for this process. A handler does
/// not outlive an exec, so the command itself has the default.
fn leave_interrupts_to_the_command() {
    extern "C" fn nothing(_: libc::c_int) {}
    let handler = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
    for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP] {
        // SAFETY: the handler does nothing, which is safe at any time.
        unsafe { libc::signal(signal, handler) };
    }
}

fn make_namespaces(orders: &Orders, network: Network) -> Result<(), Report> {
    let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
    let own_network = !orders.network && network == Network::Host;
    let mut flags = UnshareFlags::NEWUSER
        | UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS;
    if own_network {
        flags |= UnshareFlags::NEWNET;
    }
    unshare(flags).map_err(|error| Report::Unavailable(error.to_string()))?;
    map_ids((orders.uid, uid.as_raw()), (orders.gid, gid.as_raw()))?;
    step("set the host's name", || {
        Ok(rustix::system::sethostname(b"sandbox")?)
    })?;
    if own_network {
        bring_up_loopback()?;
    }
    step("forbid new privileges", || {
        Ok(rustix::thread::set_no_new_privs(true)?)
    })
}

/// Waits for the child, or for the maker to close the socket.
fn watch(socket: &UnixStream, child: libc::pid_t) -> i32 {
    let Some(pid) = Pid::from_raw(child) else {
        return 1;
    };
    let ended = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) => wait_for_either(descriptor.as_fd(), socket.as_fd()),
        Err(_) => false,
    };
    if !ended {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
    let _ = waitpid(Some(pid), WaitOptions::empty());
    0
}

/// Whether the process ended before the socket was closed.
fn wait_for_either(process: BorrowedFd<'_>, socket: BorrowedFd<'_>) -> bool {
    loop {
        let mut waiting = [
            PollFd::from_borrowed_fd(process, PollFlags::IN),
            PollFd::from_borrowed_fd(socket, PollFlags::RDHUP),
        ];
        match poll(&mut waiting, None) {
            Ok(_) if !waiting[0].revents().is_empty() => return true,
            Ok(_) if !waiting[1].revents().is_empty() => return false,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Process 1: mounts, runs the command, and reaps whatever ends up with it.
fn inside(orders: &Orders) -> Result<Report, Report> {
    enter(orders)?;
    if orders.nice > 0 {
        step("lower the priority", || {
            Ok(rustix::process::nice(orders.nice).map(|_| ())?)
        })?;
    }
    let (program, arguments) = orders.arguments.split_first().ok_or(Report::NoProgram)?;
    let spawned = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(orders.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&orders.working_directory)
        .stdin(stdin(orders))
        .spawn();
    let command = match spawned {
        Ok(command) => command.id().cast_signed(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Report::NoProgram),
        Err(error) => {
            let step = format!("start {program}");
            return Err(Report::Failed {
                step,
                reason: error.to_string(),
            });
        }
    };
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == command => {
                return Ok(Report::Exited(exit_code(status)));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                let reason = error.to_string();
                return Err(Report::Failed {
                    step: "wait for the command".into(),
                    reason,
                });
            }
        }
    }
}

fn stdin(orders: &Orders) -> Stdio {
    match orders.stdin {
        None => Stdio::null(),
        // SAFETY: the maker opened it for this purpose, and nothing else in this process uses it.
        Some(descriptor) => Stdio::from(unsafe { OwnedFd::from_raw_fd(descriptor) }),
    }
}

/// The exit code as a shell gives it: 128 + N if signal N ended the command.
fn exit_code(status: WaitStatus) -> i32 {
    status
        .exit_status()
        .or_else(|| status.terminating_signal().map(|signal| 128 + signal))
        .unwrap_or(255)
}
