"""Brings what MLflow has recorded over: its folders, its SQLite file and its server are read, nothing of it is run."""
