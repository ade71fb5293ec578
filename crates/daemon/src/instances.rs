//! Which tenant an instance name means.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tonic::Status;

use crate::tenant::Tenant;

/// The instances of one server, by name.
#[derive(Clone)]
pub struct Instances(Arc<Inner>);

struct Inner {
    nameless: Tenant,
    named: RwLock<HashMap<String, Tenant>>,
}

impl Instances {
    /// A server with one instance, which has no name.
    pub fn one(tenant: Tenant) -> Self {
        Self(Arc::new(Inner {
            nameless: tenant,
            named: RwLock::default(),
        }))
    }

    /// Adds an instance, in place of one with the same name.
    pub fn add(&self, name: &str, tenant: Tenant) {
        let mut named = self.0.named.write().unwrap_or_else(PoisonError::into_inner);
        named.insert(name.to_owned(), tenant);
    }

    /// The tenant behind a name.
    #[allow(clippy::result_large_err)]
    pub(crate) fn find(&self, name: &str) -> Result<Tenant, Status> {
        if name.is_empty() {
            return Ok(self.0.nameless.clone());
        }
        let named = self.0.named.read().unwrap_or_else(PoisonError::into_inner);
        named.get(name).cloned().ok_or_else(|| {
            let expected = match named.is_empty() {
                true => "an empty instance name",
                false => "an empty one, or one that this server has given",
            };
            Status::invalid_argument(format!(
                "Invalid instance name: there is no instance {name:?} here: expected {expected}"
            ))
        })
    }
}
