//! Random projects and random changes to them, out of a list of numbers.

use std::collections::BTreeMap;

use super::world::{ElementSpec, Step};

/// Decisions, taken from numbers; all the same once these run out.
pub struct Choices<'a>(pub std::slice::Iter<'a, u16>);

impl Choices<'_> {
    /// One of `count`.
    pub fn pick(&mut self, count: usize) -> usize {
        let number = self.0.next().copied().unwrap_or(0);
        usize::from(number) % count.max(1)
    }

    /// Yes in one of `count` cases; no once numbers run out.
    pub fn one_in(&mut self, count: usize) -> bool {
        self.pick(count) == count - 1
    }

    fn some<T: Clone>(&mut self, list: &[T]) -> Vec<T> {
        list.iter().filter(|_| self.pick(3) != 0).cloned().collect()
    }

    /// Contents that are often alike.
    fn content(&mut self, unique: &str) -> String {
        match self.pick(5) {
            0 | 1 => unique.to_owned(),
            2 => "same".to_owned(),
            3 => String::new(),
            _ => format!("+{unique}"),
        }
    }
}

/// A project of two to five elements, each built upon some of those before it.
pub fn project(choices: &mut Choices<'_>) -> Vec<ElementSpec> {
    let count = 2 + choices.pick(4);
    let mut project: Vec<ElementSpec> = Vec::new();
    for place in 0..count {
        let all: Vec<usize> = (0..place).collect();
        let mut needs = choices.some(&all);
        if needs.is_empty() {
            needs.extend(place.checked_sub(1));
        }
        let element = if place > 0 && choices.one_in(5) {
            ElementSpec {
                compose: true,
                ..ElementSpec::default()
            }
        } else {
            element(place, &needs, &project, choices)
        };
        project.push(ElementSpec { needs, ..element });
    }
    project
}

fn element(
    place: usize,
    needs: &[usize],
    project: &[ElementSpec],
    choices: &mut Choices<'_>,
) -> ElementSpec {
    let mut element = ElementSpec::default();
    // One more is asked for than there is, so that it can be added.
    let headers: Vec<String> = (0..=choices.pick(3))
        .map(|k| format!("include/h{k}.h"))
        .collect();
    for header in &headers[..headers.len() - 1] {
        let content = choices.content(&format!("{place} {header}"));
        element.sources.insert(header.clone(), content);
    }
    let mut own = headers.clone();
    let mains: Vec<String> = (0..=choices.pick(3))
        .map(|k| format!("src/m{k}.c"))
        .collect();
    for main in &mains {
        let content = choices.content(&format!("{place} {main}"));
        element.sources.insert(main.clone(), content);
    }
    let mut installed: Vec<String> = Vec::new();
    for below in needs.iter().flat_map(|need| 0..=*need) {
        installed.extend(project[below].install.values().cloned());
    }
    installed.sort();
    installed.dedup();
    if choices.one_in(2) {
        element.steps.push(Step {
            main: vec![mains[0].clone()],
            system: choices.some(&installed),
            own: Vec::new(),
            output: "gen/gen.h".to_owned(),
            ..Step::default()
        });
        own.push("gen/gen.h".to_owned());
    }
    let mut objects = Vec::new();
    for (k, main) in mains.iter().enumerate() {
        let output = format!("out/m{k}.o");
        element.steps.push(Step {
            main: vec![main.clone()],
            own: choices.some(&own),
            system: choices.some(&installed),
            output: output.clone(),
            ..Step::default()
        });
        objects.push(output);
    }
    element.steps.push(Step {
        main: objects,
        own: Vec::new(),
        system: choices.some(&installed),
        output: "out/lib.a".to_owned(),
        local: choices.one_in(2),
        ..Step::default()
    });
    element.steps.push(Step {
        main: vec!["out/lib.a".to_owned()],
        own: choices.some(&own),
        system: Vec::new(),
        output: "out/program".to_owned(),
        ..Step::default()
    });
    for (from, to) in [
        ("out/lib.a", format!("usr/lib/e{place}.a")),
        ("out/program", format!("usr/bin/e{place}")),
        ("gen/gen.h", format!("usr/include/e{place}/gen.h")),
    ] {
        element.install.insert(from.to_owned(), to);
    }
    for header in headers {
        let name = header.rsplit('/').next().unwrap_or_default();
        let to = format!("usr/include/e{place}/{name}");
        element.install.insert(header, to);
    }
    element
}

/// What kinds of change a test can bear.
#[derive(Clone, Copy)]
pub struct Edits {
    /// Files that some step would take if they were there.
    pub adding: bool,
    /// Headers are installed other than as they are written.
    pub stamping: bool,
}

/// `project` with a few changes.
pub fn edit(project: &[ElementSpec], edits: Edits, choices: &mut Choices<'_>) -> Vec<ElementSpec> {
    let mut after = project.to_vec();
    for number in 0..=choices.pick(4) {
        let place = choices.pick(after.len());
        let element = &mut after[place];
        if element.compose {
            continue;
        }
        let files: Vec<String> = element.sources.keys().cloned().collect();
        let file = files.get(choices.pick(files.len())).cloned();
        let Some(file) = file else { continue };
        let sources: &mut BTreeMap<String, String> = &mut element.sources;
        match choices.pick(7) {
            0 | 1 => {
                sources.insert(file, format!("edit {number}"));
            }
            2 => {
                sources.insert(file, "same".to_owned());
            }
            3 => {
                let content = sources.remove(&file).unwrap_or_default();
                sources.insert(file, format!("+{}", content.trim_start_matches('+')));
            }
            4 => {
                sources.remove(&file);
            }
            5 if edits.adding => {
                let name = format!("include/h{}.h", choices.pick(4));
                sources.insert(name, format!("added {number}"));
            }
            6 if edits.stamping => element.stamp = format!("stamp {number}"),
            _ => {
                // What nobody asks for.
                sources.insert(format!("doc/{number}"), "text".to_owned());
            }
        }
    }
    after
}
