//! What the demo measured, and whether it is what was promised.

use serde::Serialize;
use serde_json::Value;

use super::workplace::Edit;

/// Of the compiler calls of unchanged elements, how many must have been predicted, to the byte, and how
/// many be executed, or in the making, by the time that they are asked for.
const FORESIGHT_TARGET: f64 = 0.95;
/// How much memory a build may take, in bytes.
const MEMORY_TARGET: u64 = 300 * 1_000_000;

/// Rebuilds from the same state, without and with speculation.
#[derive(Default)]
pub(crate) struct Comparison {
    without: Vec<Value>,
    with: Vec<Value>,
}

impl Comparison {
    pub(crate) fn add(&mut self, without: Value, with: Value) {
        self.without.push(without);
        self.with.push(with);
    }
}

/// A rebuild that is not compared.
pub(crate) struct Rebuild {
    edit: &'static str,
    report: Value,
}

impl Rebuild {
    pub(crate) fn new(edit: &Edit, report: Value) -> Self {
        Self {
            edit: edit.0,
            report,
        }
    }
}

/// What the demo measured.
#[derive(Serialize)]
pub(crate) struct Figures {
    /// Seconds of the first build, with nothing known.
    first: f64,
    /// Seconds of each rebuild without speculation.
    none: Vec<f64>,
    /// Seconds of each rebuild with it.
    full: Vec<f64>,
    /// The medians' ratio: how many times faster the rebuild is with speculation.
    speedup: f64,
    /// How well each rebuild was foreseen: the compared one, the one after another edit, and the one
    /// after a failed build was mended.
    foresight: Vec<Foresight>,
    /// Seconds of compile time that the compared rebuild did not have to wait for.
    saved: f64,
    /// How long actions of the compared rebuild might have been executed ahead of need before they
    /// were, in seconds: their inputs were known, and there was a slot.
    latency: Value,
    /// Actions executed with an input known to be wrong.
    stale: u64,
    /// Elements whose artifacts differ between the two modes.
    different: Vec<String>,
    /// The most memory that a build had resident, in bytes.
    peak_memory: u64,
    elements: Vec<Row>,
}

/// What became of the compiler calls of unchanged elements in a rebuild. Ratios are of those that
/// succeeded.
#[derive(Serialize)]
struct Foresight {
    rebuild: String,
    /// Those predicted: done, running, or waiting for a slot when they were asked for.
    predicted: f64,
    /// Those done or running.
    begun: f64,
    /// For how many seconds nothing was executed ahead of need, because other programs kept the machine
    /// busy.
    paused: f64,
}

/// An element in the compared rebuild.
#[derive(Serialize)]
struct Row {
    name: String,
    seconds_none: f64,
    seconds_full: f64,
    asked: u64,
    unsuccessful: u64,
    hit: u64,
    joined: u64,
    promoted: u64,
    found: u64,
    missed: u64,
    wasted: u64,
}

impl Figures {
    pub(crate) fn new(
        first: Value,
        comparison: Comparison,
        others: Vec<Rebuild>,
        edited: &str,
    ) -> Self {
        let Comparison { without, with } = comparison;
        let seconds = |reports: &[Value]| reports.iter().map(seconds).collect::<Vec<_>>();
        let (none, full) = (seconds(&without), seconds(&with));
        let last = with.last().unwrap_or(&Value::Null);
        let plain = without.last().unwrap_or(&Value::Null);
        let compared = Foresight::new("compared", last, edited);
        let later = others
            .iter()
            .map(|rebuild| Foresight::new(rebuild.edit, &rebuild.report, edited));
        let foresight = std::iter::once(compared).chain(later).collect();
        let reports = || {
            with.iter()
                .chain(others.iter().map(|rebuild| &rebuild.report))
        };
        let everything = || reports().chain(&without).chain([&first]);
        Self {
            first: self::seconds(&first),
            speedup: median(&none) / median(&full),
            none,
            full,
            foresight,
            saved: account(&last["total"], "saved"),
            latency: last["latency"].clone(),
            stale: reports()
                .map(|report| count(&report["total"], "stale"))
                .sum(),
            different: different(plain, last),
            peak_memory: everything()
                .map(|report| count(report, "peak_memory"))
                .max()
                .unwrap_or(0),
            elements: rows(plain, last),
        }
    }

