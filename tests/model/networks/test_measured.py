from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.networks.measured import MeasuredTimes, Timed, load_times, save_template
from dmcjia_opt.model.networks.profile import LayerProfile
from tests.refusals import refused

HEAD = "device,model,layer,seconds\n"
NET = LayerProfile("net", 8.0, ("a", "b"), [1e9, 2e9], [4.0, 2.0])
GOOD = HEAD + "pi,net,a,0.5\npi,net,b,0.25\ncloud,net,b,0.01\ncloud,net,a,0.02\n"


def write(folder, text):
    path = folder / "times.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_layers_are_found_by_name_whatever_their_order(tmp_path):
    times = load_times(write(tmp_path, GOOD))
    np.testing.assert_array_equal(times.of("pi", NET), [0.5, 0.25])
    np.testing.assert_array_equal(times.of("cloud", NET), [0.02, 0.01])


def test_one_time_of_the_whole_network_is_spread_by_work(tmp_path):
    times = load_times(write(tmp_path, HEAD + "orin,net,*,0.6\npi,net,*,1\npi,net,a,1\n"))
    np.testing.assert_allclose(times.of("orin", NET), [0.2, 0.4], rtol=1e-15)
    assert (times.is_whole("orin", NET), times.is_whole("pi", NET)) == (True, False)
    with pytest.raises(InputError, match='layer "b" has no time'):
        times.of("pi", NET)
    idle = LayerProfile("net", 8.0, ("a",), [0.0], [4.0])
    with pytest.raises(InputError, match='a network without work needs a time for each layer, not one for "\\*"'):
        times.of("orin", idle)


@pytest.mark.parametrize(
    "text",
    [
        "seconds,layer,device,model\n0.5,a,pi,net\n",
        "\ufeff" + HEAD + "pi,net,a,0.5\n",
        " device , model,layer,seconds\r\n pi , net ,a, 5e-1\r\n",
        HEAD + '"pi","net","a","0.5"\n\n',
    ],
)
def test_files_of_spreadsheets_are_read(text, tmp_path):
    times = load_times(write(tmp_path, text))
    assert times.seconds == {Timed("pi", "net"): {"a": 0.5}}


def test_what_is_saved_is_read_back_bit_for_bit(tmp_path):
    layers = {"a, with a comma": 1 / 3, 'b "quoted"': 0.0, "ü": 1e-9}
    MeasuredTimes({Timed("pi", "net"): layers}).save(tmp_path / "t.csv")
    assert load_times(tmp_path / "t.csv").seconds == {Timed("pi", "net"): layers}


def test_merging_replaces_a_device_and_a_model_whole():
    old = MeasuredTimes({Timed("pi", "net"): {"a": 1.0, "b": 1.0}, Timed("pi", "other"): {"x": 1.0}})
    new = MeasuredTimes({Timed("pi", "net"): {"ab": 3.0}})
    assert old.merged(new).seconds == {Timed("pi", "net"): {"ab": 3.0}, Timed("pi", "other"): {"x": 1.0}}
    assert old.only([Timed("pi", "other")]).seconds == {Timed("pi", "other"): {"x": 1.0}}


def test_networks_of_one_name_have_their_own_times(tmp_path):
    mine, other, lost = (replace(NET, graph_id=12 * digit) for digit in "abc")
    times = MeasuredTimes({Timed("pi", "net", "a" * 12): {"a": 1.0, "b": 2.0}})
    times = times.merged(MeasuredTimes({Timed("pi", "net", "b" * 12): {"a": 3.0, "b": 4.0}}))
    times.save(tmp_path / "t.csv")
    times = load_times(tmp_path / "t.csv")
    assert [times.of("pi", net).tolist() for net in (mine, other)] == [[1.0, 2.0], [3.0, 4.0]]
    refusal = r"t\.csv: no times of this .net. on device .pi.: they are those of "
    with pytest.raises(
        InputError, match=rf"{refusal}another network of that name \(graph_id a{{12}}, b{{12}}; this one"
    ):
        times.of("pi", lost)
    with pytest.raises(InputError, match=rf"{refusal}2 networks .* the profile does not say which it is"):
        times.of("pi", NET)
    with pytest.raises(InputError, match=r"no times of model .net. on device .gpu.; it has pi"):
        times.of("gpu", mine)
    alone = times.only([Timed("pi", "net", "b" * 12)])
    assert alone.of("pi", NET).tolist() == [3.0, 4.0]  # there is no other that it could be


