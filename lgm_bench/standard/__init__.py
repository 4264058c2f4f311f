"""The standard evaluation of a network, from its data to its report."""
