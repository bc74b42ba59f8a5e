"""Reference results: made of finished runs, committed, and compared with what another machine finds.

What a run takes from them stands in :mod:`gainbench.run.reference`.
"""
