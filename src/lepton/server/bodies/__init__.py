"""The JSON of the interface, one file per noun."""
