//! Laying one mapping over another, with the list directives.
//!
//! A mapping whose keys are all of `(>)` (append), `(<)` (prepend) and `(=)` (replace) is not a
//! value but a change to a list. Laid over a list it is applied; laid over nothing, or over another
//! such change, it is kept for a later list. Rules as in BuildStream's format documentation,
//! "Composition" and "List directives".

use crate::{Error, Mapping, Node, Problem, Sequence};

const REPLACE: &str = "(=)";
const PREPEND: &str = "(<)";
const APPEND: &str = "(>)";
/// Conditions accumulate instead of replacing each other.
const CONDITIONS: &str = "(?)";

fn is_directive(key: &str) -> bool {
    matches!(key, REPLACE | PREPEND | APPEND)
}

impl Mapping {
    /// Lays this mapping over `under`: its values win, mappings are merged, lists are replaced or
    /// changed by directives.
    pub fn compose(&self, under: &mut Self) -> Result<(), Error> {
        self.compose_at(under, &mut Vec::new())
    }

    /// Lays this mapping under `over`, whose values win.
    pub fn compose_under(mut self, over: &mut Self) -> Result<(), Error> {
        over.compose(&mut self)?;
        over.retain(|key, _| self.contains(&key.text));
        over.at = self.at;
        for (key, value) in self.entries.into_iter() {
            over.entries.insert(key, value);
        }
        Ok(())
    }

    /// Checks that no list directive is left without a list.
    pub fn expect_composed(&self) -> Result<(), Error> {
        for (key, value) in self.entries.iter() {
            if is_directive(&key.text) {
                return Err(Error::new(
                    &key.at,
                    Problem::NoListToChange(key.text.to_string()),
                ));
            }
            expect_composed(value)?;
        }
        Ok(())
    }

    fn compose_at<'a>(&'a self, under: &mut Self, path: &mut Vec<&'a str>) -> Result<(), Error> {
        for (key, value) in self.entries.iter() {
            path.push(&key.text);
            match under.entries.get_mut(&key.text) {
                Some(there) => compose_values(value, there, path)?,
                None => {
                    let value = match value {
                        Node::Mapping(mapping) if !mapping.changes_list()? => {
                            let mut new = Self::new(mapping.at.clone());
                            mapping.compose_at(&mut new, path)?;
                            Node::Mapping(new)
                        }
                        other => other.clone(),
                    };
                    under.entries.insert(key.clone(), value);
                }
            }
            path.pop();
        }
        if !self.at.is_synthetic() {
            under.at = self.at.clone();
        }
        Ok(())
    }

    /// Whether this is a change to a list and not a value.
    fn changes_list(&self) -> Result<bool, Error> {
        let directives = self.entries.iter();
        let directives = directives.filter(|(key, _)| is_directive(&key.text));
        let directives = directives.count();
        if directives != 0 && directives != self.len() {
            return Err(Error::new(&self.at, Problem::MixedDirectives));
        }
        if directives != 0 {
            for directive in [REPLACE, PREPEND, APPEND] {
                self.sequence(directive)?;
            }
        }
        Ok(directives != 0)
    }

    fn items(&self, directive: &str) -> Option<&[Node]> {
        match self.get(directive) {
            Some(Node::Sequence(sequence)) => Some(&sequence.items),
            _ => None,
        }
    }
}

fn compose_values<'a>(
    value: &'a Node,
    there: &mut Node,
    path: &mut Vec<&'a str>,
) -> Result<(), Error> {
    match (value, &mut *there) {
        (Node::Scalar(_), Node::Scalar(_)) => *there = value.clone(),
        (Node::Sequence(value), Node::Sequence(list)) if path.last() == Some(&CONDITIONS) => {
            list.items.extend_from_slice(&value.items);
        }
        (Node::Sequence(_), Node::Sequence(_)) => *there = value.clone(),
        (Node::Sequence(_), Node::Mapping(under)) if under.changes_list()? => {
            *there = value.clone();
        }
        (Node::Mapping(change), Node::Sequence(list)) if change.changes_list()? => {
            apply(change, list);
        }
        (Node::Mapping(change), Node::Mapping(under)) if change.changes_list()? => {
            if !under.changes_list()? {
                return Err(conflict(value, there, path));
            }
            join(change, under);
        }
        (Node::Mapping(value), Node::Mapping(under)) => value.compose_at(under, path)?,
        _ => return Err(conflict(value, there, path)),
    }
    Ok(())
}

/// Applies a change to a list.
fn apply(change: &Mapping, list: &mut Sequence) {
    if let Some(items) = change.items(REPLACE) {
        list.items = items.to_vec();
    }
    if let Some(items) = change.items(PREPEND) {
        list.items.splice(0..0, items.iter().cloned());
    }
    if let Some(items) = change.items(APPEND) {
        list.items.extend_from_slice(items);
    }
}

