"""How fast runs start, and how many a machine of two processors ends in a minute, beside Ray Jobs."""
