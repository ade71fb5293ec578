mod accounting;
mod adapting;
mod ahead;
mod economy;
mod exactness;
mod explanations;
mod moves;
mod notes;
mod properties;
mod prototype;
mod scenarios;
mod shadows;
mod upcoming;

use crate::testing::world::{ElementSpec, Step};

/// An element from text: one line a thing.
///
/// `needs 0 1`, `compose`, `source PATH CONTENT`, `stamp TEXT`, `install FROM TO`,
/// `step OUTPUT = MAIN… [: OWN…] [: SYSTEM…]`, `archive OUTPUT = MEMBER…`
pub(super) fn element(text: &str) -> ElementSpec {
    let mut element = ElementSpec::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut words = rest.split(' ').map(str::to_owned);
        match word {
            "needs" => element.needs = rest.split(' ').map(|n| n.parse().unwrap()).collect(),
            "compose" => element.compose = true,
            "stamp" => element.stamp = rest.to_owned(),
            "source" => {
                let path = words.next().unwrap();
                element
                    .sources
                    .insert(path, words.next().unwrap_or_default());
            }
            "install" => {
                let from = words.next().unwrap();
                element.install.insert(from, words.next().unwrap());
            }
            "step" => element.steps.push(step(rest)),
            "archive" => element.steps.push(Step {
                local: true,
                ..step(rest)
            }),
            _ => panic!("what is {word}?"),
        }
    }
    element
}

fn step(text: &str) -> Step {
    let (output, inputs) = text.split_once(" = ").unwrap();
    let mut lists = inputs
        .split(':')
        .map(|list| -> Vec<String> { list.split_whitespace().map(str::to_owned).collect() });
    Step {
        output: output.to_owned(),
        main: lists.next().unwrap_or_default(),
        own: lists.next().unwrap_or_default(),
        system: lists.next().unwrap_or_default(),
        ..Step::default()
    }
}

/// A project from texts.
pub(crate) fn project(texts: &[&str]) -> Vec<ElementSpec> {
    texts.iter().map(|text| element(text)).collect()
}

#[test]
fn a_primer_can_be_handed_from_thread_to_thread() {
    fn check<T: Send>() {}
    check::<crate::Primer>();
}
