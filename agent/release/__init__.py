"""The maintainer's side of model updates: keys, the signed repository, rollouts, and what the fleet says of them."""
