//! How long it takes to know the key of an element that imports many local files, the first time and when
//! nothing has changed, beside how long it takes to hash them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use headstart_merkle::BlobDigest;
use headstart_session::{Session, SessionOptions, UserConfig};
use rayon::prelude::*;

use crate::Failure;

const FILES: usize = 20_000;

/// So that all of them are 1 GiB.
const FILE_SIZE: usize = (1 << 30) / FILES;

/// How often each is measured.
const RUNS: usize = 3;

/// Makes a project in the folder, unless it is there, and prints the seconds and the bytes that were read.
pub(crate) fn run(folder: &Path) -> Result<(), Failure> {
    let project = folder.join("project");
    let files = make(&project)?;
    let cache = folder.join("cache");
    for _ in 0..RUNS {
        if cache.exists() {
            fs::remove_dir_all(&cache)?;
        }
        measured("hashed by all processors", || hash(&files))?;
        measured("imported, with a key", || show(&project, &cache))?;
        measured("the same again", || show(&project, &cache))?;
    }
    Ok(())
}

/// The project, and its files.
fn make(project: &Path) -> Result<Vec<PathBuf>, Failure> {
    let path = |index: usize| project.join(format!("files/{:03}/{index:05}", index / 100));
    let files: Vec<PathBuf> = (0..FILES).map(path).collect();
    let element = project.join("big.bst");
    if element.exists() {
        return Ok(files);
    }
    let mut state = 1_u64;
    for file in &files {
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        // Bytes of which no two files have the same: what a generator of Marsaglia's kind gives.
        let bytes = (0..FILE_SIZE.div_ceil(8)).flat_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        fs::write(file, bytes.take(FILE_SIZE).collect::<Vec<u8>>())?;
    }
    fs::write(
        project.join("project.conf"),
        "name: big\nmin-version: 2.0\n",
    )?;
    fs::write(
        element,
        "kind: import\nsources: [{kind: local, path: files}]\n",
    )?;
    Ok(files)
}

fn hash(files: &[PathBuf]) -> Result<(), Failure> {
    files.par_iter().try_for_each(|file| {
        std::hint::black_box(BlobDigest::of(&fs::read(file)?));
        Ok::<_, std::io::Error>(())
    })?;
    Ok(())
}

fn show(project: &Path, cache: &Path) -> Result<(), Failure> {
    let mut config = UserConfig::load(None)?;
    config.cache_dir = cache.to_owned();
    config.source_dir = cache.join("sources");
    config.log_dir = cache.join("logs");
    let session = Session::open(SessionOptions {
        directory: project.to_owned(),
        config,
        strict: None,
        default_mirror: None,
        options: Vec::new(),
    })?;
    let loaded = session.load(&["big.bst".to_owned()])?;
    let id = loaded.graph.find("big.bst").ok_or("there is no element")?;
    loaded.keys.get(id).ok_or("the element has no key")?;
    Ok(())
}

fn measured(what: &str, work: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let (begun, before) = (Instant::now(), bytes_read()?);
    work()?;
    let took = begun.elapsed();
    let read = bytes_read()? - before;
    println!(
        "{what}: {:.2} s, {:.1} MB read",
        took.as_secs_f64(),
        read as f64 / 1e6
    );
    Ok(())
}

/// The bytes that this process has read, as proc(5) tells it.
fn bytes_read() -> Result<u64, Failure> {
    let text = fs::read_to_string("/proc/self/io")?;
    let line = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    Ok(line.ok_or("the kernel tells no bytes")?.parse()?)
}
