"""Models, tokenizers and lists that stages need, and training of classifiers."""
