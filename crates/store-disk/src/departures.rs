//! How often something has gone from among the objects, whoever has removed it.
//!
//! Several programs share a cache directory, and each may make room in it. The kernel tells of every file that is
//! removed from a folder which is watched (inotify), before the call returns by which it was removed. So whoever has
//! found something need not look for it again until something has gone.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::fs::{stat, statfs};
use rustix::io::Errno;

/// The kernel knows of all that happens to files of these: their disks are of this machine alone. By magic numbers, as
/// in `linux/magic.h`: ext4, XFS, Btrfs, tmpfs, F2FS, bcachefs, OverlayFS and ZFS.
const OWN_DISKS: [u64; 8] = [
    0xef53,
    0x5846_5342,
    0x9123_683e,
    0x0102_1994,
    0xf2f5_2010,
    0xca45_1a4e,
    0x794c_7630,
    0x2fc1_2fc1,
];

/// How many bytes of what the kernel tells are taken at a time.
const PIECE: usize = 16 * 1024;

/// Counts what goes from below the folder of objects.
#[derive(Debug)]
pub(crate) struct Departures {
    objects: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    count: u64,
    watch: Watching,
}

#[derive(Debug, Default)]
enum Watching {
    /// Nobody has asked yet.
    #[default]
    NotYet,
    By(Watch),
    /// This can't be had here.
    Never,
}

/// Watches the folder of objects, and each folder in it.
#[derive(Debug)]
struct Watch {
    inotify: OwnedFd,
    /// The number that tells the folder of objects from those in it.
    top: i32,
    /// Its device and inode.
    folder: (u64, u64),
}

/// What a watch tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Gone,
    /// Folders have gone or come, so that others have to be watched.
    Elsewhere,
}

impl From<PathBuf> for Departures {
    fn from(objects: PathBuf) -> Self {
        Self {
            objects,
            state: Mutex::default(),
        }
    }
}

impl Departures {
    /// A number that is another once something has gone since it was told; `None` if that can't be told here.
    pub(crate) fn count(&self) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let told = match &state.watch {
            Watching::Never => return None,
            Watching::NotYet => Told::Elsewhere,
            Watching::By(watch) => watch.told(&self.objects).unwrap_or(Told::Elsewhere),
        };
        if told != Told::Nothing {
            state.count += 1;
        }
        if told == Told::Elsewhere {
            state.watch = match Watch::begin(&self.objects) {
                Ok(watch) => Watching::By(watch),
                Err(error) => {
                    let objects = self.objects.display();
                    tracing::debug!(%objects, %error, "nobody tells when objects are removed");
                    Watching::Never
                }
            };
        }
        matches!(state.watch, Watching::By(_)).then_some(state.count)
    }
}

impl Watch {
    fn begin(objects: &Path) -> io::Result<Self> {
        let disk = u64::try_from(statfs(objects)?.f_type);
        if !disk.is_ok_and(|disk| OWN_DISKS.contains(&disk)) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let gone = WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::ONLYDIR;
        let come = WatchFlags::CREATE | WatchFlags::MOVED_TO;
        // Before the others, so that none is replaced unseen.
        let top = inotify::add_watch(&inotify, objects, gone | come)?;
        for shard in 0..=u8::MAX {
            let folder = objects.join(format!("{shard:02x}"));
            let watched = match inotify::add_watch(&inotify, &folder, gone) {
                Err(Errno::NOENT) => {
                    fs::create_dir_all(&folder)?;
                    inotify::add_watch(&inotify, &folder, gone)
                }
                watched => watched,
            };
            watched?;
        }
        let stat = stat(objects)?;
        let watch = Self {
            inotify,
            top,
            folder: (stat.st_dev, stat.st_ino),
        };
        // Of folders that were made just now the kernel tells too.
        watch.told(objects)?;
        Ok(watch)
    }

