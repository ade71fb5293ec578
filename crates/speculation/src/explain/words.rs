//! Explanations in words, each a line.

use std::fmt;

use super::{Difference, Explanation, Input, InputDifference};
use crate::origin::Origin;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingStored => f.write_str("nothing is stored of an earlier build"),
            Self::Unheard => f.write_str("no recorded action makes these outputs"),
            Self::Unusable { base } => write!(f, "the recorded action {base} can't be adapted"),
            Self::NotAdapted { base, input } => {
                write!(f, "the recorded action {base} was not adapted")?;
                match input {
                    Some(input) => {
                        let origins = Listed(&input.old.origins);
                        write!(f, ": {} is another, from {origins}", input.path)
                    }
                    None => f.write_str(" in time"),
                }
            }
            Self::Differs {
                base, difference, ..
            } => write!(
                f,
                "the recorded action {base} was adapted otherwise: {difference}"
            ),
            Self::Predicted => f.write_str("it was predicted"),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<String>| match value {
            Some(value) => format!("{value:?}"),
            None => "none".to_owned(),
        };
        match self {
            Self::Argument {
                place,
                predicted,
                asked,
            } => {
                let (predicted, asked) = (text(predicted), text(asked));
                write!(f, "argument {place} is {asked}, predicted {predicted}")
            }
            Self::Variable {
                name,
                predicted,
                asked,
            } => {
                let (predicted, asked) = (text(predicted), text(asked));
                write!(f, "the variable {name} is {asked}, predicted {predicted}")
            }
            Self::Platform {
                name,
                predicted,
                asked,
            } => {
                let (predicted, asked) = (text(predicted), text(asked));
                write!(f, "the platform's {name} is {asked}, predicted {predicted}")
            }
            Self::Input(input) => input.fmt(f),
            Self::Other => f.write_str("outputs, working directory or limits"),
        }
    }
}

impl fmt::Display for InputDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |input: &Input| match input.content {
            Some(digest) => digest.to_string(),
            None => "none".to_owned(),
        };
        let (old, predicted) = (text(&self.old), text(&self.predicted));
        let (path, asked) = (&self.path, text(&self.asked));
        write!(f, "{path} is {asked}, predicted {predicted}, was {old}, ")?;
        write!(f, "from {}", Listed(&self.old.origins))
    }
}

struct Listed<'a>(&'a [Origin]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nowhere known");
        }
        for (place, origin) in self.0.iter().enumerate() {
            let before = if place == 0 { "" } else { ", or " };
            write!(f, "{before}{origin}")?;
        }
        Ok(())
    }
}