    /// The targets that do not depend on the machine's speed and were missed, in words.
    pub(crate) fn missed_targets(&self) -> Vec<String> {
        let mut missed = Vec::new();
        missed.extend(self.foresight.iter().flat_map(Foresight::missed_targets));
        if self.stale > 0 {
            missed.push(format!(
                "{} actions were executed with a stale input",
                self.stale
            ));
        }
        if !self.different.is_empty() {
            missed.push(format!(
                "artifacts differ between the modes: {}",
                self.different.join(", ")
            ));
        }
        if self.peak_memory >= MEMORY_TARGET {
            missed.push(format!(
                "a build took {} MB of memory",
                self.peak_memory / 1_000_000
            ));
        }
        missed
    }
}

/// Prints the figures for people.
pub(crate) fn print(figures: &Figures) {
    println!();
    println!(
        "{:<30} {:>8} {:>8} {:>6} {:>5} {:>7} {:>9} {:>6} {:>7} {:>7}",
        "element",
        "none",
        "full",
        "calls",
        "hit",
        "joined",
        "promoted",
        "found",
        "missed",
        "wasted"
    );
    for row in &figures.elements {
        println!(
            "{:<30} {:>6.1} s {:>6.1} s {:>6} {:>5} {:>7} {:>9} {:>6} {:>7} {:>7}",
            row.name,
            row.seconds_none,
            row.seconds_full,
            row.asked,
            row.hit,
            row.joined,
            row.promoted,
            row.found,
            row.missed,
            row.wasted
        );
    }
    println!();
    println!("first build:                   {:.1} s", figures.first);
    println!("rebuild without speculation:   {}", times(&figures.none));
    println!("rebuild with speculation:      {}", times(&figures.full));
    println!(
        "                               {:.2} times as fast",
        figures.speedup
    );
    println!(
        "compile time moved off the critical path: {:.1} s",
        figures.saved
    );
    println!("compiler calls of unchanged elements:");
    for foresight in &figures.foresight {
        println!(
            "    {:<20} {:5.1} % predicted, {:5.1} % executed or in the making when asked for",
            foresight.rebuild,
            foresight.predicted * 100.0,
            foresight.begun * 100.0,
        );
        if foresight.paused > 0.0 {
            println!(
                "    {:<20} paused for {:.1} s, because other programs kept the machine busy",
                "", foresight.paused
            );
        }
    }
    println!("executed with a stale input:   {}", figures.stale);
    println!("artifacts that differ:         {}", figures.different.len());
    println!(
        "most memory of a build:        {} MB",
        figures.peak_memory / 1_000_000
    );
}

fn times(seconds: &[f64]) -> String {
    let each: Vec<_> = seconds
        .iter()
        .map(|seconds| format!("{seconds:.1}"))
        .collect();
    format!("{:.1} s (median of {})", median(seconds), each.join(", "))
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => (sorted[count / 2 - 1] + sorted[count / 2]) / 2.0,
    }
}

fn seconds(report: &Value) -> f64 {
    report["seconds"].as_f64().unwrap_or(f64::NAN)
}

fn count(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or(0)
}

/// A duration of an account, in seconds.
fn account(account: &Value, key: &str) -> f64 {
    let duration = &account[key];
    let nanoseconds = duration["nanos"].as_f64().unwrap_or(0.0);
    duration["secs"].as_f64().unwrap_or(0.0) + nanoseconds / 1e9
}

fn elements(report: &Value) -> impl Iterator<Item = &Value> {
    report["elements"].as_array().into_iter().flatten()
}

