//! The init process of a sandbox.
//!
//! This process clones itself into new namespaces: the copy is process 1 inside, mounts, runs the command,
//! reaps, and reports. The original stays outside and waits for the copy, or for the maker to close a socket,
//! whichever comes first: then the copy is killed, and with it, by the kernel, everything in its process
//! namespace.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Mode;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, pidfd_open, set_parent_process_death_signal,
    wait, waitpid,
};
use rustix::thread::UnshareFlags;

use crate::mounts::{enter, step};
use crate::namespaces::{Ids, clone_into};
use crate::network::{Network, bring_up_loopback};
use crate::protocol::{Orders, Report, STREAMS, receive, send};

/// What commands make has the mode that they ask for, but for what is masked everywhere.
const MASK: Mode = Mode::from_raw_mode(0o022);

/// Makes the sandbox that this process was started for, which is asked on standard input; gives the exit
/// code.
pub(crate) fn run_one() -> i32 {
    // SAFETY: descriptor 0 is open, it is the socket that the maker gave, and nothing else in this
    // process uses it.
    let socket = UnixStream::from(unsafe { OwnedFd::from_raw_fd(0) });
    i32::from(make(socket, None, Network::Host, None).is_err())
}

/// The same for a sandbox with standard streams of its own, from a nursery whose network it is to have;
/// whoever lets go of `nursery` ends it.
pub(crate) fn make_one_of_many(
    streams: [OwnedFd; STREAMS],
    network: Network,
    nursery: BorrowedFd<'_>,
) -> io::Result<()> {
    let [socket, stdout, stderr] = streams;
    make(
        UnixStream::from(socket),
        Some([stdout, stderr]),
        network,
        Some(nursery),
    )
}

/// Makes a sandbox as it is told on `socket`, and waits for its end. The error is that nobody could be told.
fn make(
    mut socket: UnixStream,
    output: Option<[OwnedFd; 2]>,
    network: Network,
    nursery: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let orders: Orders = receive(&mut socket)?;
    rustix::process::umask(MASK);
    if orders.stdin.is_some() {
        leave_interrupts_to_the_command();
    }
    let outside = Ids::of_this_process();
    let own_network = !orders.network && network == Network::Host;
    let mut namespaces = UnshareFlags::NEWUSER
        | UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS;
    namespaces.set(UnshareFlags::NEWNET, own_network);
    match clone_into(namespaces) {
        Err(error) => send(&mut socket, &Report::Unavailable(error.to_string())),
        Ok(Some(child)) => {
            drop(output);
            watch(&socket, nursery, child);
            Ok(())
        }
        Ok(None) => {
            let ran = take(&socket, output)
                .and_then(|()| settle(&orders, outside, own_network))
                .and_then(|()| inside(&orders));
            let sent = send(&mut socket, &ran.unwrap_or_else(|report| report));
            // SAFETY: it ends this process, the copy, without what the original does at its end.
            unsafe { libc::_exit(i32::from(sent.is_err())) }
        }
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

/// Waits for process 1, or for the maker to close the socket or its end of the nursery's.
fn watch(socket: &UnixStream, nursery: Option<BorrowedFd<'_>>, child: Pid) {
    let ended = match pidfd_open(child, PidfdFlags::empty()) {
        Ok(descriptor) => ends_first(descriptor.as_fd(), socket.as_fd(), nursery),
        Err(_) => false,
    };
    if !ended {
        let _ = rustix::process::kill_process(child, Signal::KILL);
    }
    while let Err(rustix::io::Errno::INTR) = waitpid(Some(child), WaitOptions::empty()) {}
}

/// Whether the process ended before one of the sockets was closed.
fn ends_first(
    process: BorrowedFd<'_>,
    socket: BorrowedFd<'_>,
    nursery: Option<BorrowedFd<'_>>,
) -> bool {
    let closed = |socket| PollFd::from_borrowed_fd(socket, PollFlags::RDHUP);
    let mut waiting = vec![PollFd::from_borrowed_fd(process, PollFlags::IN)];
    waiting.push(closed(socket));
    waiting.extend(nursery.map(closed));
    loop {
        match poll(&mut waiting, None) {
            Ok(_) if !waiting[0].revents().is_empty() => return true,
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) | Err(_) => return false,
        }
    }
}

/// Makes what a nursery was sent this process's standard streams, instead of the nursery's own.
fn take(socket: &UnixStream, output: Option<[OwnedFd; 2]>) -> Result<(), Report> {
    let Some([stdout, stderr]) = output else {
        return Ok(());
    };
    step("take the standard streams", || {
        rustix::stdio::dup2_stdin(socket)?;
        rustix::stdio::dup2_stdout(&stdout)?;
        Ok(rustix::stdio::dup2_stderr(&stderr)?)
    })
}

/// Says who this process is in its new namespaces, and that nothing outlives the original.
fn settle(orders: &Orders, outside: Ids, own_network: bool) -> Result<(), Report> {
    step("end with the process outside", || {
        Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
    })?;
    outside.are((orders.uid, orders.gid))?;
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
