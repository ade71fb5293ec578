//! Kind stack: a name for several elements, which all are dependencies for building and running.

use super::Input;
use crate::error::{LoadError, Problem};

pub(super) fn check(input: &Input<'_>) -> Result<(), LoadError> {
    let mut dependencies = input.dependencies.iter();
    match dependencies.find(|dependency| !(dependency.build && dependency.runtime)) {
        None => Ok(()),
        Some(dependency) => {
            let problem = Problem::StackDependency(dependency.path.to_string());
            Err(LoadError::at(dependency.at, problem))
        }
    }
}
