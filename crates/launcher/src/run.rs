//! One call, from its command line to its exit code.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use headstart_merkle::BlobDigest;
use headstart_reapi::reapi;

use crate::action::{EncodedAction, Job};
use crate::arguments::{Call, classify};
use crate::client::{Client, Content};
use crate::environment::{remote_environment, writes_more};
use crate::failure::Failure;
use crate::inputs::{InputRoot, Inputs};
use crate::layout::Layout;
use crate::local;
use crate::log::Log;
use crate::outputs;
use crate::rewrite::{Rewrite, levels_up, normalized};
use crate::scan::Reason;
use crate::settings::Settings;
use crate::store::store;
use crate::work::{Caller, Work};

/// Runs `arguments`, the command's name first, with what `variables` hold.
pub(crate) fn run(
    settings: Settings,
    variables: Vec<(String, String)>,
    arguments: Vec<OsString>,
) -> Result<ExitCode, Failure> {
    if settings.passthrough {
        return Err(local::replace(&arguments));
    }
    let log = Log::new(&settings)?;
    let here = |reason: &str| {
        log.info(|| format!("Running the command locally: {reason}"));
        Err(local::replace(&arguments))
    };
    let texts = arguments
        .iter()
        .map(|argument| argument.to_str().map(str::to_owned));
    let Some(texts) = texts.collect::<Option<Vec<String>>>() else {
        return here("an argument is not UTF-8");
    };
    let call = classify(&texts);
    match &call {
        _ if settings.force_remote => {}
        Call::Local(reason) => return here(reason),
        Call::Link(_) if !settings.link => return here("it links, which is not asked for"),
        _ => {}
    }
    if writes_more(&variables) {
        return here("a variable has the compiler write make rules");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(Failure::file("the event loop"))?;
    let session = Session {
        settings: &settings,
        variables,
        arguments: texts,
        log: &log,
    };
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = session.run(&call) => ended,
            () = interrupted() => Err(Failure::Cancelled),
        }
    });
    match ended? {
        Ended::Remotely(code) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(1))),
        Ended::ToRunHere(reason) => here(&reason),
        Ended::ToRunAndStore(prepared, client) => {
            log.info(|| "Running the command locally, to store its result".to_owned());
            let ran = local::run(&arguments)?;
            let code = ExitCode::from(ran.exit_code);
            let current = current_directory()?;
            match runtime.block_on(store(
                *prepared,
                ran,
                &client,
                &current,
                settings.upload_failed,
            )) {
                Ok(stored) => log.info(|| format!("Result stored: {stored}")),
                Err(failure) => log.warning(|| format!("the result is not stored: {failure}")),
            }
            Ok(code)
        }
    }
}

/// How far the server's part went.
enum Ended {
    Remotely(i32),
    ToRunHere(Reason),
    ToRunAndStore(Box<Prepared>, Box<Client>),
}

/// An action with all its blobs.
pub(crate) struct Prepared {
    pub(crate) action: EncodedAction,
    pub(crate) root: InputRoot,
    pub(crate) outputs: Vec<String>,
}

struct Session<'a> {
    settings: &'a Settings,
    variables: Vec<(String, String)>,
    arguments: Vec<String>,
    log: &'a Log,
}

