"""Runs `bst` and writes every text that is hashed into a cache key: one line each, as JSON
[text, key]. Usage: trace.py OUTPUT ARGUMENTS..."""

import hashlib
import json
import sys

import ujson
from buildstream import _cachekey, source

output = open(sys.argv[1], "w", encoding="utf-8")


def generate_key(value):
    text = ujson.dumps(value, sort_keys=True, escape_forward_slashes=False)
    key = hashlib.sha256(text.encode("utf-8")).hexdigest()
    print(json.dumps([text, key]), file=output, flush=True)
    return key


_cachekey.generate_key = generate_key
source.generate_key = generate_key

from buildstream._frontend.cli import cli  # noqa: E402

sys.argv = ["bst"] + sys.argv[2:]
cli(prog_name="bst")
