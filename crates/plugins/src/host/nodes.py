# Copyright 2026 The Headstart authors
# SPDX-License-Identifier: Apache-2.0
"""From values on the wire to BuildStream's nodes, with the places that they have in files.

On the wire a node is `[type, file, line, column, content]` with the types `s` (a text), `l` (a list)
and `m` (pairs of key and node); lines and columns are counted from one, and a node that no file
holds has `null` as file.

Texts come expanded. BuildStream takes blanks off the ends of what a node is made of or copied from, and
not of what is expanded into it later, so a node is made with an expression that stands for its text
wherever the two could differ; it is replaced by the text when BuildStream's expressions are.
"""

import itertools

from buildstream._variables import Variables
from buildstream.node import MappingNode, Node, ScalarNode, SequenceNode, _new_synthetic_file

# What expressions that stand for texts are made of.
_PARTS = Variables(Node.from_dict({"nothing": "", "percent": "%"}))
_files = {}
_roots = {}
_numbers = itertools.count()


def _file_index(name):
    """The number by which BuildStream's nodes know a file."""
    if name not in _files:
        _roots[name] = _new_synthetic_file(name)
        # Files are numbered as they come. Some may have been read by others.
        index = max(_files.values(), default=-1) + 1
        while not _is_named(index, name):
            index += 1
        _files[name] = index
    return _files[name]


def _is_named(index, name):
    probe = ScalarNode.__new__(ScalarNode, index, 0, 0, "")
    return probe.get_provenance()._filename == name


def _expression(text):
    """What expands to a text, the same or not."""
    # Else a part of a text that looks like a reference would be taken for one.
    text = text.replace("%{", "%{percent}{")
    return text if text == text.strip() else f"%{{nothing}}{text}%{{nothing}}"


def expand(node):
    """Replaces the expressions in a node by the texts that they stand for."""
    _PARTS.expand(node)


def resolved(value):
    """The node that a value on the wire stands for, where nothing is expanded any more."""
    node = from_wire(value)
    expand(node)
    return node


def from_wire(value, above=None):
    """A node that expands to a value on the wire; `above` is the file of what it is in."""
    kind, file, line, column, content = value
    if kind == "s":
        content, node_type = _expression(content), ScalarNode
    elif kind == "l":
        content, node_type = [from_wire(item, file) for item in content], SequenceNode
    else:
        files = {item[1] for _, item in content} | {file}
        content, node_type = {key: from_wire(item, file) for key, item in content}, MappingNode
    if file is None:
        node = _synthetic(node_type, content)
    else:
        node = node_type.__new__(node_type, _file_index(file), line - 1, column - 1, content)
    if kind == "m":
        _register(node, files - {above, None})
    return node


def _register(node, files):
    """Lets BuildStream find the keys of values that it says something of: in all of their file."""
    for file in files:
        _file_index(file)
        _roots[file][str(next(_numbers))] = node


def _synthetic(node_type, content):
    # The negative column says that no file holds it.
    return node_type.__new__(node_type, -1, 0, -1, content)


def mapping(values):
    """A mapping that expands to these texts and mappings, which no file holds."""
    return Node.from_dict(_expressions(values))


def _expressions(values):
    if isinstance(values, dict):
        return {key: _expressions(value) for key, value in values.items()}
    return _expression(values)


def to_wire(value):
    """What a plugin has put into a node, or a value of plain Python, without its places."""
    if isinstance(value, Node):
        return to_wire(value.strip_node_info())
    if isinstance(value, dict):
        return {str(key): to_wire(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_wire(item) for item in value]
    return value if value is None else str(value)
