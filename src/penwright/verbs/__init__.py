"""The application without a terminal: one module a verb."""
