"""The Python prototype of speculative actions, on the folder that `headstart-bench speculation` takes.

usage: prototype.py FOLDER CHECKOUT

CHECKOUT is a checkout of apache/buildstream's branch striker/speculative-actions, whose generator and
instantiator are run as they are. The interpreter must have BuildStream 2.8 from PyPI, which brings all
else that they import. Prints what it takes to generate, and to adapt all actions to the first
dependency's change; what is adapted is kept in memory.
"""

import hashlib
import importlib.util
import json
import pathlib
import sys
import time

import buildstream
from buildstream._protos.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi


def from_checkout(checkout, name):
    """A module of the checkout, in place of BuildStream's own if that has one."""
    path = checkout.joinpath("src", *name.split(".")).with_suffix(".py")
    spec = importlib.util.spec_from_file_location(name, path)
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Store:
    """A CAS directory, read only, and what was written since."""

    def __init__(self, folder):
        self.objects = folder / "cas" / "objects"
        self.written = {}

    def _read(self, digest, message):
        content = self.written.get(digest.hash)
        if content is None:
            content = (self.objects / digest.hash[:2] / digest.hash[2:]).read_bytes()
        message.ParseFromString(content)
        return message

    def _write(self, message):
        content = message.SerializeToString()
        digest = hashlib.sha256(content).hexdigest()
        self.written[digest] = content
        return reapi.Digest(hash=digest, size_bytes=len(content))

    def fetch_directory_proto(self, digest):
        return self._read(digest, reapi.Directory())

    def fetch_action(self, digest):
        return self._read(digest, reapi.Action())

    store_directory_proto = store_action = _write


class Tree:
    """Sources or an artifact: all that is asked of either is the digest of its files."""

    def __init__(self, digest):
        self.digest = digest

    def cached(self):
        return True

    def get_files(self):
        return self

    def _get_digest(self):
        return self.digest


class Element:
    """An element that has sources, or an artifact."""

    def __init__(self, name, sources=None, artifact=None):
        self.name = name
        self.artifact = artifact
        self._Element__sources = sources

    def sources(self):
        return [self._Element__sources] if self._Element__sources else []

    def _cached(self):
        return self.artifact is not None

    def _get_artifact(self):
        return self.artifact

    def info(self, text):
        pass


class NothingStored:
    """An artifact cache that has no speculative actions of the dependencies."""

    def get_speculative_actions(self, artifact):
        return None


def digest(pair):
    return reapi.Digest(hash=pair[0], size_bytes=pair[1])


def main(folder, checkout):
    from_checkout(checkout, "buildstream.types")
    from_checkout(checkout, "buildstream._protos.buildstream.v2.speculative_actions_pb2")
    generator = from_checkout(checkout, "buildstream._speculative_actions.generator")
    instantiator = from_checkout(checkout, "buildstream._speculative_actions.instantiator")

    index = json.loads((folder / "index.json").read_text())
    store = Store(folder)
    element = Element("element.bst", sources=Tree(digest(index["sources"])))

    def dependencies(state):
        return [Element(one["name"], artifact=Tree(digest(one[state]))) for one in index["deps"]]

    begun = time.monotonic()
    generate = generator.SpeculativeActionsGenerator(store).generate_speculative_actions
    subactions = [digest(one) for one in index["subactions"]]
    message = generate(element, subactions, dependencies("before"))
    size = len(message.SerializeToString())
    overlays = sum(len(action.overlays) for action in message.actions)
    print(f"generate: {time.monotonic() - begun:.3f} s")
    print(f"stored: {size} bytes with {overlays} overlays")

    adapt = instantiator.SpeculativeActionInstantiator(store, NothingStored())
    adapt._get_cached_dependency_keys = lambda element: {}
    elements = {one.name: one for one in dependencies("after")}
    begun = time.monotonic()
    adapted = [adapt.instantiate_action(one, element, elements) for one in message.actions]
    print(f"adapt: {time.monotonic() - begun:.3f} s for {len(adapted)} actions")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
