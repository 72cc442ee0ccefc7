"""Models that answer: where an endpoint is kept, the replica process that serves it, who may ask it.

The control plane keeps what should run (`operations`, `controller`); the process that predicts is `replica/`.
"""
