"""Draws the charts of docs/explanation/performance.md from its tables and samples, so that both say the same.

Usage: python -m benchmarks.charts, which is part of `make pictures`; `python -m benchmarks --write` draws them too.
It takes matplotlib: pip install 'duckdb-wasi-udf[bench]'.
"""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "performance.md"
IMAGES = PAGE.parents[1] / "images"
SOAK = IMAGES / "soak.csv"

# The background is transparent, so each of these can be read on white and on the dark theme's.
_TEXT, _GRID = "#7d828c", "#7d828c55"
_OURS, _INTERPRETED, _THEIRS = "#2f95dc", "#9a7fd1", "#e08a1e"


class Series(NamedTuple):
    """A column as a chart shows it.

    Attributes:
        column: its name in the table.
        colour: as SVG has it.
        label: its name in the legend.
        marker: matplotlib's, of points.
    """

    column: str
    colour: str
    label: str
    marker: str


_BOTH = [
    Series("sandboxed", _OURS, "in the sandbox", "o"),
    Series("DuckDB's own", _THEIRS, "DuckDB's own Python function", "s"),
]


class Table(NamedTuple):
    """A table of the page.

    Attributes:
        header: its columns.
        rows: the cells of each row.
    """

    header: list[str]
    rows: list[list[str]]

    def numbers(self, column: str) -> list[float]:
        """Return a column of numbers."""
        place = self.header.index(column)
        return [float(row[place].replace(",", "")) for row in self.rows]

    def labels(self) -> list[str]:
        """Return the first column, without its marks."""
        return [row[0].strip("`") for row in self.rows]

    def where(self, column: str, value: str) -> Table:
        """Return the rows that have a value in a column."""
        place = self.header.index(column)
        return Table(self.header, [row for row in self.rows if row[place] == value])


def table_below(text: str, heading: str) -> Table:
    """Return the first table below a heading.

    Args:
        text: the page.
        heading: the beginning of the heading.

    Raises:
        ValueError: there is none.
    """
    _, found, section = text.partition(f"\n## {heading}")
    if not found:
        msg = f"{PAGE.name} has no section {heading!r}"
        raise ValueError(msg)
    lines = section.partition("\n## ")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("|")]
    header, _, *rows = cells
    return Table(header, [row for row in rows if len(row) == len(header)])


def compiled(axes: Any, text: str) -> None:
    """Draw what a row takes: compiled, interpreted, and as DuckDB's own function."""
    series = [
        Series("sandboxed", _OURS, "in the sandbox, compiled", "o"),
        Series("DuckDB's own", _THEIRS, "DuckDB's own Python function", "s"),
        Series("with `compiled=False`", _INTERPRETED, "in the sandbox, interpreted", "d"),
    ]
    _points(axes, table_below(text, "Compiled functions"), series, "ns a row, one thread (less is better)")


def row_functions(axes: Any, text: str) -> None:
    """Draw what a row takes in functions that aren't compiled, and in DuckDB's own."""
    table = table_below(text, "Row functions").where("threads", "1")
    _bars(axes, table, _BOTH, "ns a row, one thread, not compiled (less is better)")


def types(axes: Any, text: str) -> None:
    """Draw what passing a value in and out takes, by type."""
    _points(axes, table_below(text, "Types"), _BOTH, "ns a value in and out, one thread (less is better)")


def soak(axes: Any, _: str) -> None:
    """Draw memory and descriptors over the calls of the long run, as `python -m benchmarks.soak --write` noted them."""
    with SOAK.open(encoding="utf-8", newline="") as file:
        samples = list(csv.DictReader(file))
    calls = [int(sample["calls"]) / 1e6 for sample in samples]
    axes.plot(calls, [float(sample["private_mib"]) for sample in samples], color=_OURS, label="private memory, MiB")
    other = axes.twinx()
    other.spines[:].set_visible(False)
    other.tick_params(length=0, labelcolor=_THEIRS)
    other.plot(
        calls, [int(sample["descriptors"]) for sample in samples], color=_THEIRS, label="file descriptors (right)"
    )
    axes.plot([], [], color=_THEIRS, label="file descriptors (right)")
    for each in (axes, other):
        each.set_ylim(0, 1.3 * each.get_ylim()[1])
    axes.set_xlim(0, calls[-1])
    _finish(axes, 2, "million calls of guests")


