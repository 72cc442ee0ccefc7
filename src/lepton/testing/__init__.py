"""Contract suites for people who write their own part of Lepton, such as an engine. They need pytest."""
