//! Messages that no client would send, to every method there is: the daemon answers each, breaks at none,
//! and serves the next client as if nothing had been.

mod messages;
mod raw;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::calls::{download, upload};
use super::daemon::{Daemon, resident};
use super::seeded::{Seeded, seed};
use messages::{Method, Types};

/// For how long messages are sent.
const SENDING: Duration = Duration::from_secs(8);
/// How many messages a stream has, at most.
const STREAM: u64 = 4;

/// A daemon that has nothing but its own files for a machine: whatever paths it is told, no harm is done.
struct Jailed {
    daemon: Daemon,
    log: std::path::PathBuf,
}

impl Jailed {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let jail = folder.path();
        let program = Path::new(env!("CARGO_BIN_EXE_headstart"));
        let libraries = Command::new("ldd").arg(program).output().unwrap();
        let libraries = String::from_utf8(libraries.stdout).unwrap();
        let words = libraries.split_whitespace();
        for library in words.filter(|word| word.starts_with('/')) {
            let to = jail.join(library.strip_prefix('/').unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(library, to).unwrap();
        }
        for made in ["tmp", "proc", "dev", "folder"] {
            fs::create_dir(jail.join(made)).unwrap();
        }
        fs::write(jail.join("folder/file"), "file").unwrap();
        fs::copy(program, jail.join("headstart")).unwrap();
        let log = jail.join("log");
        let mut command = Command::new("unshare");
        command
            .args(["--map-root-user", "--mount", "--root"])
            .arg(jail)
            .args(["/headstart", "casd", "--bind=unix:/socket", "--reserved=0"])
            .arg("--quota-high=200M")
            .stderr(fs::File::create(&log).unwrap());
        let daemon = Daemon::start_as_told(command, folder, Path::new("/cache"));
        Self { daemon, log }
    }

    /// What it said of its own breaking down.
    fn panics(&self) -> Vec<String> {
        let log = fs::read_to_string(&self.log).unwrap();
        let lines = log.lines().filter(|line| line.contains("panicked"));
        lines.map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn every_method_answers_whatever_it_is_sent() {
    let jailed = Jailed::start();
    let mut random = Seeded(seed());
    let types = Types::read(headstart_reapi::DESCRIPTORS);
    let methods = types.methods();
    assert!(methods.len() > 30, "{} methods", methods.len());
    let channel = jailed.daemon.connect().await;
    // Something that digests can be of.
    let mut blobs = vec![b"content".to_vec()];
    blobs.extend((0..8).map(|_| {
        types.message(
            "build.bazel.remote.execution.v2.Directory",
            &mut random,
            &[],
        )
    }));
    let stored = upload(&channel, blobs).await.unwrap();
    let digests: Vec<_> = stored.iter().map(|(digest, _)| *digest).collect();
    let mut answers = vec![[0_usize; 17]; methods.len()];
    let begun = Instant::now();
    let mut sent = 0_usize;
    while begun.elapsed() < SENDING {
        let number = usize::try_from(random.below(methods.len() as u64)).unwrap();
        let method: &Method = &methods[number];
        let count = match method.takes_stream {
            true => random.below(STREAM),
            false => 1,
        };
        let messages = (0..count).map(|_| {
            let mut message = types.message(&method.input, &mut random, &digests);
            damage(&mut message, &mut random);
            message
        });
        let messages: Vec<_> = messages.collect();
        let shown = messages.clone();
        let answer = raw::call(&channel, &method.path, messages).await;
        assert!(
            jailed.panics().is_empty(),
            "{} panics at {shown:?}: {:?}",
            method.path,
            jailed.panics()
        );
        let code = answer.unwrap_or_else(|| panic!("{} does not answer {shown:?}", method.path));
        answers[number][code as usize] += 1;
        sent += 1;
    }
    println!("{sent} messages to {} methods", methods.len());
    for (method, codes) in methods.iter().zip(&answers) {
        println!("{}: {codes:?}", method.path);
        assert!(
            codes.iter().sum::<usize>() > 0,
            "{} was never called",
            method.path
        );
    }
    // Some got through to where the work is done.
    assert!(answers.iter().map(|codes| codes[0]).sum::<usize>() > sent / 50);
    let said = upload(&channel, vec![b"as if nothing had been".to_vec()])
        .await
        .unwrap();
    let content = download(&channel, said[0].0).await.unwrap();
    assert_eq!(content, b"as if nothing had been");
    let resident = resident(jailed.daemon.process_id());
    assert!(resident < 400 * 1024, "{resident} KiB are resident");
}

/// Changes some bytes, or cuts some off; mostly none.
fn damage(message: &mut Vec<u8>, random: &mut Seeded) {
    if message.is_empty() || random.below(3) > 0 {
        return;
    }
    for _ in 0..random.below(4) {
        let at = usize::try_from(random.below(message.len() as u64)).unwrap();
        message[at] = random.next().to_le_bytes()[0];
    }
    if random.below(4) == 0 {
        let end = usize::try_from(random.below(message.len() as u64)).unwrap();
        message.truncate(end);
    }
}
