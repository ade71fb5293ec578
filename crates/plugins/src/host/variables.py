# Copyright 2026 The Headstart authors
# SPDX-License-Identifier: Apache-2.0
"""The variables of elements, whose values come expanded."""

import re

from buildstream._exceptions import LoadError
from buildstream._variables import Variables
from buildstream.exceptions import LoadErrorReason
from buildstream.node import Node

from headstart_host import nodes

_REFERENCE = re.compile(r"%\{([a-zA-Z][a-zA-Z0-9_-]*)\}")


class Resolved(Variables):
    """Variables in place of BuildStream's: what it expands by them is expanded already.

    Only what a plugin itself wants to have substituted is looked at for references.
    """

    def __init__(self, node):
        super().__init__(Node.from_dict({}))
        nodes.expand(node)
        self._texts = node.strip_node_info()

    def __getitem__(self, name):
        return self._texts[name]

    def __contains__(self, name):
        return name in self._texts

    def __iter__(self):
        return iter(self._texts.items())

    def check(self):
        pass

    def get(self, name):
        return self._texts.get(name)

    def expand(self, node):
        nodes.expand(node)

    def subst(self, node):
        return _REFERENCE.sub(lambda found: self._referred(found[1], node), node.as_str())

    def _referred(self, name, node):
        if name in self._texts:
            return self._texts[name]
        raise LoadError(
            f"{node.get_provenance()}: Reference to undefined variable '{name}'",
            LoadErrorReason.UNRESOLVED_VARIABLE,
        )
