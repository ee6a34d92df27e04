"""The Hugging Face Hub: access to a repository, and publishing to it."""
