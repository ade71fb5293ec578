//! The file system that a command sees. Runs in the init process, in its own mount namespace.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive,
    mount_change, mount_remount, unmount,
};

use crate::protocol::{Orders, Report};

/// Devices of the host that are seen inside.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// The step in which the root is mounted, as it is called in reports.
pub const OVERLAY: &str = "mount the overlay";

/// Makes `orders.root` the root of this process.
pub(crate) fn enter(orders: &Orders) -> Result<(), Report> {
    let root = orders.root.as_path();
    step("make mounts private", || {
        Ok(mount_change(
            "/",
            MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
        )?)
    })?;
    step(OVERLAY, || overlay(orders))?;
    // Whoever brings a /dev of their own gets that.
    if !orders.binds.iter().any(|(_, at)| at == Path::new("dev")) {
        step("make /dev", || devices(&root.join("dev")))?;
    }
    step("mount /proc", || proc(&root.join("proc")))?;
    if let Some(writable) = &orders.writable {
        step("make the root read-only", || read_only(root, writable))?;
    }
    // After what is writable, whose mounts would hide it.
    for (host, inside) in &orders.binds {
        step(&format!("mount {}", host.display()), || {
            Ok(mount_bind_recursive(host, root.join(inside))?)
        })?;
    }
    step("change the root", || {
        std::env::set_current_dir(root)?;
        rustix::process::pivot_root(".", ".")?;
        unmount(".", UnmountFlags::DETACH)?;
        std::env::set_current_dir("/")
    })
}

/// Runs one step; a failure is reported with its name.
pub(crate) fn step<T>(name: &str, run: impl FnOnce() -> io::Result<T>) -> Result<T, Report> {
    run().map_err(|error| Report::Failed {
        step: name.to_owned(),
        reason: error.to_string(),
    })
}

fn overlay(orders: &Orders) -> io::Result<()> {
    // By descriptor: the names of folders may hold characters that mean something in options, and
    // the options must fit in a page.
    let mut open = Vec::new();
    let mut by_descriptor = |folder: &Path| -> io::Result<String> {
        let file = File::open(folder)?;
        let name = format!("/proc/self/fd/{}", file.as_raw_fd());
        open.push(file);
        Ok(name)
    };
    let lower: Vec<String> = orders
        .lower
        .iter()
        .map(|folder| by_descriptor(folder))
        .collect::<io::Result<_>>()?;
    let (upper, work) = (by_descriptor(&orders.upper)?, by_descriptor(&orders.work)?);
    // `volatile`: what is in the upper layer is thrown away, so nothing of it need reach the disk; and it is used
    // again with other trees below, so the kernel is to note nothing of these, whatever its default (`index`).
    let options = format!(
        "lowerdir={},upperdir={upper},workdir={work},userxattr,index=off,volatile\0",
        lower.join(":")
    );
    let options =
        std::ffi::CStr::from_bytes_with_nul(options.as_bytes()).map_err(io::Error::other)?;
    mount(
        "overlay",
        &orders.root,
        "overlay",
        MountFlags::empty(),
        options,
    )?;
    Ok(())
}

fn devices(dev: &Path) -> io::Result<()> {
    mount("tmpfs", dev, "tmpfs", MountFlags::NOSUID, c"mode=0755")?;
    for name in DEVICES {
        let (host, inside) = (Path::new("/dev").join(name), dev.join(name));
        if host.exists() {
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o644)
                .open(&inside)?;
            mount_bind(&host, &inside)?;
        }
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        symlink(target, dev.join(name))?;
    }
    let shm = dev.join("shm");
    fs::create_dir(&shm)?;
    fs::set_permissions(&shm, fs::Permissions::from_mode(0o1777))?;
    let pts = dev.join("pts");
    fs::create_dir(&pts)?;
    // Pseudo-terminals are a comfort; where they can't be had a build does without.
    let _ = mount(
        "devpts",
        &pts,
        "devpts",
        MountFlags::NOSUID,
        c"newinstance,ptmxmode=0666,mode=620",
    );
    Ok(())
}

fn proc(proc: &Path) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    // Where parts of the host's /proc are hidden, as in most containers, a new one may not be
    // mounted; then the host's is seen.
    if mount("proc", proc, "proc", flags, None).is_err() {
        mount_bind_recursive("/proc", proc)?;
    }
    Ok(())
}

fn read_only(root: &Path, writable: &[std::path::PathBuf]) -> io::Result<()> {
    for path in writable {
        let path = root.join(path);
        mount_bind(&path, &path)?;
    }
    mount_remount(root, MountFlags::BIND | MountFlags::RDONLY, c"")?;
    Ok(())
}