    /// What has happened since this was asked last.
    fn told(&self, objects: &Path) -> io::Result<Told> {
        let stat = stat(objects)?;
        let mut told = match self.folder == (stat.st_dev, stat.st_ino) {
            true => Told::Nothing,
            false => Told::Elsewhere,
        };
        let mut piece = [MaybeUninit::uninit(); PIECE];
        let mut events = Reader::new(&self.inotify, &mut piece);
        loop {
            match events.next() {
                Err(Errno::AGAIN) => return Ok(told),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(event) if event.wd() == self.top => told = Told::Elsewhere,
                Ok(event) if event.events().contains(ReadFlags::IGNORED) => told = Told::Elsewhere,
                Ok(_) if told == Told::Elsewhere => {}
                // Or more than the kernel keeps for us.
                Ok(_) => told = Told::Gone,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of objects, and who counts what goes from it.
    fn watched() -> (tempfile::TempDir, PathBuf, Departures) {
        let folder = tempfile::tempdir().unwrap();
        let objects = folder.path().join("objects");
        fs::create_dir_all(objects.join("ab")).unwrap();
        fs::write(objects.join("ab/one"), "").unwrap();
        fs::write(objects.join("ab/other"), "").unwrap();
        let departures = Departures::from(objects.clone());
        (folder, objects, departures)
    }

    #[test]
    fn what_comes_does_not_count_and_what_goes_does() {
        let (folder, objects, departures) = watched();
        let mut before = departures.count();
        assert!(before.is_some());
        fs::write(objects.join("cd/new"), "").unwrap();
        fs::hard_link(objects.join("cd/new"), objects.join("00/linked")).unwrap();
        fs::rename(objects.join("00/linked"), objects.join("ab/one")).unwrap();
        before = before.max(departures.count());
        fs::write(folder.path().join("elsewhere"), "").unwrap();
        fs::rename(folder.path().join("elsewhere"), objects.join("ab/one")).unwrap();
        assert_eq!(
            departures.count(),
            before,
            "an object came, another took its own place"
        );

        let goes: [&dyn Fn() -> io::Result<()>; 5] = [
            &|| fs::remove_file(objects.join("ab/one")),
            &|| fs::rename(objects.join("ab/other"), folder.path().join("aside")),
            &|| fs::remove_dir_all(objects.join("ef")),
            &|| {
                fs::remove_dir_all(objects.join("cd"))?;
                fs::create_dir(objects.join("cd"))
            },
            &|| {
                fs::rename(&objects, folder.path().join("old"))?;
                fs::create_dir(&objects)
            },
        ];
        for (number, go) in goes.iter().enumerate() {
            go().unwrap();
            let after = departures.count();
            assert!(after > before, "change {number}: {after:?}");
            assert_eq!(departures.count(), after);
            before = after;
        }
        // In folders that have come since, too.
        fs::write(objects.join("cd/new"), "").unwrap();
        assert_eq!(departures.count(), before);
        fs::remove_file(objects.join("cd/new")).unwrap();
        assert!(departures.count() > before);
    }

    #[test]
    fn more_goes_than_the_kernel_keeps_for_us() {
        let (_folder, objects, departures) = watched();
        let before = departures.count();
        for _ in 0..9_000 {
            // Of the same that happens again it tells but once.
            for it in ["ab/it", "cd/it"] {
                fs::hard_link(objects.join("ab/one"), objects.join(it)).unwrap();
                fs::remove_file(objects.join(it)).unwrap();
            }
        }
        let after = departures.count();
        assert!(after > before);
        fs::remove_file(objects.join("ab/one")).unwrap();
        assert!(departures.count() > after);
    }

    #[test]
    fn where_others_can_remove_files_unseen_nothing_is_told() {
        assert_eq!(Departures::from(PathBuf::from("/proc/self")).count(), None);
        assert_eq!(Departures::from(PathBuf::from("/nowhere")).count(), None);
    }
}
