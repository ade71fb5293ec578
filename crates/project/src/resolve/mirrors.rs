//! Mirrors that are plugins, made when their project is loaded: what is wrong with one is told then, as
//! BuildStream does it, and not only when something is fetched from it.

use super::find::Finder;
use super::origin::failed;
use crate::error::LoadError;
use crate::mirror::SourceMirror;
use crate::plugins::PluginType;
use crate::universe::Universe;

impl Universe {
    /// Makes a mirror. Where no plugin can be run nothing is said: that matters to who fetches, and is told then.
    pub(crate) fn make_mirror(&self, mirror: &SourceMirror) -> Result<(), LoadError> {
        let (Ok(host), Ok(plugin)) = (self.outside.plugins(), mirror.plugin()) else {
            return Ok(());
        };
        let made = host.mirror(mirror);
        mirror.set_deprecated(made.map_err(failed(plugin, mirror.kind()))?);
        Ok(())
    }
}

impl Finder<'_> {
    /// Says which mirrors of all projects are not to be used any more.
    pub(super) fn warn_of_mirrors(&self) {
        for id in self.universe.ids() {
            // One that was only looked into has no mirrors that matter.
            let Ok(project) = self.universe.full(id) else {
                continue;
            };
            for mirror in project.aliases().plugin_mirrors() {
                let (kind, advice) = (mirror.kind(), mirror.deprecated());
                self.warn_of_deprecated(id, PluginType::SourceMirror, kind, advice);
            }
        }
    }
}
