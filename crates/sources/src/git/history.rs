//! A `.git` folder for staged sources: so much of a repository that its commit can be described and
//! shown, written straight into the store.
//!
//! The same repository and commit give the same bytes, whatever machine or time it is.

use std::collections::BTreeSet;
use std::path::Path;

use headstart_merkle::{DirectoryDigest, Tree};

use super::checkout::temporary;
use super::objects::{Object, entries, read};
use super::{Git, failed};
use crate::error::SourceError;
use crate::files::put_file;
use crate::{Store, tree_path};

const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\
                      \tlogallrefupdates = true\n";

/// A tag that is to be found again, on a commit of the history.
#[derive(Debug)]
pub(crate) struct Tagged {
    pub(crate) name: String,
    pub(crate) commit: String,
    /// Whether it is an object of its own.
    pub(crate) annotated: bool,
}

/// Part of a repository.
#[derive(Default)]
pub(crate) struct History {
    objects: Vec<Object>,
    /// Commits whose parents are left out.
    shallow: BTreeSet<String>,
    /// Files below `.git` and what is in them.
    files: Vec<(String, Vec<u8>)>,
}

impl History {
    /// The commits between `head` and the tags, without any files: `git describe` works with it.
    pub(crate) fn leading(
        repository: &Path,
        head: &str,
        tags: Vec<Tagged>,
    ) -> Result<Self, SourceError> {
        let mut included = BTreeSet::new();
        let mut shallow = BTreeSet::new();
        for tag in &tags {
            if tag.commit == head {
                shallow.insert(head.to_owned());
                continue;
            }
            let range = format!("{}..{head}", tag.commit);
            let listed = Git::of(repository)
                .args(["rev-list", "--ancestry-path", "--boundary", &range])
                .run("its history can't be read")?;
            for line in listed.lines() {
                match line.strip_prefix('-') {
                    Some(boundary) => shallow.insert(boundary.to_owned()),
                    None => included.insert(line.to_owned()),
                };
            }
        }
        shallow.retain(|commit| !included.contains(commit));
        included.extend(shallow.iter().cloned());
        let ids: Vec<String> = included.into_iter().collect();
        let mut history = Self {
            objects: read(repository, &ids)?,
            shallow,
            files: vec![("HEAD".to_owned(), format!("{head}\n").into())],
        };
        for tag in tags {
            let target = match tag.annotated {
                true => history.add_tag(repository, &tag)?,
                false => tag.commit,
            };
            history.refer(&format!("tags/{}", tag.name), &target);
        }
        Ok(history)
    }

    /// `head` and all commits since `tag`, if there is one, with the names of their files, and an
    /// index: `git describe`, `git log` and `git status` work with it.
    pub(crate) fn since(
        repository: &Path,
        head: &str,
        tag: Option<&str>,
    ) -> Result<Self, SourceError> {
        let mut history = Self::default();
        let mut commits = vec![head.to_owned()];
        if let Some(tag) = tag {
            let base = history.add_tag_chain(repository, tag)?;
            if base != head {
                commits = since(repository, head, &base)?;
            }
        }
        let known: BTreeSet<String> = commits.iter().cloned().collect();
        let mut trees = BTreeSet::new();
        for object in read(repository, &commits)? {
            trees.extend(object.headers("tree"));
            if object
                .headers("parent")
                .any(|parent| !known.contains(&parent))
            {
                history.shallow.insert(object.id.clone());
            }
            history.objects.push(object);
        }
        history.add_trees(repository, trees)?;
        history.check_out(repository, head)?;
        Ok(history)
    }

    /// `head` and nothing else but its index.
    pub(crate) fn alone(repository: &Path, head: &str) -> Result<Self, SourceError> {
        let mut history = Self {
            objects: read(repository, &[head.to_owned()])?,
            shallow: BTreeSet::from([head.to_owned()]),
            files: Vec::new(),
        };
        history.check_out(repository, head)?;
        Ok(history)
    }

    /// Makes `head` that of a branch, as what is checked out.
    fn check_out(&mut self, repository: &Path, head: &str) -> Result<(), SourceError> {
        self.files.extend([
            ("HEAD".to_owned(), "ref: refs/heads/master\n".into()),
            ("index".to_owned(), index(repository, head)?),
        ]);
        self.refer("heads/master", head);
        Ok(())
    }

    fn refer(&mut self, name: &str, target: &str) {
        let file = (format!("refs/{name}"), format!("{target}\n").into());
        self.files.push(file);
    }

