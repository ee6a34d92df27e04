"""From a manifest to parts in the store: resolve, plan, execute."""
