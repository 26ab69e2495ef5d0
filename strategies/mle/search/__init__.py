"""Try every combination of a space of parameters: space, plan, kernels' batches, backends, the search's folder."""
