"""Group stages: documents that share a key meet. One file a stage."""
