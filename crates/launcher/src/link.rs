//! Finding out what a call that links reads and writes.
//!
//! The compiler is asked for the linker's command line (`-###`); that is followed as the linker
//! does: libraries are looked for, linker scripts read, and the shared objects followed that shared
//! objects need. Invariant: what is not understood ends in an error, and the call is run here.

mod elf;
mod linker;
mod script;

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::scan::Reason;
use linker::{Input, Invocation, Library};

/// What the linker reads and writes, as it names them.
#[derive(Debug)]
pub(crate) struct LinkFiles {
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
}

/// Asks `program` how it would link with `arguments`, and follows that.
pub(crate) async fn link_files(
    program: &str,
    arguments: &[String],
    library_path: Option<&str>,
) -> Result<LinkFiles, Reason> {
    let shown = tokio::process::Command::new(program)
        .arg("-###")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|error| format!("{program} can't be asked how it links: {error}"))?;
    if !shown.status.success() {
        return Err("the compiler could not say how it links".to_owned());
    }
    let text = String::from_utf8(shown.stderr)
        .map_err(|_| "a file that is linked has a name that is not UTF-8".to_owned())?;
    let invocation = Invocation::read(&linker::command_line(&text)?)?;
    let mut search = Search::new(&invocation, library_path);
    for input in &invocation.inputs {
        search.add(input)?;
    }
    search.follow_needed()?;
    Ok(LinkFiles {
        inputs: search.found,
        outputs: invocation.outputs,
    })
}

/// What a file is to the linker.
enum Kind {
    /// Read for itself: an object, an archive.
    Plain,
    Shared,
    /// Text, for the linker to follow.
    Script(String),
}

/// Folders that linkers look into for what shared objects need, besides those they are told.
const SYSTEM_FOLDERS: &[&str] = &["/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib"];
/// No linker script of a library is as long as this.
const MAX_SCRIPT: u64 = 1024 * 1024;

struct Search<'a> {
    invocation: &'a Invocation,
    /// Where what shared objects need is looked for.
    needed_folders: Vec<PathBuf>,
    found: Vec<String>,
    known: HashSet<String>,
    /// Shared objects whose needs have not been looked at.
    shared: Vec<String>,
}

impl<'a> Search<'a> {
    fn new(invocation: &'a Invocation, library_path: Option<&str>) -> Self {
        let told = invocation.run_folders.iter().map(String::as_str);
        let of_loader = library_path.unwrap_or_default().split(':');
        let folders = told
            .chain(of_loader)
            .chain(SYSTEM_FOLDERS.iter().copied())
            .chain(invocation.folders.iter().map(String::as_str));
        Self {
            invocation,
            needed_folders: folders
                .filter(|folder| !folder.is_empty())
                .map(PathBuf::from)
                .collect(),
            found: Vec::new(),
            known: HashSet::new(),
            shared: Vec::new(),
        }
    }

    fn add(&mut self, input: &Input) -> Result<(), Reason> {
        match input {
            Input::File(name) => self.add_file(name),
            Input::Read(name) => {
                let text = fs::read_to_string(name).map_err(|error| format!("{name}: {error}"))?;
                if script::names(&text)?.is_empty() {
                    self.note(name);
                    Ok(())
                } else {
                    Err(format!("{name} leads to further files"))
                }
            }
            Input::Noted(name) => {
                self.note(name);
                Ok(())
            }
            Input::Library(library) => {
                let file = self.library(library)?;
                self.add_file(&file)
            }
        }
    }

    fn note(&mut self, name: &str) -> bool {
        let new = self.known.insert(name.to_owned());
        if new {
            self.found.push(name.to_owned());
        }
        new
    }

