"""`python -m lgm_bench` is `lgm-bench`."""

from lgm_bench.cli import main

main()
