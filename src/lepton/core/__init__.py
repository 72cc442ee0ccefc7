"""Words everyone shares: errors, refs, settings, ids, clock, column kinds. Imports nothing else of ours."""
