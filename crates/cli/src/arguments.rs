//! The command line: BuildStream's commands and options where they mean the same.
pub(crate) mod artifact;
pub(crate) mod cache;
pub(crate) mod remotes;
pub(crate) mod shell;
pub(crate) mod source;
pub(crate) mod workspace;

use std::path::PathBuf;

use crate::selection::{Deps, Except};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Builds BuildStream projects, and starts their compiler calls before they are asked for.
///
/// Headstart builds a BuildStream project with the same keys, the same artifacts and in the same
/// cache directory as BuildStream. It records the compiler calls that recc makes inside the
/// sandboxes. When a low element changes it adapts them to today's inputs and executes them ahead
/// of need, so that the real calls find their results in the action cache.
#[derive(Debug, Parser)]
#[command(name = "headstart", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) main: MainOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What holds for every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct MainOptions {
    /// Configuration file to use in place of ~/.config/buildstream.conf
    #[arg(short = 'c', long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Project directory [default: the current directory, or the nearest above it with a
    /// project.conf]
    ///
    /// Stands before the command, as in BuildStream: `artifact checkout` has a --directory of its own.
    #[arg(short = 'C', long, value_name = "DIRECTORY")]
    pub(crate) directory: Option<PathBuf>,
    /// Set a project option
    #[arg(short = 'o', long = "option", global = true, num_args = 2, value_names = ["NAME", "VALUE"])]
    pub(crate) options: Vec<String>,
    /// What to do when an element fails [default: what the configuration says, or quit]
    #[arg(long, global = true, value_enum)]
    pub(crate) on_error: Option<OnErrorArgument>,
    /// Number of elements that are fetched at a time
    #[arg(long, global = true, value_name = "NUMBER")]
    pub(crate) fetchers: Option<usize>,
    /// Number of elements that are built at a time
    #[arg(long, global = true, value_name = "NUMBER")]
    pub(crate) builders: Option<usize>,
    /// Number of elements that are pushed at a time
    #[arg(long, global = true, value_name = "NUMBER")]
    pub(crate) pushers: Option<usize>,
    /// How often fetching sources is tried again when it fails
    #[arg(long, global = true, value_name = "NUMBER")]
    pub(crate) network_retries: Option<usize>,
    /// Number of parallel jobs that each element's build tools are told to run
    #[arg(long, global = true, value_name = "NUMBER")]
    pub(crate) max_jobs: Option<u32>,
    /// Cache directory [default: what the configuration says, or ~/.cache/buildstream]
    #[arg(long, global = true, value_name = "DIRECTORY")]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Build elements again whenever something that they are built with has changed [default: what the
    /// configuration says, or so]
    #[arg(long, global = true, overrides_with = "no_strict")]
    pub(crate) strict: bool,
    /// Use artifacts that were built with older versions of their dependencies
    #[arg(long, global = true, overrides_with = "strict")]
    pub(crate) no_strict: bool,
    /// When to keep what a sandbox holds at the end of a build [default: what the configuration says,
    /// or auto: of builds that failed]
    #[arg(long, global = true, value_enum)]
    pub(crate) cache_buildtrees: Option<KeepArgument>,
    /// Bring what builds have left, too, with artifacts from servers [default: what the configuration
    /// says, or not]
    #[arg(long, global = true)]
    pub(crate) pull_buildtrees: bool,
    /// Mirror to try first
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) default_mirror: Option<String>,
    /// Never ask what to do: else that is asked at a terminal when an element fails and neither the
    /// command line nor this says so
    #[arg(long, global = true)]
    pub(crate) no_interactive: bool,
    #[command(flatten)]
    pub(crate) messages: MessageOptions,
}

