"""Find passages of a token store by content: a suffix array, and what is repeated in it."""
