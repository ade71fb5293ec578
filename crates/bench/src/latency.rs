//! How soon actions are executed ahead of need once that is possible.
//!
//! A primer is told of a recorded element as in a build: what is stored first, then today's sources,
//! then that an element is being built, then one artifact after another, that element's being the last that
//! all actions wait for.
//! Executions are waited for, as many at a time as there are slots, and do nothing.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use headstart_execution::{Answered, Outcome};
use headstart_merkle::{ActionDigest, BlobDigest};
use headstart_reapi::reapi;
use headstart_session::{Latencies, Latency};
use headstart_speculation::{Config, Effect, Event, Mode, Primer, SpeculativeActions, generate};
use headstart_store::{ActionCache, BlobStore, BlobWriter, Directories, StoreError, StoredResult};
use headstart_store_disk::{DiskActionCache, DiskBlobs, Layout};

use crate::Failure;
use crate::speculation::Recorded;

/// How many actions may be in flight, in turn.
const SLOTS: [usize; 4] = [1, 2, 8, 64];
/// How long each execution takes.
const EXECUTION: Duration = Duration::from_millis(20);
/// How long after one artifact the next becomes known.
const INTERVAL: Duration = Duration::from_millis(50);

/// Takes the folder's work and prints figures for each number of slots: first with an artifact known
/// every now and then, and then with all known at once.
pub(crate) fn run(folder: &Path) -> Result<(), Failure> {
    let recorded = Recorded::read(folder)?;
    let blobs = Arc::new(DiskBlobs::open(&Layout::new(folder))?);
    let generated = generate(&recorded.build, &Directories::new(Arc::clone(&blobs)))?;
    let message = Arc::new(generated.message);
    let scratch = folder.join(format!("latency-{}", std::process::id()));
    let measured = measure(&recorded, &message, &blobs, &scratch);
    // Not before the end: a file system is slow to make files just after many have gone.
    std::fs::remove_dir_all(&scratch)?;
    measured
}

fn measure(
    recorded: &Recorded,
    message: &Arc<SpeculativeActions>,
    blobs: &Arc<DiskBlobs>,
    scratch: &Path,
) -> Result<(), Failure> {
    for interval in [INTERVAL, Duration::ZERO] {
        for slots in SLOTS {
            let mut events = recorded.opening(message)?;
            // All else is known by then.
            let last = events.len() - 1;
            events.splice(last..last, recorded.builds()?);
            let place = scratch.join(format!("{}-{slots}", interval.as_millis()));
            let primed = prime(events, interval, slots, Arc::clone(blobs), &place)?;
            print(slots, interval, &primed);
        }
    }
    Ok(())
}

fn print(slots: usize, interval: Duration, latency: &Latency) {
    let millis = [latency.median, latency.p99, latency.max].map(|seconds| seconds * 1e3);
    let [median, p99, max] = millis.map(|millis| format!("{millis:.2} ms"));
    let known = match interval.is_zero() {
        true => "at once".to_owned(),
        false => format!("every {} ms", interval.as_millis()),
    };
    println!(
        "{slots} slots, an artifact known {known}: {} handed out, after {median} in the median, \
         {p99} in 99 of 100 cases, {max} at most",
        latency.count
    );
}

fn prime(
    events: Vec<Event>,
    interval: Duration,
    slots: usize,
    blobs: Arc<DiskBlobs>,
    scratch: &Path,
) -> Result<Latency, Failure> {
    let layout = Layout::new(scratch);
    let written = DiskBlobs::open(&layout)?;
    let config = Config {
        mode: Mode::Full,
        slots,
    };
    // What is stored, and the sources, are known from the beginning.
    let times = (0..events.len()).map(|place| interval * place.saturating_sub(1) as u32);
    let begun = Instant::now();
    let session = Session {
        primer: Primer::new(config).in_slices(move || begun.elapsed()),
        begun,
        store: Directories::new(Arc::new(Layered { blobs, written })),
        cache: DiskActionCache::open(&layout),
        coming: times.zip(events).collect(),
        running: BinaryHeap::new(),
        latencies: Latencies::default(),
    };
    Ok(session.run()?.sum_up())
}