/// What is said, and where.
#[derive(Debug, Clone, Args)]
pub(crate) struct MessageOptions {
    /// Say more: once for what each part does, twice for every message
    #[arg(short = 'v', long, global = true, action = clap::ArgAction::Count, overrides_with = "no_verbose")]
    pub(crate) verbose: u8,
    /// Say only what is wrong, which is the default
    #[arg(long, global = true, overrides_with = "verbose")]
    pub(crate) no_verbose: bool,
    /// Say everything, as with -vv
    #[arg(long, global = true, overrides_with = "no_debug")]
    pub(crate) debug: bool,
    /// Do not, which is the default
    #[arg(long, global = true, overrides_with = "debug")]
    pub(crate) no_debug: bool,
    /// Number of lines of the log of a failed build to show
    #[arg(long, global = true, value_name = "NUMBER")]
    pub(crate) error_lines: Option<usize>,
    /// Number of lines of an error to show; 0 for all
    #[arg(long, global = true, value_name = "NUMBER")]
    pub(crate) message_lines: Option<usize>,
    /// Write what is said to this file too
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,
    /// Use colors even if nobody seems to see them
    #[arg(long, global = true, overrides_with = "no_colors")]
    pub(crate) colors: bool,
    /// Use no colors
    #[arg(long, global = true, overrides_with = "colors")]
    pub(crate) no_colors: bool,
}

/// What to do when an element fails.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum OnErrorArgument {
    /// Build everything that does not need the failed element
    Continue,
    /// Let running builds end, start no others
    Quit,
    /// End running builds too
    Terminate,
}

/// When to keep what a sandbox holds at the end of a build.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum KeepArgument {
    /// Always
    Always,
    /// When the build failed
    Auto,
    /// Never
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build elements
    Build(BuildArguments),
    /// Show elements of a project, with their keys and states
    Show(ShowArguments),
    /// Print what elements of a project are, with their dependencies and sources, as JSON
    Inspect(ShownElements),
    /// Begin a new project
    Init(InitArguments),
    /// Run a command in an element's sandbox
    Shell(shell::ShellArguments),
    /// Fetch, track or look at sources
    #[command(subcommand)]
    Source(source::SourceCommand),
    /// Work on elements' sources in directories of their own
    #[command(subcommand)]
    Workspace(workspace::WorkspaceCommand),
    /// Look at artifacts: what building an element gave
    #[command(subcommand)]
    Artifact(ArtifactCommand),
    /// Look after the cache directory
    #[command(subcommand)]
    Cache(cache::CacheCommand),
    /// Tell why compiler calls of a build were not foreseen, and why predictions were not asked for
    Explain(ExplainArguments),
    /// Look at what is stored for speculation
    #[command(subcommand)]
    Speculation(SpeculationCommand),
    /// Build a stack of real libraries, edit a header, and measure the rebuild with and without
    /// speculation
    Demo(DemoArguments),
    /// Serve a cache directory to build tools and execute for them, in place of buildbox-casd
    #[command(disable_help_flag = true)]
    Casd(Rest),
    /// Run one action in a sandbox, in place of buildbox-run
    #[command(disable_help_flag = true)]
    Runner(Rest),
}

/// Arguments of a command that reads them itself.
#[derive(Debug, Args)]
pub(crate) struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub(crate) _arguments: Vec<String>,
}

/// Options of `build`.
#[derive(Debug, Args)]
pub(crate) struct BuildArguments {
    /// Elements to build [default: the project's default targets]
    #[arg(value_name = "ELEMENT")]
    pub(crate) elements: Vec<String>,
    /// Dependencies of the targets to build even if nothing needs them
    ///
    /// [default: what buildstream.conf says, or run]
    #[arg(short, long, value_enum)]
    pub(crate) deps: Option<BuildDeps>,
    /// Build again what failed before
    #[arg(short, long)]
    pub(crate) retry_failed: bool,
    /// What to speculate on
    ///
    /// Each mode includes those above it. Speculation never changes what is built. [default: what
    /// headstart.conf says, or full]
    #[arg(long, value_enum, env = "HEADSTART_SPECULATION")]
    pub(crate) speculation: Option<ModeArgument>,
    #[command(flatten)]
    pub(crate) artifact_servers: remotes::ArtifactServers,
    #[command(flatten)]
    pub(crate) source_servers: remotes::SourceServers,
    /// Check at the end, input by input, that nothing was executed with a stale one
    #[arg(long)]
    pub(crate) audit: bool,
    /// Write what happened, element by element, to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// Options of `init`.
#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    /// Directory of the project [default: the current directory]
    #[arg(value_name = "DIRECTORY")]
    pub(crate) directory: Option<PathBuf>,
    /// Its name [default: that is asked at a terminal, and so is what else is not given]
    #[arg(long, value_name = "NAME")]
    pub(crate) project_name: Option<String>,
    /// The version of BuildStream that it needs at least
    #[arg(long, value_name = "VERSION", default_value = crate::init::MIN_VERSION)]
    pub(crate) min_version: String,
    /// Where elements are, below its directory
    #[arg(long, value_name = "PATH", default_value = "elements")]
    pub(crate) element_path: String,
    /// Replace a project.conf that is there
    #[arg(short, long)]
    pub(crate) force: bool,
}

