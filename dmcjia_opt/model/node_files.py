"""Node tables of large fleets: CSV and Parquet, read and written by columns."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dmcjia_opt.errors import BackendMissing, InputError
from dmcjia_opt.model.files import write_bytes
from dmcjia_opt.model.nodes import NodeTable

if TYPE_CHECKING:
    import pandas as pd

_NUMBERS = ("compute_gflops", "uplink_mbps", "arrival_rate")
_OPTIONAL = ("input_bytes", "device")
_COLUMNS = ("name", "model", *_NUMBERS, *_OPTIONAL)


def read_nodes(path: Path) -> NodeTable:
    """Read a node table from a ``.csv`` or ``.parquet`` file; ``input_bytes`` and ``device`` may be absent or empty.

    Raises
    ------
    InputError
        If the file is missing or malformed.
    BackendMissing
        If pandas or pyarrow is not installed.
    """
    pandas = _pandas(path)
    try:
        if path.suffix == ".csv":
            texts = dict.fromkeys(("name", "model", "device"), str)
            frame = pandas.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""])
        else:
            frame = pandas.read_parquet(path)
    except OSError as error:
        reason = "No such file or directory" if isinstance(error, FileNotFoundError) else error.strerror or error
        raise InputError(f"{path}: cannot read the nodes ({reason})") from None
    except (ValueError, pandas.errors.ParserError) as error:
        raise InputError(f"{path}: not a readable node table: {str(error).splitlines()[0]}") from None
    if path.suffix == ".csv" and not isinstance(frame.index, pandas.RangeIndex):
        raise InputError(f"{path}: not a readable node table: the rows have more cells than the header")
    missing = [c for c in _COLUMNS if c not in _OPTIONAL and c not in frame.columns]
    unknown = [c for c in frame.columns if c not in _COLUMNS]
    if missing or unknown:
        what = f"lacks column {missing[0]}" if missing else f'has an unknown column "{unknown[0]}"'
        raise InputError(f"{path}: the node table {what}; its columns are {', '.join(_COLUMNS)}")
    for column in ("name", "model"):
        if frame[column].isna().any():
            row = int(np.flatnonzero(frame[column].isna())[0])
            raise InputError(f"{path}: row {row + 1} has no {column}")
    codes, models = pandas.factorize(frame["model"].astype(str))
    absent = np.full(len(frame), np.nan)
    where: Any = None
    devices: Any = ()
    if "device" in frame:
        where, devices = pandas.factorize(frame["device"].mask(frame["device"] == ""))  # −1 where there is none
    return NodeTable(
        names=tuple(frame["name"].astype(str)),
        models=tuple(str(m) for m in models),
        model_index=codes,
        **{column: _number(frame, column, path) for column in _NUMBERS},
        input_bytes=_number(frame, "input_bytes", path) if "input_bytes" in frame else absent,
        devices=tuple(str(device) for device in devices),
        device_index=where,
    )


def write_nodes(path: Path, nodes: NodeTable) -> None:
    """Write a node table as CSV or Parquet, by the file's suffix."""
    pandas = _pandas(path)
    columns: dict[str, Any] = {"name": nodes.names, "model": np.array(nodes.models)[nodes.model_index]}
    columns |= {key: getattr(nodes, key) for key in _NUMBERS}
    if np.isfinite(nodes.input_bytes).any():
        columns["input_bytes"] = nodes.input_bytes
    if nodes.devices:
        columns["device"] = np.array([*nodes.devices, ""])[nodes.on_device]
    frame = pandas.DataFrame(columns)
    buffer = io.BytesIO()
    if path.suffix == ".csv":
        frame.to_csv(buffer, index=False)
    else:
        frame.to_parquet(buffer, index=False)
    write_bytes(path, buffer.getvalue())


def _number(frame: pd.DataFrame, column: str, path: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    if frame[column].dtype.kind in "bmM":
        raise InputError(f"{path}: column {column} must hold numbers, not {frame[column].dtype}")
    try:
        return frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: column {column} must hold numbers ({error})") from None


def _pandas(path: Path) -> Any:  # noqa: ANN401 - the module itself
    if path.suffix not in (".csv", ".parquet"):
        raise InputError(f"{path}: a node table is a .csv or .parquet file")
    try:
        import pandas
        import pyarrow  # noqa: F401
    except ModuleNotFoundError as error:
        raise BackendMissing(f"reading {path} needs {error.name}; pip install 'dmcjia-opt[fleet]'") from None
    return pandas
