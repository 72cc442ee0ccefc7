"""The process that answers predictions. No SQL, no catalog, no API framework: a model, a signature, grants.

Small on purpose; everything in here can be replaced behind `config.ReplicaConfig` and the protocols it serves.
"""
