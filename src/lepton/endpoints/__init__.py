"""Models that answer: where an endpoint is kept, the replica that serves it, who may ask it.

The control plane keeps what should run (`operations`, `controller`); the processes that predict are in `replica/`.
"""
