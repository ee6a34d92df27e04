"""Group stages, which bring together documents that share a key. One file a stage."""
