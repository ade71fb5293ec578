//! Servers that a user's configuration, a project or the command line names: BuildStream's
//! `artifacts`, `source-caches` and what else is described by `url`, `instance-name`, `auth` and
//! `connection-config`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use headstart_project::{ServerSpec, ServerUse};
use headstart_remote::{Pem, RemoteSettings, Tls, TokenFile};
use headstart_yaml::{Error as YamlError, Mapping, Scalar, Sequence};
use thiserror::Error;

use super::expand;

/// Servers for artifacts or for sources, as one place names them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Servers {
    /// Whether what projects recommend is passed over.
    pub override_projects: bool,
    /// The servers, in the order in which they are asked.
    pub list: Vec<Server>,
}

/// A server of artifacts or sources.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Whether it knows what names stand for.
    pub index: bool,
    /// Whether it has contents.
    pub storage: bool,
    /// Whether it is given what is built and fetched.
    pub push: bool,
    /// How it is reached.
    pub settings: RemoteSettings,
}

/// A server that the command line describes wrongly.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{text:?} does not describe a server: {reason}")]
pub struct InvalidServer {
    text: String,
    reason: String,
}

const CONNECTION: &[&str] = &[
    "keepalive-time",
    "retry-limit",
    "retry-delay",
    "request-timeout",
];
const ADDRESS: &str = "http://, https://, grpc:// or grpcs:// with HOST:PORT, or unix:PATH";

impl Servers {
    /// What `artifacts` or `source-caches` of a user's configuration says.
    pub(crate) fn read(section: Option<&Mapping>) -> Result<Self, YamlError> {
        let Some(section) = section else {
            return Ok(Self::default());
        };
        section.expect_keys(&["override-project-caches", "servers"])?;
        let servers = section.sequence("servers")?.map(Sequence::mappings);
        let servers = servers.transpose()?.unwrap_or_default();
        let list = servers.into_iter().map(Server::read);
        Ok(Self {
            override_projects: section.boolean("override-project-caches")?.unwrap_or(false),
            list: list.collect::<Result<_, _>>()?,
        })
    }
}

impl Server {
    /// A server that a user's configuration describes.
    pub(super) fn read(node: &Mapping) -> Result<Self, YamlError> {
        Self::described(&ServerSpec::read(node, ServerUse::Cache)?, None)
    }

    /// A server as it is described. Paths of files are relative to `base`.
    pub(crate) fn described(spec: &ServerSpec, base: Option<&Path>) -> Result<Self, YamlError> {
        Ok(Self {
            index: spec.index,
            storage: spec.storage,
            push: spec.push,
            settings: settings(spec, base)?,
        })
    }

    /// A server as `--artifact-remote` and `--source-remote` describe it: a URL, or `KEY=VALUE` several
    /// times with commas between, of which one is `url`. It is pushed to unless that is forbidden.
    pub fn parse(text: &str) -> Result<Self, InvalidServer> {
        let invalid = |reason: String| InvalidServer {
            text: text.to_owned(),
            reason,
        };
        let mut server = Self {
            index: true,
            storage: true,
            push: true,
            settings: RemoteSettings::new(""),
        };
        if !text.contains(',') && !text.starts_with("url=") {
            server.settings.url = text.to_owned();
        } else {
            for part in text.split(',') {
                let (key, value) = part
                    .split_once('=')
                    .ok_or_else(|| invalid(format!("expected KEY=VALUE in place of {part:?}")))?;
                server.set(key, value).map_err(invalid)?;
            }
        }
        match server.settings.is_address() {
            true => Ok(server),
            false => Err(invalid(format!("expected an address: {ADDRESS}"))),
        }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let pem = || Some(Pem::File(expand(value)));
        let settings = &mut self.settings;
        match key {
            "url" => value.clone_into(&mut settings.url),
            "instance-name" => value.clone_into(&mut settings.instance),
            "server-cert" => settings.tls.server_cert = pem(),
            "client-key" => settings.tls.client_key = pem(),
            "client-cert" => settings.tls.client_cert = pem(),
            "access-token" => {
                settings.token = Some(TokenFile {
                    path: expand(value),
                    reload: None,
                });
            }
            "type" => {
                (self.index, self.storage) = ServerSpec::roles(value)
                    .filter(|roles| *roles != (false, false))
                    .ok_or("type must be 'index', 'storage' or 'all'")?;
            }
            "push" => {
                self.push = match value {
                    "True" | "true" => true,
                    "False" | "false" => false,
                    _ => return Err("push must be 'true' or 'false'".to_owned()),
                }
            }
            _ => return Err(format!("there is no key {key:?}")),
        }
        Ok(())
    }
}

/// The server that the section `cache` names for its contents.
pub(super) fn storage_service(cache: &Mapping) -> Result<Option<RemoteSettings>, YamlError> {
    let Some(node) = cache.mapping("storage-service")? else {
        return Ok(None);
    };
    settings(&ServerSpec::read(node, ServerUse::Cache)?, None).map(Some)
}

