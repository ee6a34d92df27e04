"""Which documents are released: their order, mixtures, splits and shards."""
