//! `headstart artifact checkout`, `log`, `show`, `list-contents` and `delete`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use headstart_merkle::DirectoryDigest;
use headstart_session::{
    CheckoutTarget, Compression, ContentEntry, ContentKind, NamedArtifact, Session,
};

use crate::arguments::artifact::{DeleteArguments, ListContentsArguments, ShowStateArguments};
use crate::arguments::{CheckoutArguments, CompressionArgument, LogArguments, MainOptions};
use crate::error::{Failure, io as io_failure};
use crate::selection::{Deps, Except, Selection, scope};
use crate::{open, terminal, transfer};

pub(crate) fn checkout(main: &MainOptions, arguments: &CheckoutArguments) -> Result<(), Failure> {
    let session = transfer::session_with_artifacts(main, &arguments.servers)?;
    let target = open::element(&session, arguments.element.as_ref())?;
    let (name, tree) = match is_element(&target) {
        true => element_tree(&session, &target, arguments)?,
        false => (target.replace('/', "-"), named_tree(&session, &target)?),
    };
    if let Some(path) = &arguments.tar {
        let mut writer: Box<dyn Write> = if path.as_os_str() == "-" {
            Box::new(BufWriter::new(io::stdout()))
        } else {
            Box::new(BufWriter::new(create(path, arguments.force)?))
        };
        let to = CheckoutTarget::Tar(&mut writer, compression(arguments.compression));
        session.check_out_to(tree, to)?;
        return writer.flush().map_err(|error| io_failure(path, &error));
    }
    let path = arguments.directory.clone();
    let path = path.unwrap_or_else(|| PathBuf::from(name));
    let to = CheckoutTarget::Directory {
        path: &path,
        hardlinks: arguments.hardlinks,
        force: arguments.force,
    };
    session.check_out_to(tree, to)?;
    println!("checked out {target} to {}", path.display());
    Ok(())
}

/// What a checkout of an element has, and what it is called.
fn element_tree(
    session: &Session,
    element: &String,
    arguments: &CheckoutArguments,
) -> Result<(String, DirectoryDigest), Failure> {
    let loaded = session.load(std::slice::from_ref(element))?;
    let target = loaded.graph.targets()[0];
    let elements = scope(&loaded.graph, &[target], arguments.deps);
    session.pull_missing(&loaded, &elements)?;
    let tree = match !arguments.no_integrate && session.is_integrated(&loaded, &elements) {
        true => {
            terminal::lend(|cancel| session.integrated_tree(&loaded, &elements, target, cancel))??
        }
        false => session.checkout_tree(&loaded, &elements)?,
    };
    Ok((loaded.graph[target].normal_name(), tree))
}

/// The files of an artifact that is known by its own name.
fn named_tree(session: &Session, name: &str) -> Result<DirectoryDigest, Failure> {
    let artifacts = named(session, &[name.to_owned()], Deps::None)?;
    let [artifact] = &artifacts[..] else {
        let text = format!("'{name}' are {} artifacts: name one", artifacts.len());
        return Err(Failure::new(text));
    };
    session.pull_named(&artifacts)?;
    let files = session.required_named(artifact)?.artifact().files();
    files.ok_or_else(|| Failure::new(format!("{name} has no files")))
}

