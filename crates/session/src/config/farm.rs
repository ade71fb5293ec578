//! Where actions are executed: `remote-execution`.

use headstart_remote::RemoteSettings;
use headstart_yaml::{Error as YamlError, Mapping};

use super::servers::settings;

/// The servers that make up a farm.
#[derive(Debug, Clone, PartialEq)]
pub struct FarmConfig {
    /// What executes.
    pub execution: RemoteSettings,
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
const ENDPOINT: &[&str] = &["url", "instance-name", "auth", "connection-config"];
const ACTION_CACHE: &[&str] = &["url", "instance-name", "auth", "connection-config", "push"];

impl FarmConfig {
    /// What a user's configuration says. Without an execution service nothing is executed elsewhere;
    /// storage may be that of `cache`.
    pub(super) fn read(mapping: &Mapping) -> Result<Option<Self>, YamlError> {
        let Some(section) = mapping.mapping("remote-execution")? else {
            return Ok(None);
        };
        section.expect_keys(SERVICES)?;
        let endpoint = |node: &Mapping| {
            node.expect_keys(ENDPOINT)?;
            settings(node, None)
        };
        let Some(execution) = section.mapping("execution-service")? else {
            return Ok(None);
        };
        let execution = endpoint(execution)?;
        let cache = mapping.mapping("cache")?;
        let storage = match section.mapping("storage-service")? {
            Some(storage) => Some(storage),
            None => cache
                .map(|cache| cache.mapping("storage-service"))
                .transpose()?
                .flatten(),
        };
        let Some(storage) = storage else {
            return Err(section.missing("storage-service"));
        };
        let mut keeps_results = false;
        let results = match section.mapping("action-cache-service")? {
            None => execution.clone(),
            Some(results) => {
                results.expect_keys(ACTION_CACHE)?;
                keeps_results = results.boolean("push")?.unwrap_or(false);
                settings(results, None)?
            }
        };
        Ok(Some(Self {
            execution,
            storage: endpoint(storage)?,
            results,
            keeps_results,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<FarmConfig>, YamlError> {
        FarmConfig::read(&headstart_yaml::parse("buildstream.conf", text).unwrap())
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
        assert!(farm.keeps_results);
        for (text, expected) in [
            (
                "remote-execution: {execution-service: {url: 'http://e'}}\n",
                "storage-service",
            ),
            ("remote-execution: {executor: {}}\n", "executor"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
