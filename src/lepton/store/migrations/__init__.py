"""The schema's history: ``catalog/`` for all nouns, ``keys/`` for the database of keys; one ``env.py`` for both.

They are apart because embedded they are two files; in PostgreSQL they share a database and each has a version table
of its own. A new catalog version is drafted by
``python tests/store/test_migrations.py "what changes"``.
"""
