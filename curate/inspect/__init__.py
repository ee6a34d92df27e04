"""Looking at a run: what it would do, what became of one document, whether the machine is fit."""