impl Foresight {
    fn new(rebuild: &str, report: &Value, edited: &str) -> Self {
        let (mut begun, mut promoted, mut calls) = (0, 0, 0);
        for element in elements(report).filter(|element| element["name"] != edited) {
            let account = &element["speculation"];
            begun += count(account, "hit") + count(account, "joined");
            promoted += count(account, "promoted");
            calls += count(account, "asked") - count(account, "unsuccessful");
        }
        Self {
            rebuild: rebuild.to_owned(),
            predicted: (begun + promoted) as f64 / calls as f64,
            begun: begun as f64 / calls as f64,
            paused: report["paused"].as_f64().unwrap_or(0.0),
        }
    }

    fn missed_targets(&self) -> impl Iterator<Item = String> {
        let mut ratios = vec![(self.predicted, "predicted")];
        // How many are in the making in time does not depend on how fast the machine is, but it does on
        // whether it is used at all.
        if self.paused == 0.0 {
            ratios.push((self.begun, "executed or in the making when asked for"));
        }
        ratios.retain(|(ratio, _)| ratio.is_nan() || *ratio < FORESIGHT_TARGET);
        ratios.into_iter().map(|(ratio, what)| {
            format!(
                "{:.1} % of the compiler calls of unchanged elements were {what} ({}), not {:.0} %",
                ratio * 100.0,
                self.rebuild,
                FORESIGHT_TARGET * 100.0
            )
        })
    }
}

/// The elements whose artifacts are not the same in both reports.
fn different(one: &Value, other: &Value) -> Vec<String> {
    let find = |name: &Value| elements(other).find(|element| element["name"] == *name);
    let differs = |element: &&Value| {
        find(&element["name"]).is_none_or(|found| found["files"] != element["files"])
    };
    let names = elements(one).filter(differs);
    names
        .map(|element| element["name"].as_str().unwrap_or("?").to_owned())
        .collect()
}

fn rows(plain: &Value, speculative: &Value) -> Vec<Row> {
    let find = |name: &Value| elements(plain).find(|element| element["name"] == *name);
    let built = elements(speculative).filter(|element| element["state"] == "built");
    built
        .map(|element| {
            let account = &element["speculation"];
            Row {
                name: element["name"].as_str().unwrap_or("?").to_owned(),
                seconds_none: find(&element["name"]).map_or(f64::NAN, seconds),
                seconds_full: seconds(element),
                asked: count(account, "asked"),
                unsuccessful: count(account, "unsuccessful"),
                hit: count(account, "hit"),
                joined: count(account, "joined"),
                promoted: count(account, "promoted"),
                found: count(account, "found"),
                missed: count(account, "missed"),
                wasted: count(account, "wasted"),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_edited_element_and_failed_commands_count_for_nothing() {
        let element = |name: &str, [asked, hit, promoted, unsuccessful]: [u64; 4]| {
            let speculation = json!({
                "asked": asked, "hit": hit, "promoted": promoted, "unsuccessful": unsuccessful
            });
            json!({"name": name, "speculation": speculation})
        };
        let elements = [
            element("low", [50, 0, 0, 0]),
            element("high", [110, 60, 35, 10]),
        ];
        let foresight = Foresight::new("x", &json!({"elements": elements}), "low");
        assert_eq!((foresight.predicted, foresight.begun), (0.95, 0.6));
        let nothing = Foresight::new("x", &json!({"elements": []}), "low");
        assert!(nothing.predicted.is_nan());
    }

    #[test]
    fn artifacts_are_compared_by_content() {
        let report = |files: &str| json!({"elements": [{"name": "a", "files": files}]});
        assert!(different(&report("x"), &report("x")).is_empty());
        assert_eq!(different(&report("x"), &report("y")), ["a"]);
        assert_eq!(different(&report("x"), &json!({"elements": []})), ["a"]);
    }

    #[test]
    fn medians_are_of_any_number() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
    }
}
