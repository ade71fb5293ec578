//! Reading values with the type that is wanted, or an error that says what is there instead.

use std::sync::Arc;

use crate::{Error, Mapping, Node, Problem, Scalar, Sequence};

impl Node {
    /// The error that it is of another type than was expected.
    pub fn unlike(&self, expected: &'static str) -> Error {
        let found = self.type_name();
        Error::new(self.at(), Problem::Node { expected, found })
    }
}

impl Scalar {
    /// The value as a boolean: `True`, `true`, `1`, `False`, `false` or `0`.
    pub fn as_bool(&self) -> Result<bool, Error> {
        match &*self.value {
            "True" | "true" | "1" => Ok(true),
            "False" | "false" | "0" => Ok(false),
            _ => Err(self.unlike("a boolean ('true' or 'false')")),
        }
    }

    /// The value as an integer in decimal digits, between which there may be single underscores.
    pub fn as_integer(&self) -> Result<i64, Error> {
        let digits = self.value.trim_start_matches(['+', '-']);
        let well_divided = digits.split('_').all(|part| !part.is_empty());
        let number = self.value.replace('_', "").parse();
        let number = number.ok().filter(|_| well_divided);
        number.ok_or_else(|| self.unlike("an integer"))
    }

    /// The error that the value is not what was expected.
    pub fn unlike(&self, expected: &'static str) -> Error {
        Error::new(
            &self.at,
            Problem::Value {
                expected,
                value: self.value.to_string(),
            },
        )
    }
}

impl Sequence {
    /// All items, which must be strings.
    pub fn scalars(&self) -> Result<Vec<&Scalar>, Error> {
        self.items
            .iter()
            .map(|item| match item {
                Node::Scalar(scalar) => Ok(scalar),
                other => Err(wrong_item(other, "a string")),
            })
            .collect()
    }

    /// The texts of all items, which must be strings.
    pub fn strings(&self) -> Result<Vec<Arc<str>>, Error> {
        Ok(self
            .scalars()?
            .into_iter()
            .map(|scalar| scalar.value.clone())
            .collect())
    }

    /// All items, which must be mappings.
    pub fn mappings(&self) -> Result<Vec<&Mapping>, Error> {
        self.items
            .iter()
            .map(|item| match item {
                Node::Mapping(mapping) => Ok(mapping),
                other => Err(wrong_item(other, "a mapping")),
            })
            .collect()
    }

    /// The items themselves, all of which must be mappings.
    pub fn into_mappings(self) -> Result<Vec<Mapping>, Error> {
        self.items
            .into_iter()
            .map(|item| match item {
                Node::Mapping(mapping) => Ok(mapping),
                other => Err(wrong_item(&other, "a mapping")),
            })
            .collect()
    }
}

impl Mapping {
    /// Checks that there are no keys but these.
    pub fn expect_keys(&self, expected: &[&str]) -> Result<(), Error> {
        let unexpected = self
            .iter()
            .map(|(key, _)| key)
            .find(|key| !expected.contains(&&*key.text));
        match unexpected {
            None => Ok(()),
            Some(key) => Err(Error::new(
                &key.at,
                Problem::UnexpectedKey {
                    key: key.text.to_string(),
                    expected: expected.iter().map(|&name| name.to_owned()).collect(),
                },
            )),
        }
    }

    /// The error that a key is missing.
    pub fn missing(&self, key: &str) -> Error {
        Error::new(&self.at, Problem::MissingKey(key.to_owned()))
    }

    /// The value of a key that must be there.
    pub fn required(&self, key: &str) -> Result<&Node, Error> {
        self.get(key).ok_or_else(|| self.missing(key))
    }

    /// The string at a key.
    pub fn scalar(&self, key: &str) -> Result<Option<&Scalar>, Error> {
        match self.get(key) {
            None => Ok(None),
            Some(Node::Scalar(scalar)) => Ok(Some(scalar)),
            Some(other) => Err(wrong_type(other, key, "a string")),
        }
    }

    /// The string at a key that must be there.
    pub fn required_scalar(&self, key: &str) -> Result<&Scalar, Error> {
        self.scalar(key)?.ok_or_else(|| self.missing(key))
    }

    /// The text at a key.
    pub fn string(&self, key: &str) -> Result<Option<&str>, Error> {
        Ok(self.scalar(key)?.map(|scalar| &*scalar.value))
    }

    /// The text at a key that must be there.
    pub fn required_string(&self, key: &str) -> Result<&str, Error> {
        Ok(&self.required_scalar(key)?.value)
    }

    /// The boolean at a key.
    pub fn boolean(&self, key: &str) -> Result<Option<bool>, Error> {
        self.scalar(key)?.map(Scalar::as_bool).transpose()
    }

    /// The integer at a key.
    pub fn integer(&self, key: &str) -> Result<Option<i64>, Error> {
        self.scalar(key)?.map(Scalar::as_integer).transpose()
    }

    /// The list at a key.
    pub fn sequence(&self, key: &str) -> Result<Option<&Sequence>, Error> {
        match self.get(key) {
            None => Ok(None),
            Some(Node::Sequence(sequence)) => Ok(Some(sequence)),
            Some(other) => Err(wrong_type(other, key, "a list")),
        }
    }

    /// The texts in the list at a key; none if the key is not there.
    pub fn strings(&self, key: &str) -> Result<Vec<Arc<str>>, Error> {
        self.sequence(key)?
            .map_or_else(|| Ok(Vec::new()), Sequence::strings)
    }

    /// The mapping at a key.
    pub fn mapping(&self, key: &str) -> Result<Option<&Mapping>, Error> {
        match self.get(key) {
            None => Ok(None),
            Some(Node::Mapping(mapping)) => Ok(Some(mapping)),
            Some(other) => Err(wrong_type(other, key, "a mapping")),
        }
    }

    /// The mapping at a key, which is made if it is not there.
    pub fn mapping_or_insert(&mut self, key: &str) -> Result<&mut Self, Error> {
        let node = self
            .entries
            .get_or_insert_with(key, || Node::Mapping(Self::default()));
        match node {
            Node::Mapping(mapping) => Ok(mapping),
            other => Err(wrong_type(other, key, "a mapping")),
        }
    }

    /// The mapping at a key, taken out.
    pub fn take_mapping(&mut self, key: &str) -> Result<Option<Self>, Error> {
        self.mapping(key)?;
        Ok(match self.remove(key) {
            Some(Node::Mapping(mapping)) => Some(mapping),
            _ => None,
        })
    }

    /// The list at a key, taken out.
    pub fn take_sequence(&mut self, key: &str) -> Result<Option<Sequence>, Error> {
        self.sequence(key)?;
        Ok(match self.remove(key) {
            Some(Node::Sequence(sequence)) => Some(sequence),
            _ => None,
        })
    }
}

fn wrong_type(node: &Node, key: &str, expected: &'static str) -> Error {
    Error::new(
        node.at(),
        Problem::Type {
            key: key.to_owned(),
            expected,
            found: node.type_name(),
        },
    )
}

fn wrong_item(node: &Node, expected: &'static str) -> Error {
    Error::new(
        node.at(),
        Problem::Item {
            expected,
            found: node.type_name(),
        },
    )
}
