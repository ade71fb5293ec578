//! `headstart artifact checkout` and `headstart artifact log`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use headstart_session::{CheckoutTarget, Loaded};

use crate::arguments::{CheckoutArguments, LogArguments, MainOptions, ShowDeps};
use crate::error::{Failure, io as io_failure};
use crate::open;

pub(crate) fn checkout(main: &MainOptions, arguments: &CheckoutArguments) -> Result<(), Failure> {
    let session = open::session(main, open::config(main)?)?;
    let loaded = session.load(std::slice::from_ref(&arguments.element))?;
    let target = loaded.graph.targets()[0];
    let dependencies = scope(&loaded, arguments.deps);
    if let Some(path) = &arguments.tar {
        let mut writer: Box<dyn Write> = if path.as_os_str() == "-" {
            Box::new(BufWriter::new(io::stdout()))
        } else {
            Box::new(BufWriter::new(create(path, arguments.force)?))
        };
        session.checkout(
            &loaded,
            &dependencies,
            target,
            CheckoutTarget::Tar(&mut writer),
        )?;
        return writer.flush().map_err(|error| io_failure(path, &error));
    }
    let path = match &arguments.directory {
        Some(path) => path.clone(),
        None => PathBuf::from(loaded.graph[target].normal_name()),
    };
    let to = CheckoutTarget::Directory {
        path: &path,
        hardlinks: arguments.hardlinks,
        force: arguments.force,
    };
    session.checkout(&loaded, &dependencies, target, to)?;
    println!("checked out {} to {}", arguments.element, path.display());
    Ok(())
}

fn scope(loaded: &Loaded, deps: ShowDeps) -> Vec<headstart_project::ElementId> {
    let target = loaded.graph.targets()[0];
    match deps {
        ShowDeps::None => vec![target],
        ShowDeps::Build => loaded.graph.build_scope(target),
        ShowDeps::Run => loaded.graph.run_scope(target),
        ShowDeps::All => loaded.graph.all_scope(&[target]),
    }
}

pub(crate) fn create(path: &Path, force: bool) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::new(format!(
            "{} exists: choose another file, or use --force",
            path.display()
        )),
        _ => io_failure(path, &error),
    })
}

pub(crate) fn log(main: &MainOptions, arguments: &LogArguments) -> Result<(), Failure> {
    let session = open::session(main, open::config(main)?)?;
    let loaded = session.load(&arguments.elements)?;
    for target in loaded.graph.targets() {
        for (name, content) in session.log(&loaded, *target)? {
            match &arguments.out {
                None => {
                    let mut out = io::stdout().lock();
                    // A reader that has seen enough closes the pipe.
                    let _ = out.write_all(&content);
                }
                Some(folder) => {
                    fs::create_dir_all(folder).map_err(|error| io_failure(folder, &error))?;
                    let path = folder.join(Path::new(&name).file_name().unwrap_or(name.as_ref()));
                    fs::write(&path, &content).map_err(|error| io_failure(&path, &error))?;
                }
            }
        }
    }
    Ok(())
}
