"""The command that a training with a framework is: ``python -m lepton.trainer``. It speaks only through the SDK."""
