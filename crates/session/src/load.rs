//! How busy other programs keep the machine.
//!
//! Nothing is measured while nothing happens: whoever is about to decide asks, and the answer is of
//! the time since the last answer. What this process and its descendants use does not count: the
//! queue of the executor sees to it that speculation takes only slots that nothing else uses. (The
//! kernel's pressure-stall figures can't tell the two apart: an action executed ahead of need that
//! yields the processor to a real one counts as pressure there.)

use std::fs;
use std::time::Duration;

/// How much is too much, in parts of all processors between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadLimits {
    /// Others use more than this: nothing more is executed ahead of need.
    pub pause_above: f64,
    /// Until they use no more than this.
    pub resume_below: f64,
}

/// How long a measurement takes at least: the kernel counts in hundredths of a second, and asking is
/// not free either.
const LEAST: Duration = Duration::from_millis(500);
/// How soon to ask again while nothing is executed ahead of need and nothing else happens.
pub(crate) const AGAIN: Duration = Duration::from_secs(1);

/// Processor time, in the kernel's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessorTime {
    /// What others than this process and its descendants have used.
    others: u64,
    /// What there was.
    total: u64,
}

impl ProcessorTime {
    /// What the kernel says now; `None` where it can't be asked.
    pub(crate) fn now() -> Option<Self> {
        let (busy, total) = parse_total(&fs::read_to_string("/proc/stat").ok()?)?;
        let others = busy.saturating_sub(used_with_descendants(std::process::id()));
        Some(Self { others, total })
    }
}

/// Reads the first line of `/proc/stat`, which is in proc_stat(5): user, nice, system, idle, iowait,
/// irq, softirq, steal. Gives what was used, and all.
fn parse_total(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let times = line.split_whitespace().take(8);
    let times: Option<Vec<u64>> = times.map(|time| time.parse().ok()).collect();
    let times = times.filter(|times| times.len() == 8)?;
    let total: u64 = times.iter().sum();
    Some((total - times[3] - times[4], total))
}

/// What a process and all its descendants have used, those included that have ended and were waited
/// for.
fn used_with_descendants(process: u32) -> u64 {
    let mut used = 0;
    let mut pending = vec![process.to_string()];
    while let Some(process) = pending.pop() {
        // It may have ended meanwhile: then its parent has its time.
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        used += parse_used(&stat).unwrap_or_default();
        let threads = fs::read_dir(format!("/proc/{process}/task"));
        for thread in threads.into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children"));
            let children = children.unwrap_or_default();
            pending.extend(children.split_whitespace().map(str::to_owned));
        }
    }
    used
}

/// Reads `/proc/PID/stat`, which is in proc_pid_stat(5): utime, stime, cutime and cstime are the
/// fields 14 to 17; the second, a name in parentheses, may hold anything.
fn parse_used(text: &str) -> Option<u64> {
    let (_, fields) = text.rsplit_once(')')?;
    let times = fields.split_whitespace().skip(11).take(4);
    let times: Option<Vec<u64>> = times.map(|time| time.parse().ok()).collect();
    Some(times?.iter().sum())
}

/// Decides from measurements whether to go on.
#[derive(Debug)]
pub(crate) struct Load {
    limits: LoadLimits,
    last: Option<(Duration, ProcessorTime)>,
    paused: bool,
    /// How long it has been paused, up to the last measurement.
    paused_for: Duration,
}

impl Load {
    pub(crate) fn new(limits: LoadLimits) -> Self {
        Self {
            limits,
            last: None,
            paused: false,
            paused_for: Duration::ZERO,
        }
    }

    /// Whether it may be told something new, `now` being the time since any fixed one.
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        let waits = |(at, _): &(Duration, ProcessorTime)| now.saturating_sub(*at) < LEAST;
        !self.last.as_ref().is_some_and(waits)
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// How long it has been paused in all.
    pub(crate) fn paused_for(&self, now: Duration) -> Duration {
        let since = self.last.filter(|_| self.paused);
        let since = since.map(|(at, _)| now.saturating_sub(at));
        self.paused_for + since.unwrap_or_default()
    }

    /// Takes in a measurement, and says whether the decision has changed.
    pub(crate) fn measured(&mut self, now: Duration, times: ProcessorTime) -> bool {
        self.paused_for = self.paused_for(now);
        let Some((_, before)) = self.last.replace((now, times)) else {
            return false;
        };
        let total = times.total.saturating_sub(before.total);
        if total == 0 {
            return false;
        }
        let busy = times.others.saturating_sub(before.others) as f64 / total as f64;
        let pause = match self.paused {
            true => busy > self.limits.resume_below,
            false => busy > self.limits.pause_above,
        };
        std::mem::replace(&mut self.paused, pause) != pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: LoadLimits = LoadLimits {
        pause_above: 0.9,
        resume_below: 0.7,
    };

    #[test]
    fn the_kernels_figures_are_read() {
        let text = "cpu  10 200 30 4000 50 6 7 8 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n";
        assert_eq!(parse_total(text), Some((261, 4311)));
        assert_eq!(parse_total("cpu 1 2\n"), None);
        assert_eq!(parse_total(""), None);
        let text = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 100 20 3 4 20 0\n";
        assert_eq!(parse_used(text), Some(127));
        assert_eq!(parse_used("7 (a"), None);
        assert!(ProcessorTime::now().is_some());
    }

    #[test]
    fn what_is_used_by_ourselves_and_our_children_is_not_others() {
        let used = || used_with_descendants(std::process::id());
        let before = used();
        let mut child = std::process::Command::new("sh");
        let mut child = child.args(["-c", "while :; do :; done"]).spawn().unwrap();
        let mut now = before;
        while now < before + 10 {
            std::thread::sleep(Duration::from_millis(20));
            now = used();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(used() >= now, "what has ended counts too");
    }

    #[test]
    fn it_pauses_when_others_are_busy_and_resumes_when_they_are_clearly_less_so() {
        let mut load = Load::new(LIMITS);
        let mut times = ProcessorTime {
            others: 0,
            total: 0,
        };
        let mut now = Duration::ZERO;
        let mut after = |load: &mut Load, percent: u64| {
            now += LEAST;
            times.others += percent;
            times.total += 100;
            (load.measured(now, times), load.is_paused())
        };
        assert_eq!(
            after(&mut load, 100),
            (false, false),
            "the first says nothing"
        );
        assert_eq!(after(&mut load, 89), (false, false));
        assert_eq!(after(&mut load, 95), (true, true));
        assert_eq!(after(&mut load, 80), (false, true), "not yet");
        assert_eq!(after(&mut load, 60), (true, false));
        assert_eq!(after(&mut load, 80), (false, false));
        assert_eq!(load.paused_for(now), 2 * LEAST);
    }

    #[test]
    fn it_is_not_measured_more_often_than_makes_sense() {
        let mut load = Load::new(LIMITS);
        assert!(load.is_due(Duration::ZERO));
        let times = ProcessorTime {
            others: 1,
            total: 1,
        };
        load.measured(Duration::ZERO, times);
        assert!(!load.is_due(Duration::from_millis(249)));
        assert!(load.is_due(LEAST));
        // The same figures again are no measurement.
        assert!(!load.measured(LEAST, times));
    }
}
