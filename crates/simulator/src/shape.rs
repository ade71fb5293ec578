//! Projects of a given shape.

use headstart_speculation::Mode;
use headstart_speculation::testing::world::{ElementSpec, Step};

use crate::case::Case;

/// A stack of libraries in layers, each element built upon all of the layer below.
///
/// Each element compiles files that include its own headers and those of all elements below, and links
/// them with the libraries below. It installs its headers and the library. If headers are generated,
/// each has one more, made from a list of its own and the generated headers of the layer below.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// How many elements there are.
    pub elements: usize,
    /// How many actions each asks for: at least three.
    pub actions: usize,
    /// Whether headers are generated.
    pub generated: bool,
    /// How many elements a layer has.
    pub width: usize,
}

/// What is edited, in the first element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// A header that is installed as it is written.
    Written,
    /// What a header is generated from, if one is.
    Generated,
}

/// How long actions run, in milliseconds.
const GENERATE: u32 = 500;
const COMPILE: u32 = 2_000;
const LINK: u32 = 3_000;

impl Shape {
    /// The project before and after an edit, when `mode` was used before.
    pub fn case(&self, edit: Edit, mode: Mode) -> Case {
        let before: Vec<ElementSpec> = (0..self.elements).map(|n| self.element(n)).collect();
        let mut after = before.clone();
        let edited = match edit {
            Edit::Written => "api.h",
            Edit::Generated => "types.def",
        };
        if let Some(first) = after.first_mut() {
            first.sources.insert(edited.to_owned(), "edited".to_owned());
        }
        Case::new(&before, after, mode)
    }

    fn element(&self, place: usize) -> ElementSpec {
        let width = self.width.max(1);
        let layer = place / width;
        let below = layer.saturating_sub(1) * width..layer * width;
        let mut element = ElementSpec {
            needs: below.clone().collect(),
            ..ElementSpec::default()
        };
        let header = |of: usize, name: &str| format!("usr/include/e{of}/{name}");
        let library = |of: usize| format!("usr/lib/libe{of}.so");
        let mut own = vec!["api.h".to_owned()];
        let mut written = vec!["api.h"];
        if self.generated {
            own.push("types.h".to_owned());
            written.push("types.def");
            element.steps.push(Step {
                main: vec!["types.def".to_owned()],
                system: below.clone().map(|of| header(of, "types.h")).collect(),
                output: "types.h".to_owned(),
                millis: GENERATE,
                ..Step::default()
            });
        }
        for name in written {
            let text = format!("{name} of {place}");
            element.sources.insert(name.to_owned(), text);
        }
        let headers = (0..below.end).flat_map(|of| own.iter().map(move |name| header(of, name)));
        let headers: Vec<String> = headers.collect();
        let mut objects = Vec::new();
        let others = element.steps.len() + 1;
        for number in 0..self.actions.saturating_sub(others).max(1) {
            let (source, object) = (format!("{number}.c"), format!("{number}.o"));
            let text = format!("{source} of {place}");
            element.sources.insert(source.clone(), text);
            element.steps.push(Step {
                main: vec![source],
                own: own.clone(),
                system: headers.clone(),
                output: object.clone(),
                millis: COMPILE,
                ..Step::default()
            });
            objects.push(object);
        }
        element.steps.push(Step {
            main: objects,
            system: below.map(library).collect(),
            output: "lib.so".to_owned(),
            millis: LINK,
            ..Step::default()
        });
        for name in own {
            let to = header(place, &name);
            element.install.insert(name, to);
        }
        element.install.insert("lib.so".to_owned(), library(place));
        element
    }
}
