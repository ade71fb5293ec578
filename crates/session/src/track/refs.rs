//! Writing `project.refs`: for each project, element and source a mapping with its reference.

use std::sync::Arc;

use headstart_yaml::{Mapping, Node, Provenance, Sequence, set_keys};

use super::REFS;
use crate::error::SessionError;

/// The file's text with these keys for a source of an element, whose project and name `place` says.
/// What else is in the file stays as it is.
pub(super) fn set(
    text: &str,
    (project, element): &(Arc<str>, Arc<str>),
    index: usize,
    keys: &[(&str, Option<Node>)],
) -> Result<String, SessionError> {
    let root = headstart_yaml::parse(REFS, text)?;
    let mut new = Mapping::default();
    for (key, value) in keys {
        if let Some(value) = value {
            new.insert(*key, value.clone());
        }
    }
    let Some(projects) = root.mapping("projects")? else {
        let all = nest(
            "projects",
            nest(project, nest(element, list(&[], index, new))),
        );
        return Ok(format!("{text}{}", headstart_yaml::to_text(&all)));
    };
    let Some(elements) = projects.mapping(project)? else {
        let value = nest(element, list(&[], index, new)).into();
        return Ok(set_keys(text, &projects.at, &[(project, Some(value))])?);
    };
    let sources = elements.sequence(element)?;
    let sources = sources.map_or(&[][..], |sources| &sources.items);
    match sources.get(index) {
        Some(Node::Mapping(old)) if !old.is_empty() => Ok(set_keys(text, &old.at, keys)?),
        _ => {
            let value = list(sources, index, new);
            Ok(set_keys(text, &elements.at, &[(element, Some(value))])?)
        }
    }
}

fn nest(key: &str, value: impl Into<Node>) -> Mapping {
    let mut mapping = Mapping::default();
    mapping.insert(key, value);
    mapping
}

/// The sources of an element, one of them replaced; what is missing before it has no reference.
fn list(sources: &[Node], index: usize, new: Mapping) -> Node {
    let mut items = sources.to_vec();
    while items.len() <= index {
        items.push(Mapping::default().into());
    }
    items[index] = new.into();
    let at = Provenance::SYNTHETIC;
    Sequence { at, items }.into()
}

#[cfg(test)]
mod tests {
    use headstart_yaml::Scalar;

    use super::*;

    fn set(text: &str, element: &str, index: usize, reference: &str) -> String {
        let place = (Arc::from("p"), Arc::from(element));
        let keys = [("ref", Some(Scalar::synthetic(reference).into()))];
        super::set(text, &place, index, &keys).unwrap()
    }

    #[test]
    fn references_are_added_and_replaced() {
        let one = set("", "a.bst", 1, "one111");
        assert_eq!(
            one,
            "projects:\n  p:\n    a.bst:\n    - {}\n    - ref: one111\n"
        );
        let two = set(&format!("# ours\n{one}"), "a.bst", 1, "two222");
        assert_eq!(two, format!("# ours\n{}", one.replace("one111", "two222")));
        let three = set(&two, "a.bst", 0, "three3");
        assert_eq!(three, two.replace("{}", "ref: three3"));
        let four = set(&three, "b.bst", 0, "four44");
        assert_eq!(four, format!("{three}    b.bst:\n    - ref: four44\n"));
    }
}
