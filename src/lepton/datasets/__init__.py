"""Datasets: tables read from files, in immutable versions, with profiles, cleaning and splitting.

`operations.py` has the verbs, `records.py` the words, `rows.py` the SQL, `tasks.py` what worker processes run. Every
other file is pure functions.
"""
