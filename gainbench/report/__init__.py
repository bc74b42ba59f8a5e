"""Tables, plots, gallery and page from stored results; imports no torch."""

from gainbench.report.build import ReportPaths, build_report

__all__ = ["ReportPaths", "build_report"]
