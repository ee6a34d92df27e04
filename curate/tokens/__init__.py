"""Pack documents into sequences of tokens, and write them as trainers read them."""