def test_times_of_a_name_alone_are_those_of_every_graph_that_has_none_of_its_own():
    mine, other = (replace(NET, graph_id=12 * digit) for digit in "ab")
    unsaid = MeasuredTimes({Timed("pi", "net"): {"a": 1.0, "b": 2.0}})
    newer = MeasuredTimes({Timed("pi", "net", "a" * 12): {"a": 3.0, "b": 4.0}})
    assert unsaid.of("pi", mine).tolist() == [1.0, 2.0]
    assert unsaid.replaced(newer) == {Timed("pi", "net")}  # the same layers: an older measurement
    assert unsaid.merged(newer).seconds == newer.seconds
    longer = MeasuredTimes({Timed("pi", "net"): {"a": 1.0, "b": 2.0, "c": 9.0}})
    both = longer.merged(newer)
    assert (longer.replaced(newer), len(both.seconds)) == (set(), 2)
    assert both.of("pi", mine).tolist() == [3.0, 4.0]
    assert not newer.replaced(MeasuredTimes({Timed("pi", "net", "b" * 12): {"a": 5.0, "b": 6.0}}))
    assert other.fingerprint() == mine.fingerprint()  # whose times they are is no part of a problem


def test_a_template_is_filled_in_and_read(tmp_path):
    path = tmp_path / "t.csv"
    named = replace(NET, graph_id="a" * 12)
    save_template(path, "pi", named)
    lines = path.read_text().splitlines()
    assert lines == ["device,model,graph_id,layer,seconds", *(f"pi,net,{'a' * 12},{layer}," for layer in "ab")]
    refused(load_times, path, "line 2: no seconds; fill it in", "line 3")
    with pytest.raises(InputError, match="the file is there, perhaps filled in; choose another name"):
        save_template(path, "pi", named)
    path.write_text("\n".join([lines[0], *(line + "0.5" for line in lines[1:])]))
    assert load_times(path).of("pi", named).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["lacks column device, model, layer, seconds"]),
        (HEAD, ["no times"]),
        ("device,network,layer,ms\npi,net,a,1\n", ['rename "network" to model; rename "ms" to seconds (s)']),
        ("device,model,layer,seconds,layer\npi,net,a,1,a\n", ["has column layer twice"]),
        (HEAD + "pi,net,a,fast\n", ['line 2: seconds must hold numbers, not "fast"']),
        (HEAD + "pi,net,a,1\npi,net,b,-1\n", ["line 3: seconds must be finite and >= 0, got -1"]),
        (HEAD + "pi,net,a,nan\n", ['line 2: seconds must hold numbers, not "nan"']),
        (HEAD + "pi,net,a,inf\n", ['seconds must hold numbers, not "inf"']),
        (HEAD + "pi,net,a,1e300\n", ["seconds must be 0 or between 1e-30 and 1e+30"]),
        (HEAD + "pi,net,a,1e16\n", ["seconds must be at most 1e+15; check its unit"]),
        (HEAD + "pi,net,a\n", ["line 2: no seconds; fill it in"]),
        (HEAD + "pi,net,a,1,2\n", ["line 2: 5 cells for 4 columns"]),
        (HEAD + ",net,a,1\n", ["line 2: no device"]),
        (HEAD + "pi,net, ,1\n", ["line 2: no layer"]),
        (HEAD + "pi,net,a,1\npi,net,a,2\n", ["line 3", 'layer "a" of "net" on "pi" is there twice']),
        (HEAD + 'pi,net,"a,1\n', ["not readable as CSV"]),
    ],
)
def test_malformed_files_are_refused_by_line(text, parts, tmp_path):
    refused(load_times, write(tmp_path, text), *parts)


def test_unreadable_files_are_refused(tmp_path):
    refused(load_times, tmp_path / "absent.csv", "No such file")
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00\x01")
    refused(load_times, tmp_path / "t.csv", "not readable as CSV: in UTF-16")


@pytest.mark.parametrize(
    ("device", "names", "parts"),
    [
        ("tpu", ("a", "b"), ['on device "tpu"', "it has cloud, pi"]),
        ("pi", ("a", "b", "c"), ['layer "c" has no time', "measure with the cuts"]),
        ("pi", ("a",), ['no layer "b"']),
        ("pi", ("a", "a"), ["several layers of one name"]),
    ],
)
def test_times_of_other_cuts_are_refused(device, names, parts, tmp_path):
    times = load_times(write(tmp_path, GOOD))
    profile = LayerProfile("net", 8.0, names, [1.0] * len(names), [1.0] * len(names))
    with pytest.raises(InputError) as caught:
        times.of(device, profile)
    for part in (str(tmp_path), *parts):
        assert part in str(caught.value)


def test_times_of_another_model_are_refused():
    with pytest.raises(InputError, match='no times of model "net" on device "pi"; it has none of that model'):
        MeasuredTimes().of("pi", NET)
