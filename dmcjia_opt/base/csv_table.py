"""CSV as people and spreadsheets write it: the one reader of node tables, measured times and traces.

Columns are separated by commas, semicolons or tabs; beside semicolons and tabs, numbers may have a decimal comma. Text
is UTF-8, with or without a byte order mark, or Latin-1. Blank rows and columns of other names play no part. What is
wrong is told row by row, for the first dozen rows that are.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.errors import Doubt, InputError, shortened
from dmcjia_opt.base.fields import number, out_of_range, why_not_a_name
from dmcjia_opt.base.files import read_bytes
from dmcjia_opt.base.quantities import unit_of_key
from dmcjia_opt.base.suggesting import did_you_mean, listed, nearest

_ROWS_AT_ONCE = 1 << 12  # so that the cells of a large table are never all in memory as text
_BYTES_AT_ONCE = 1 << 20
_LONGEST_LINE = 1_000_000
_MOST_ROWS, _SHOWN = 12, 40
_THOUSANDS = re.compile(r"\s*\d{1,3}[.,]\d{3}\s*", re.ASCII)
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_PLAIN = re.compile(r"[\d.eE+\-\s]*", re.ASCII)  # of these characters, `float` takes what `number` takes


class Rows(NamedTuple):
    """Some rows of a table: the line at which each ends, and their cells by column."""

    lines: list[int]
    cells: dict[str, tuple[str, ...]]


class CsvTable:
    """A CSV file, read a few thousand rows at a time.

    Parameters
    ----------
    path
        The file.
    what
        What it holds, a key of `FILES`.
    columns
        The columns that mean something; none for those that the file has, whatever they are called.
    optional
        Those of them that may be absent or empty.
    alone
        The column that a file without a header holds; by default there must be a header.

    Raises
    ------
    InputError
        If the file cannot be read, or its header lacks a column or has one twice.
    """

    def __init__(
        self, path: Path, what: str, columns: Sequence[str], optional: Sequence[str] = (), alone: str = ""
    ) -> None:
        self._path = path
        self._wrong: dict[int, list[str]] = {}
        self._told: list[str] = []
        self._more = 0
        self._marks: set[str] = set()
        self._like_thousands: list[str] = []
        self._decimals = False
        self._doubts: list[str] = []
        content = read_bytes(path, what)
        for k in range(0, len(content) - _LONGEST_LINE, _LONGEST_LINE):
            if all(content.find(end, k, k + _LONGEST_LINE) < 0 for end in (b"\n", b"\r")):
                raise InputError(f"{path}: not readable as CSV: a line has more than {_LONGEST_LINE:,} bytes")
        encoding = self._encoding(content)
        text = io.TextIOWrapper(io.BytesIO(content), encoding=encoding, newline="")
        delimiter = _delimiter(content[:_LONGEST_LINE].decode(encoding, "replace"), columns)
        self._decimal_comma = delimiter != ","
        self._rows = csv.reader(text, delimiter=delimiter, strict=True)
        first = list(islice(self._read(), 1))
        self.header = [cell.strip() for _, row in first for cell in row]
        self._alone = alone if not set(self.header) & set(columns) else ""
        self._again = first if self._alone else []
        self.header = [alone] if self._alone else self.header
        known = columns or [*dict.fromkeys(filter(None, self.header))]
        self._columns, self._optional = known, optional if columns else known
        self.columns = tuple(column for column in known if column in self.header)
        if columns:
            self._doubts += check_header(path, self.header, columns, optional)

    def __iter__(self) -> Iterator[Rows]:
        """Yield the rows, those left out that have too many cells.

        Raises
        ------
        InputError
            If the file is no CSV; at the end, if a row is wrong.
        """
        width = len(self.header)
        at = {column: self.header.index(column) for column in self.columns}
        lines: list[int] = []
        rows: list[list[str]] = []
        for line, row in chain(self._again, self._read()):
            if len(row) != width:
                if len(row) > width and any(map(str.strip, row[width:])):
                    self.wrong(line, f"{len(row)} cells for {width} column{'s' if width > 1 else ''}{self._remedy}")
                    continue
                row = [*row, *[""] * (width - len(row))][:width]
            lines.append(line)
            rows.append(row)
            if len(rows) == _ROWS_AT_ONCE:
                yield self._part(lines, rows, at)
                lines, rows = [], []
                self._tell()
        if rows:
            yield self._part(lines, rows, at)
        self._tell()
        if self._told:
            raise InputError(f"{self._path}: {listed(self._told, self._more, 'row')}")
        if self._like_thousands and not self._decimals:
            self._doubts.append(
                f'{self._path}: "{self._like_thousands[0]}" is read as a number with three decimals, as all like it; '
                "write thousands without a separator"
            )
        for sentence in self._doubts:
            warnings.warn(sentence, Doubt, stacklevel=2)

    def wrong(self, line: int, sentence: str) -> None:
        """Remember what is wrong with a row."""
        self._wrong.setdefault(line, []).append(sentence)

    def texts(self, rows: Rows, column: str, *, strip: bool = True) -> Sequence[str]:
        """Return a column of names, without the blanks around them if `strip`; what cannot be shown is wrong."""
        cells: Sequence[str] = rows.cells[column]
        if strip:
            cells = [cell.strip() for cell in cells]
        if why_not_a_name("".join(cells)):
            for line, cell in zip(rows.lines, cells, strict=True):
                if why := why_not_a_name(cell):
                    self.wrong(line, f"{column} {why}")
        return cells

    def numbers(
        self, rows: Rows, column: str, *, zero: bool = False, words: Mapping[str, float] | None = None
    ) -> FloatArray:
        """Return a column of quantities, NaN where it is empty; one that is no number, or no sensible one, is wrong.

        Parameters
        ----------
        rows, column
            Whose.
        zero
            Whether 0 is one.
        words
            What may stand for numbers; NaN for none.
        """
        cells: Sequence[str] = rows.cells[column]
        if words:
            said = {word: "" if np.isnan(value) else f"{value:g}" for word, value in words.items()}
            cells = rows.cells[column] = tuple(said.get(cell.strip(), cell) for cell in cells)
        joined = "".join(cells)
        if self._decimal_comma:
            cells = self._with_points(rows, column, joined)
        values = np.full(len(cells), np.nan)
        try:
            if not _PLAIN.fullmatch(joined if cells is rows.cells[column] else joined.replace(",", ".")):
                raise ValueError
            values[:] = [float(cell) if cell else np.nan for cell in cells]
        except ValueError:  # they are told one by one
            for k, cell in enumerate(cells):
                try:
                    values[k] = number(cell) if cell.strip() else np.nan
                except ValueError:
                    shown = shortened(rows.cells[column][k], _SHOWN)
                    hint = did_you_mean(cell, self._columns if self._alone else [*(words or ())])
                    kinds = " or ".join([*(words or ()), "numbers"])
                    self.wrong(rows.lines[k], f'{column} must hold {kinds}, not "{shown}"{hint}')
        for refused, what in out_of_range(values, zero=zero):
            for k in map(int, np.flatnonzero(refused)):
                self.wrong(rows.lines[k], f"{column} must be {what}, got {values[k]:g}")
        return values

    def _read(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows that are not blank, and the line at which each ends."""
        try:
            for row in self._rows:
                if row and (row[0].strip() or any(map(str.strip, row))):
                    yield self._rows.line_num, row
        except (csv.Error, UnicodeDecodeError) as error:
            line = f"line {self._rows.line_num}"
            raise InputError(f"{self._path}: not readable as CSV: {line}: {error}; save it as CSV in UTF-8") from None

    def _part(self, lines: list[int], rows: list[list[str]], at: dict[str, int]) -> Rows:
        by_column = list(zip(*rows, strict=True))
        cells = {column: by_column[k] for column, k in at.items()}
        empty: dict[int, list[str]] = {}
        for column in (column for column in self.columns if column not in self._optional):
            if not all(map(str.strip, cells[column])):
                for line in (line for line, cell in zip(lines, cells[column], strict=True) if not cell.strip()):
                    empty.setdefault(line, []).append(column)
        for line, columns in empty.items():
            self.wrong(line, f"no {' and no '.join(columns)}; fill it in")
        return Rows(lines, cells)

    def _with_points(self, rows: Rows, column: str, joined: str) -> Sequence[str]:
        """Return cells with a point where they have a decimal comma; a file has one of the two."""
        cells = rows.cells[column]
        before = self._marks.copy()
        marked = [cell for cell in cells if "," in cell or "." in cell]
        self._like_thousands += marked[:1]
        self._decimals |= not all(map(_THOUSANDS.fullmatch, marked))
        one = [cell for cell in cells if not ("," in cell and "." in cell)]
        self._marks |= {mark for mark in ",." if any(mark in cell for cell in one)}
        if len(self._marks) == 2 and before != self._marks:
            new = min(self._marks - before)
            line = next(line for line, cell in zip(rows.lines, cells, strict=True) if new in cell)
            self.wrong(line, f"{column} has numbers with a comma and others with a point; write all in one way")
        return [cell.replace(",", ".") if cell.count(",") == 1 else cell for cell in cells] if "," in joined else cells

    def _tell(self) -> None:
        """Keep the sentences of the first dozen rows that are wrong, and count the rest."""
        for line in sorted(self._wrong):
            if len(self._told) < _MOST_ROWS:
                self._told.append(f"line {line}: {', and '.join(self._wrong[line])}")
            else:
                self._more += 1
        self._wrong.clear()

    @property
    def _remedy(self) -> str:
        if self._alone:
            return f"; give one {self._alone} a line, or name the columns in the first: {', '.join(self._columns)}"
        return "" if self._decimal_comma else "; put a cell with a comma in quotes, or semicolons between columns"

    def _encoding(self, content: bytes) -> str:
        if content.startswith(_UTF_16) or b"\0" in content[:1000]:
            raise InputError(f"{self._path}: not readable as CSV: in UTF-16, or no text; save it as CSV in UTF-8")
        decoder = codecs.getincrementaldecoder("utf-8-sig")()
        try:
            for k in range(0, len(content), _BYTES_AT_ONCE):
                decoder.decode(content[k : k + _BYTES_AT_ONCE], k + _BYTES_AT_ONCE >= len(content))
        except UnicodeDecodeError:
            self._doubts.append(f"{self._path}: not in UTF-8; read as Latin-1, so look at names with accents")
            return "cp1252"  # what Windows calls so; where both have a letter it is the same
        return "utf-8-sig"


