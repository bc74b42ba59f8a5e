"""One pass over a method's outputs, every metric, and what the numbers allow one to say.

Import from the modules: :mod:`gainbench.evaluation.evaluate` needs torch, :mod:`gainbench.evaluation.metrics.catalogue`
does not.
"""
