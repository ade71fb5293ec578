//! What a call reads and writes, found out or told by the settings.

use std::collections::BTreeMap;
use std::path::Path;

use crate::arguments::Call;
use crate::link::link_files;
use crate::rewrite::Rewrite;
use crate::scan::{self, Reason};
use crate::settings::Settings;

/// What a call reads and writes.
pub(crate) struct Work {
    /// Files, as the command names them.
    pub(crate) inputs: Vec<String>,
    /// Folders that must be there, whatever they hold.
    pub(crate) folders: Vec<String>,
    /// Files and directories, relative to the current directory.
    pub(crate) outputs: Vec<String>,
    pub(crate) platform: BTreeMap<String, String>,
}

/// Whoever called, with what they set.
pub(crate) struct Caller<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) arguments: &'a [String],
    pub(crate) variables: &'a [(String, String)],
}

impl Caller<'_> {
    /// Finds out what the call reads and writes, or why it must be run here.
    pub(crate) async fn work(
        &self,
        call: &Call,
        current: &Path,
        rewrite: &Rewrite,
    ) -> Result<Work, Reason> {
        let mut work = self.listed(call).await?;
        if !self.settings.inputs_override.is_empty() {
            work.inputs = self.settings.inputs_override.clone();
        }
        for input in &work.inputs {
            let whole = current.join(input);
            let whole = whole.to_string_lossy();
            let mut invalid = self.settings.invalid_inputs.iter();
            if invalid.any(|regex| regex.is_match(input) || regex.is_match(&whole)) {
                return Err(format!("{input} is not to be sent"));
            }
        }
        let inputs = work.inputs.iter_mut().chain(&mut work.folders);
        for path in inputs.chain(&mut work.outputs) {
            *path = rewrite.path(path);
        }
        let files = &self.settings.output_files_override;
        let folders = &self.settings.output_directories_override;
        work.outputs = if files.is_empty() && folders.is_empty() {
            let outputs = work.outputs.iter();
            let outputs = outputs.map(|output| relative_output(output, current));
            outputs.collect::<Result<_, _>>()?
        } else {
            let outputs = files.iter().chain(folders);
            let outputs = outputs.map(|output| below(output, current).map(str::to_owned));
            outputs.collect::<Result<_, _>>()?
        };
        Ok(work)
    }

    /// What the compiler says that the call reads and writes.
    async fn listed(&self, call: &Call) -> Result<Work, Reason> {
        let program = self
            .arguments
            .first()
            .map(String::as_str)
            .unwrap_or_default();
        match call {
            Call::Local(reason) if !self.settings.force_remote => Err((*reason).to_owned()),
            Call::Local(_) => Ok(Work {
                inputs: Vec::new(),
                folders: Vec::new(),
                outputs: Vec::new(),
                platform: self.settings.platform.clone(),
            }),
            Call::Compile(compile) => Ok(Work {
                inputs: if self.settings.inputs_override.is_empty() {
                    scan::compile_inputs(program, compile).await?
                } else {
                    Vec::new()
                },
                folders: compile.folders.clone(),
                outputs: compile.outputs.clone(),
                platform: self.platform(&self.settings.compile_platform),
            }),
            Call::Link(_) if self.overridden() => Ok(Work {
                inputs: Vec::new(),
                folders: Vec::new(),
                outputs: Vec::new(),
                platform: self.platform(&self.settings.link_platform),
            }),
            Call::Link(link) => {
                let mut variables = self.variables.iter();
                let library_path = variables.find(|(name, _)| name == "LD_LIBRARY_PATH");
                let library_path = library_path.map(|(_, folders)| folders.as_str());
                let files = link_files(program, &link.arguments, library_path).await?;
                Ok(Work {
                    inputs: files.inputs,
                    folders: Vec::new(),
                    outputs: files.outputs,
                    platform: self.platform(&self.settings.link_platform),
                })
            }
        }
    }

    /// Whether the settings tell both inputs and outputs.
    fn overridden(&self) -> bool {
        let settings = self.settings;
        let outputs =
            settings.output_files_override.len() + settings.output_directories_override.len();
        !settings.inputs_override.is_empty() && outputs > 0
    }

    fn platform(&self, special: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut platform = self.settings.platform.clone();
        platform.extend(special.clone());
        platform
    }
}

/// The name of an output as a Command has it, relative to the working directory.
fn relative_output(output: &str, current: &Path) -> Result<String, Reason> {
    let relative = below(output, current)?;
    match std::fs::symlink_metadata(current.join(relative)) {
        Ok(metadata) if !metadata.is_file() => Err(format!("{output} is there and no file")),
        _ => Ok(relative.to_owned()),
    }
}

/// `name` relative to the current directory.
fn below<'a>(name: &'a str, current: &Path) -> Result<&'a str, Reason> {
    let path = Path::new(name);
    if !path.is_absolute() {
        return Ok(name.strip_prefix("./").unwrap_or(name));
    }
    let below = path.strip_prefix(current).ok().and_then(Path::to_str);
    below.ok_or_else(|| format!("{name} is outside of the current directory"))
}
