//! Shells in the sandboxes of elements.

use std::collections::HashMap;
use std::env;
use std::path::{Path, PathBuf};

use headstart_assemble::{Inputs, KeepSandbox, ShellSandbox, Trees};
use headstart_daemon::{ParentPlace, ShellRequest as ExecutorRequest, nobody_to_tell};
use headstart_execution::{BindMount, CancellationToken};
use headstart_merkle::{DirectoryDigest, TreePath};
use headstart_project::{ElementId, HostFile};

use crate::error::SessionError;
use crate::parent::ParentRunner;
use crate::session::{Loaded, Session};

/// What a shell is asked for.
#[derive(Debug, Clone)]
pub struct ShellRequest {
    /// In which sandbox.
    pub scene: ShellScene,
    /// The command; empty for that of the project.
    pub command: Vec<String>,
    /// Whether it is like in a build: without network, files of the host and what the project sets
    /// for shells.
    pub isolated: bool,
    /// Files and directories of the host, with where they are seen inside.
    pub mounts: Vec<(PathBuf, String)>,
}

/// In which sandbox of an element a shell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShellScene {
    /// What it is built in, before its commands are run.
    Build,
    /// What it is used in, with its artifact.
    Run,
    /// What its build has left, if that was kept.
    Left,
}

impl Session {
    /// Runs a command in a sandbox of an element, at this process's terminal. Gives its exit code.
    ///
    /// What the sandbox holds must have been built; for [`ShellScene::Build`] sources are fetched.
    pub async fn shell(
        &self,
        loaded: &Loaded,
        id: ElementId,
        request: &ShellRequest,
        cancel: CancellationToken,
    ) -> Result<i32, SessionError> {
        let element = &loaded.graph[id];
        let (executor, _) = self.executor()?;
        let key = self.shown_key(loaded, id)?;
        let mut sandbox = match request.scene {
            ShellScene::Left => self.left(loaded, id)?,
            scene => {
                // What has to be run before a shell leaves no record.
                let run = ParentRunner {
                    executor: &executor,
                    recorder: nobody_to_tell(),
                    allow_cache_update: false,
                    place: ParentPlace::Here,
                    cancel: cancel.clone(),
                };
                let log = self.new_log(&loaded.graph, id, &key, "shell")?;
                self.shell_sandbox(loaded, id, scene, &run, &log).await?
            }
        };
        let brief = self.logging().brief(&key);
        let prompt = format!("[{brief}@{}:${{PWD}}]$ ", element.full_name);
        sandbox.set("PS1", &prompt);
        let mut binds = Vec::new();
        let mut user = None;
        if !request.isolated {
            let shell = self.project().shell();
            for (name, value) in &shell.environment {
                sandbox.set(name, &expand_variables(value));
            }
            user = Some((
                rustix::process::geteuid().as_raw(),
                rustix::process::getegid().as_raw(),
            ));
            binds = self.mounts(&shell.host_files, &request.mounts)?;
        }
        // Somebody at a terminal wants all of what belongs to it.
        binds.push(bind(Path::new("/dev"), "/dev")?);
        let command = match request.command.is_empty() {
            true => {
                let command = self.project().shell().command.iter();
                command.map(|word| word.to_string()).collect()
            }
            false => request.command.clone(),
        };
        let action = sandbox.action(command, user, element, &self.directories)?;
        let socket = element.sandbox.remote_apis_socket.as_ref();
        let shell = ExecutorRequest {
            action,
            binds,
            allow_cache_update: socket.is_some_and(|socket| socket.action_cache_enable_update),
            cancel,
        };
        Ok(executor.run_shell(shell).await?)
    }

    /// What a shell's sandbox holds, staged and integrated.
    async fn shell_sandbox(
        &self,
        loaded: &Loaded,
        id: ElementId,
        scene: ShellScene,
        run: &ParentRunner<'_>,
        log: &Path,
    ) -> Result<ShellSandbox, SessionError> {
        let graph = &loaded.graph;
        let scope = match scene {
            ShellScene::Build => graph.build_scope(id),
            _ => graph.run_scope(id),
        };
        self.pull_missing(loaded, &scope)?;
        let artifacts = self.all_artifacts(loaded, &scope)?;
        let sources = match scene {
            ShellScene::Build => self.obtain_sources(loaded, id)?,
            _ => headstart_merkle::Directory::default().digest(),
        };
        let files = |id: ElementId| artifacts.get(&id).copied().flatten();
        let built = |id: ElementId| self.built(self.artifact(loaded, id).ok()??.artifact());
        let inputs = Inputs {
            trees: Trees {
                graph,
                artifact: &files,
                built: &built,
                directories: &self.directories,
            },
            element: id,
            sources,
            begin: None,
            run,
            log,
            keep: KeepSandbox::Never,
            hosts: &self.hosts,
        };
        let sandbox = match scene {
            ShellScene::Build => ShellSandbox::to_build(&inputs).await,
            _ => ShellSandbox::to_run(&inputs).await,
        };
        sandbox.map_err(|error| SessionError::Shell {
            reason: None,
            text: format!("{error} (log: {})", log.display()),
        })
    }