def check_header(path: Path | str, header: Sequence[str], columns: Sequence[str], optional: Sequence[str]) -> list[str]:
    """Look at the names of a table's columns; return a sentence on those that are ignored, if there are some.

    Parameters
    ----------
    path, header
        The file, and its columns.
    columns, optional
        Those that mean something, and those of them that may be absent.

    Raises
    ------
    InputError
        If one is missing or there twice.
    """
    known = ", ".join(columns)
    missing = [column for column in columns if column not in header and column not in optional]
    extra = [column for column in header if column not in columns]
    if missing:
        meant = {mine: ours for mine in extra[:_MOST_ROWS] for ours in nearest(mine, missing)[:1]}
        hint = "".join(f'; rename "{mine}" to {ours}{unit_of_key(ours)}' for mine, ours in meant.items())
        raise InputError(f"{path}: the table lacks column {', '.join(missing)}{hint}; its columns are {known}")
    if twice := [column for column in columns if header.count(column) > 1]:
        raise InputError(f"{path}: the table has column {' and '.join(twice)} twice; remove one")
    absent = [column for column in columns if column not in header]
    shown = [f'"{column}"{did_you_mean(column, absent)}' for column in extra if column]
    what = "columns" if len(shown) > 1 else "column"
    return [f"{path}: {what} {listed(shown, what='column')} ignored; known are {known}"] if shown else []


def _delimiter(head: str, columns: Sequence[str]) -> str:
    """Return what separates the cells of the first line: what makes the most known columns of it."""
    line = next((line for line in head.splitlines() if line.strip()), "")

    def cells(delimiter: str) -> tuple[int, int]:
        found = [cell.strip().strip('"') for cell in line.split(delimiter)]
        return len(set(found) & set(columns)), len(found) + (delimiter == "," and bool(columns))

    return max(",;\t", key=cells)
