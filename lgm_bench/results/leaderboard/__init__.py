"""Expected numbers of a suite, and comparing results with them."""
