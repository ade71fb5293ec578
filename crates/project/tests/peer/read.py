"""Reads YAML files as BuildStream does; prints a JSON object of their contents by path."""

import json
import sys

from buildstream import _yaml

contents = {path: _yaml.load(path, shortname=path).strip_node_info() for path in sys.argv[1:]}
print(json.dumps(contents))
