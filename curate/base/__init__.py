"""What everything stands on, and what knows nothing of documents: names, URLs, limits, the machine, the terminal."""