/// Adds a change to one that still waits for its list.
fn join(change: &Mapping, waiting: &mut Mapping) {
    let replaces = change.contains(REPLACE);
    for (key, value) in change.entries.iter() {
        let Node::Sequence(value) = value else {
            continue;
        };
        match waiting.entries.get_mut(&key.text) {
            Some(Node::Sequence(there)) if !replaces && &*key.text == PREPEND => {
                there.items.splice(0..0, value.items.iter().cloned());
            }
            Some(Node::Sequence(there)) if !replaces && &*key.text == APPEND => {
                there.items.extend_from_slice(&value.items);
            }
            _ => waiting.insert(key.clone(), value.clone()),
        }
    }
    if replaces {
        // What was to be added to the list that is now replaced is gone.
        for directive in [PREPEND, APPEND] {
            if let (false, Some(Node::Sequence(there))) =
                (change.contains(directive), waiting.get_mut(directive))
            {
                there.items.clear();
            }
        }
    }
}

fn conflict(value: &Node, there: &Node, path: &[&str]) -> Error {
    Error::new(
        value.at(),
        Problem::Compose {
            path: path.join("."),
            found: value.type_name(),
            under: there.type_name(),
            there: there.at().to_string(),
        },
    )
}

fn expect_composed(node: &Node) -> Result<(), Error> {
    match node {
        Node::Scalar(_) => Ok(()),
        Node::Sequence(sequence) => sequence.items.iter().try_for_each(expect_composed),
        Node::Mapping(mapping) => mapping.expect_composed(),
    }
}

#[cfg(test)]
mod tests {
    use crate::{parse, to_text};

    /// Lays the first text over the second; compares with the expected text or message.
    #[track_caller]
    fn check(over: &str, under: &str, expected: &str) {
        let over = parse("over", over).unwrap();
        let mut result = parse("under", under).unwrap();
        let text = match over
            .compose(&mut result)
            .and_then(|()| result.expect_composed())
        {
            Ok(()) => to_text(&result),
            Err(error) => error.to_string(),
        };
        assert_eq!(text.trim_end(), expected);
    }

    #[test]
    fn values_win_and_keep_the_order_below() {
        check("{b: 2, c: 3}", "{a: 1, b: 1}", "a: 1\nb: 2\nc: 3");
        check("{m: {z: 2}}", "{m: {x: 1, z: 1}}", "m:\n  x: 1\n  z: 2");
        check("{m: {k: {x: 1}}}", "{}", "m:\n  k:\n    x: 1");
    }

    #[test]
    fn lists_are_replaced_or_changed() {
        check("{l: [b]}", "{l: [a]}", "l:\n- b");
        check("{l: {(>): [b]}}", "{l: [a]}", "l:\n- a\n- b");
        check("{l: {(<): [b, c]}}", "{l: [a]}", "l:\n- b\n- c\n- a");
        check(
            "{l: {(=): [x], (<): [w], (>): [z]}}",
            "{l: [a]}",
            "l:\n- w\n- x\n- z",
        );
        check("{'(?)': [b]}", "{'(?)': [a]}", "(?):\n- a\n- b");
    }

    #[test]
    fn changes_wait_for_their_list() {
        let change = |over: &str, middle: &str, under: &str| {
            let mut waiting = parse("middle", middle).unwrap();
            parse("over", over).unwrap().compose(&mut waiting).unwrap();
            let mut list = parse("under", under).unwrap();
            waiting.compose(&mut list).unwrap();
            to_text(&list).replace("\n- ", " ")
        };
        let (over, middle) = ("{l: {(>): [4], (<): [0]}}", "{l: {(>): [z], (<): [q]}}");
        assert_eq!(change(over, middle, "{l: [a]}"), "l: 0 q a z 4\n");
        let over = "{l: {(=): [k]}}";
        assert_eq!(change(over, middle, "{l: [a]}"), "l: k\n");
        let over = "{l: [k]}";
        assert_eq!(change(over, middle, "{l: [a]}"), "l: k\n");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        check(
            "{a: {b: x}}",
            "{a: {b: [1]}}",
            "over:1:9: can't compose a string at 'a.b' over a list at under:1:9",
        );
        check(
            "{a: [x]}",
            "{a: y}",
            "over:1:5: can't compose a list at 'a' over a string at under:1:5",
        );
        check(
            "{a: {(>): [x]}}",
            "{a: {b: y}}",
            "over:1:5: can't compose a mapping at 'a' over a mapping at under:1:5",
        );
        check(
            "{a: {(>): [x], b: y}}",
            "{}",
            "over:1:5: list directives and other keys can't be in one mapping",
        );
        check(
            "{a: {(>): x}}",
            "{}",
            "over:1:11: expected a list as value of '(>)', found a string",
        );
        check(
            "{a: {(>): [x]}}",
            "{}",
            "over:1:6: the list directive '(>)' has no list to change",
        );
    }

    #[test]
    fn laid_under_it_only_adds() {
        let mut over = parse("over", "{b: 2, a: 1, l: {(>): [2]}}").unwrap();
        parse("under", "{c: 3, a: 0, l: [1]}")
            .unwrap()
            .compose_under(&mut over)
            .unwrap();
        assert_eq!(to_text(&over), "b: 2\na: 1\nl:\n- 1\n- 2\nc: 3\n");
    }
}
