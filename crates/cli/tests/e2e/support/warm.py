"""Runs `bst` many times in processes that are forked from one that has loaded BuildStream.

Most of what a short command of BuildStream's takes is loading Python's modules. What is run here is the
same function with the same arguments, environment and streams as in a process of its own.

Each line of the input is one command, as JSON: `program`, `arguments`, `environment`, `directory`, and
`streams`, the files of its standard input, output and error. When it has ended, its wait status is written to the
output as a line. All ends with the input.
"""

import gc
import json
import os
import sys

from buildstream._frontend import cli

# Modules that commands load when they first need them.
import buildstream._frontend.linuxapp
import buildstream.sandbox._sandboxbuildboxrun
import grpc.experimental


def become(command):
    """Makes this process what it would be if it had just been started."""
    for number, path in enumerate(command["streams"]):
        opened = os.open(path, os.O_RDWR)
        os.dup2(opened, number)
        os.close(opened)
    environment = command["environment"]
    # Python itself does this where nothing is said of a locale.
    if not {"LC_ALL", "LC_CTYPE", "LANG"} & set(environment):
        environment["LC_CTYPE"] = "C.UTF-8"
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(command["directory"])
    sys.argv = [command["program"], *command["arguments"]]


def next_command(requests):
    """The command that this process is to run, as a child of the one that waits for it; `None` at the end."""
    for line in requests:
        child = os.fork()
        if child == 0:
            return json.loads(line)
        status = os.waitpid(child, 0)[1]
        os.write(1, b"%d\n" % status)
    return None


# What is here already needs no looking at by each child's collector.
gc.collect()
gc.freeze()
# Nothing is read ahead: the input is not the child's.
command = next_command(open(0, "rb", buffering=0, closefd=False))
if command is not None:
    become(command)
    sys.exit(cli())
