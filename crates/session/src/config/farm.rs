//! Where actions are executed: `remote-execution`.

use headstart_project::{ServerSpec, ServerUse};
use headstart_remote::RemoteSettings;
use headstart_yaml::{Error as YamlError, Mapping};

use super::servers::settings;

/// The servers that make up a farm.
#[derive(Debug, Clone, PartialEq)]
pub struct FarmConfig {
    /// What executes; `None` if results are only remembered there.
    pub execution: Option<RemoteSettings>,
    /// Where inputs and outputs are.
    pub storage: RemoteSettings,
    /// Where results are.
    pub results: RemoteSettings,
    /// Whether results that were come by here are given to that.
    pub keeps_results: bool,
}

const SERVICES: &[&str] = &[
    "execution-service",
    "storage-service",
    "action-cache-service",
];

impl FarmConfig {
    /// What a user's configuration says; storage may be that of `cache`.
    pub(super) fn read(
        section: &Mapping,
        of_cache: Option<&RemoteSettings>,
    ) -> Result<Self, YamlError> {
        section.expect_keys(SERVICES)?;
        let read = |key: &str, used| -> Result<Option<ServerSpec>, YamlError> {
            let node = section.mapping(key)?;
            node.map(|node| ServerSpec::read(node, used)).transpose()
        };
        let execution = read("execution-service", ServerUse::Service)?;
        let storage = read("storage-service", ServerUse::Service)?;
        let storage = storage.map(|spec| settings(&spec, None)).transpose()?;
        let storage = storage.or_else(|| of_cache.cloned());
        let storage = storage.ok_or_else(|| section.missing("storage-service"))?;
        let results = read("action-cache-service", ServerUse::Results)?;
        let execution = execution.map(|spec| settings(&spec, None)).transpose()?;
        let keeps_results = results.as_ref().is_some_and(|results| results.push);
        let results = results.map(|spec| settings(&spec, None)).transpose()?;
        let results = results.or_else(|| execution.clone());
        Ok(Self {
            results: results.ok_or_else(|| section.missing("execution-service"))?,
            execution,
            storage,
            keeps_results,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::servers::storage_service;

    fn read(text: &str) -> Result<Option<FarmConfig>, YamlError> {
        let config = headstart_yaml::parse("buildstream.conf", text)?;
        let cache = storage_service(config.mapping("cache")?.unwrap_or(&Mapping::default()))?;
        let section = config.mapping("remote-execution")?;
        let farm = section.map(|section| FarmConfig::read(section, cache.as_ref()));
        farm.transpose()
    }

    #[test]
    fn services_may_be_one_or_three() {
        assert_eq!(read("cachedir: /c\n").unwrap(), None);
        let farm = read(
            "cache: {storage-service: {url: 'http://s'}}\n\
             remote-execution:\n\
             \x20 execution-service: {url: 'http://e', instance-name: i}\n",
        );
        let farm = farm.unwrap().unwrap();
        assert_eq!(
            (&*farm.storage.url, &*farm.results.url),
            ("http://s", "http://e")
        );
        assert_eq!(farm.results.instance, "i");
        let farm = read(
            "remote-execution:\n\
             \x20 execution-service: {url: 'http://e'}\n\
             \x20 storage-service: {url: 'http://s'}\n\
             \x20 action-cache-service: {url: 'http://r', push: true}\n",
        );
        let farm = farm.unwrap().unwrap();
        assert_eq!(&*farm.results.url, "http://r");
        assert!(farm.keeps_results && farm.execution.is_some());
        let remembers = read(
            "remote-execution:\n\
             \x20 storage-service: {url: 'http://s'}\n\
             \x20 action-cache-service: {url: 'http://r'}\n",
        );
        let remembers = remembers.unwrap().unwrap();
        assert!(!remembers.keeps_results && remembers.execution.is_none());
        for (text, expected) in [
            (
                "remote-execution: {execution-service: {url: 'http://e'}}\n",
                "storage-service",
            ),
            ("remote-execution: {executor: {}}\n", "executor"),
            (
                "remote-execution: {storage-service: {url: 'http://s'}}\n",
                "execution-service",
            ),
            (
                "remote-execution: {storage-service: {url: 'http://s', push: true}}\n",
                "push",
            ),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