    /// The files of all these elements' artifacts; an error if some are not here.
    fn all_artifacts(
        &self,
        loaded: &Loaded,
        elements: &[ElementId],
    ) -> Result<HashMap<ElementId, Option<DirectoryDigest>>, SessionError> {
        let mut found = HashMap::new();
        let mut missing = Vec::new();
        for id in elements {
            match self.artifact(loaded, *id)? {
                Some(headstart_artifacts::Cached::Success(artifact)) => {
                    found.insert(*id, artifact.files());
                }
                _ => missing.push(loaded.graph[*id].full_name.to_string()),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        Err(SessionError::Shell {
            reason: Some("shell-missing-deps"),
            text: format!(
                "elements need to be built before there can be a shell: {}",
                missing.join(", ")
            ),
        })
    }

    /// What an element's build has left.
    fn left(&self, loaded: &Loaded, id: ElementId) -> Result<ShellSandbox, SessionError> {
        let element = &loaded.graph[id];
        let refused = |reason: &'static str, text: &str| SessionError::Shell {
            reason: Some(reason),
            text: format!("{}: {text}", element.full_name),
        };
        self.pull_missing(loaded, &[id])?;
        let cached = self.artifact(loaded, id)?.ok_or_else(|| {
            refused(
                "missing-buildtree-artifact-not-cached",
                "there is no artifact: build it first",
            )
        })?;
        let message = cached.artifact().message();
        let sandbox = ShellSandbox::left(message, element).ok_or_else(|| {
            refused(
                "missing-buildtree-artifact-created-without-buildtree",
                "its artifact was made without a build tree: `cache-buildtrees: always` in the \
                 configuration keeps those of builds to come",
            )
        })?;
        let root = headstart_merkle::Digest::required(message.buildroot.as_ref()).ok();
        let is_here = match root {
            Some(root) => headstart_artifacts::is_tree_complete(root, &self.directories)?,
            None => false,
        };
        if !is_here {
            return Err(refused(
                "missing-buildtree-artifact-buildtree-not-cached",
                "its build tree is not in the cache: with --pull-buildtrees, or `pull-buildtrees: true` \
                 in the configuration, it is brought from servers that have it",
            ));
        }
        if !message.build_success {
            tracing::warn!("using a build tree of a failed build");
        }
        Ok(sandbox)
    }

    /// An element's strong key as people are shown it.
    pub(crate) fn shown_key(&self, loaded: &Loaded, id: ElementId) -> Result<String, SessionError> {
        let strong = self.standings(loaded, &[id], false)?.strong(id);
        Ok(strong.map_or_else(|| "?".repeat(64), |key| key.hex()))
    }

    /// What of the host is seen inside; that something is not there is told.
    fn mounts(
        &self,
        host_files: &[HostFile],
        asked: &[(PathBuf, String)],
    ) -> Result<Vec<BindMount>, SessionError> {
        let projects = host_files.iter().map(|file| {
            let host = PathBuf::from(expand_variables(&file.host_path));
            (host, expand_variables(&file.path), file.optional)
        });
        let asked = asked.iter().map(|(host, inside)| {
            let host = expand_variables(&host.to_string_lossy());
            (host.into(), expand_variables(inside), false)
        });
        let mut binds = Vec::new();
        for (host, inside, optional) in projects.chain(asked) {
            if host.exists() {
                binds.push(bind(&host, &inside)?);
            } else if !optional {
                tracing::warn!("not mounting a file that is not there: {}", host.display());
            }
        }
        Ok(binds)
    }
}

fn bind(host: &Path, inside: &str) -> Result<BindMount, SessionError> {
    let failed = |text: String| SessionError::Shell { reason: None, text };
    let place = TreePath::normalized(inside);
    Ok(BindMount {
        host: std::path::absolute(host)
            .map_err(|error| failed(format!("{}: {error}", host.display())))?,
        inside: place.map_err(|error| failed(format!("{inside:?} can't be a mount: {error}")))?,
    })
}

/// Replaces `$NAME` and `${NAME}` by the caller's variables, as Python's `os.path.expandvars` does:
/// what is not set stays as it is.
fn expand_variables(text: &str) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        expanded.push_str(before);
        let after = &from[1..];
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, length) = match after.strip_prefix('{') {
            Some(braced) => match braced.find('}') {
                Some(end) => (&braced[..end], end + 3),
                None => ("", 1),
            },
            None => {
                let end = after.find(|c| !is_word(c)).unwrap_or(after.len());
                (&after[..end], end + 1)
            }
        };
        let value = match name.is_empty() {
            true => None,
            false => env::var_os(name),
        };
        match value {
            Some(value) => expanded.push_str(&value.to_string_lossy()),
            None => expanded.push_str(&from[..length]),
        }
        rest = &from[length..];
    }
    expanded + rest
}

#[cfg(test)]
mod tests {
    use super::expand_variables;

    #[test]
    fn variables_are_replaced_as_python_replaces_them() {
        let home = std::env::var("PATH").unwrap();
        for (text, expected) in [
            ("/etc/$PATH/x", format!("/etc/{home}/x")),
            ("${PATH}x", format!("{home}x")),
            ("a$", "a$".to_owned()),
            (
                "$NOT_SET_AT_ALL/${NOT_SET_AT_ALL}",
                "$NOT_SET_AT_ALL/${NOT_SET_AT_ALL}".to_owned(),
            ),
            ("${PATH", "${PATH".to_owned()),
            ("${}-$-é$é", "${}-$-é$é".to_owned()),
        ] {
            assert_eq!(expand_variables(text), expected);
        }
    }
}
