"""Reads YAML files as BuildStream does; prints a JSON list with what each holds, or null for what is
refused. A value is [line, column, value], a mapping's value an object, a list's a list. Beside it is
the text that BuildStream writes of it.
Usage: documents.py FOLDER COUNT, for the files 0.bst, 1.bst and so on."""

import json
import os
import sys

from buildstream import _yaml
from buildstream._exceptions import LoadError
from buildstream.node import MappingNode, SequenceNode


def described(node):
    place = node.get_provenance()
    if isinstance(node, MappingNode):
        value = {key: described(value) for key, value in node.items()}
    elif isinstance(node, SequenceNode):
        value = [described(value) for value in node]
    else:
        value = node.as_str()
    return [place._line, place._col, value]


def document(path):
    try:
        node = _yaml.load(path, shortname="file")
        return [described(node), _yaml.roundtrip_dump_string(node)]
    except LoadError as error:
        return {"INVALID_YAML": None}.get(error.reason.name, error.reason.name)
    except UnicodeDecodeError:
        return None


folder = sys.argv[1]
print(json.dumps([document(os.path.join(folder, f"{index}.bst")) for index in range(int(sys.argv[2]))]))
