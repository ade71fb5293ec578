//! Which servers count for a project.

use std::collections::HashMap;

use headstart_yaml::{Error as YamlError, Mapping};

use super::servers::{Server, Servers};

/// Servers of one purpose, from all places that name them but projects themselves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Caches {
    /// Those that the configuration names for all projects.
    pub all: Servers,
    /// Those that it names for single ones, in place of these.
    pub of_projects: HashMap<String, Servers>,
    /// Those that the command line names, in place of all these.
    pub command_line: Servers,
}

impl Caches {
    pub(super) fn read(mapping: &Mapping, key: &str) -> Result<Self, YamlError> {
        let mut of_projects = HashMap::new();
        if let Some(projects) = mapping.mapping("projects")? {
            for (name, _) in projects.iter() {
                let project = projects.mapping(&name.text)?;
                let section = project.map(|project| project.mapping(key)).transpose()?;
                if let Some(section) = section.flatten() {
                    of_projects.insert(name.text.to_string(), Servers::read(Some(section))?);
                }
            }
        }
        Ok(Self {
            all: Servers::read(mapping.mapping(key)?)?,
            of_projects,
            command_line: Servers::default(),
        })
    }

    /// The servers for a project, if it and those that it is joined to by recommend `recommended`.
    pub(crate) fn of_project(&self, project: &str, recommended: Vec<Server>) -> Vec<Server> {
        let Self {
            all,
            of_projects,
            command_line,
        } = self;
        if command_line.override_projects && !command_line.list.is_empty() {
            return command_line.list.clone();
        }
        let its = of_projects.get(project);
        let its_own = its.filter(|servers| !servers.list.is_empty());
        let mut servers = match command_line.list.is_empty() {
            true => its_own.unwrap_or(all).list.clone(),
            false => command_line.list.clone(),
        };
        let overridden = command_line.override_projects
            || all.override_projects
            || its.is_some_and(|servers| servers.override_projects);
        if !overridden {
            for server in recommended {
                if !servers.contains(&server) {
                    servers.push(server);
                }
            }
        }
        servers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(caches: &Caches, project: &str) -> Vec<String> {
        let recommended = vec![Server::parse("http://recommended").unwrap()];
        let servers = caches.of_project(project, recommended);
        servers
            .into_iter()
            .map(|server| server.settings.url)
            .collect()
    }

    #[test]
    fn the_closest_place_that_names_servers_counts() {
        let text = "artifacts: {servers: [{url: 'http://all'}]}\n\
                    projects:\n\
                    \x20 one: {artifacts: {servers: [{url: 'http://one'}]}}\n\
                    \x20 two: {artifacts: {override-project-caches: true}}\n\
                    \x20 three: {strict: true}\n";
        let mapping = headstart_yaml::parse("buildstream.conf", text).unwrap();
        let mut caches = Caches::read(&mapping, "artifacts").unwrap();
        assert_eq!(urls(&caches, "one"), ["http://one", "http://recommended"]);
        assert_eq!(urls(&caches, "two"), ["http://all"]);
        assert_eq!(urls(&caches, "three"), ["http://all", "http://recommended"]);
        caches.command_line.list = vec![Server::parse("http://line").unwrap()];
        assert_eq!(urls(&caches, "one"), ["http://line", "http://recommended"]);
        caches.command_line.override_projects = true;
        assert_eq!(urls(&caches, "one"), ["http://line"]);
        let sources = Caches::read(&mapping, "source-caches").unwrap();
        assert_eq!(urls(&sources, "one"), ["http://recommended"]);
    }
}
