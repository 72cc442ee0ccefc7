"""Rows and bytes: the database, encrypted tables and blobs, and their keys. Knows no noun."""
