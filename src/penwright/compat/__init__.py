"""Other tools' public names over Penwright: an old script runs with one import line changed."""
