# Copyright 2026 The Headstart authors
# SPDX-License-Identifier: Apache-2.0
"""Takes requests from Headstart, one at a time, until it is gone."""

import shutil
import traceback

from buildstream._exceptions import BstError, ImplError

from headstart_host import sources
from headstart_host.build import Build
from headstart_host.cas import Store
from headstart_host.channel import Refused
from headstart_host.elements import Table
from headstart_host.plugins import Plugins, deprecated
from headstart_host.stand_ins import Context


class Host:
    """The plugins and what they are given."""

    def __init__(self, channel, settings):
        self._channel = channel
        self._context = Context(channel)
        self._context.sourcedir = settings["source-directory"]
        self._context.cascache = Store(channel, settings)
        self._context.builddir = self._context.cascache.tmpdir
        self._plugins = Plugins(self._context)
        self._context.plugins = self._plugins

    def close(self):
        shutil.rmtree(self._context.cascache.tmpdir, ignore_errors=True)

    def element_class(self, request):
        return self._plugins.element_class(request["plugin"])

    def source_class(self, request):
        return self._plugins.source_class(request["plugin"])

    def element_key(self, request):
        table = Table(self._context, self._plugins)
        element = table.make(request["element"])
        return sources.key_text(element.get_unique_key())

    def build_script(self, request):
        table = Table(self._context, self._plugins)
        element = table.make(request["element"])
        try:
            return element.generate_script()
        except ImplError:
            return None

    def _source(self, request):
        return sources.make_source(self._context, self._plugins, request["source"])

    def source(self, request):
        return sources.facts(self._source(request))

    def fetch(self, request):
        sources.fetch(self._source(request), request["previous"])

    def stage(self, request):
        source = self._source(request)
        return sources.stage(self._context, source, request["directory"], request["before"])

    def track(self, request):
        return sources.track(self._source(request), request["previous"])

    def mirror(self, request):
        return {"deprecated": deprecated(type(self._context.mirror(request["mirror"])))}

    def mirrored(self, request):
        mirror = self._context.mirror(request["mirror"])
        return sources.mirrored(mirror, request["alias"], request["alias-url"], request["rest"])

    def source_info(self, request):
        make = sources.make_known
        each = (make(self._context, self._plugins, source) for source in request["sources"])
        return sources.source_info(each)

    def build(self, request):
        table = Table(self._context, self._plugins)
        return Build(self._context, table, request).run()


def failure(error):
    """An error as Headstart is told of it."""
    reason = getattr(error, "reason", None)
    message = str(error)
    detail = getattr(error, "detail", None)
    if detail:
        message = f"{message}\n{detail}"
    if not isinstance(error, (BstError, Refused)):
        # A mistake in the plugin: whoever wrote it wants to know where.
        message = "".join(traceback.format_exception(error)).rstrip()
    return {
        "message": message,
        "domain": getattr(getattr(error, "domain", None), "name", None),
        "reason": getattr(reason, "name", reason),
    }


def main(channel, settings):
    """Answers requests until there are no more."""
    host = Host(channel, settings)
    try:
        while (request := channel.receive()) is not None:
            try:
                done = getattr(host, request["do"].replace("-", "_"))(request)
                channel.send({"done": done})
            except Exception as error:  # pylint: disable=broad-except
                channel.send({"failed": failure(error)})
    finally:
        host.close()
