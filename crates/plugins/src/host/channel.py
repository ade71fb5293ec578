# Copyright 2026 The Headstart authors
# SPDX-License-Identifier: Apache-2.0
"""The conversation with Headstart: one JSON value a line, as the crate's documentation describes.

The program's own standard input and output belong to plugins' code and to what that starts, so
the conversation is moved to descriptors of its own first.
"""

import json
import os


class Refused(Exception):
    """What was asked for can't be had; Headstart's words say why."""


class Channel:
    """Both directions of the conversation."""

    def __init__(self):
        self._input = os.fdopen(os.dup(0), "rb")
        self._output = os.fdopen(os.dup(1), "wb")
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)

    def receive(self):
        """The next value; `None` when Headstart is gone."""
        line = self._input.readline()
        return json.loads(line) if line else None

    def send(self, value):
        self._output.write(json.dumps(value).encode() + b"\n")
        self._output.flush()

    def ask(self, what, **values):
        """Asks Headstart for something in the middle of a request."""
        self.send({"ask": what, **values})
        answer = self.receive()
        if answer is None:
            raise SystemExit(1)
        if "refused" in answer:
            raise Refused(answer["refused"])
        return answer["answer"]

    def note(self, what, **values):
        """Tells Headstart something that needs no answer."""
        self.send({"note": what, **values})