/// How an archive is to be compressed.
pub(crate) fn compression(asked: Option<CompressionArgument>) -> Compression {
    match asked {
        None => Compression::None,
        Some(CompressionArgument::Gz) => Compression::Gzip,
        Some(CompressionArgument::Xz) => Compression::Xz,
        Some(CompressionArgument::Bz2) => Compression::Bzip2,
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
    let targets = match arguments.artifacts.is_empty() {
        true => session.default_targets()?,
        false => arguments.artifacts.clone(),
    };
    for artifact in named(&session, &targets, Deps::None)? {
        for (name, content) in session.logs(&session.required_named(&artifact)?)? {
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

/// Whether a target is an element, and no artifact that is known by its own name.
fn is_element(target: &str) -> bool {
    target.ends_with(".bst")
}

/// The elements among targets, and the names of artifacts.
pub(crate) fn split_targets(targets: &[String]) -> (Vec<String>, Vec<String>) {
    targets
        .iter()
        .cloned()
        .partition(|target| is_element(target))
}

/// The artifacts that targets name: of elements with their dependencies, and by their own names.
pub(crate) fn named(
    session: &Session,
    targets: &[String],
    deps: Deps,
) -> Result<Vec<NamedArtifact>, Failure> {
    let (elements, names) = split_targets(targets);
    let mut artifacts = Vec::new();
    if !elements.is_empty() {
        let Selection { loaded, elements } =
            Selection::load(session, &elements, deps, &Except::default())?;
        artifacts = session.artifacts_of(&loaded, &elements);
    }
    for name in names {
        let found = session.artifacts_named(&name)?.ok_or_else(|| {
            Failure::new(format!(
                "'{name}' is neither an element, whose name ends in '.bst', nor an artifact \
                 PROJECT/ELEMENT/KEY"
            ))
        })?;
        if found.is_empty() {
            tracing::warn!("no artifact is named like '{name}'");
        }
        artifacts.extend(found);
    }
    Ok(artifacts)
}

pub(crate) fn show(main: &MainOptions, arguments: &ShowStateArguments) -> Result<(), Failure> {
    let session = transfer::session_with_artifacts(main, &arguments.servers)?;
    for artifact in named(&session, &arguments.artifacts, arguments.deps)? {
        let state = match session.find_artifact(&artifact)? {
            Some(cached) if cached.artifact().message().build_success => "cached",
            Some(_) => "failed",
            None if session.is_on_server(&artifact)? => "available",
            None => "not cached",
        };
        println!("{state: >12} {}", artifact.label);
    }
    println!();
    Ok(())
}

pub(crate) fn list_contents(
    main: &MainOptions,
    arguments: &ListContentsArguments,
) -> Result<(), Failure> {
    let session = open::session(main, open::config(main)?)?;
    let mut text = String::new();
    for artifact in named(&session, &arguments.artifacts, Deps::None)? {
        let Some(cached) = session.find_artifact(&artifact)? else {
            tracing::warn!("{} is not cached", artifact.label);
            continue;
        };
        let entries = match cached.artifact().files() {
            Some(files) => session.contents(files)?,
            None => Vec::new(),
        };
        text.push_str(&format!("  {}:", artifact.label));
        for entry in &entries {
            text.push_str("\n\t");
            text.push_str(&line(entry, arguments.long));
        }
        if entries.is_empty() {
            text.push_str("\n\tThis element has no associated artifacts");
        }
        text.push('\n');
    }
    if text.is_empty() {
        return Err(Failure::nothing_there(
            "None of the specified artifacts are cached.",
        ));
    }
    println!("{text}");
    Ok(())
}

/// What is said of something in an artifact.
fn line(entry: &ContentEntry, long: bool) -> String {
    let path = entry.path.as_str();
    if !long {
        return path.to_owned();
    }
    match &entry.kind {
        ContentKind::Directory => format!("drwxr-xr-x  dir    {:<12}{path}", 0),
        ContentKind::Symlink(target) => {
            let size = target.chars().count();
            format!("lrwxrwxrwx  link   {size:<12}{path} -> {target}")
        }
        ContentKind::File {
            size,
            executable: true,
        } => format!("-rwxr-xr-x  exe    {size:<12}{path}"),
        ContentKind::File { size, .. } => format!("-rw-r--r--  reg    {size:<12}{path}"),
    }
}

pub(crate) fn delete(main: &MainOptions, arguments: &DeleteArguments) -> Result<(), Failure> {
    let session = open::session(main, open::config(main)?)?;
    let mut any = false;
    for artifact in named(&session, &arguments.artifacts, arguments.deps)? {
        for deleted in session.delete_artifact(&artifact)? {
            any = true;
            println!("Removed: {deleted}");
        }
    }
    if !any {
        println!("No artifacts were removed");
    }
    Ok(())
}
