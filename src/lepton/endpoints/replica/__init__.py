"""The processes that answer predictions. No SQL, no catalog, no API framework: models, signatures, tokens.

`supervisor` owns the sockets and keeps the workers (`fleet`, `workers`, `autoscale`), spoken to over `control`;
`worker` is one of them, spoken to over `link`, and answers clients with `serving`.
"""
