"""An endpoint whose replicas are on several machines, behind HAProxy. Read `group` first.

One small process for each endpoint, in the place of a replica's supervisor and asked the same things: it has an engine
start a replica on each machine (`place`, which talks to `node` there over `wire`), and keeps the load balancer in
front of those that answer (`haproxy`, from the text of `configuration`).
"""
