"""CSV as the world writes it, read by node tables, measured times and traces alike."""

import re
import warnings

import numpy as np
import pytest

from dmcjia_opt.base.errors import Doubt, InputError
from dmcjia_opt.model.networks.measured import load_times
from dmcjia_opt.model.scenario.node_files import read_nodes
from dmcjia_opt.studies.simulation.arrivals import load_trace

NODES = "name,model,compute_gflops,uplink_mbps,arrival_rate\ngate,resnet34,5.5,25,1\nyard,resnet34,10,6,0.5\n"
TIMES = "device,model,layer,seconds\npi,net,a,0.5\npi,net,b,0.25\n"
TRACE = "time_s,node\n0.5,gate\n1.25,gate\n"
READERS = {"n.csv": (read_nodes, NODES), "times.csv": (load_times, TIMES), "trace.csv": (load_trace, TRACE)}


def content(table):
    """Return what was read, whoever read it."""
    if hasattr(table, "names"):
        return table.names, table.compute_gflops.tolist(), table.uplink_mbps.tolist(), table.arrival_rate.tolist()
    return table.seconds if hasattr(table, "seconds") else {n: t.tolist() for n, t in table.times.items()}


def read(name, folder, text, encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return content(READERS[name][0](path))


def refused(name, folder, text, *parts, encoding="utf-8"):
    with pytest.raises(InputError) as caught:
        read(name, folder, text, encoding)
    for part in parts:
        assert part in str(caught.value)
    return str(caught.value)


def german(text):
    return text.replace(",", ";").replace(".", ",")


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "dialect",
    [
        german,
        lambda text: german(text).replace(";", "\t"),
        lambda text: text.replace(",", ";"),
        lambda text: "\ufeff" + text.replace("\n", "\r\n"),
        lambda text: text + "\n\n  \n",
        lambda text: text + ",,\n" + "," * 12 + "\n",
        lambda text: text.replace("\n", ",,\n"),
        lambda text: text.replace("\n", "\n\n").replace(",", " , "),
    ],
    ids=[
        "semicolons",
        "tabs",
        "points beside semicolons",
        "BOM",
        "blank lines",
        "blank rows",
        "commas at ends",
        "blanks",
    ],
)
def test_dialects_are_read_as_what_they_say(name, dialect, tmp_path):
    expected = read(name, tmp_path, READERS[name][1])
    found = read(name, tmp_path, dialect(READERS[name][1]))
    if name == "n.csv":  # the blanks of a name are its own
        found = (tuple(map(str.strip, found[0])), *found[1:])
    assert found == expected


@pytest.mark.parametrize(("name", "word"), [("n.csv", "gate"), ("times.csv", "net"), ("trace.csv", "gate")])
def test_latin_1_is_read_with_a_word_about_it(name, word, tmp_path):
    text = READERS[name][1].replace(word, "caméra")
    expected = read(name, tmp_path, text)
    with pytest.warns(Doubt, match=f"{name}: not in UTF-8; read as Latin-1"):
        assert read(name, tmp_path, text, "latin-1") == expected


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_utf_16_is_refused_in_a_sentence(name, encoding, tmp_path):
    refused(name, tmp_path, READERS[name][1], "in UTF-16, or no text; save it as CSV in UTF-8", encoding=encoding)


@pytest.mark.parametrize("name", READERS)
def test_other_columns_are_named_once_and_ignored(name, tmp_path):
    text = READERS[name][1]
    expected = read(name, tmp_path, text)
    head, *rows = text.splitlines()
    more = "\n".join([f"place,{head},colour", *(f"north,{row},red" for row in rows)]) + "\n"
    with pytest.warns(Doubt) as said:
        assert read(name, tmp_path, more) == expected
    (warning,) = said
    assert 'columns "place"; "colour" ignored; known are ' in str(warning.message)


@pytest.mark.parametrize("name", READERS)
def test_ragged_rows_are_refused_by_their_line(name, tmp_path):
    text = READERS[name][1]
    header, row, *_ = lines = text.splitlines()
    line, width = len(lines) + 2, header.count(",") + 1
    refused(name, tmp_path, f"{text}\n{row},7\n", f"line {line}: {width + 1} cells for {width} columns")
    last = header.split(",")[-1]
    refused(name, tmp_path, f"{text}\n{row.rpartition(',')[0]}\n", f"line {line}: no {last}; fill it in")


def test_all_mistakes_of_the_first_dozen_rows_are_told_and_the_rest_counted(tmp_path):
    header = NODES.splitlines()[0]
    rows = "".join(f"n{k},resnet34,fast,-8,1\n" for k in range(9000))
    sentence = refused("n.csv", tmp_path, f"{header}\n{rows}a,resnet34,5,8,1\n")
    told = re.findall(r'line (\d+): compute_gflops must hold numbers, not "fast", and uplink_mbps must be', sentence)
    shown = int(told[-1]) - 1
    assert told == [str(line) for line in range(2, 2 + shown)]
    assert shown == 12
    assert f"(and {9000 - shown:,} more rows)" in sentence


def test_mistakes_of_different_columns_are_told_row_by_row(tmp_path):
    wrong = "gate,resnet34,0,8,1\n,resnet34,5,8,x\nyard,resnet34,5,8,1\n"
    refused(
        "n.csv",
        tmp_path,
        NODES.splitlines()[0] + "\n" + wrong,
        "line 2: compute_gflops must be finite and > 0, got 0; line 3: no name; fill it in, and arrival_rate must hold "
        'numbers, not "x"',
    )


@pytest.mark.parametrize("cell", ["1.234,5", "1,2,3", "1'000", "5 000"])
def test_separators_of_thousands_are_refused(cell, tmp_path):
    refused("n.csv", tmp_path, german(NODES).replace("5,5", cell), f'compute_gflops must hold numbers, not "{cell}"')


def test_a_file_has_one_decimal_mark(tmp_path):
    """What 1.500 is, nobody knows beside 0,5."""
    refused("n.csv", tmp_path, german(NODES).replace(";10;", ";1.500;"), "line", "with a comma and others with a point")


@pytest.mark.parametrize("cell", ["25.000", "25,000"])
def test_what_may_be_thousands_is_doubted_where_no_other_number_settles_it(cell, tmp_path):
    text = NODES.replace("5.5", "5").replace("0.5", "1").replace(",", ";")
    with pytest.warns(Doubt, match=f'"{re.escape(cell)}" is read as a number with three decimals'):
        assert read("n.csv", tmp_path, text.replace(";25;", f";{cell};"))[2][0] == 25.0
    assert read("n.csv", tmp_path, german(NODES).replace(";25;", ";25,125;"))[2][0] == 25.125


def test_a_lone_column_is_not_guessed_to_have_decimal_commas(tmp_path):
    refused("trace.csv", tmp_path, "0,5\n1,5\n", "line 1: 2 cells for 1 column; give one time_s a line")


def test_plain_files_are_read_without_a_word(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, (_, text) in READERS.items():
            read(name, tmp_path, text)
    assert np.isfinite(read("n.csv", tmp_path, NODES)[1]).all()
