//! How often predictions come true, learned from build to build.
//!
//! What is learned of one action of an element is taken to hold for all of its kind: the program it
//! runs, and what sort of file it makes. So compilations, links and the trial runs of configure
//! scripts are told apart without knowing any of them.

use std::collections::BTreeMap;
use std::fmt::Write;

use headstart_execution::ActionSpec;

/// Of a kind of which nothing is known this many predictions are taken to have come true …
const PRIOR_HITS: f64 = 4.0;
/// … of this many.
const PRIOR_TRIES: f64 = 5.0;
/// Beyond this many tries both numbers are halved, so that what is old counts less.
const MOST_TRIES: u32 = 256;
/// How long the name of a kind may be, in characters.
const MOST_CHARACTERS: usize = 80;

/// How often predictions of an element's actions came true, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Odds(BTreeMap<String, Tally>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    hits: u32,
    tries: u32,
}

impl Odds {
    /// Reads what [`to_text`](Self::to_text) wrote. Lines that can't be read are passed over.
    pub fn from_text(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| {
            let mut words = line.splitn(3, ' ');
            let (hits, tries) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            let kind = words.next()?.to_owned();
            (hits <= tries && tries <= MOST_TRIES).then_some((kind, Tally { hits, tries }))
        });
        Self(lines.collect())
    }

    /// A line for each kind: how many predictions came true, of how many, and the kind.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (kind, Tally { hits, tries }) in &self.0 {
            // Writing to a string can't fail.
            let _ = writeln!(text, "{hits} {tries} {kind}");
        }
        text
    }

    /// Whether nothing was learned yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes note of what became of a prediction.
    pub fn learn(&mut self, kind: &str, came_true: bool) {
        let tally = self.0.entry(kind.to_owned()).or_default();
        if tally.tries == MOST_TRIES {
            tally.hits /= 2;
            tally.tries /= 2;
        }
        tally.tries += 1;
        tally.hits += u32::from(came_true);
    }

    /// How probable it is that a prediction of this kind comes true: between 0 and 1, and neither.
    pub fn probability(&self, kind: &str) -> f64 {
        let Tally { hits, tries } = self.0.get(kind).copied().unwrap_or_default();
        (f64::from(hits) + PRIOR_HITS) / (f64::from(tries) + PRIOR_TRIES)
    }
}

/// The kind of an action: the name of its program, and what the name of the first file that it makes
/// ends with.
pub fn kind_of(spec: &ActionSpec) -> String {
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let program = spec.arguments.first().map(|path| name(path));
    let output = spec.outputs.paths.first().map(|path| name(path));
    let ending = output.as_deref().and_then(|name| name.rsplit_once('.'));
    let kind = match ending {
        Some((_, ending)) => format!("{} *.{ending}", program.unwrap_or_default()),
        None => program.unwrap_or_default(),
    };
    let plain = |c: char| if c.is_control() { '?' } else { c };
    kind.chars().map(plain).take(MOST_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn what_is_learned_is_kept_and_fades() {
        let mut odds = Odds::default();
        assert_eq!(odds.probability("gcc *.o"), 0.8);
        for _ in 0..15 {
            odds.learn("gcc *.o", true);
            odds.learn("sh", false);
        }
        assert_eq!(odds.probability("gcc *.o"), 0.95);
        assert_eq!(odds.probability("sh"), 0.2);
        assert_eq!(odds.to_text(), "15 15 gcc *.o\n0 15 sh\n");
        assert_eq!(Odds::from_text(&odds.to_text()), odds);
        for _ in 0..2 * MOST_TRIES {
            odds.learn("gcc *.o", false);
        }
        assert!(odds.probability("gcc *.o") < 0.05, "{odds:?}");
        assert!(odds.probability("gcc *.o") > 0.0);
    }

    #[test]
    fn damaged_lines_are_passed_over() {
        let text = "1 2 gcc\n3 2 more hits than tries\nx y z\n\n1 2\n9 9999999999 many\n1 1 a b\n";
        assert_eq!(Odds::from_text(text).to_text(), "1 1 a b\n1 2 gcc\n");
    }

    #[test]
    fn kinds_are_programs_and_what_they_make() {
        let fixture = Fixture::default();
        let kind = |arguments: &str, outputs: &[&str]| {
            let action = fixture.action(fixture.tree(&[]), arguments, "w", outputs);
            kind_of(&ActionSpec::read(action, &**fixture.store.store()).unwrap())
        };
        assert_eq!(kind("/usr/bin/gcc -c a.c", &["x/a.o", "x/a.d"]), "gcc *.o");
        assert_eq!(kind("ld -o program", &["bin/program"]), "ld");
        assert_eq!(kind("odd\nname", &[]), "odd?name");
    }
}
