//! Projects in one text, written to disk.

use std::fs;

/// Writes a project whose files each begin with a line `//- PATH`.
pub(crate) fn write(fixture: &str) -> tempfile::TempDir {
    let root = tempfile::TempDir::new().unwrap();
    for part in fixture.split("//- ").skip(1) {
        let (path, content) = part.split_once('\n').unwrap();
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    root
}
