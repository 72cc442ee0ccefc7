"""Somebody's data cannot command the terminal of whoever looks at it."""

from __future__ import annotations

import io

from rich.table import Table
from rich.text import Text

from lepton.cli.screen import Screen


def test_control_characters_in_data_do_not_reach_the_terminal() -> None:
    written = io.StringIO()
    screen = Screen(file=written, force_terminal=True, color_system=None, width=60)
    table = Table("\x1b]0;owned\x07 name")
    table.add_row(Text("\x1b[2J\x9b31m cell"))
    screen.print(table)
    screen.print("\x1b[31mred", markup=False, soft_wrap=True)
    shown = written.getvalue()
    assert not {"\x1b", "\x9b", "\x07"} & set(shown)
    assert " cell" in shown
    assert shown.endswith("red\n")


def test_colors_of_our_own_are_kept() -> None:
    written = io.StringIO()
    Screen(file=written, force_terminal=True, color_system="standard").print(Text("ready", "green"))
    assert written.getvalue() == "\x1b[32mready\x1b[0m\n"
