"""Models, tokenizers and lists that stages need; training of classifiers."""
