"""Labels: what people and models say about rows of a dataset. Labelling has not begun yet."""
