"""Who may, and who did: users, tokens, sessions, roles, the guard in front of every operation, the audit log."""
