"""Whether the documentation is true: its commands run, its flags and messages exist."""
