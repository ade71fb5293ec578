# Copyright 2026 The Headstart authors
# SPDX-License-Identifier: Apache-2.0
"""What stands in for BuildStream's context and project: just what its base classes of plugins use.

Elements come here resolved, so a project has no defaults to lay below them. What its addresses'
aliases stand for is asked of Headstart.
"""

import json
import os
from pathlib import Path

from buildstream._messenger import Messenger
from buildstream._message import MessageType
from buildstream._project import Project as RealProject
from buildstream.node import Node
from buildstream.source import AliasSubstitution
from buildstream.types import _CacheBuildTrees

from headstart_host import nodes


class Context:
    """What belongs to the whole session."""

    log_debug = False
    log_key_length = 8
    artifactcache = None
    sourcecache = None
    elementsourcescache = None
    remote_execution_specs = None
    platform = None
    pull_buildtrees = False
    build = False
    cache_buildtrees = _CacheBuildTrees.NEVER

    def __init__(self, channel):
        self.channel = channel
        self.messenger = Messenger()
        self.messenger.set_message_handler(self._message)
        self.sourcedir = None
        self.builddir = None
        self.cascache = None
        self.workspace = None
        self.plugins = None
        self._mirrors = {}

    def mirror(self, wire):
        """The mirror that a value on the wire describes, made once."""
        key = json.dumps(wire, sort_keys=True)
        if key not in self._mirrors:
            mirror_class, _ = self.plugins.load(wire["plugin"])
            project = Project(self, wire["project"])
            mirror = mirror_class(self, project, nodes.resolved(wire["config"]))
            self._mirrors[key] = mirror
        return self._mirrors[key]

    def _message(self, message, *, is_silenced):
        if message.message_type in (MessageType.WARN, MessageType.ERROR, MessageType.BUG):
            text = message.message if message.detail is None else f"{message.message}\n{message.detail}"
            self.channel.note("warning", text=text)

    def get_cascache(self):
        return self.cascache

    def get_workspaces(self):
        return self

    def get_workspace(self, _name):
        return self.workspace

    def get_strict(self):
        return True

    def get_toplevel_project(self):
        return None


class Workspace:
    """An open workspace, of which Headstart stages all that is to be staged."""

    last_build = None


class Project:
    """The project of an element or of a source."""

    junction = None
    mirrors = {}

    def __init__(self, context, wire):
        self._context = context
        self.name = wire["name"]
        self.directory = wire["directory"]
        self._absolute_directory_path = Path(self.directory).resolve()
        self.element_path = os.path.join(self.directory, wire.get("element-path") or "")
        self._fatal_warnings = wire.get("fatal-warnings") or []
        self._aliases = dict(wire.get("aliases") or {})
        attributes = wire.get("provenance-attributes") or []
        self.source_provenance_attributes = Node.from_dict({name: "" for name in attributes})
        self._relative = wire.get("relative")
        self._may_ask = wire.get("may-ask", False)
        nothing = Node.from_dict({})
        self.base_variables = nothing
        self.base_environment = nothing
        self.base_env_nocache = []
        self.splits = nothing
        self.sandbox = nothing
        self.element_overrides = nothing
        self.source_overrides = nothing

    def ensure_fully_loaded(self):
        pass

    get_path_from_node = RealProject.get_path_from_node

    def _warning_is_fatal(self, warning):
        return warning in self._fatal_warnings

    def _alias(self, alias):
        if alias not in self._aliases and self._may_ask:
            self._aliases[alias] = self._context.channel.ask("alias", alias=alias, project=self._relative)
        return self._aliases.get(alias)

    def alias_exists(self, alias, *, source=None, first_pass=False):
        return bool(alias) and self._alias(alias) is not None

    def get_alias_url(self, alias, *, first_pass=False):
        found = self._alias(alias)
        return found and found["own"]

    def get_alias_uris(self, alias, *, first_pass=False, tracking=False):
        found = self._alias(alias) if alias else None
        if found is None:
            return [None]
        # Headstart has them in the order in which they are tried, BuildStream tracks them reversed.
        uris = list(reversed(found["track"])) if tracking else found["fetch"]
        return [substitution for uri in uris for substitution in self._substitutions(alias, uri)]

    def _substitutions(self, alias, place):
        """What stands for an alias by one of its places: its address, or what a mirror's plugin says."""
        if isinstance(place, str):
            return [AliasSubstitution(alias, place)]
        mirror = self._context.mirror(place["mirror"])
        return [AliasSubstitution(place["alias"], uri) for uri in mirror._get_alias_uris(place["alias"])]

    def translate_url(self, url, *, source=None, first_pass=False):
        alias, separator, rest = (url or "").partition(":")
        found = self._alias(alias) if separator else None
        return url if found is None else found["translated"] + rest
