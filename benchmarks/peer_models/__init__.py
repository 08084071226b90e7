"""Other ways from geometry to ELF, written for comparison: see ``benchmarks/peers.py``."""
