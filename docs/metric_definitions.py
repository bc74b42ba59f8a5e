"""Print the metrics' definitions as Markdown, from the catalogue."""

import sys

from gainbench.evaluation.metrics.catalogue import METRICS

if __name__ == "__main__":
    rows = [("metric", "better", "of", "definition"), ("---",) * 4]
    rows += [
        (f"`{info.id}`", info.direction, info.per, info.definition.replace("|", "\\|")) for info in METRICS.values()
    ]
    sys.stdout.write("".join(f"| {' | '.join(row)} |\n" for row in rows))
