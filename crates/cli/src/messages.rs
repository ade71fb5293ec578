//! Where messages go: to standard error, and to a file if one is to have them too.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::panic;
use std::path::Path;
use std::process;
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

use crate::arguments::MessageOptions;
use crate::error::{Failure, io as io_failure};

/// The file that has all that is said.
static LOG: OnceLock<Mutex<File>> = OnceLock::new();

/// What a process ends with, in the eyes of a shell, that writes to a pipe which nobody reads any more.
const NOBODY_READS: i32 = 128 + 13;

/// Has the process end, with nothing said of it, when what it prints is read by nobody any more. The signal that
/// does this for other programs would end a daemon whose client has hung up.
pub(crate) fn end_when_nobody_reads() {
    let otherwise = panic::take_hook();
    panic::set_hook(Box::new(move |why| {
        let broken = io::Error::from_raw_os_error(rustix::io::Errno::PIPE.raw_os_error());
        let printing = format!("failed printing to stdout: {broken}");
        if why.payload_as_str() == Some(&printing) {
            process::exit(NOBODY_READS);
        }
        otherwise(why);
    }));
}

/// Sets up what the command line asks for. Messages of the parts go to standard error, those of the
/// level that is asked for and what is worse.
pub(crate) fn set_up(options: &MessageOptions) -> Result<(), Failure> {
    let level = match options.verbose {
        _ if options.debug => "debug",
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let choice = match (options.colors, options.no_colors) {
        (true, _) => anstream::ColorChoice::Always,
        (_, true) => anstream::ColorChoice::Never,
        _ => anstream::ColorChoice::Auto,
    };
    choice.write_global();
    if let Some(path) = &options.log_file {
        open(path)?;
    }
    let colors = (options.colors || options.no_colors).then_some(options.colors);
    subscribe(level, colors);
    Ok(())
}

/// Has messages of the parts go to standard error, those of `level` and what is worse; in colors, if
/// nothing is said of that, where they can be seen.
pub(crate) fn subscribe(level: &str, colors: Option<bool>) {
    let colors = colors.unwrap_or_else(|| io::stderr().is_terminal());
    let filter = tracing_subscriber::EnvFilter::try_from_env("HEADSTART_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(format!("{level},h2=warn")));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Messages)
        .without_time()
        .with_target(false)
        .with_ansi(colors);
    subscriber.init();
}

fn open(path: &Path) -> Result<(), Failure> {
    let file = File::create(path).map_err(|error| io_failure(path, &error))?;
    // It is opened once.
    let _ = LOG.set(Mutex::new(file));
    Ok(())
}

/// Says a text on lines of its own.
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
    note(format!("{text}\n").as_bytes());
}

/// Says what a command failed by, in colors if they can be seen.
pub(crate) fn fail(failure: &Failure) {
    anstream::eprintln!("{failure}");
    note(format!("{failure}\n").as_bytes());
}

/// Writes something to the file that has all that is said. That it can't be written ends nothing.
fn note(text: &[u8]) {
    if let Some(log) = LOG.get() {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = log.write_all(anstream::adapter::strip_bytes(text).into_vec().as_slice());
    }
}

/// Writes messages of the parts.
struct Messages;

impl Write for Messages {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let written = io::stderr().write(text)?;
        note(&text[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for Messages {
    type Writer = Messages;

    fn make_writer(&'a self) -> Self::Writer {
        Messages
    }
}
