"""The words that a list of processes shows."""

from __future__ import annotations

import subprocess
import sys

from lepton.core.title import ROOM

CODE = """
import os
from lepton.core.title import Title
title = Title()
for words in (["first", "and last"], ["x" * 5000], ["short"]):
    title.show(words)
    if os.fork() == 0:  # good for children too
        print(repr(open("/proc/self/cmdline").read().rstrip("\\0")), flush=True)
        os._exit(0)
    os.wait()
"""


def test_a_process_shows_other_words_as_far_as_there_is_room() -> None:
    done = subprocess.run([sys.executable, "-c", CODE, ROOM], capture_output=True, text=True, check=True)
    first, long, short = map(eval, done.stdout.splitlines())
    assert first.split("\0") == ["first", "and last"]
    assert len(ROOM) < len(long) < 5000
    assert set(long) == {"x"}
    assert short == "short"
