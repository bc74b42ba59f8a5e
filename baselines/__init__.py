"""The other methods, as plugins that any stranger could have written."""