# File, size in inches, and what draws it.
CHARTS: dict[str, tuple[float, float, Callable[[Any, str], None]]] = {
    "compiled.svg": (7.6, 7.8, compiled),
    "row-functions.svg": (7.6, 3.1, row_functions),
    "types.svg": (7.6, 6.0, types),
    "soak.svg": (7.6, 3.0, soak),
}


def draw() -> None:
    """Write all charts.

    Raises:
        ModuleNotFoundError: matplotlib isn't installed.
    """
    import matplotlib as mpl  # noqa: PLC0415 - only charts take it

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    settings: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "charts",
        "font.size": 10,
        "font.family": ["sans-serif"],
    }
    settings |= dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), _TEXT)
    text = PAGE.read_text(encoding="utf-8")
    for name, (width, height, chart) in CHARTS.items():
        with mpl.rc_context(settings):
            figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
            axes.spines[:].set_visible(False)
            axes.tick_params(length=0)
            axes.set_axisbelow(True)
            chart(axes, text)
            # Without a date, the same figures are the same file.
            figure.savefig(IMAGES / name, transparent=True, metadata={"Date": None, "Creator": None})
            plt.close(figure)
        print(f"{name}: {(IMAGES / name).stat().st_size:,} bytes")


def _bars(axes: Any, table: Table, series: list[Series], unit: str) -> None:
    """Draw horizontal bars with their values, a group for each row."""
    height = 0.8 / len(series)
    rows = range(len(table.rows))
    for number, (column, colour, label, _) in enumerate(series):
        values = table.numbers(column)
        places = [row + number * height - 0.4 + height / 2 for row in rows]
        bars = axes.barh(places, values, height * 0.9, color=colour, label=label)
        axes.bar_label(bars, [f"{value:,.0f}" for value in values], padding=3, color=_TEXT, fontsize=9)
    axes.set_xlim(0, max(max(table.numbers(each.column)) for each in series) * 1.1)
    axes.set_yticks(rows, table.labels())
    axes.set_ylim(len(rows) - 0.4, -0.6)
    _finish(axes, len(series), unit)


def _points(axes: Any, table: Table, series: list[Series], unit: str) -> None:
    """Draw points on a line for each row, on a logarithmic scale, those with the largest of the second series first."""
    values = [table.numbers(each.column) for each in series]
    order = sorted(range(len(table.rows)), key=lambda row: -values[1][row])
    for place, row in enumerate(order):
        points = [column[row] for column in values]
        axes.plot([min(points), max(points)], [place, place], color=_GRID, linewidth=1.2, zorder=1)
    for column, (_, colour, label, marker) in zip(values, series, strict=True):
        shown = [column[row] for row in order]
        axes.scatter(shown, range(len(order)), s=24, color=colour, label=label, marker=marker, zorder=2)
    labels = table.labels()
    axes.set_xscale("log")
    axes.set_xticks(*_log_ticks([number for column in values for number in column]))
    axes.minorticks_off()
    axes.set_yticks(range(len(order)), [labels[row] for row in order])
    axes.set_ylim(len(order) - 0.4, -0.6)
    _finish(axes, len(series), unit)


def _finish(axes: Any, columns: int, unit: str) -> None:
    """Add the legend above, and what the values are."""
    axes.set_xlabel(unit)
    axes.grid(axis="x", color=_GRID, linewidth=0.6)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=columns, frameon=False, labelcolor=_TEXT, fontsize=9)


def _log_ticks(values: list[float]) -> tuple[list[float], list[str]]:
    """Return the places and labels of powers of ten around values, and of three times these."""
    powers = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
    ticks = [factor * 10.0**power for power in powers for factor in (1, 3)]
    ticks = [tick for tick in ticks if min(values) / 2 <= tick <= max(values) * 2]
    return ticks, [f"{tick:,.0f}" for tick in ticks]


if __name__ == "__main__":
    draw()
    sys.exit(0)