    fn add_file(&mut self, name: &str) -> Result<(), Reason> {
        if !self.note(name) {
            return Ok(());
        }
        match kind_of(Path::new(name))? {
            Kind::Plain => {}
            Kind::Shared => self.shared.push(name.to_owned()),
            Kind::Script(text) => {
                for named in script::names(&text)? {
                    match named.strip_prefix("-l") {
                        Some(library) => {
                            let library = Library {
                                name: library.to_owned(),
                                statically: false,
                            };
                            let file = self.library(&library)?;
                            self.add_file(&file)?;
                        }
                        None => {
                            let file = self.in_script(name, &named)?;
                            self.add_file(&file)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The file that `-l` names, the first that is found in the folders, in order.
    fn library(&self, library: &Library) -> Result<String, Reason> {
        let names = match library.name.strip_prefix(':') {
            Some(name) => vec![name.to_owned()],
            None if library.statically => vec![format!("lib{}.a", library.name)],
            None => vec![
                format!("lib{}.so", library.name),
                format!("lib{}.a", library.name),
            ],
        };
        let folders = self.invocation.folders.iter();
        let paths =
            folders.flat_map(|folder| names.iter().map(move |name| format!("{folder}/{name}")));
        let found = { paths }.find(|path| Path::new(path).is_file());
        found.ok_or_else(|| format!("-l{} is not found", library.name))
    }

    /// A file that the script `script` names.
    fn in_script(&self, script: &str, name: &str) -> Result<String, Reason> {
        let beside = Path::new(script).parent().map(|folder| folder.join(name));
        let folders = self
            .invocation
            .folders
            .iter()
            .map(|folder| Path::new(folder).join(name));
        let paths = beside
            .into_iter()
            .chain([PathBuf::from(name)])
            .chain(folders);
        let found = { paths }.find(|path| path.is_file());
        let found = found.and_then(|path| path.to_str().map(str::to_owned));
        found.ok_or_else(|| format!("{name}, which {script} names, is not found"))
    }

    /// Adds what the shared objects need. A linker only warns when it does not find one; what is
    /// not found here is not found there either.
    fn follow_needed(&mut self) -> Result<(), Reason> {
        while let Some(name) = self.shared.pop() {
            let read = fs::read(&name).map_err(|error| format!("{name}: {error}"))?;
            let dynamic = elf::dynamic(&read).map_err(|reason| format!("{name}: {reason}"))?;
            let beside = Path::new(&name).parent().unwrap_or(Path::new("."));
            let own = dynamic.run_path.iter().flat_map(|path| path.split(':'));
            let own: Vec<PathBuf> = own
                .filter(|folder| !folder.is_empty())
                .map(|folder| {
                    let origin = beside.to_string_lossy();
                    PathBuf::from(
                        folder
                            .replace("${ORIGIN}", &origin)
                            .replace("$ORIGIN", &origin),
                    )
                })
                .collect();
            for needed in &dynamic.needed {
                let folders = self.needed_folders.iter().chain(&own);
                let found = { folders }
                    .map(|folder| folder.join(needed))
                    .find(|path| path.is_file());
                if let Some(path) = found.as_deref().and_then(Path::to_str) {
                    self.add_file(path)?;
                }
            }
        }
        Ok(())
    }
}

fn kind_of(path: &Path) -> Result<Kind, Reason> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = fs::File::open(path).map_err(failed)?;
    let mut start = Vec::new();
    Read::take(&mut file, 64)
        .read_to_end(&mut start)
        .map_err(failed)?;
    if start.starts_with(b"\x7fELF") {
        return Ok(if elf::is_shared(&start) {
            Kind::Shared
        } else {
            Kind::Plain
        });
    }
    // Archives; the bitcode of clang's objects, bare and wrapped.
    if [&b"!<arch>\n"[..], b"BC\xc0\xde", b"\xde\xc0\x17\x0b"]
        .iter()
        .any(|magic| start.starts_with(magic))
    {
        return Ok(Kind::Plain);
    }
    if start.starts_with(b"!<thin>\n") {
        return Err(format!(
            "{} is an archive of files elsewhere",
            path.display()
        ));
    }
    Read::take(file, MAX_SCRIPT)
        .read_to_end(&mut start)
        .map_err(failed)?;
    let text = String::from_utf8(start)
        .ok()
        .filter(|text| !text.contains('\0'));
    let text = text.ok_or_else(|| format!("{} is of no kind that is known", path.display()))?;
    Ok(Kind::Script(text))
}
