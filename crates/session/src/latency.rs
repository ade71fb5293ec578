//! How long things take that should take no time.

use std::time::Duration;

use serde::Serialize;

/// How long actions might have been executed ahead of need before they were handed to the executor,
/// in seconds: all their inputs were known, and a slot was free.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Latency {
    /// How many actions were handed out.
    pub count: usize,
    /// Half of them took no longer.
    pub median: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// None took longer.
    pub max: f64,
}

/// Durations, to be summed up at the end.
#[derive(Debug, Default)]
pub struct Latencies(Vec<u32>);

impl Latencies {
    /// One more.
    pub fn add(&mut self, duration: Duration) {
        self.0
            .push(u32::try_from(duration.as_micros()).unwrap_or(u32::MAX));
    }

    /// What they come to.
    pub fn sum_up(mut self) -> Latency {
        self.0.sort_unstable();
        let at = |percent: usize| {
            let place = (self.0.len() * percent).div_ceil(100).max(1) - 1;
            let micros = self.0.get(place).copied().unwrap_or_default();
            f64::from(micros) / 1e6
        };
        Latency {
            count: self.0.len(),
            median: at(50),
            p99: at(99),
            max: at(100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_what_was_measured() {
        assert_eq!(Latencies::default().sum_up(), Latency::default());
        let mut latencies = Latencies::default();
        for millis in (1..=200).rev() {
            latencies.add(Duration::from_millis(millis));
        }
        let expected = Latency {
            count: 200,
            median: 0.1,
            p99: 0.198,
            max: 0.2,
        };
        assert_eq!(latencies.sum_up(), expected);
    }
}
