"""Python's own pauses, kept short in processes that serve streams and make grammars at the same time."""

from __future__ import annotations

import gc
import sys

# Whoever waits for the interpreter's lock asks for it after so long. A thread that makes steps or runs the event loop
# gives it up at every operation of the model and every system call, and with Python's 5 ms it would wait ten times
# in a step while one grammar is made.
SWITCH_SECONDS = 0.0005
# Net allocations before young objects are looked at, and how often that happens before older ones are. Compiling makes
# hundreds of thousands of objects and no cycles: Python's thresholds of 700, 10 and 10 had all of them looked at again and
# again, half a second each time.
COLLECTION_THRESHOLDS = (10_000, 5, 400)


def keep_pauses_short() -> None:
    """Set both for this process; may be called again."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(*COLLECTION_THRESHOLDS)
