# Copyright 2026 The Headstart authors
# SPDX-License-Identifier: Apache-2.0
"""Builds an element: the phases that BuildStream calls, in its order, on its own sandbox class.

Trees are put together here, in memory and in the store. An action that is to be run is handed to
Headstart, which has the sandbox that is made of namespaces, records what is compiled inside, and
foresees it.
"""

import base64

from buildstream import _yaml
from buildstream._protos.build.bazel.remote.execution.v2.remote_execution_pb2 import ActionResult
from buildstream.element import Element, ElementError
from buildstream.sandbox import SandboxCommandError
from buildstream.sandbox._sandboxreapi import SandboxREAPI
from buildstream.storage import CasBasedDirectory
from buildstream.storage.directory import DirectoryError
from buildstream.types import _CacheBuildTrees

from headstart_host.stand_ins import Workspace
_STAGE_ARTIFACT = Element._stage_artifact
_STAGE_SOURCES = Element._stage_sources_in_sandbox


class _Sandbox(SandboxREAPI):
    """A sandbox whose actions Headstart runs."""

    def _execute_action(self, action, flags):
        context = self._get_context()
        digest = context.cascache.add_object(buffer=action.SerializeToString())
        # What was written so far comes before what the action says.
        for output in self._get_output():
            output.flush()
        answer = context.channel.ask("run", action=context.cascache.text(digest))
        return ActionResult.FromString(base64.b64decode(answer))


class Build:
    """One build of one element."""

    def __init__(self, context, table, wire):
        self._context = context
        self._wire = wire
        context.workspace = Workspace() if wire["workspace"] else None
        keeps = {"always": _CacheBuildTrees.ALWAYS, "never": _CacheBuildTrees.NEVER}
        context.cache_buildtrees = keeps.get(wire["keep"], _CacheBuildTrees.AUTO)
        self._table = table
        self._element = table.make(wire["element"], self._sources)
        self._tell_of_staging()

    def _sources(self):
        digest = self._context.cascache.digest(self._wire["sources"])
        return CasBasedDirectory(self._context.cascache, digest=digest)

    def _tell_of_staging(self):
        """Tells Headstart what is staged where: it traces the inputs of what is compiled to it."""
        channel, table, store = self._context.channel, self._table, self._context.cascache
        # The next build in this process begins with BuildStream's again.
        stage_artifact, stage_sources = _STAGE_ARTIFACT, _STAGE_SOURCES

        def staged(element, sandbox, *, path=None, **values):
            result = stage_artifact(element, sandbox, path=path, **values)
            tree = element._Element__artifact.get_files()._get_digest()
            index = table.index_of(element)
            channel.note("staged", index=index, at=path or "/", tree=store.text(tree))
            return result

        def sources_staged(element, sandbox, directory):
            channel.note("sources-staged", at=directory)
            return stage_sources(element, sandbox, directory)

        Element._stage_artifact = staged
        Element._stage_sources_in_sandbox = sources_staged

    def run(self):
        """Builds the element and says what came of it."""
        element, context = self._element, self._context
        with open(self._wire["log"], "a", encoding="utf-8", buffering=1) as log:
            context.messenger._locals.log_handle = log
            try:
                return self._in_sandbox(element, context, log)
            finally:
                context.messenger._locals.log_handle = None

    def _in_sandbox(self, element, context, log):
        times = ["mtime"] if self._wire["workspace"] else None
        with _Sandbox(
            context,
            element._get_project(),
            plugin=element,
            stdout=log,
            stderr=log,
            config=element._Element__sandbox_config,
            output_node_properties=times,
            ) as sandbox:
            if not element.BST_RUN_COMMANDS:
                sandbox._disable_run()
            element._Element__dynamic_public = element._Element__public.clone()
            element._Element__configure_sandbox(sandbox)
            if self._wire["only-stage"]:
                element._Element__stage(sandbox)
                return self._result(element, sandbox, {}, None)
            return self._phases(element, sandbox)

    def _phases(self, element, sandbox):
        result = {}
        try:
            element._Element__stage(sandbox)
            collect = element.assemble(sandbox)
        except (ElementError, SandboxCommandError) as error:
            detail = getattr(error, "detail", None)
            result["failure"] = str(error) if not detail else f"{error}\n{detail}"
            collect = getattr(error, "collect", None)
        return self._result(element, sandbox, result, collect)

    def _result(self, element, sandbox, result, collect):
        root = sandbox.get_virtual_directory()
        files = None if collect is None else self._digest(root, collect)
        if collect is not None and files is None and "failure" not in result:
            raise ElementError(
                f"Directory '{collect}' was not found inside the sandbox, "
                "unable to collect artifact contents"
            )
        result["files"] = files
        result["environment"] = list(element.get_environment().items())
        result["public"] = _yaml.roundtrip_dump_string(element._Element__dynamic_public)
        result["kept"] = self._kept(element, sandbox, root)
        return result

    def _digest(self, root, place):
        """The tree of a directory of the sandbox; `None` if it is not there."""
        try:
            directory = root.open_directory(place.lstrip("/"))
        except DirectoryError:
            return None
        return self._context.cascache.text(directory._get_digest())

    def _kept(self, element, sandbox, root):
        store = self._context.cascache
        environment = sandbox._get_configured_environment() or {}
        return {
            "build-tree": self._digest(root, element.get_variable("build-root") or "/"),
            "root": store.text(root._get_digest()),
            "environment": sorted(environment.items()),
            "directory": sandbox._get_work_directory(),
            "marked": sandbox._get_marked_directories(),
            "subsandboxes": [
                store.text(sub.get_virtual_directory()._get_digest())
                for sub in sandbox._get_subsandboxes()
            ],
        }

