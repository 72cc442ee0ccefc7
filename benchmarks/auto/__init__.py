"""The recipe auto beside FLAML."""