/// How to compress a tar.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum CompressionArgument {
    /// With gzip
    Gz,
    /// With xz
    Xz,
    /// With bzip2
    Bz2,
}

/// Which dependencies of the targets `build` builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BuildDeps {
    /// None but those needed to build the targets
    None,
    /// Build dependencies
    Build,
    /// Runtime dependencies
    Run,
    /// All of them
    All,
}

/// What to speculate on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeArgument {
    /// Nothing
    None,
    /// Use what is stored, record nothing new
    PrimeOnly,
    /// Inputs that come from sources and from dependencies' artifacts
    SourceArtifact,
    /// Also outputs of an element's own earlier compiler calls
    IntraElement,
    /// Also outputs of dependencies' compiler calls, before they are installed
    Full,
}

/// The elements that `show` and `inspect` are about.
#[derive(Debug, Args)]
pub(crate) struct ShownElements {
    /// Elements to show [default: the project's default targets]
    #[arg(value_name = "ELEMENT")]
    pub(crate) elements: Vec<String>,
    /// Dependencies to show too
    #[arg(short, long, value_enum, default_value_t = Deps::All)]
    pub(crate) deps: Deps,
    #[command(flatten)]
    pub(crate) except: Except,
}

/// Options of `show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    #[command(flatten)]
    pub(crate) shown: ShownElements,
    /// Order to show them in
    #[arg(long, value_enum, default_value_t = Order::Stage)]
    pub(crate) order: Order,
    /// What to print of each element: text with %{name}, %{kind}, %{config}, %{key}, %{full-key}, %{state}, %{vars},
    /// %{env}, %{public}, %{workspaced}, %{deps}, %{build-deps}, %{runtime-deps}, %{description},
    /// %{artifact-cas-digest}, %{source-info}; a width may be given as in %{state: >12} [default: what buildstream.conf
    /// says, or %{state: >12} %{key} %{name} %{workspace-dirs}]
    #[arg(short, long)]
    pub(crate) format: Option<String>,
}

/// The order in which `show` shows elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    /// As they are staged: dependencies first
    Stage,
    /// By name
    Alpha,
}

/// The commands of `artifact`.
#[derive(Debug, Subcommand)]
pub(crate) enum ArtifactCommand {
    /// Write an artifact's files to a directory or a tar
    Checkout(CheckoutArguments),
    /// Print the log of the build that made an artifact
    Log(LogArguments),
    /// Show whether artifacts are cached
    Show(artifact::ShowStateArguments),
    /// List what is in artifacts
    ListContents(artifact::ListContentsArguments),
    /// Bring artifacts here from servers
    Pull(remotes::TransferArguments),
    /// Give artifacts to servers
    Push(remotes::TransferArguments),
    /// Remove artifacts from the cache
    Delete(artifact::DeleteArguments),
}

