# Copyright 2026 The Headstart authors
# SPDX-License-Identifier: Apache-2.0
"""Finding plugins and loading their classes, by BuildStream's own factories."""

import os

from pluginbase import PluginBase

from buildstream import _pluginfactory
from buildstream._pluginfactory.pluginorigin import PluginOrigin, PluginOriginType, PluginType
from buildstream._pluginfactory.pluginoriginpip import PluginOriginPip
from buildstream.element import Element
from buildstream.node import Node


# The names of the factories: versions that know no mirrors of kinds have no factory for them.
_FACTORIES = {
    "element": "ElementFactory",
    "source": "SourceFactory",
    "source-mirror": "SourceMirrorFactory",
}


class _Directory(PluginOrigin):
    """A directory, whichever project it belongs to."""

    def __init__(self, path):
        super().__init__(PluginOriginType.LOCAL)
        self._path = path

    def get_plugin_paths(self, kind, plugin_type):
        defaults = os.path.join(self._path, f"{kind}.yaml")
        return self._path, defaults if os.path.exists(defaults) else None, self._path


def deprecated(plugin_class):
    """What is to be used in place of a class, if it is not to be used any more: else `None`."""
    if not plugin_class.BST_PLUGIN_DEPRECATED:
        return None
    return plugin_class.BST_PLUGIN_DEPRECATION_MESSAGE or ""


class Plugins:
    """All classes that were asked for."""

    def __init__(self, context):
        self._context = context
        self._base = PluginBase(package="buildstream.plugins")
        self._loaded = {}

    def load(self, wire):
        """The class of a plugin, and the path of its defaults or `None`."""
        key = (wire["type"], wire["kind"], wire.get("package"), wire.get("directory"))
        if key not in self._loaded:
            # One each: what has the same name in another project may be something else.
            factory = getattr(_pluginfactory, _FACTORIES[wire["type"]])(self._base)
            factory._identifier = f"{factory._identifier}{len(self._loaded)}"
            if wire.get("directory"):
                factory.register_plugin_origin(wire["kind"], _Directory(wire["directory"]), True)
            elif wire.get("package"):
                origin = PluginOriginPip()
                origin.initialize(None, Node.from_dict({"package-name": wire["package"]}))
                factory.register_plugin_origin(wire["kind"], origin, True)
            node = Node.from_dict({})
            loaded = factory.lookup(self._context.messenger, wire["kind"], node)
            # The factory keeps the modules alive.
            self._loaded[key] = (*loaded, factory)
        plugin_class, defaults, _ = self._loaded[key]
        return plugin_class, defaults

    def element_class(self, wire):
        """What a class says of all its elements, and what they begin with."""
        found, path = self.load(wire)
        has_path = path is not None and os.path.exists(path)
        text = ""
        if has_path:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        overridden = found.configure_dependencies is not Element.configure_dependencies
        return {
            "defaults": {"name": path if has_path else "", "text": text},
            "no-sources": found.BST_FORBID_SOURCES,
            "no-build-dependencies": found.BST_FORBID_BDEPENDS,
            "no-runtime-dependencies": found.BST_FORBID_RDEPENDS,
            "dependency-config": overridden,
            "always-strict": found.BST_STRICT_REBUILD,
            "runs-commands": found.BST_RUN_COMMANDS,
            "has-artifact": found.BST_ELEMENT_HAS_ARTIFACT,
            "version": found.BST_ARTIFACT_VERSION,
            "deprecated": deprecated(found),
        }

    def source_class(self, wire):
        """What a class says of all its sources."""
        found, _ = self.load(wire)
        return {
            "previous-to-track": found.BST_REQUIRES_PREVIOUS_SOURCES_TRACK,
            "previous-to-fetch": found.BST_REQUIRES_PREVIOUS_SOURCES_FETCH,
            "previous-to-stage": found.BST_REQUIRES_PREVIOUS_SOURCES_STAGE,
            "deprecated": deprecated(found),
        }
