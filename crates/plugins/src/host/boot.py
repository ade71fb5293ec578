# Copyright 2026 The Headstart authors
# SPDX-License-Identifier: Apache-2.0
"""Makes a package of the modules in the last argument, pairs of name and text, and runs its `main`."""

import json
import linecache
import sys
import types

PACKAGE = "headstart_host"
texts = json.loads(sys.argv.pop())
package = types.ModuleType(PACKAGE)
package.__path__ = []
sys.modules[PACKAGE] = package
# What plugins import must not be found in whatever directory this happens to run in.
sys.path[:] = [path for path in sys.path if path]


def start(name, text):
    """Runs one module; tracebacks show its lines."""
    file = f"<headstart/{name}.py>"
    linecache.cache[file] = (len(text), None, text.splitlines(True), file)
    module = types.ModuleType(f"{PACKAGE}.{name}")
    sys.modules[module.__name__] = module
    setattr(package, name, module)
    exec(compile(text, file, "exec"), module.__dict__)  # pylint: disable=exec-used
    return module


channel = start(*texts.pop(0)).Channel()
settings = channel.receive()
try:
    import buildstream

    for name, text in texts:
        last = start(name, text)
except Exception as error:  # pylint: disable=broad-except
    channel.send({"failed": {"message": f"{type(error).__name__}: {error}"}})
    sys.exit(1)
channel.send({"done": {"buildstream": buildstream.__version__, "python": sys.version.split()[0]}})
last.main(channel, settings)
