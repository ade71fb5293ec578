# Copyright 2026 The Headstart authors
# SPDX-License-Identifier: Apache-2.0
"""Elements: the plugin's own, and those that it depends on.

A dependency is an object of BuildStream's class `Element` whose fields are asked of Headstart when
something first looks at them: most plugins only ever want the names of most dependencies.
"""

from threading import Lock
from typing import cast

from buildstream import element as element_module
from buildstream._elementproxy import ElementProxy
from buildstream._yaml import load_data
from buildstream.element import DependencyConfiguration, Element, ElementError, _get_normal_name
from buildstream.plugin import Plugin
from buildstream.storage import CasBasedDirectory

from headstart_host import nodes
from headstart_host.sources import make_known
from headstart_host.stand_ins import Project
from headstart_host.variables import Resolved

# Elements make theirs themselves.
element_module.Variables = Resolved


class _LoadElement:
    """What `Element` is made from: everything resolved, so that nothing is left to be laid over."""

    first_pass = False
    dependencies = ()

    def __init__(self, wire):
        self.name = wire["name"]
        self.kind = wire["kind"]
        self.description = wire.get("description") or ""
        self.node = nodes.from_wire(wire["at"])
        self.node["variables"] = nodes.mapping(wire["variables"])
        self.node["environment"] = nodes.mapping(dict(wire["environment"]))
        self.node["sandbox"] = nodes.mapping(wire["sandbox"])
        self.node["public"] = nodes.from_wire(wire["public"])
        self.node["config"] = nodes.from_wire(wire["config"])


class Artifact:
    """An artifact that the store has."""

    def __init__(self, context, wire):
        self._context = context
        self._files = wire["files"]
        self._public = wire["public"]

    def cached(self):
        return True

    def get_files(self):
        digest = self._context.cascache.digest(self._files) if self._files else None
        return CasBasedDirectory(self._context.cascache, digest=digest)

    def load_public_data(self):
        return load_data(self._public, file_name="public data")


class NoArtifact:
    """That of an element which is not built."""

    def cached(self):
        return False


class Sources:
    """The sources of an element; for a build they are staged already."""

    def __init__(self, make, staged=None):
        self._make = make
        self._made = None
        self._staged = staged

    def sources(self):
        if self._made is None:
            self._made = self._make()
        yield from self._made

    def preflight(self):
        pass

    def get_files(self):
        return self._staged()


class _Dependency(Element):
    """Another element than the plugin's own."""

    def __init__(self, table, index, wire):  # pylint: disable=super-init-not-called
        context, project = table.context, table.project(wire["project"])
        self._table = table
        self._index = index
        self.name = wire["name"]
        self.project_name = project.name
        self.normal_name = _get_normal_name(self.name)
        self._overlap_collectors = {}
        self._unique_id = next(Plugin._Plugin__id_generator)
        self._message_kwargs = {"element_name": wire["full-name"]}
        own = {
            "_Plugin__context": context,
            "_Plugin__project": project,
            "_Plugin__provenance_node": nodes.mapping({}),
            "_Plugin__type_tag": "element",
            "_Plugin__configuring": False,
            "_Plugin__full_name": wire["full-name"],
            "_Plugin__kind": wire["kind"],
            "_Element__proxies": {},
            "_Element__splits": None,
            "_Element__whitelist_regex": None,
            "_Element__dynamic_public": None,
            "_Element__dynamic_public_guard": Lock(),
        }
        self.__dict__.update(own)

    def __getattr__(self, name):
        # Only called for what is not there.
        if not name.startswith("_Element__") or "_Element__variables" in self.__dict__:
            raise AttributeError(f"'{type(self).__name__}' has no attribute '{name}'")
        wire = self._table.ask(self._index)
        context = self._table.context
        artifact = wire.get("artifact")
        self.__dict__.update(
            {
                "_Element__variables": Resolved(nodes.mapping(wire["variables"])),
                "_Element__environment": dict(wire["environment"]),
                "_Element__public": nodes.resolved(wire["public"]),
                "_Element__build_dependencies": self._table.all(wire["build-dependencies"]),
                "_Element__runtime_dependencies": self._table.all(wire["runtime-dependencies"]),
                "_Element__cache_key": artifact and artifact["key"],
                "_Element__strict_cache_key": artifact and artifact["key"],
                "_Element__artifact": Artifact(context, artifact) if artifact else NoArtifact(),
                "_Element__sources": Sources(lambda: self._table.sources_of(wire)),
            }
        )
        return self.__dict__[name]


class Table:
    """The elements of one request, by their numbers."""

    def __init__(self, context, plugins):
        self.context = context
        self._plugins = plugins
        self._known = {}
        self._projects = {}

    def project(self, wire):
        """The project that an element belongs to."""
        key = (wire["name"], wire["directory"])
        if key not in self._projects:
            self._projects[key] = Project(self.context, wire)
        return self._projects[key]

    def ask(self, index):
        """All that Headstart knows of an element."""
        return self.context.channel.ask("element", index=index)

    def all(self, named):
        """Elements of which the names are known."""
        return [self.get(wire["index"], wire) for wire in named]

    def get(self, index, wire):
        """The element with a number."""
        if index not in self._known:
            self._known[index] = _Dependency(self, index, wire)
        return self._known[index]

    def index_of(self, element):
        """The number of a dependency."""
        return element._index

    def sources_of(self, wire):
        """The sources of an element."""
        return [make_known(self.context, self._plugins, source) for source in wire["sources"]]

    def make(self, wire, staged=None):
        """The plugin's own element, configured and checked as BuildStream does it."""
        plugin_class, _ = self._plugins.load(wire["plugin"])
        project = self.project(wire["project"])
        element = plugin_class(self.context, project, _LoadElement(wire), None)
        full_name = wire["full-name"]
        element._message_kwargs = {"element_name": full_name}
        fields = {
            "_Plugin__full_name": full_name,
            "_Plugin__kind": wire["kind"],
            "_Element__build_dependencies": self.all(wire["build-dependencies"]),
            "_Element__runtime_dependencies": self.all(wire["runtime-dependencies"]),
            "_Element__sources": Sources(lambda: self.sources_of(wire), staged),
            "_Element__artifact": NoArtifact(),
        }
        element.__dict__.update(fields)
        self._configure_dependencies(element, wire)
        try:
            element.preflight()
        except ElementError as error:
            raise ElementError(f"{element}: {error}", reason=error.reason, detail=error.detail) from error
        return element

    def _configure_dependencies(self, element, wire):
        if type(element).configure_dependencies is Element.configure_dependencies:
            return
        configurations = []
        for dependency in wire["dependencies"]:
            other = self.get(dependency["index"], dependency)
            proxy = cast(Element, ElementProxy(element, other))
            configs = [nodes.resolved(config) for config in dependency["configs"]] or [None]
            for config in configs:
                configurations.append(DependencyConfiguration(proxy, dependency["path"], config))
        element.configure_dependencies(configurations)
