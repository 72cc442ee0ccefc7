"""Lepton's linear models, read out of core from an encrypted table, beside scikit-learn's in memory."""
