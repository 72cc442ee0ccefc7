"""Tracking beside MLflow's server: ingest, the price of a call, and looking for runs among many."""
