//! The YAML texts that artifacts carry: environment, sandbox, variables and public data.
//!
//! They are the same bytes as BuildStream's, so that contents are shared and what looks at them sees no
//! difference. See `_artifact.py` of BuildStream.

use std::sync::Arc;

use headstart_yaml::{Mapping, Scalar, to_text};

use crate::element::{Element, Sandbox};

impl Element {
    /// What many artifacts share (`low_diversity_meta`): environment and sandbox.
    ///
    /// `environment` has what the element's commands were given in place of what its file says.
    pub fn low_diversity_meta(&self, environment: Option<&[(String, String)]>) -> String {
        let mut meta = Mapping::default();
        let environment = match environment {
            Some(variables) => {
                let mut mapping = Mapping::default();
                for (name, value) in variables {
                    mapping.insert(&**name, Scalar::synthetic(&**value));
                }
                mapping
            }
            None => strings(self.environment.iter()),
        };
        meta.insert("environment", environment);
        meta.insert("sandbox-config", sandbox(&self.sandbox));
        to_text(&meta)
    }

    /// What no two artifacts share (`high_diversity_meta`): all variables.
    pub fn high_diversity_meta(&self) -> String {
        let mut meta = Mapping::default();
        meta.insert("variables", strings(self.variables.iter()));
        to_text(&meta)
    }

    /// The public data (`public_data`), with these integration commands in place of the element's
    /// own if there are any: a filter can take over those of what it filters.
    pub fn public_data(&self, integration_commands: Option<&[Arc<str>]>) -> String {
        let Some(commands) = integration_commands else {
            return to_text(&self.public.data);
        };
        let mut data = self.public.data.clone();
        if let Ok(bst) = data.mapping_or_insert("bst") {
            let items = commands
                .iter()
                .map(|command| Scalar::synthetic(command.clone()).into());
            let at = bst.at.clone();
            let items = items.collect();
            bst.insert(
                "integration-commands",
                headstart_yaml::Sequence { at, items },
            );
        }
        to_text(&data)
    }
}

fn strings<'a>(entries: impl IntoIterator<Item = (&'a Arc<str>, &'a Arc<str>)>) -> Mapping {
    let mut mapping = Mapping::default();
    for (key, value) in entries {
        mapping.insert(&**key, Scalar::synthetic(value.clone()));
    }
    mapping
}

fn sandbox(sandbox: &Sandbox) -> Mapping {
    let mut mapping = Mapping::default();
    let mut set = |key: &str, value: &str| mapping.insert(key, Scalar::synthetic(value));
    set("build-os", &sandbox.build_os);
    set("build-arch", sandbox.build_arch);
    if let Some(uid) = sandbox.build_uid {
        set("build-uid", &uid.to_string());
    }
    if let Some(gid) = sandbox.build_gid {
        set("build-gid", &gid.to_string());
    }
    if let Some(socket) = &sandbox.remote_apis_socket {
        let mut node = Mapping::default();
        node.insert("path", Scalar::synthetic(socket.path.clone()));
        if socket.action_cache_enable_update {
            node.insert("action-cache-enable-update", Scalar::synthetic("True"));
        }
        mapping.insert("remote-apis-socket", node);
    }
    mapping
}
