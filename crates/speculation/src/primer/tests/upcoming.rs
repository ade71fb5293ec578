//! What is read in the background for recorded actions that are looked at next.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use headstart_merkle::{
    Ahead, Directory, DirectoryDigest, DirectoryReader, DirectoryWriter, Guide, Node, TreeError,
};
use headstart_store::BlobStore;

use crate::storage::{Storage, directory_at};
use crate::testing::{Fixture, path};
use crate::{Config, Dependency, ElementId, Event, Generation, Mode, Primer, Staged, generate};

const ACTIONS: usize = 40;

type Read = BTreeSet<DirectoryDigest>;

/// A store that notes which Directories are read, and which would be in the background.
struct Noting<'a> {
    fixture: &'a Fixture,
    read: Mutex<Read>,
    ahead: Mutex<Read>,
}

impl DirectoryReader for Noting<'_> {
    fn read_directory(&self, digest: DirectoryDigest) -> Result<Arc<Directory>, TreeError> {
        self.read.lock().unwrap().insert(digest);
        self.fixture.store.read_directory(digest)
    }

    fn read_ahead(&self, mut pending: Vec<Ahead>, guide: Arc<dyn Guide>) {
        while let Some(Ahead { directory, from }) = pending.pop() {
            self.ahead.lock().unwrap().insert(directory);
            let here = self.fixture.store.read_directory(directory).unwrap();
            for (name, node) in &here.entries {
                if let (Node::Directory(below), Some(at)) = (node, from) {
                    let from = guide.enter(at, name);
                    pending.extend(from.map(|_| Ahead {
                        directory: *below,
                        from,
                    }));
                }
            }
        }
    }
}

impl DirectoryWriter for Noting<'_> {
    fn write_directory(&self, digest: DirectoryDigest, encoded: Bytes) -> Result<(), TreeError> {
        self.fixture.store.write_directory(digest, encoded)
    }
}

impl Storage for Noting<'_> {
    fn blobs(&self) -> &dyn BlobStore {
        self.fixture.store.blobs()
    }
}

/// Headers of a dependency, one for each action.
fn headers(fixture: &Fixture, dependency: usize, version: &str) -> DirectoryDigest {
    let files = (0..ACTIONS).map(|n| {
        let at = format!("usr/include/d{dependency}/{n}.h");
        (at, format!("/* {version} */"))
    });
    tree(fixture, files.collect())
}

fn tree(fixture: &Fixture, files: Vec<(String, String)>) -> DirectoryDigest {
    let files: Vec<_> = files.iter().map(|(at, text)| (&**at, &**text)).collect();
    fixture.tree(&files)
}

#[test]
fn what_is_looked_into_is_read_ahead_and_nothing_else() {
    let fixture = Fixture::default();
    let dependencies = [0, 1].map(|place| ElementId::new("p", &format!("d{place}.bst")));
    let old = [0, 1].map(|place| headers(&fixture, place, "old"));
    let new = headers(&fixture, 0, "new");
    let sources = (0..ACTIONS).map(|n| (format!("{n}.c"), format!("{n}")));
    let sources = tree(&fixture, sources.collect());
    let mut build = Generation::new(ElementId::new("p", "e.bst"), Mode::Full);
    build.sources = Some(Staged {
        tree: sources,
        at: path("b"),
    });
    let mut roots = Vec::new();
    for n in 0..ACTIONS {
        let inputs = [0, 1].map(|place| {
            let at = format!("usr/include/d{place}/{n}.h");
            (at, "/* old */".to_owned())
        });
        let source = (format!("b/{n}.c"), format!("{n}"));
        let root = tree(&fixture, inputs.into_iter().chain([source]).collect());
        let action = fixture.action(root, "cc", "b", &[&format!("{n}.o")]);
        build.subactions.push(fixture.recorded(action, &[]));
        roots.push(root);
    }
    for (element, tree) in dependencies.iter().zip(old) {
        build.dependencies.push(Dependency {
            element: element.clone(),
            tree,
            at: path(""),
            actions: None,
        });
    }
    let message = Arc::new(generate(&build, &fixture.store).unwrap().message);
    let at = |text: &str| -> Read {
        let below = |root: &DirectoryDigest| directory_at(&fixture.store, *root, &path(text));
        let found = roots.iter().map(|root| below(root).unwrap().unwrap());
        found.map(|directory| directory.digest()).collect()
    };
    let changed = at("usr/include/d0");

    let mut primer = Primer::new(Config {
        mode: Mode::Full,
        slots: 0,
    });
    let mut tell = |event| {
        let store = Noting {
            fixture: &fixture,
            read: Mutex::default(),
            ahead: Mutex::default(),
        };
        primer.handle(Duration::ZERO, event, &store);
        let read: Read = store.read.into_inner().unwrap();
        (store.ahead.into_inner().unwrap(), read)
    };
    let element = build.element.clone();
    tell(Event::Sources {
        element: element.clone(),
        tree: sources,
    });
    let (ahead, read) = tell(Event::Planned {
        element: element.clone(),
        message,
        turn: 0,
    });
    // Sources are as they were, and what artifacts are is not known.
    let expected: Read = ["", "usr", "usr/include"]
        .into_iter()
        .flat_map(at)
        .collect();
    assert_eq!(ahead, expected);
    assert_eq!(read, expected);
    let artifact = |place: usize, tree| Event::Artifact {
        element: dependencies[place].clone(),
        tree,
    };
    let (ahead, read) = tell(artifact(1, old[1]));
    assert_eq!((ahead, read), (Read::new(), Read::new()));
    let (ahead, read) = tell(artifact(0, new));
    assert!(ahead.is_subset(&read));
    assert!(changed.is_subset(&read));
    // Few that are left at the end are not worth it.
    assert!(ahead.intersection(&changed).count() >= ACTIONS - 16);
    let predicted = primer.predictions(&element);
    assert!(
        predicted
            .iter()
            .all(|(base, today)| today.is_some_and(|today| today != *base))
    );
    assert_eq!(predicted.len(), ACTIONS);
}
