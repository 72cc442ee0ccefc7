"""The compiled load generator."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from benchmarks.serving.load import compile_c


@pytest.fixture(scope="session")
def load_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not any(map(shutil.which, ("cc", "gcc", "clang"))):
        pytest.skip("there is no C compiler")
    return compile_c("load", tmp_path_factory.mktemp("load"))
