"""The recipe ``auto``: tries many ways to learn from a table, keeps what predicts best, and says how sure that is."""