/// Options of `artifact checkout`.
#[derive(Debug, Args)]
pub(crate) struct CheckoutArguments {
    /// Element whose artifact to check out [default: that in whose workspace this is]
    #[arg(value_name = "ELEMENT")]
    pub(crate) element: Option<String>,
    /// Directory to check out to [default: one named after the element]
    #[arg(long, conflicts_with = "tar", value_name = "DIRECTORY")]
    pub(crate) directory: Option<PathBuf>,
    /// Tar to write; `-` for standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) tar: Option<PathBuf>,
    /// Write even if the directory is not empty or the tar exists
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Dependencies to check out with it
    #[arg(short, long, value_enum, default_value_t = Deps::Run)]
    pub(crate) deps: Deps,
    /// Make files hard links to the cache where possible: they must not be changed then
    #[arg(long)]
    pub(crate) hardlinks: bool,
    /// Run integration commands on what is checked out, if there are any [default]
    #[arg(long, overrides_with = "no_integrate")]
    pub(crate) integrate: bool,
    /// Leave artifacts as they are
    #[arg(long, overrides_with = "integrate")]
    pub(crate) no_integrate: bool,
    /// How to compress the tar
    #[arg(long, requires = "tar", value_enum)]
    pub(crate) compression: Option<CompressionArgument>,
    #[command(flatten)]
    pub(crate) servers: remotes::ArtifactServers,
}

/// Options of `artifact log`.
#[derive(Debug, Args)]
pub(crate) struct LogArguments {
    /// Elements, or artifacts PROJECT/ELEMENT/KEY, which may be shell patterns, whose logs to print
    /// [default: the project's default targets]
    #[arg(value_name = "ARTIFACT")]
    pub(crate) artifacts: Vec<String>,
    /// Write each log to a file of its own in this directory
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) out: Option<PathBuf>,
}

/// Options of `explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// Element to look at [default: all that were built]
    #[arg(value_name = "ELEMENT")]
    pub(crate) element: Option<String>,
    /// Calls to look at, whatever became of them: the beginning of an action's hash, a path that it
    /// makes, or an argument of its command
    #[arg(value_name = "ACTION", requires = "element")]
    pub(crate) action: Option<String>,
    /// Session to look at [default: the last one that speculated]
    #[arg(long, value_name = "NAME")]
    pub(crate) session: Option<String>,
    /// List the sessions that there is a history of
    #[arg(long, conflicts_with_all = ["element", "session"])]
    pub(crate) sessions: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
}

/// The commands of `speculation`.
#[derive(Debug, Subcommand)]
pub(crate) enum SpeculationCommand {
    /// Print the recorded compiler calls of an element, and where their inputs came from
    Show(SpeculationShowArguments),
}

/// Options of `speculation show`.
#[derive(Debug, Args)]
pub(crate) struct SpeculationShowArguments {
    /// Element to show
    #[arg(value_name = "ELEMENT")]
    pub(crate) element: String,
    /// Calls to show with each of their inputs: the beginning of an action's hash, or a path that it
    /// makes
    #[arg(value_name = "ACTION")]
    pub(crate) action: Option<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = RecordFormat::Text)]
    pub(crate) format: RecordFormat,
}

/// How a record is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RecordFormat {
    /// For people
    Text,
    /// For programs
    Json,
    /// As a protobuf message in the layout of BuildStream's prototype
    Prototype,
}

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// The demo project [default: `demo` here, or where this program was built]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) project: Option<PathBuf>,
    /// Where to keep a copy of the project, its sources and caches
    /// [default: ~/.cache/headstart/demo]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) work_dir: Option<PathBuf>,
    /// The element of the project to build, with all that it needs; aws/aws-c-s3.bst is about half of all
    #[arg(long, default_value = "all.bst", value_name = "ELEMENT")]
    pub(crate) element: String,
    /// Measure the rebuild after one edit only, not those after an edit that follows it, one that breaks an element
    /// and its mending
    #[arg(long)]
    pub(crate) brief: bool,
    /// How often to measure each rebuild; medians are printed
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub(crate) runs: usize,
    /// Write the figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Arguments, ArtifactCommand, Command};

    #[test]
    fn options_do_not_contradict_each_other() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_project_and_the_checkout_have_directories_of_their_own() {
        let line = "headstart -C project artifact checkout --directory out a.bst";
        let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
        assert_eq!(arguments.main.directory, Some("project".into()));
        let Command::Artifact(ArtifactCommand::Checkout(checkout)) = arguments.command else {
            panic!("{arguments:?}");
        };
        assert_eq!(checkout.directory, Some("out".into()));
    }
}
