//! The answers to what the kernel asks.

use std::error::Error;
use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo, InitFlags, IoctlFlags,
    KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyDirectoryPlus,
    ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyOpen, ReplyXattr, Request,
};
use headstart_merkle::{
    BlobDigest, Directory, DirectoryDigest, DirectoryReader, MODIFIED, Name, Node, Properties,
};

use crate::contents::Contents;
use crate::mounted::root_named;
use crate::nodes::{Nodes, ROOT};

/// For how long the kernel may remember what it was told: nothing ever changes.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// What is asked of the kernel, if it can do it: it may look at directories and at links without asking
/// again, and at several names of a directory at a time.
const WANTED: InitFlags = InitFlags::FUSE_DO_READDIRPLUS
    .union(InitFlags::FUSE_READDIRPLUS_AUTO)
    .union(InitFlags::FUSE_CACHE_SYMLINKS)
    .union(InitFlags::FUSE_PARALLEL_DIROPS);

/// The number of what is not there, and never will be.
const NOTHING: INodeNo = INodeNo(0);

/// A number that is not known, as the kernel and libfuse have it.
const UNKNOWN: u64 = u32::MAX as u64;

/// All trees of a store, read-only.
pub(crate) struct Trees {
    nodes: Arc<Nodes>,
    contents: Arc<Contents>,
    uid: u32,
    gid: u32,
}

impl Trees {
    pub(crate) fn new(nodes: Arc<Nodes>, contents: Arc<Contents>) -> Self {
        Self {
            nodes,
            contents,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        }
    }

    fn directory(&self, digest: DirectoryDigest) -> Result<Arc<Directory>, Errno> {
        let read = self.contents.directories().read_directory(digest);
        read.map_err(|error| self.unreadable(digest.blob(), &error))
    }

    /// Notes that something can't be read, which looks like a defective disk to whoever wanted to.
    fn unreadable(&self, digest: BlobDigest, error: &dyn Error) -> Errno {
        tracing::warn!(%digest, %error, "an object of a tree that is in use can't be read");
        self.contents.note_failure(digest);
        Errno::EIO
    }

    /// The directory that has a number; nothing for that of all trees, whose names are not told.
    fn listed(&self, number: INodeNo) -> Result<Option<Arc<Directory>>, Errno> {
        if number.0 == ROOT {
            return Ok(None);
        }
        match self.nodes.get(number.0) {
            Some(Node::Directory(digest)) => self.directory(digest).map(Some),
            Some(_) => Err(Errno::ENOTDIR),
            None => Err(Errno::ESTALE),
        }
    }

    /// What a name stands for; nothing if there is nothing of that name.
    fn find(&self, parent: INodeNo, name: &OsStr) -> Result<Option<(Name, Node)>, Errno> {
        let Some(name) = name.to_str().and_then(|name| Name::new(name).ok()) else {
            return Ok(None);
        };
        let node = match self.listed(parent)? {
            Some(directory) => directory.entries.get(&name).cloned(),
            None => root_named(name.as_str()).map(Node::Directory),
        };
        Ok(node.map(|node| (name, node)))
    }

