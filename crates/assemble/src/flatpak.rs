//! Kind flatpak_image: files in the layout that `flatpak build-export` takes.

use std::fmt::Write as _;

use headstart_merkle::{Node, TreePath};
use headstart_project::{FlatpakImage, Splits};

use crate::assembly::{AssembleError, Assembled, Inputs};
use crate::collect::directory;
use crate::prepare::{Prepared, elements};
use crate::staging::{Staging, place_path};
use crate::written::write_file;

/// The directory that becomes the artifact.
pub(crate) const INSTALL_ROOT: &str = "/buildstream/install";

pub(crate) async fn assemble_image(
    inputs: &Inputs<'_>,
    mut prepared: Prepared<'_>,
    image: &FlatpakImage,
) -> Result<Assembled, AssembleError> {
    if !compose_components(inputs, &mut prepared, image).await? {
        return prepared.failed(inputs, "composing AppStream data failed");
    }
    install(inputs, image, &mut prepared.staging)?;
    let files = directory(&mut prepared.staging, INSTALL_ROOT, inputs)?;
    prepared.finished(inputs, Some(files))
}

/// Stages dependencies; of those that become the image only what the split domains take.
pub(crate) fn stage(
    inputs: &Inputs<'_>,
    image: &FlatpakImage,
    staging: &mut Staging<'_>,
) -> Result<(), AssembleError> {
    let graph = inputs.trees.graph;
    for (place, dependencies) in &image.layout {
        let elements = elements(dependencies);
        if **place != *FlatpakImage::INPUT {
            staging.stage(&elements, place)?;
            continue;
        }
        for id in graph.run_scope_of(&elements) {
            let splits = Splits::new(&inputs.trees.public(id));
            let split = splits.filter(&image.include, &image.exclude, true);
            staging.stage_one(id, place, split.as_ref())?;
        }
    }
    Ok(())
}

/// Runs `appstreamcli compose` for the last of the components, as the plugin does; says whether it
/// succeeded.
async fn compose_components(
    inputs: &Inputs<'_>,
    prepared: &mut Prepared<'_>,
    image: &FlatpakImage,
) -> Result<bool, AssembleError> {
    let Some(component) = image.component_ids.last() else {
        return Ok(true);
    };
    let (input, prefix) = (FlatpakImage::INPUT, &image.directory);
    let below = prefix.trim_start_matches('/');
    let command = format!(
        "appstreamcli compose --components {component} --result-root {INSTALL_ROOT} --prefix {prefix} \
         --data-dir {input}/{below}/share --origin {component} {input}"
    );
    let command = prepared.setting.command(&command);
    prepared.run(inputs, &[command], None, true).await
}

/// Lays out the image below the install root.
fn install(
    inputs: &Inputs<'_>,
    image: &FlatpakImage,
    staging: &mut Staging<'_>,
) -> Result<(), AssembleError> {
    let store = inputs.trees.directories;
    let root = place_path(INSTALL_ROOT)?;
    let below = |path: &str| place_path(&format!("{INSTALL_ROOT}/{path}"));
    staging.tree.make_directory(&below("files")?, store)?;
    let is_application = image.metadata.contains_key("Application");
    if is_application {
        staging.tree.make_directory(&below("export")?, store)?;
    }
    for (name, section) in &image.metadata {
        if name.starts_with("Extension ") {
            let directory = section.get("directory").ok_or_else(|| {
                AssembleError::Element(format!("'{name}' in the metadata has no 'directory'"))
            })?;
            let directory = below(&format!("files/{directory}"))?;
            staging.tree.make_directory(&directory, store)?;
        }
    }
    let input = FlatpakImage::INPUT;
    import(
        inputs,
        staging,
        &format!("{input}/{}", image.directory),
        &below("files")?,
    )?;
    if !is_application {
        import(
            inputs,
            staging,
            &format!("{input}/etc"),
            &below("files/etc")?,
        )?;
    }
    let metadata = root.join(&place_path("metadata")?);
    write_file(&mut staging.tree, &metadata, keyfile(image), false, store)
}

/// Copies a directory of the sandbox into another, if it is there.
fn import(
    inputs: &Inputs<'_>,
    staging: &mut Staging<'_>,
    from: &str,
    to: &TreePath,
) -> Result<(), AssembleError> {
    let store = inputs.trees.directories;
    if let Some(Node::Directory(tree)) = staging.tree.get(&place_path(from)?, store)? {
        staging.tree.merge(to, tree, store)?;
    }
    Ok(())
}

/// The text of the file `metadata`, as Python's `configparser` writes it.
fn keyfile(image: &FlatpakImage) -> String {
    let mut text = String::new();
    for (name, section) in &image.metadata {
        // Writing to a string can't fail.
        let _ = writeln!(text, "[{name}]");
        for (key, value) in section {
            let _ = writeln!(text, "{key} = {}", value.replace('\n', "\n\t"));
        }
        text.push('\n');
    }
    text
}
