"""Pre-aggregations: what is stored of a model, how it is built, and which queries it answers."""
