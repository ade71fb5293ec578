//! A daemon that is killed in the middle of whatever it does, again and again: what it acknowledged is
//! there after the next start, what it serves is right, and nothing of the killed one is left.

mod acknowledged;
mod client;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use headstart_merkle::{BlobDigest, DirectoryDigest};

use super::daemon::Daemon;
use super::seeded::{Seeded, seed};
use super::shell;
use acknowledged::Acknowledged;
use client::{Client, Work};

/// How often each of the two daemons is killed.
const ROUNDS: usize = 100;
/// How often at most, where a loaded machine does not do enough in so many rounds.
const MOST_ROUNDS: usize = 300;
/// How long a daemon works before it is killed, in milliseconds at most.
const WORKING: u64 = 90;
/// How long the kernel may take to end what a killed process had.
const ENDING: Duration = Duration::from_secs(10);

/// What all processes have in their environment that a daemon started.
const MARK: &str = "HEADSTART_TEST_KILLED";

/// One daemon after another on the same cache.
struct Killed {
    daemon: Daemon,
    client: Client,
    random: Seeded,
    /// What was acknowledged since the cache was empty.
    all: Acknowledged,
    work: Work,
}

impl Killed {
    fn new(daemon: Daemon, work: Work) -> Self {
        let client = Client::new(daemon.folder.path().to_owned());
        Self {
            daemon,
            client,
            random: Seeded(seed()),
            all: Acknowledged::default(),
            work,
        }
    }

    /// Lets it work, kills it, starts it again and looks at what there is.
    async fn round(&mut self, number: usize) {
        let work = self
            .work
            .begin(&self.client, &self.daemon, self.random.next());
        let runner = self.work.root.map(|root| self.runner(root, number));
        if number.is_multiple_of(3) && self.work.root.is_some() {
            // On a busy machine nothing would be executed before the end otherwise.
            work.executed().await;
        }
        let working = Duration::from_millis(2 + self.random.below(WORKING));
        tokio::time::sleep(working).await;
        self.daemon.kill();
        let new = work.end().await;
        if let Some(runner) = runner {
            self.ends(runner, number);
        }
        self.daemon.start_again();
        self.nothing_is_left(number);
        self.check(&new, number).await;
        self.all.add(new);
        let sample = self.all.sample(&mut self.random);
        self.check(&sample, number).await;
    }

    async fn check(&self, acknowledged: &Acknowledged, round: usize) {
        let channel = self.daemon.connect().await;
        if let Err(wrong) = acknowledged.check(channel, self.work.evicts).await {
            panic!("round {round}: {wrong}");
        }
    }

    /// A runner whose command does not end.
    fn runner(&self, root: DirectoryDigest, number: usize) -> Child {
        let action = self
            .client
            .endless_action(root, number, &self.daemon.cache());
        Command::new(env!("CARGO_BIN_EXE_headstart"))
            .arg("runner")
            .arg(format!("--remote={}", self.daemon.address()))
            .arg(format!("--action={}", action.display()))
            .arg(format!("--action-result={}.result", action.display()))
            .env(MARK, self.daemon.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// A runner is killed too, or told to end, or sees by itself that there is no daemon.
    fn ends(&mut self, mut runner: Child, number: usize) {
        match self.random.below(3) {
            0 => runner.kill().unwrap(),
            1 => {
                // It may have ended already.
                let id = rustix::process::Pid::from_child(&runner);
                let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
            }
            _ => {}
        }
        let begun = Instant::now();
        while runner.try_wait().unwrap().is_none() {
            assert!(
                begun.elapsed() < ENDING,
                "round {number}: a runner does not end"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Nothing runs that the killed daemon started, nothing is mounted, and no file is half-written.
    fn nothing_is_left(&self, round: usize) {
        let folder = self.daemon.folder.path();
        let begun = Instant::now();
        loop {
            let left = left_processes(folder, self.daemon.process_id());
            if left.is_empty() {
                break;
            }
            assert!(
                begun.elapsed() < ENDING,
                "round {round}: still running: {left:?}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(folder.to_str().unwrap()), "{mounts}");
        let cache = self.daemon.cache();
        for left in [
            "cas/tmp",
            "cas/staging",
            "headstart/in-use",
            "headstart/sandboxes",
        ] {
            let others = || {
                let entries = fs::read_dir(cache.join(left)).into_iter().flatten();
                let names = entries.flatten().map(|entry| entry.file_name());
                let own = format!("{}-", self.daemon.process_id());
                let names = names.filter(|name| !name.to_string_lossy().starts_with(&own));
                names.collect::<Vec<_>>()
            };
            let names = others();
            if !names.is_empty() {
                // Whether it comes too late or never is told, as it happens rarely.
                std::thread::sleep(Duration::from_secs(1));
                let later = others();
                panic!("round {round}: {left} has {names:?}, a second later {later:?}");
            }
        }
    }
}

/// The processes that have the mark in their environment or a path of the folder in their arguments,
/// but for the running daemon and what it started.
fn left_processes(folder: &Path, daemon: u32) -> Vec<String> {
    let mark = format!("{MARK}={}", folder.display());
    let marked = |process: &Path| {
        let has = |file: &str, text: &str| {
            let content = fs::read(process.join(file)).unwrap_or_default();
            content
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        };
        has("environ", &mark) || has("cmdline", folder.to_str().unwrap())
    };
    let parent = |process: &Path| {
        let stat = fs::read_to_string(process.join("stat")).ok()?;
        stat.rsplit_once(')')?
            .1
            .split_whitespace()
            .nth(1)?
            .parse::<u32>()
            .ok()
    };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let processes = processes.filter_map(|entry| {
        let id: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((id, entry.path()))
    });
    let left = processes.filter(|(id, path)| {
        *id != daemon && *id != std::process::id() && parent(path) != Some(daemon) && marked(path)
    });
    left.map(|(id, path)| {
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        format!("{id} {}", String::from_utf8_lossy(&line).replace('\0', " "))
    })
    .collect()
}

/// A daemon with these arguments that has been killed again and again, and did enough meanwhile; it
/// executes unless it evicts. All that is still known to be there is looked at once more.
async fn killed_again_and_again(arguments: &[&str], evicts: bool) -> Acknowledged {
    let folder = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mark = (MARK, folder.path().to_owned());
    let daemon = Daemon::start_marked(folder, arguments, mark);
    let root = match evicts {
        true => None,
        false => Some(shell::capture(&daemon).await),
    };
    let mut killed = Killed::new(daemon, Work { root, evicts });
    for round in 0..MOST_ROUNDS {
        if round >= ROUNDS && killed.all.is_enough(ROUNDS, !evicts) {
            break;
        }
        killed.round(round).await;
    }
    assert!(killed.all.is_enough(ROUNDS, !evicts), "{}", killed.all);
    let all = std::mem::take(&mut killed.all);
    killed.check(&all, MOST_ROUNDS).await;
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_daemon_acknowledged_is_there() {
    let all = killed_again_and_again(&["--reserved=0"], false).await;
    println!("acknowledged: {all}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_while_objects_go_is_right() {
    let limits = ["--reserved=0", "--quota-high=4M", "--quota-low=50%"];
    let all = killed_again_and_again(&limits, true).await;
    println!("acknowledged: {all}");
    // Far more was stored than there was room for.
    let bytes: u64 = all.blobs().map(BlobDigest::size).sum();
    assert!(bytes > 8_000_000, "{bytes}");
}