    /// Adds a tag object made anew, as nobody's: what BuildStream makes of a recorded tag.
    fn add_tag(&mut self, repository: &Path, tag: &Tagged) -> Result<String, SourceError> {
        let content = format!(
            "object {}\ntype commit\ntag {}\ntagger Unspecified Tagger <unspecified-tagger> 0 +0000\n",
            tag.commit, tag.name
        );
        let git = Git::of(repository).args(["hash-object", "-t", "tag", "--stdin"]);
        let output = git.output_of(content.as_bytes())?;
        if !output.status.success() {
            return Err(failed(
                &format!("the tag {:?} can't be made", tag.name),
                &output,
            ));
        }
        let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        self.objects.push(Object {
            id: id.clone(),
            kind: "tag".to_owned(),
            content: content.into(),
        });
        Ok(id)
    }

    /// Adds a tag of the repository, and the tags that it leads to; gives the commit at their end.
    fn add_tag_chain(&mut self, repository: &Path, tag: &str) -> Result<String, SourceError> {
        let target = Git::of(repository)
            .args(["rev-parse", "--verify", "--quiet", "--end-of-options"])
            .arg(format!("refs/tags/{tag}"))
            .ask()?;
        let missing = || SourceError::Tool {
            doing: format!("the tag {tag:?} can't be found"),
            said: "it is not on a commit of the repository".to_owned(),
        };
        let mut id = target.ok_or_else(missing)?;
        self.refer(&format!("tags/{tag}"), &id);
        loop {
            let object = read(repository, std::slice::from_ref(&id))?.pop();
            let object = object.ok_or_else(missing)?;
            match object.kind.as_str() {
                "commit" => return Ok(object.id),
                "tag" => {}
                _ => return Err(missing()),
            }
            id = object.headers("object").next().ok_or_else(missing)?;
            self.objects.push(object);
        }
    }

    /// Adds trees with all below them, and symbolic links, but no files.
    fn add_trees(&mut self, repository: &Path, trees: BTreeSet<String>) -> Result<(), SourceError> {
        let mut seen = trees.clone();
        let mut level: Vec<String> = trees.into_iter().collect();
        while !level.is_empty() {
            let mut next = Vec::new();
            for object in read(repository, &level)? {
                if object.kind == "tree" {
                    let below = entries(&object.content).into_iter();
                    let below = below.filter(|(mode, _)| mode == "40000" || mode == "120000");
                    next.extend(below.map(|(_, id)| id).filter(|id| seen.insert(id.clone())));
                }
                self.objects.push(object);
            }
            level = next;
        }
        Ok(())
    }

    /// Writes it as a folder `.git` would be.
    pub(crate) fn stage(self, store: &Store) -> Result<DirectoryDigest, SourceError> {
        let mut tree = Tree::empty();
        for folder in [
            "branches",
            "hooks",
            "objects/info",
            "objects/pack",
            "refs/heads",
            "refs/tags",
        ] {
            tree.make_directory(&tree_path(folder)?, store)?;
        }
        let mut files = self.files;
        files.extend([
            ("config".to_owned(), CONFIG.into()),
            ("description".to_owned(), "Unnamed repository".into()),
            ("info/exclude".to_owned(), Vec::new()),
        ]);
        if !self.shallow.is_empty() {
            let lines = self.shallow.iter().map(|commit| format!("{commit}\n"));
            files.push(("shallow".to_owned(), lines.collect::<String>().into()));
        }
        for object in self.objects {
            let (folder, name) = object.id.split_at(2);
            files.push((format!("objects/{folder}/{name}"), object.compressed()?));
        }
        for (name, content) in files {
            put_file(&mut tree, &tree_path(&name)?, content, false, store)?;
        }
        Ok(tree.write(store)?)
    }
}

/// The commits that lead to `head`, but not to the parents of `base`.
fn since(repository: &Path, head: &str, base: &str) -> Result<Vec<String>, SourceError> {
    let doing = "its history can't be read";
    let parents = Git::of(repository)
        .args(["rev-list", "--parents", "-n", "1", base])
        .run(doing)?;
    let parents = parents.split_whitespace().skip(1);
    let excluded = parents.map(|parent| format!("^{parent}"));
    let listed = Git::of(repository)
        .args(["rev-list", head])
        .args(excluded)
        .run(doing)?;
    Ok(listed.lines().map(str::to_owned).collect())
}

/// The index of a commit's files, which says nothing of any particular machine.
fn index(repository: &Path, commit: &str) -> Result<Vec<u8>, SourceError> {
    let folder = temporary()?;
    let file = folder.path().join("index");
    Git::of(repository)
        .isolated()
        .env("GIT_INDEX_FILE", &file)
        .args(["read-tree", commit])
        .run("its index can't be made")?;
    std::fs::read(&file).map_err(|error| SourceError::io(&file, error))
}
