//! What the maker of a sandbox and its init process say to each other: JSON texts, each after its length,
//! on a socket.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A message may be this long, in bytes; command lines can be long, but not longer.
pub const LIMIT: usize = 64 * 1024 * 1024;

/// How many descriptors a nursery is sent for a sandbox: the socket, standard output, standard error.
pub const STREAMS: usize = 3;

/// What the init is to do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Orders {
    /// Folders whose content is seen, the uppermost first.
    pub lower: Vec<PathBuf>,
    pub upper: PathBuf,
    pub work: PathBuf,
    /// An empty folder to mount the root on.
    pub root: PathBuf,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    /// Absolute, inside; it exists.
    pub working_directory: PathBuf,
    /// Paths below the root that may be written to; all if `None`. They exist.
    pub writable: Option<Vec<PathBuf>>,
    pub uid: u32,
    pub gid: u32,
    pub network: bool,
    /// Files of the host and where below the root they are seen; something is there to mount them on.
    pub binds: Vec<(PathBuf, PathBuf)>,
    /// A descriptor that the init has inherited, to be the command's standard input.
    pub stdin: Option<i32>,
    pub nice: i32,
}

/// What the init says of it.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
pub enum Report {
    /// The command ended.
    Exited(i32),
    /// The program is not there.
    NoProgram,
    /// No user namespace can be made.
    Unavailable(String),
    /// A step failed.
    Failed { step: String, reason: String },
}

/// Writes a message.
pub fn send(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let mut bytes = Vec::with_capacity(text.len() + 8);
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text);
    to.write_all(&bytes)
}

/// Reads a message; one that is longer than [`LIMIT`] is an error.
pub fn receive<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 8];
    from.read_exact(&mut length)?;
    let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > LIMIT {
        return Err(io::Error::other("a message is too long"));
    }
    let mut text = vec![0; length];
    from.read_exact(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}
