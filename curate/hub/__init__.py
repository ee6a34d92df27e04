"""The Hugging Face Hub: one repository, and publishing to it."""
