"""Starts users' own code, beside the platform and not inside of it: knows its REST interface, no key and no catalog."""
