"""The examples in the docstrings of the estimators give what they say."""

import doctest

import pytest

from lepton.training import linear, logistic


@pytest.mark.parametrize("module", [linear, logistic], ids=lambda module: module.__name__)
def test_docstrings_run(module):
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0
