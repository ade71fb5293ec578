# Copyright 2026 The Headstart authors
# SPDX-License-Identifier: Apache-2.0
"""The store, as BuildStream's virtual directories use it.

Objects are read where they lie. Only Headstart writes: it is told of files and directories to take.
"""

import base64
import contextlib
import hashlib
import os
import tempfile

from buildstream._cas.cascache import CASCache
from buildstream._protos.build.bazel.remote.execution.v2 import remote_execution_pb2


class Store(CASCache):  # pylint: disable=abstract-method
    """BuildStream's cache of contents, without a daemon behind it."""

    def __init__(self, channel, settings):  # pylint: disable=super-init-not-called
        self._channel = channel
        self.casdir = settings["store"]
        self.tmpdir = settings["temporary"]
        self._remote_cache = False
        self._default_remote = None

    @staticmethod
    def digest(text):
        """A digest that is written as `hash/size`."""
        value, size = text.split("/")
        return remote_execution_pb2.Digest(hash=value, size_bytes=int(size))

    @staticmethod
    def text(digest):
        """A digest, written as `hash/size`."""
        return f"{digest.hash}/{digest.size_bytes}"

    def add_objects(self, *, paths=None, buffers=None, instance_name=None):
        if buffers is not None:
            return [self._add_buffer(buffer) for buffer in buffers]
        return [self.digest(self._channel.ask("keep-file", path=path)) for path in paths]

    def _add_buffer(self, content):
        digest = remote_execution_pb2.Digest(
            hash=hashlib.sha256(content).hexdigest(), size_bytes=len(content)
        )
        # Most directories of a tree have been written before.
        if not os.path.exists(self.objpath(digest)):
            self._channel.ask("keep", content=base64.b64encode(content).decode())
        return digest

    def import_directory(self, path, properties=None):
        times = bool(properties) and "mtime" in properties
        return self.digest(self._channel.ask("keep-directory", path=path, times=times))

    def checkout(self, dest, tree, *, can_link=False, _fetch=True):
        os.makedirs(dest, exist_ok=True)
        self._channel.ask("write-out", tree=self.text(tree), path=dest)

    @contextlib.contextmanager
    def stage_directory(self, directory_digest):
        with tempfile.TemporaryDirectory(dir=self.tmpdir) as folder:
            self.checkout(folder, directory_digest)
            yield folder

    def ensure_tree(self, tree):
        pass

    def contains_files(self, digests):
        return all(os.path.exists(self.objpath(digest)) for digest in digests)

    def fetch_blobs(self, remote, digests, *, allow_partial=False):
        pass

    def missing_blobs(self, blobs, *, remote=None):
        return [blob for blob in blobs if not os.path.exists(self.objpath(blob))]
