//! Servers as configurations describe them: `artifacts` and `source-caches` of a project, and the same
//! and others of the user.
//!
//! They are read when a project is loaded, so that a mistake is told then, as BuildStream does it, and
//! not only when a server is needed. How they are reached is none of the model's business.

use std::sync::Arc;

use headstart_yaml::{Error as YamlError, Mapping, Scalar, Sequence};

/// A server as it is described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSpec {
    /// Its address, of any form but not empty.
    pub url: Scalar,
    /// What it calls the cache that is meant.
    pub instance: Option<Arc<str>>,
    /// Whether it knows what names stand for.
    pub index: bool,
    /// Whether it has contents.
    pub storage: bool,
    /// Whether it is given what is built and fetched.
    pub push: bool,
    /// Files that it is known by, and that it knows this side by, as written.
    pub auth: ServerAuth,
    /// `connection-config` as written: looked at when the server is needed, as BuildStream does it.
    pub connection: Mapping,
}

/// Paths of files for a server, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerAuth {
    /// Certificates of whom to trust.
    pub server_cert: Option<Arc<str>>,
    /// The own certificate; there if and only if the key is.
    pub client_cert: Option<Arc<str>>,
    /// Its key.
    pub client_key: Option<Arc<str>>,
    /// A token to show.
    pub access_token: Option<Arc<str>>,
    /// After how many minutes that is read again.
    pub reload: Option<i64>,
}

/// What a description is for, and so which keys it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerUse {
    /// For artifacts or sources: a `type` and `push`.
    Cache,
    /// For results of actions: `push`.
    Results,
    /// For anything else.
    Service,
}

impl ServerUse {
    fn keys(self) -> &'static [&'static str] {
        let all = &[
            "url",
            "instance-name",
            "auth",
            "connection-config",
            "push",
            "type",
        ];
        match self {
            Self::Cache => all,
            Self::Results => &all[..5],
            Self::Service => &all[..4],
        }
    }
}

impl ServerSpec {
    /// Reads a description.
    pub fn read(node: &Mapping, used: ServerUse) -> Result<Self, YamlError> {
        let (index, storage) = match node.scalar("type")?.filter(|_| used == ServerUse::Cache) {
            None => (true, true),
            Some(scalar) => Self::roles(&scalar.value)
                .ok_or_else(|| scalar.unlike("'index', 'storage' or 'all'"))?,
        };
        let push = match used {
            ServerUse::Service => None,
            _ => node.boolean("push")?,
        };
        node.expect_keys(used.keys())?;
        let url = node.required_scalar("url")?;
        if url.value.is_empty() {
            return Err(url.unlike("an address"));
        }
        let none = Mapping::default();
        Ok(Self {
            url: url.clone(),
            instance: node.scalar("instance-name")?.map(|it| it.value.clone()),
            index,
            storage,
            push: push.unwrap_or(false),
            auth: ServerAuth::read(node.mapping("auth")?.unwrap_or(&none))?,
            connection: node.mapping("connection-config")?.cloned().unwrap_or(none),
        })
    }

    /// The descriptions in a list; none if there is no list.
    pub(crate) fn read_all(config: &Mapping, key: &str) -> Result<Vec<Self>, YamlError> {
        let servers = config.sequence(key)?.map(Sequence::mappings).transpose()?;
        let servers = servers.into_iter().flatten();
        servers
            .map(|node| Self::read(node, ServerUse::Cache))
            .collect()
    }

    /// Whether a server of a type knows what names stand for, and whether it has contents.
    pub fn roles(name: &str) -> Option<(bool, bool)> {
        match name {
            "index" => Some((true, false)),
            "storage" => Some((false, true)),
            "all" => Some((true, true)),
            // BuildStream takes it, and uses the server for nothing.
            "endpoint" => Some((false, false)),
            _ => None,
        }
    }
}

impl ServerAuth {
    fn read(node: &Mapping) -> Result<Self, YamlError> {
        node.expect_keys(&[
            "server-cert",
            "client-key",
            "client-cert",
            "access-token",
            "access-token-reload-interval",
        ])?;
        let path = |key: &str| {
            let path = node.scalar(key)?.map(|it| it.value.clone());
            Ok(path.filter(|path| !path.is_empty()))
        };
        let auth = Self {
            server_cert: path("server-cert")?,
            client_cert: path("client-cert")?,
            client_key: path("client-key")?,
            access_token: path("access-token")?,
            reload: node.integer("access-token-reload-interval")?,
        };
        let alone = match (&auth.client_cert, &auth.client_key) {
            (Some(_), None) => node.scalar("client-cert")?,
            (None, Some(_)) => node.scalar("client-key")?,
            _ => None,
        };
        match alone {
            Some(scalar) => Err(scalar.unlike("'client-key' and 'client-cert' together")),
            None => Ok(auth),
        }
    }
}
