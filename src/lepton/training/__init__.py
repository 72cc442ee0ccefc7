"""How to fit: linear and logistic regression, their solvers, and the workers that add up. Knows arrays, not storage."""
