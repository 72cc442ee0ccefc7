"""The methods that find the weights; pure functions of a loss, a shard and a context."""
