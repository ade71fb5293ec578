"""What BuildStream says of user configurations, for a project in the directory that this is run in.

Usage: configs.py CONFIG... Prints a JSON list: of each what it is refused by, as `[domain, reason, line,
column]`, of which the last two are counted from one and `null` where nothing is said of a place; or `null`.
"""

import json
import os
import re
import sys

from buildstream._context import Context
from buildstream._exceptions import BstError
from buildstream._project import Project


class Nothing:
    """In place of what would connect to servers."""

    def setup_remotes(self, *arguments):
        pass


def load(context, config):
    context.messenger.set_message_handler(lambda message, is_silenced: None)
    context.load(config)
    context._artifactcache = context._sourcecache = context._elementsourcescache = Nothing()
    project = Project(os.getcwd(), context)
    context.get_strict()
    project.ensure_fully_loaded()
    context.initialize_remotes(True, True)


def refusal(config):
    with Context() as context:
        try:
            load(context, config)
        except BstError as error:
            place = re.search(re.escape(config) + r" \[line (\d+) column (\d+)\]", str(error))
            place = [int(place[1]), int(place[2]) + 1] if place else [None, None]
            return [error.domain.name, getattr(error.reason, "name", error.reason), *place]
        except Exception as error:
            # BuildStream's own mistake.
            return ["BUG", repr(error), None, None]
    return None


print(json.dumps([refusal(config) for config in sys.argv[1:]]))
