//! Figures that several benchmarks want.

use std::time::Duration;

use crate::Failure;

/// The one in the middle, the values being put in order; not a number if there are none.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How long processors have worked for a process and all that it has waited for, as proc(5) tells it: in
/// hundredths of a second.
pub(crate) fn processor_time(process: u32) -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // Behind the name, which may hold anything.
    let (_, fields) = stat.rsplit_once(") ").ok_or("the kernel tells no times")?;
    let times = fields.split(' ').skip(11).take(4);
    let ticks = times.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}
