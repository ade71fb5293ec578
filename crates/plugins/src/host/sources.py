# Copyright 2026 The Headstart authors
# SPDX-License-Identifier: Apache-2.0
"""Sources: made as BuildStream makes them, fetched, tracked and staged into directories."""

import ujson

from buildstream import _yaml
from buildstream._exceptions import ImplError
from buildstream._loader.metasource import MetaSource
from buildstream.source import Source
from buildstream.storage import CasBasedDirectory

from headstart_host import nodes
from headstart_host.stand_ins import Project
from headstart_host.variables import Resolved


def _load_ref(_source):
    """References come with the configuration, wherever the project keeps them."""


def _set_ref(source, reference, *, save):  # pylint: disable=unused-argument
    """Headstart writes references; here only the source itself takes note of a new one."""
    source.set_ref(reference, nodes.mapping({}))


Source._load_ref = _load_ref
Source._set_ref = _set_ref


def make_source(context, plugins, wire):
    """The source that a value on the wire describes."""
    plugin_class, _ = plugins.load(wire["plugin"])
    project = Project(context, wire["project"])
    config = nodes.from_wire(wire["config"])
    provenance = wire.get("provenance")
    meta = MetaSource(
        wire["element"],
        wire["index"],
        wire["element-kind"],
        wire["plugin"]["kind"],
        wire.get("directory"),
        provenance and nodes.resolved(provenance),
        config,
        False,
    )
    source = plugin_class(context, project, meta, Resolved(nodes.mapping({})))
    source.__dict__["_Plugin__kind"] = wire["plugin"]["kind"]
    source._preflight()
    return source


def make_known(context, plugins, wire):
    """The same with its key made: some plugins only then know what they are asked for later."""
    source = make_source(context, plugins, wire)
    if source.is_resolved():
        source._generate_key()
    return source


def key_text(value):
    """A unique key as the JSON that BuildStream hashes."""
    return ujson.dumps(value, sort_keys=True, escape_forward_slashes=False)


def written(source, reference):
    """The keys that a reference is written to."""
    node = nodes.mapping({})
    source.set_ref(reference, node)
    return nodes.to_wire(node)


def facts(source):
    """What is known of a source as it is."""
    try:
        reference = source.get_ref()
    except ImplError:
        reference = None
    return {
        "key": key_text(source.get_unique_key()) if source.is_resolved() else None,
        "reference": None if reference is None else written(source, reference),
    }


def mirrored(mirror, alias, alias_url, rest):
    """Where a mirror has what an address leads to."""
    places = []
    for found in mirror._get_alias_uris(alias):
        if isinstance(found, str):
            places.append({"url": found + rest})
        else:
            extra = {}
            url = found.translate_url(alias=alias, alias_url=alias_url, source_url=rest, extra_data=extra)
            places.append({"url": url, "http-auth": extra.get("http-auth")})
    return places


def source_info(sources):
    """What sources say of their provenance, as BuildStream shows it."""
    infos = (source.collect_source_info() or () for source in sources)
    return _yaml.roundtrip_dump_string([info.serialize() for each in infos for info in each])


def fetch(source, previous):
    """Fetches what a source needs, if it is not there."""
    if not source._is_cached():
        source._fetch(previous)
        source._fetch_done(True)


def stage(context, source, directory, before):
    """Stages a source and gives the tree: into a new directory, or where those before it are."""
    if source.BST_STAGE_VIRTUAL_DIRECTORY:
        digest = context.cascache.digest(before) if before else None
        tree = CasBasedDirectory(context.cascache, digest=digest)
        source._stage(tree)
        return context.cascache.text(tree._get_digest())
    source._stage(directory)
    return None


def track(source, previous):
    """What a source's reference is to be written as; `None` if it tracks nothing."""
    reference = source._track(previous)
    return None if reference is None else written(source, reference)