impl Session<'_> {
    async fn run(&self, call: &Call) -> Result<Ended, Failure> {
        // The compiler lists its inputs while the connection is made.
        let (work, client) = tokio::join!(self.work(call), Client::connect(self.settings));
        let work = match work {
            Ok(work) => work,
            Err(reason) => return Ok(Ended::ToRunHere(reason)),
        };
        let prepared = match self.prepare(work) {
            Ok(prepared) => prepared,
            Err(failure) => return Ok(Ended::ToRunHere(failure.to_string())),
        };
        let digest = prepared.action.digest;
        self.log.info(|| format!("Action Digest: {digest}"));
        let mut client = match client {
            Err(failure) if self.cache_only(call) => {
                self.log.warning(|| failure.to_string());
                return Ok(Ended::ToRunHere("the cache can't be reached".to_owned()));
            }
            client => client?,
        };
        client.set_action(digest);
        if let Some(code) = self.look_up(&client, &prepared).await? {
            return Ok(Ended::Remotely(code));
        }
        if self.cache_only(call) {
            return Ok(if self.settings.upload_local {
                Ended::ToRunAndStore(Box::new(prepared), Box::new(client))
            } else {
                Ended::ToRunHere("its result is not known".to_owned())
            });
        }
        self.execute(&client, prepared).await.map(Ended::Remotely)
    }

    /// Whether calls of this kind are only looked up.
    fn cache_only(&self, call: &Call) -> bool {
        let settings = &self.settings;
        settings.cache_only
            || match call {
                Call::Compile(_) => settings.compile_cache_only,
                Call::Link(_) => settings.link_cache_only,
                Call::Local(_) => false,
            }
    }

    /// Writes what the action left, unless that is not wanted, and says what it said.
    async fn write(&self, result: &reapi::ActionResult, client: &Client) -> Result<i32, Failure> {
        if self.settings.no_outputs {
            let said = reapi::ActionResult {
                output_files: Vec::new(),
                output_directories: Vec::new(),
                output_symlinks: Vec::new(),
                output_file_symlinks: Vec::new(),
                output_directory_symlinks: Vec::new(),
                ..result.clone()
            };
            return outputs::write(&said, client, &current_directory()?).await;
        }
        outputs::write(result, client, &current_directory()?).await
    }

    /// Uses the known result, if there is one. That there is none for want of a cache is no error.
    async fn look_up(&self, client: &Client, prepared: &Prepared) -> Result<Option<i32>, Failure> {
        if self.settings.skip_cache || self.settings.uncacheable {
            return Ok(None);
        }
        let result = match client.action_result(prepared.action.digest).await {
            Ok(Some(result)) => result,
            Ok(None) => return Ok(None),
            Err(failure) => {
                self.log.warning(|| failure.to_string());
                return Ok(None);
            }
        };
        self.log
            .info(|| format!("Action Cache hit for [{}]", prepared.action.digest));
        match self.write(&result, client).await {
            Ok(code) => Ok(Some(code)),
            // The cache knows a result whose outputs are gone: as good as none.
            Err(failure @ (Failure::Rpc { .. } | Failure::Corrupt(_) | Failure::Answer { .. })) => {
                self.log.warning(|| failure.to_string());
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    async fn execute(&self, client: &Client, prepared: Prepared) -> Result<i32, Failure> {
        let Prepared { action, root, .. } = prepared;
        let mut blobs: HashMap<BlobDigest, Content> = HashMap::new();
        let messages = root.directories.into_iter().chain(action.blobs);
        blobs.extend(messages.map(|(digest, bytes)| (digest, Content::Bytes(bytes))));
        blobs.extend(
            root.files
                .into_iter()
                .map(|(digest, path)| (digest, Content::File(path))),
        );
        client.upload(&blobs).await?;
        let digest = action.digest;
        self.log
            .info(|| format!("Executing action remotely... [actionDigest={digest}]"));
        let skip = self.settings.skip_cache;
        let executed = match client.execute(digest, skip).await {
            // What was there when it was asked for may have been removed before it was used.
            Err(failure) if failure.is_for_want_of_blobs() => {
                self.log.warning(|| failure.to_string());
                client.upload(&blobs).await?;
                client.execute(digest, skip).await
            }
            executed => executed,
        };
        let (result, cached) = executed?;
        self.log.debug(|| {
            format!(
                "Executed; known already: {cached}; exit code {}",
                result.exit_code
            )
        });
        self.write(&result, client).await
    }

    async fn work(&self, call: &Call) -> Result<Work, Reason> {
        let caller = Caller {
            settings: self.settings,
            arguments: &self.arguments,
            variables: &self.variables,
        };
        let current = current_directory().map_err(|failure| failure.to_string())?;
        caller.work(call, &current, &self.rewrite(&current)).await
    }

    /// How paths of the project are written in the action.
    fn rewrite(&self, current: &Path) -> Rewrite {
        if self.settings.whole_paths {
            return Rewrite::none(current.to_owned());
        }
        let project = self.settings.project_root.as_deref();
        let project = project.map_or(current.to_owned(), |project| normalized(Path::new(project)));
        Rewrite::inside(project, current.to_owned())
    }

    fn layout(&self, work: &Work) -> Result<Layout, Failure> {
        let current = current_directory()?;
        let prefix = &self.settings.working_dir_prefix;
        if self.settings.whole_paths && prefix.is_empty() {
            return Ok(Layout::whole(current));
        }
        let paths = work.inputs.iter().chain(&work.outputs);
        let levels = paths.map(|path| levels_up(path)).max().unwrap_or(0);
        let outside = self.settings.global_paths;
        Ok(Layout::last_levels(current, levels, prefix, outside))
    }

    fn prepare(&self, work: Work) -> Result<Prepared, Failure> {
        let layout = self.layout(&work)?;
        let mut inputs = Inputs::new(&layout)?;
        for input in work.inputs.iter().filter(|input| self.is_sent(input)) {
            inputs.add(input)?;
        }
        for output in &work.outputs {
            // An output that is named as an input is both: an archive that is added to.
            if self.settings.inputs_override.contains(output) {
                continue;
            }
            if let Some(place) = layout.place_by_name(output)? {
                inputs.remove(&place)?;
            }
        }
        for folder in &work.folders {
            inputs.add_empty_folder(folder)?;
        }
        let root = inputs.finish()?;
        let job = Job {
            arguments: self.remote_arguments()?,
            environment: remote_environment(self.settings, self.variables.iter().cloned()),
            outputs: work.outputs.clone(),
            platform: work.platform,
            working_directory: layout.working_directory()?,
        };
        let action = job.encode(root.digest, self.settings);
        Ok(Prepared {
            action,
            root,
            outputs: work.outputs,
        })
    }

    /// Whether an input is to be sent at all.
    fn is_sent(&self, input: &str) -> bool {
        let path = Path::new(input);
        if self
            .settings
            .excluded
            .iter()
            .any(|excluded| path.starts_with(excluded))
        {
            return false;
        }
        let project = self.settings.project_root.as_deref();
        self.settings.global_paths
            || !path.is_absolute()
            || project.is_some_and(|project| path.starts_with(project))
    }

    /// The arguments, the program by a path: there may be no search for it there.
    fn remote_arguments(&self) -> Result<Vec<String>, Failure> {
        let mut arguments = self.arguments.clone();
        if let Some(program) = arguments
            .first_mut()
            .filter(|program| !program.contains('/'))
        {
            let searched = self.variables.iter().find(|(name, _)| name == "PATH");
            let folders = searched
                .map(|(_, folders)| folders.as_str())
                .unwrap_or_default();
            let found = folders
                .split(':')
                .map(|folder| Path::new(folder).join(&*program));
            let found = found
                .filter(|path| path.is_absolute() && path.is_file())
                .find_map(|path| path.to_str().map(str::to_owned));
            *program =
                found.ok_or_else(|| Failure::Usage(format!("{program}: not found in PATH")))?;
        }
        let rewrite = self.rewrite(&current_directory()?);
        Ok(arguments
            .iter()
            .map(|argument| rewrite.argument(argument))
            .collect())
    }
}

fn current_directory() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(Failure::file("."))
}

/// Ends when the user or a build tool asks to end.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
    }
}
