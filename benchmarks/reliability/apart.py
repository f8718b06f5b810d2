"""Running a function in a process of its own, which may be slain, crash or run out of memory."""

import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any


def apart(function: Callable[..., Any], *arguments: Any) -> tuple[Any, str]:
    """What a function returns in a forked process, as JSON gives it back, and "" or how the process ended instead.

    A fork has every library imported already; call this from a process of one thread.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.close(reading)
            with os.fdopen(writing, "w") as file:
                json.dump(function(*arguments), file)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as file:
        told = file.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return (json.loads(told), "") if not status else (None, f"the process ended with {status}")
