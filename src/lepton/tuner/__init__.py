"""The run that searches: it asks Optuna for settings, has them tried as runs, and trains the best ones at last.

It holds nothing itself: what it knows is in the study's journal on the platform, so that one that was killed goes on.
"""
