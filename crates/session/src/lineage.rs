//! What was learned in earlier builds of an element, whatever its key was.

use headstart_artifacts::{Ancestor, ArtifactName};
use headstart_project::{Element, OptionType};
use headstart_speculation::Odds;

use crate::session::Session;

impl Session {
    /// The platform that an element is built for, as far as it tells one lineage from another: that of
    /// its sandbox, and the values of its project's options that name one.
    pub(crate) fn platform(&self, element: &Element) -> String {
        let sandbox = &element.sandbox;
        let mut platform = format!("{}-{}", sandbox.build_os, sandbox.build_arch);
        let project = self.projects.project(element.project_id);
        let options = project.iter().flat_map(|it| it.options().iter());
        for (name, option) in options {
            if matches!(option.option_type, OptionType::Arch(_) | OptionType::Os(_)) {
                platform.push_str(&format!("-{name}-{}", option.value.to_text()));
            }
        }
        platform
    }

    /// The records of an element's lineage, newest first. That they can't be read is logged.
    pub(crate) fn lineage(&self, element: &Element, name: &ArtifactName) -> Vec<Ancestor> {
        let lineage = self.lineages.read(name, &self.platform(element));
        lineage.unwrap_or_else(|error| {
            tracing::warn!(element = %element.full_name, %error, "its lineage could not be read");
            Vec::new()
        })
    }

    /// Adds a record to an element's lineage. That it can't be written is logged.
    pub(crate) fn add_to_lineage(&self, element: &Element, name: &ArtifactName, newest: Ancestor) {
        if let Err(error) = self.lineages.add(name, &self.platform(element), newest) {
            tracing::warn!(element = %element.full_name, %error, "the lineage could not be written");
        }
    }

    /// What was learned of predictions of an element. That it can't be read is logged.
    pub(crate) fn odds(&self, element: &Element, name: &ArtifactName) -> Odds {
        let text = self.lineages.read_odds(name, &self.platform(element));
        let text = text.unwrap_or_else(|error| {
            let element = &element.full_name;
            tracing::warn!(%element, %error, "what was learned of it could not be read");
            String::new()
        });
        Odds::from_text(&text)
    }

    /// Keeps what was learned of predictions of an element. That it can't be kept is logged.
    pub(crate) fn keep_odds(&self, element: &Element, name: &ArtifactName, odds: &Odds) {
        let platform = self.platform(element);
        let kept = self.lineages.write_odds(name, &platform, &odds.to_text());
        if let Err(error) = kept {
            let element = &element.full_name;
            tracing::warn!(%element, %error, "what was learned of it could not be kept");
        }
    }
}
