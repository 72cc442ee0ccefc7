"""Lepton's endpoints against other servers, one after the other on one core: `make bench-serving`.

Read `measure.py` for what is measured and how, `peers/` for how each server is installed, started and asked, `load.c`
for the load. The method and its limits are in docs/benchmarks.md.
"""
