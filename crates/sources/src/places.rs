//! Trying the places where something can be had, one after the other.

use headstart_project::{Address, Location, Place};

use crate::error::SourceError;

/// Tries to get what is at an address, from its mirrors first.
pub(crate) fn fetch_from_first<T>(
    address: &Address,
    attempt: impl FnMut(&Location) -> Result<T, SourceError>,
) -> Result<T, SourceError> {
    first_that_works(address, &address.places, attempt)
}

/// Tries to get something newer than what is known of an address, from its own place first.
pub(crate) fn track_at_first<T>(
    address: &Address,
    attempt: impl FnMut(&Location) -> Result<T, SourceError>,
) -> Result<T, SourceError> {
    first_that_works(address, &address.tracking, attempt)
}

/// Tries a thing at each place until it works. Where a tool fails, or a repository has no such commit,
/// the next is tried; other errors end it.
fn first_that_works<T>(
    address: &Address,
    places: &[Place],
    mut attempt: impl FnMut(&Location) -> Result<T, SourceError>,
) -> Result<T, SourceError> {
    let mut reasons = Vec::new();
    let mut missing = None;
    for place in places {
        let locations = match place.locations() {
            Ok(locations) => locations,
            Err(error) => {
                reasons.push(error.to_string());
                continue;
            }
        };
        for location in locations {
            match attempt(&location) {
                Ok(found) => return Ok(found),
                Err(SourceError::Tool { said, .. }) => {
                    reasons.push(format!("{}: {said}", location.url));
                }
                Err(error @ SourceError::NoCommit { .. }) => missing = Some(error),
                Err(error) => return Err(error),
            }
        }
    }
    if let Some(missing) = missing
        && reasons.is_empty()
    {
        return Err(missing);
    }
    if reasons.is_empty() {
        reasons.push("no mirror has it".to_owned());
    }
    Err(SourceError::Fetch {
        url: address.url.to_string(),
        reasons,
    })
}
