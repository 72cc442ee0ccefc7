"""How frameworks train: one file each, behind the port in ``port.py``. Start there."""
