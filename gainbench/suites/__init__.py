"""Shipped suites and scales, as YAML; read by ``gainbench.spec``."""