    /// Gives what a directory lists from a place on, each with the place of the next, until there is no room for more.
    fn list(
        &self,
        number: INodeNo,
        from: u64,
        mut add: impl FnMut(u64, Entry<'_>) -> Result<bool, Errno>,
    ) -> Result<(), Errno> {
        let directory = self.listed(number)?;
        for place in from.. {
            let Some(entry) = entry(directory.as_deref(), place) else {
                break;
            };
            if add(place + 1, entry)? {
                break;
            }
        }
        Ok(())
    }

    /// The attributes of a node, but for its number.
    fn attributes(&self, node: &Node) -> Result<FileAttr, Errno> {
        Ok(match node {
            Node::File(file) => {
                let mode = file.properties.unix_mode().map(|mode| mode & 0o777);
                let mode = mode.unwrap_or(if file.executable { 0o755 } else { 0o644 });
                let size = file.digest.size();
                self.of(FileType::RegularFile, mode, size, &file.properties)
            }
            Node::Symlink(link) => {
                let size = link.target.len() as u64;
                self.of(FileType::Symlink, 0o777, size, &Properties::default())
            }
            Node::Directory(digest) => {
                let directory = self.directory(*digest)?;
                self.of(FileType::Directory, 0o755, 0, &directory.properties)
            }
        })
    }

    fn of(&self, kind: FileType, mode: u32, size: u64, properties: &Properties) -> FileAttr {
        let modified = time(properties.mtime().unwrap_or((MODIFIED, 0)));
        FileAttr {
            ino: NOTHING,
            size,
            blocks: size.div_ceil(512),
            atime: modified,
            mtime: modified,
            ctime: modified,
            crtime: modified,
            kind,
            perm: u16::try_from(mode).unwrap_or(0o644),
            nlink: if kind == FileType::Directory { 2 } else { 1 },
            uid: self.uid,
            gid: self.gid,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    /// The attributes of a folder that says nothing of itself, but for its number.
    fn plain_folder(&self) -> FileAttr {
        self.of(FileType::Directory, 0o755, 0, &Properties::default())
    }

    /// Tells the kernel of a node: its number, and all else.
    fn tell(&self, parent: INodeNo, name: &Name, node: &Node) -> Result<FileAttr, Errno> {
        // First, as that can fail.
        let attributes = self.attributes(node)?;
        let number = self.nodes.tell(parent.0, name.as_str(), node);
        Ok(FileAttr {
            ino: INodeNo(number),
            ..attributes
        })
    }

    fn look_up(&self, parent: INodeNo, name: &OsStr) -> Result<Option<FileAttr>, Errno> {
        let found = self.find(parent, name)?;
        let told = found.map(|(name, node)| self.tell(parent, &name, &node));
        told.transpose()
    }
}

fn time((seconds, nanos): (i64, i32)) -> SystemTime {
    let part = Duration::from_nanos(nanos.unsigned_abs().into());
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let time = match seconds < 0 {
        true => UNIX_EPOCH.checked_sub(whole),
        false => UNIX_EPOCH.checked_add(whole),
    };
    time.and_then(|time| time.checked_add(part))
        .unwrap_or(UNIX_EPOCH)
}

fn kind(node: &Node) -> FileType {
    match node {
        Node::File(_) => FileType::RegularFile,
        Node::Directory(_) => FileType::Directory,
        Node::Symlink(_) => FileType::Symlink,
    }
}

impl Filesystem for Trees {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let can = config.capabilities() & WANTED;
        let _ = config.add_capabilities(can);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.look_up(parent, name) {
            Ok(Some(attributes)) => reply.entry(&FOR_EVER, &attributes, Generation(0)),
            // What is no tree yet may become one.
            Ok(None) if parent.0 == ROOT => reply.error(Errno::ENOENT),
            Ok(None) => reply.entry(&FOR_EVER, &self.plain_folder(), Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn forget(&self, _: &Request, number: INodeNo, times: u64) {
        self.nodes.forget(number.0, times);
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let attributes = match self.nodes.get(number.0) {
            _ if number.0 == ROOT => Ok(self.plain_folder()),
            Some(node) => self.attributes(&node),
            None => Err(Errno::ESTALE),
        };
        match attributes {
            Ok(attributes) => reply.attr(
                &FOR_EVER,
                &FileAttr {
                    ino: number,
                    ..attributes
                },
            ),
            Err(error) => reply.error(error),
        }
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        match self.nodes.get(number.0) {
            Some(Node::Symlink(link)) => reply.data(link.target.as_bytes()),
            _ => reply.error(Errno::EINVAL),
        }
    }

    /// That it is not implemented tells the kernel that it need not ask again.
    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.error(Errno::ENOSYS);
    }

    /// The same for directories, whose names the kernel may remember then.
    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.error(Errno::ENOSYS);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let Some(Node::File(file)) = self.nodes.get(number.0) else {
            return reply.error(Errno::ESTALE);
        };
        match self.contents.read(file.digest, offset, size as usize) {
            Ok(piece) => reply.data(&piece),
            Err(error) => reply.error(self.unreadable(file.digest, &error)),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let listed = self.list(number, offset, |next, entry| {
            Ok(match entry {
                Entry::Dots(dots) => reply.add(number, next, FileType::Directory, dots),
                Entry::Named(name, node) => {
                    let known = self.nodes.number(number.0, name.as_str(), node);
                    let it = INodeNo(known.unwrap_or(UNKNOWN));
                    reply.add(it, next, kind(node), name.as_str())
                }
            })
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }

    fn readdirplus(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let dots = FileAttr {
            ino: number,
            ..self.plain_folder()
        };
        let listed = self.list(number, offset, |next, entry| {
            let mut add = |name: &str, it: &FileAttr| {
                reply.add(it.ino, next, name, &FOR_EVER, it, Generation(0))
            };
            Ok(match entry {
                // The kernel takes no note of what it is told of these.
                Entry::Dots(name) => add(name, &dots),
                Entry::Named(name, node) => {
                    let told = self.tell(number, name, node)?;
                    let full = add(name.as_str(), &told);
                    if full {
                        self.nodes.forget(told.ino.0, 1);
                    }
                    full
                }
            })
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }

    fn getxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    fn listxattr(&self, _: &Request, _: INodeNo, _: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    /// Copying a file asks for its flags, and takes this for having none.
    fn ioctl(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        _: u32,
        _: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOTTY);
    }
}

/// What stands at a place of a directory's list.
enum Entry<'a> {
    Dots(&'static str),
    Named(&'a Name, &'a Node),
}

fn entry(directory: Option<&Directory>, place: u64) -> Option<Entry<'_>> {
    match place {
        0 => Some(Entry::Dots(".")),
        1 => Some(Entry::Dots("..")),
        _ => {
            let place = usize::try_from(place - 2).ok()?;
            let (name, node) = directory?.entries.nth(place)?;
            Some(Entry::Named(name, node))
        }
    }
}
