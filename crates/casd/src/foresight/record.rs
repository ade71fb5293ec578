//! Records of what parents asked for, in the store and under their lineages.

use std::sync::Arc;

use headstart_artifacts::Ancestor;
use headstart_execution::Subaction;
use headstart_speculation::{Generation, Mode, SpeculativeActions, generate};

use super::lineage::Lineage;
use super::{Known, Workshop};

/// What earlier runs of a lineage asked for, newest first, down to one that went well.
pub(super) fn earlier(workshop: &Workshop, lineage: &Lineage) -> Vec<Arc<SpeculativeActions>> {
    let known = workshop.lineages.read(&lineage.name, "any");
    let known = known.unwrap_or_else(|error| {
        tracing::warn!(%error, "a lineage could not be read");
        Vec::new()
    });
    let mut earlier = Vec::new();
    for Ancestor { record, built } in known {
        let read = workshop.executor.store().read(record);
        let message = read.map_err(|error| error.to_string()).and_then(|bytes| {
            let store = &workshop.directories;
            SpeculativeActions::read(&bytes, &lineage.element, None, store)
                .map_err(|error| error.to_string())
        });
        match message {
            Ok(message) => earlier.push(Arc::new(message)),
            Err(error) => {
                tracing::warn!(%record, error, "a record of subactions can't be used");
                continue;
            }
        }
        if built {
            break;
        }
    }
    earlier
}

/// A run as it was.
pub(super) fn generation(known: &Known, subactions: Vec<Subaction>) -> Generation {
    let mut generation = Generation::new(known.lineage.element.clone(), Mode::Full);
    generation.subactions = subactions;
    generation.named_trees.clone_from(&known.named_trees);
    generation.root = Some(known.root);
    generation
}

/// Keeps the record of a run as the newest of its lineage; one that asked for nothing is not kept.
pub(super) fn keep(workshop: &Workshop, lineage: &Lineage, generation: &Generation, well: bool) {
    if generation.subactions.is_empty() {
        return;
    }
    let kept = || -> Result<(), String> {
        let generated =
            generate(generation, &workshop.directories).map_err(|error| error.to_string())?;
        for problem in &generated.problems {
            tracing::warn!(parent = %lineage.element.name, problem, "a subaction can't be adapted");
        }
        if generated.message.is_empty() {
            return Ok(());
        }
        let store = workshop.executor.store();
        let record = store.write(generated.message.encode());
        let record = record.map_err(|error| error.to_string())?;
        let newest = Ancestor {
            record,
            built: well,
        };
        let added = workshop.lineages.add(&lineage.name, "any", newest);
        added.map_err(|error| error.to_string())
    };
    if let Err(error) = kept() {
        tracing::warn!(parent = %lineage.element.name, error, "subactions could not be recorded");
    }
}
