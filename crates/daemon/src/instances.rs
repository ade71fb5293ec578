//! Which tenant an instance name means.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tonic::Status;

use crate::tenant::Tenant;

/// How many named instances there are at most. Clients have them made, and never say when they are done
/// with one; what was asked for longest ago is forgotten then.
const MOST: usize = 128;

/// The instances of one server, by name.
#[derive(Clone)]
pub struct Instances(Arc<Inner>);

struct Inner {
    nameless: Tenant,
    named: Mutex<Named>,
}

#[derive(Default)]
struct Named {
    tenants: HashMap<String, Used>,
    /// How often any was asked for.
    asked: u64,
}

struct Used {
    tenant: Tenant,
    /// What `asked` was when this one was asked for last.
    last: u64,
}

impl Named {
    fn find(&mut self, name: &str) -> Option<Tenant> {
        self.asked += 1;
        let used = self.tenants.get_mut(name)?;
        used.last = self.asked;
        Some(used.tenant.clone())
    }

    /// Adds one; gives another if it had to go for that.
    fn add(&mut self, name: &str, tenant: Tenant) -> Option<Used> {
        self.asked += 1;
        let last = self.asked;
        self.tenants.insert(name.to_owned(), Used { tenant, last });
        if self.tenants.len() <= MOST {
            return None;
        }
        let oldest = self.tenants.iter().min_by_key(|(_, used)| used.last);
        let oldest = oldest.map(|(name, _)| name.clone())?;
        self.tenants.remove(&oldest)
    }
}

impl Instances {
    /// A server with one instance, which has no name.
    pub fn one(tenant: Tenant) -> Self {
        Self(Arc::new(Inner {
            nameless: tenant,
            named: Mutex::default(),
        }))
    }

    fn named(&self) -> MutexGuard<'_, Named> {
        self.0.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an instance, unless there is one with the same name. What was asked for longest ago is
    /// forgotten when there are too many; whoever works with it does so to the end.
    ///
    /// # Errors
    /// That of `make`.
    pub(crate) fn add<E>(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<Tenant, E>,
    ) -> Result<(), E> {
        if self.named().find(name).is_some() {
            return Ok(());
        }
        let tenant = make()?;
        let mut named = self.named();
        // Somebody else may have been quicker; one that is used must stay.
        let forgotten = match named.find(name) {
            Some(_) => None,
            None => named.add(name, tenant),
        };
        drop(named);
        // Connections are closed with it, which nobody has to wait for.
        drop(forgotten);
        Ok(())
    }

    /// The tenant behind a name.
    #[allow(clippy::result_large_err)]
    pub(crate) fn find(&self, name: &str) -> Result<Tenant, Status> {
        if name.is_empty() {
            return Ok(self.0.nameless.clone());
        }
        let mut named = self.named();
        named.find(name).ok_or_else(|| {
            let expected = match named.tenants.is_empty() {
                true => "an empty instance name",
                false => {
                    "an empty one, or one that this server has given and was asked for of late"
                }
            };
            Status::invalid_argument(format!(
                "Invalid instance name: there is no instance {name:?} here: expected {expected}"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use headstart_execution::{
        BoxFuture, CancellationToken, Sandbox, SandboxError, SandboxOutcome, SandboxRequest,
    };
    use headstart_store::{MemoryActionCache, MemoryBlobs};

    use super::*;
    use crate::executor::{LocalExecutor, Resources};

    struct NoSandbox;

    impl Sandbox for NoSandbox {
        fn run(
            &self,
            _: SandboxRequest,
            _: CancellationToken,
        ) -> BoxFuture<'_, Result<SandboxOutcome, SandboxError>> {
            Box::pin(std::future::ready(Err(SandboxError::Cancelled)))
        }
    }

    fn tenant() -> Tenant {
        let executor = LocalExecutor::new(Resources {
            store: Arc::new(MemoryBlobs::default()),
            cache: Arc::new(MemoryActionCache::default()),
            sandbox: Arc::new(NoSandbox),
            slots: 1,
        });
        Tenant::outside(executor, true, CancellationToken::new())
    }

    #[tokio::test]
    async fn what_was_asked_for_longest_ago_is_forgotten() {
        let instances = Instances::one(tenant());
        let add = |name: &str| instances.add(name, || Ok::<_, Status>(tenant())).unwrap();
        for number in 0..MOST {
            add(&format!("remotes-{number}"));
        }
        // Two are asked for again, one of them to be made.
        instances.find("remotes-0").unwrap();
        add("remotes-1");
        for number in MOST..MOST + 10 {
            add(&format!("remotes-{number}"));
        }
        assert_eq!(instances.named().tenants.len(), MOST);
        for kept in ["", "remotes-0", "remotes-1", "remotes-12", "remotes-137"] {
            instances.find(kept).unwrap();
        }
        let refused = instances.find("remotes-2").err().unwrap();
        assert!(refused.message().contains("remotes-2"), "{refused}");
        instances
            .add("remotes-3", || Err(Status::internal("can't be made")))
            .unwrap_err();
        assert!(instances.find("remotes-3").is_err());
    }
}