/// How a server is reached. Paths of files are relative to `base`.
pub(super) fn settings(
    spec: &ServerSpec,
    base: Option<&Path>,
) -> Result<RemoteSettings, YamlError> {
    let mut settings = RemoteSettings::new(&*spec.url.value);
    if !settings.is_address() {
        return Err(spec.url.unlike(ADDRESS));
    }
    settings.instance = spec.instance.as_deref().unwrap_or_default().to_owned();
    let path = |path: &Option<Arc<str>>| {
        let path = expand(path.as_deref()?);
        Some(base.map_or(path.clone(), |base| base.join(path)))
    };
    let auth = &spec.auth;
    settings.tls = Tls {
        server_cert: path(&auth.server_cert).map(Pem::File),
        client_cert: path(&auth.client_cert).map(Pem::File),
        client_key: path(&auth.client_key).map(Pem::File),
    };
    settings.token = path(&auth.access_token).map(|path| TokenFile {
        path,
        // Before it was read is never: it is read each time.
        reload: auth.reload.map(|minutes| {
            let minutes = u64::try_from(minutes).unwrap_or_default();
            Duration::from_secs(minutes.saturating_mul(60))
        }),
    });
    let connection = &spec.connection;
    connection.expect_keys(CONNECTION)?;
    settings.keepalive = amount(connection, "keepalive-time")?
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs);
    if let Some(retries) = amount(connection, "retry-limit")? {
        settings.retries = u32::try_from(retries).unwrap_or(u32::MAX);
    }
    if let Some(milliseconds) = amount(connection, "retry-delay")? {
        settings.retry_delay = Duration::from_millis(milliseconds);
    }
    if let Some(seconds) = amount(connection, "request-timeout")?.filter(|seconds| *seconds > 0) {
        settings.request_timeout = Duration::from_secs(seconds);
    }
    Ok(settings)
}

fn amount(node: &Mapping, key: &str) -> Result<Option<u64>, YamlError> {
    let read = |scalar: &Scalar| {
        let number = u64::try_from(scalar.as_integer()?);
        number.map_err(|_| scalar.unlike("a number of zero or more"))
    };
    node.scalar(key)?.map(read).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Servers, YamlError> {
        Servers::read(Some(
            &headstart_yaml::parse("buildstream.conf", text).unwrap(),
        ))
    }

    #[test]
    fn servers_have_buildstreams_keys() {
        let servers = read(
            "override-project-caches: true\n\
             servers:\n\
             - url: https://cache.example.com:11001\n\
             \x20 type: storage\n\
             \x20 push: true\n\
             \x20 instance-name: main\n\
             \x20 auth: {server-cert: s.crt, client-key: /k, client-cert: /c, access-token: /t,\n\
             \x20        access-token-reload-interval: 2}\n\
             \x20 connection-config: {keepalive-time: 60, retry-limit: 3, retry-delay: 500,\n\
             \x20                     request-timeout: 5}\n\
             - url: http://localhost:80\n",
        );
        let servers = servers.unwrap();
        assert!(servers.override_projects);
        let [first, second] = &servers.list[..] else {
            panic!("{servers:?}");
        };
        assert_eq!(
            (first.index, first.storage, first.push),
            (false, true, true)
        );
        let expected = RemoteSettings {
            instance: "main".into(),
            tls: Tls {
                server_cert: Some(Pem::File("s.crt".into())),
                client_cert: Some(Pem::File("/c".into())),
                client_key: Some(Pem::File("/k".into())),
            },
            token: Some(TokenFile {
                path: "/t".into(),
                reload: Some(Duration::from_secs(120)),
            }),
            keepalive: Some(Duration::from_secs(60)),
            retries: 3,
            retry_delay: Duration::from_millis(500),
            request_timeout: Duration::from_secs(5),
            ..RemoteSettings::new("https://cache.example.com:11001")
        };
        assert_eq!(first.settings, expected);
        assert_eq!(
            (second.index, second.storage, second.push),
            (true, true, false)
        );
    }

    #[test]
    fn files_of_projects_are_below_them() {
        let node = "url: https://h\nauth: {server-cert: keys/s.crt, access-token: /t}\n";
        let node = headstart_yaml::parse("project.conf", node).unwrap();
        let spec = ServerSpec::read(&node, ServerUse::Cache).unwrap();
        let settings = settings(&spec, Some(Path::new("/project"))).unwrap();
        let expected = Some(Pem::File("/project/keys/s.crt".into()));
        assert_eq!(settings.tls.server_cert, expected);
        assert_eq!(settings.token.unwrap().path, Path::new("/t"));
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        for (text, expected) in [
            ("servers:\n- {url: 'ftp://host'}\n", "buildstream.conf:2:9"),
            ("servers:\n- {push: true}\n", "url"),
            (
                "servers:\n- {url: 'http://h', type: both}\n",
                "'index', 'storage' or 'all'",
            ),
            (
                "servers:\n- {url: 'http://h', auth: {client-key: k}}\n",
                "together",
            ),
            ("servers:\n- {url: 'http://h', tipe: all}\n", "tipe"),
            (
                "servers:\n- {url: 'http://h', connection-config: {retry-limit: -1}}\n",
                "zero or more",
            ),
            ("servers: {url: 'http://h'}\n", "servers"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn the_command_line_names_servers_too() {
        let server = Server::parse("http://localhost:9").unwrap();
        assert_eq!(server.settings.url, "http://localhost:9");
        assert!(server.index && server.storage && server.push);
        let server = Server::parse("url=https://h,type=index,push=False,instance-name=i").unwrap();
        assert!(server.index && !server.storage && !server.push);
        assert_eq!(server.settings.instance, "i");
        for bad in [
            "",
            "host",
            "url=http://h,push=maybe",
            "url=http://h,x=y",
            "type=all,index",
            "a,b",
        ] {
            assert!(Server::parse(bad).is_err(), "{bad}");
        }
    }
}
