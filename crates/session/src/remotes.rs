//! The servers of a session: opened when they are first needed, one connection for each.
//!
//! Whatever a server does, the build goes on without it. That is said once.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use headstart_project::ProjectId;
use headstart_remote::{Farm, Remote, RemoteError, RemoteExecutor, RemoteSettings, Wire};

use crate::config::{Caches, Server};
use crate::error::SessionError;
use crate::session::Session;

/// What servers keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    Artifacts,
    Sources,
}

/// The servers of one purpose for one project.
#[derive(Default)]
pub(crate) struct Group {
    /// Those that know what names stand for.
    pub(crate) index: Vec<Remote>,
    /// Those that have contents.
    pub(crate) storage: Vec<Remote>,
    /// Those of both that are pushed to.
    pub(crate) push_index: Vec<Remote>,
    pub(crate) push_storage: Vec<Remote>,
    /// The one that keeps the contents of this machine's cache too, if there is one. It is among those
    /// that have contents, and those that are pushed to.
    pub(crate) own: Option<Remote>,
}

impl Group {
    /// Whether anything can be had from them.
    pub(crate) fn can_pull(&self) -> bool {
        !self.index.is_empty() && !self.storage.is_empty()
    }

    /// Whether anything can be given to them.
    pub(crate) fn can_push(&self) -> bool {
        let anywhere = !self.push_index.is_empty() || self.own.is_some();
        anywhere && !self.push_storage.is_empty()
    }
}

/// The servers of a session.
#[derive(Default)]
pub(crate) struct Remotes {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    wire: Option<Wire>,
    /// Those that can't be opened have been complained of.
    open: HashMap<RemoteSettings, Option<Remote>>,
    groups: HashMap<(Purpose, ProjectId), Arc<Group>>,
    complained: HashSet<String>,
}

impl Remotes {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the first of some servers gives that has it. Those that fail are complained of.
    pub(crate) fn first_of<T>(
        &self,
        servers: &[Remote],
        ask: impl Fn(&Remote) -> Result<Option<T>, RemoteError>,
    ) -> Option<T> {
        servers.iter().find_map(|server| {
            ask(server).unwrap_or_else(|error| {
                self.complain(&error);
                None
            })
        })
    }

    /// Says that a server is of no use for something, unless that was said before.
    pub(crate) fn complain(&self, error: &RemoteError) {
        let mut state = self.state();
        let words = error.to_string();
        // One that can't be reached fails in many words, all of which mean the same.
        let key = match error {
            RemoteError::Call { url, .. } if error.is_unreachable() => url.clone(),
            _ => words.clone(),
        };
        if state.complained.insert(key) {
            tracing::warn!("{words}; going on without it");
        }
    }
}

impl State {
    fn open(&mut self, settings: &RemoteSettings) -> Option<Remote> {
        if let Some(known) = self.open.get(settings) {
            return known.clone();
        }
        let wire = match &self.wire {
            Some(wire) => Ok(wire.clone()),
            None => Wire::new(),
        };
        let opened = wire.and_then(|wire| {
            self.wire = Some(wire.clone());
            Remote::new(settings.clone(), &wire)
        });
        let opened = opened.inspect_err(|error| tracing::warn!("{error}; going on without it"));
        let opened = opened.ok();
        self.open.insert(settings.clone(), opened.clone());
        opened
    }

    fn group(&mut self, servers: &[Server], own: Option<&RemoteSettings>) -> Group {
        let mut group = Group::default();
        for server in servers {
            let Some(remote) = self.open(&server.settings) else {
                continue;
            };
            if server.index {
                group.index.push(remote.clone());
                if server.push {
                    group.push_index.push(remote.clone());
                }
            }
            if server.storage {
                group.storage.push(remote.clone());
                if server.push {
                    group.push_storage.push(remote);
                }
            }
        }
        if group.push_index.is_empty() {
            // Nobody would find what is there.
            group.push_storage.clear();
        }
        let own = own.and_then(|settings| self.open(settings));
        group.storage.extend(own.clone());
        group.push_storage.extend(own.clone());
        group.own = own;
        group
    }
}

impl Session {
    /// The machines that execute actions, or remember their results, if there are any.
    pub(crate) fn farm(&self) -> Option<RemoteExecutor> {
        let config = self.config.farm.as_ref()?;
        let mut state = self.remotes.state();
        let farm = Farm {
            storage: state.open(&config.storage)?,
            execution: match &config.execution {
                Some(execution) => Some(state.open(execution)?),
                None => None,
            },
            results: state.open(&config.results)?,
            keeps_results: config.keeps_results,
        };
        Some(RemoteExecutor::new(farm, self.store.clone()))
    }

    /// The servers for artifacts of a project, which need not be loaded.
    pub(crate) fn servers_of(&self, project: &str) -> Result<Arc<Group>, SessionError> {
        if let Some(id) = self.projects.called(project) {
            return self.servers(Purpose::Artifacts, id);
        }
        let servers = self.config.artifacts.of_project(project, Vec::new());
        let own = self.config.storage_service.as_ref();
        Ok(Arc::new(self.remotes.state().group(&servers, own)))
    }

    /// The servers for a project.
    pub(crate) fn servers(
        &self,
        purpose: Purpose,
        project: ProjectId,
    ) -> Result<Arc<Group>, SessionError> {
        let key = (purpose, project);
        if let Some(group) = self.remotes.state().groups.get(&key) {
            return Ok(Arc::clone(group));
        }
        let caches: &Caches = match purpose {
            Purpose::Artifacts => &self.config.artifacts,
            Purpose::Sources => &self.config.source_caches,
        };
        // What projects further up recommend comes first, as in BuildStream.
        let mut recommended = Vec::new();
        let ancestry = self.ancestry(project);
        for project in ancestry.iter().rev() {
            let base = self.root.join(project.directory());
            let servers = match purpose {
                Purpose::Artifacts => project.artifact_servers(),
                Purpose::Sources => project.source_servers(),
            };
            for server in servers {
                recommended.push(Server::described(server, Some(&base))?);
            }
        }
        let project = ancestry.first().map_or("", |project| project.name());
        let servers = caches.of_project(project, recommended);
        let mut state = self.remotes.state();
        let group = Arc::new(state.group(&servers, self.config.storage_service.as_ref()));
        state.groups.insert(key, Arc::clone(&group));
        Ok(group)
    }
}
