"""Loads `a.bst` of projects with BuildStream; prints a JSON object with `reasons`, all members of its
LoadErrorReason, and `failures`, a list of what each project fails by: its domain and reason, or null.
Usage: reasons.py CONFIG PROJECT..."""

import json
import os
import sys

from buildstream._context import Context
from buildstream._exceptions import BstError
from buildstream._project import Project
from buildstream.element import Element
from buildstream.exceptions import LoadErrorReason


def failure(directory):
    with Context() as context:
        context.load(config=sys.argv[1])
        context.messenger.set_message_handler(lambda message, is_silenced: None)
        try:
            # Local junctions are read in place; those that need fetching are not followed.
            project = Project(
                directory, context, search_for_project=False, fetch_subprojects=lambda junctions: None
            )
            project.ensure_fully_loaded()
            for element in project.loader.load(["a.bst"]):
                Element._new_from_load_element(element)
            project.load_context.assert_loaders()
        except BstError as error:
            reason = getattr(error.reason, "name", error.reason)
            return [error.domain.name, reason]
        except Exception as error:
            # BuildStream's own bug.
            return ["BUG", type(error).__name__]
    return None


os.environ.setdefault("XDG_CONFIG_HOME", os.path.dirname(sys.argv[1]))
failures = [failure(directory) for directory in sys.argv[2:]]
print(json.dumps({"reasons": [reason.name for reason in LoadErrorReason], "failures": failures}))
