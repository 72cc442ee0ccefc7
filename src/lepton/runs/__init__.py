"""Slow work in processes of its own: records, states, queue, metrics, logs, and the engines that carry it out."""
