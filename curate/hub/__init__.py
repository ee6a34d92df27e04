"""The Hugging Face Hub: publish releases to it, and check them there."""