/// A session without builds.
struct Session {
    primer: Primer,
    begun: Instant,
    store: Directories<Layered>,
    cache: DiskActionCache,
    /// What becomes known, and when.
    coming: VecDeque<(Duration, Event)>,
    /// What is executed, and until when.
    running: BinaryHeap<Reverse<(Duration, ActionDigest)>>,
    latencies: Latencies,
}

impl Session {
    fn run(mut self) -> Result<Latencies, Failure> {
        loop {
            let (at, event) = match self.due() {
                Some(due) => due,
                None if self.primer.is_behind() => (self.begun.elapsed(), Event::GoOn),
                None => match self.next() {
                    Some(next) => {
                        std::thread::sleep(next.saturating_sub(self.begun.elapsed()));
                        continue;
                    }
                    None => return Ok(self.latencies),
                },
            };
            self.tell(at, event)?;
        }
    }

    /// When the next thing happens.
    fn next(&self) -> Option<Duration> {
        let ended = self.running.peek().map(|Reverse((until, _))| *until);
        let known = self.coming.front().map(|(at, _)| *at);
        ended.into_iter().chain(known).min()
    }

    /// What has happened and was not told of yet.
    fn due(&mut self) -> Option<(Duration, Event)> {
        let now = self.begun.elapsed();
        if self.coming.front().is_some_and(|(at, _)| *at <= now) {
            return self.coming.pop_front();
        }
        let Reverse((until, action)) = *self.running.peek().filter(|next| next.0.0 <= now)?;
        self.running.pop();
        let outcome = Ok(Outcome {
            result: StoredResult::from(reapi::ActionResult::default()),
            answered: Answered::Executed,
            duration: EXECUTION,
        });
        Some((until, Event::Finished { action, outcome }))
    }

    fn tell(&mut self, at: Duration, event: Event) -> Result<(), Failure> {
        let mut look_ups = VecDeque::new();
        let mut next = Some((at, event));
        while let Some((at, event)) = next.take() {
            for effect in self.primer.handle(at, event, &self.store) {
                match effect {
                    Effect::LookUp(actions) => look_ups.extend(actions),
                    Effect::Execute { action, ready, .. } => {
                        let now = self.begun.elapsed();
                        self.latencies.add(now.saturating_sub(ready));
                        self.running.push(Reverse((now + EXECUTION, action)));
                    }
                    Effect::Problem { reason, .. } => return Err(reason.into()),
                    Effect::Cancel(_) | Effect::Note(_) => {}
                }
            }
            if let Some(action) = look_ups.pop_front() {
                let result = self.cache.get(action)?;
                next = Some((
                    self.begun.elapsed(),
                    Event::CacheAnswered { action, result },
                ));
            }
        }
        Ok(())
    }
}

/// What is written goes elsewhere, so that it is new each time.
struct Layered {
    blobs: Arc<DiskBlobs>,
    written: DiskBlobs,
}

impl BlobStore for Layered {
    fn missing(&self, digests: &[BlobDigest]) -> Result<Vec<BlobDigest>, StoreError> {
        self.written.missing(&self.blobs.missing(digests)?)
    }

    fn read(&self, digest: BlobDigest) -> Result<Bytes, StoreError> {
        match self.blobs.read(digest) {
            Err(StoreError::Missing(_)) => self.written.read(digest),
            read => read,
        }
    }

    fn read_all(&self, digests: &[BlobDigest]) -> Vec<Result<Bytes, StoreError>> {
        let read = self.blobs.read_all(digests).into_iter().zip(digests);
        read.map(|(read, digest)| match read {
            Err(StoreError::Missing(_)) => self.written.read(*digest),
            read => read,
        })
        .collect()
    }

    fn open(&self, digest: BlobDigest) -> Result<Box<dyn Read + Send>, StoreError> {
        match self.blobs.open(digest) {
            Err(StoreError::Missing(_)) => self.written.open(digest),
            opened => opened,
        }
    }

    fn write(&self, content: Bytes) -> Result<BlobDigest, StoreError> {
        self.written.write(content)
    }

    fn write_all(&self, blobs: Vec<(BlobDigest, Bytes)>) -> Result<(), StoreError> {
        self.written.write_all(blobs)
    }

    fn writer(&self) -> Result<Box<dyn BlobWriter>, StoreError> {
        self.written.writer()
    }
}
