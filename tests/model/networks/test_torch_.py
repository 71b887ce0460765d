"""PyTorch modules; torch is a large optional extra, so these are the only tests that may be left out."""

import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError, UncountedOperators
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.networks.torch_ import trace
from dmcjia_opt.model.networks.zoo import zoo_profile

torch = pytest.importorskip("torch", reason="the extra torch is not installed")
nn = torch.nn


class Block(nn.Module):
    """A basic residual block, with a projection where channels change."""

    def __init__(self, inputs, channels):
        super().__init__()
        stride = 2 if inputs != channels else 1
        self.a = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.an = nn.BatchNorm2d(channels)
        self.b = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        project = nn.Sequential(nn.Conv2d(inputs, channels, 1, 2, bias=False), nn.BatchNorm2d(channels))
        self.shortcut = project if stride == 2 else nn.Identity()

    def forward(self, x):
        return torch.relu(self.bn(self.b(torch.relu(self.an(self.a(x))))) + self.shortcut(x))


def resnet34():
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for channels, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for _ in range(blocks):
            layers.append(Block(inputs, channels))
            inputs = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


def test_resnet34_is_the_zoos():
    ours = LayerProfile.from_torch(resnet34(), torch.zeros(1, 3, 224, 224), name="resnet34", cuts="chain")
    zoo = zoo_profile("resnet34")
    np.testing.assert_array_equal(ours.macs, zoo.macs)
    np.testing.assert_array_equal(ours.output_bytes, zoo.output_bytes)
    np.testing.assert_array_equal(ours.tensors, zoo.tensors)
    assert (ours.name, ours.input_bytes, ours.parameters) == ("resnet34", zoo.input_bytes, zoo.parameters)


class Mixed(nn.Module):
    """An embedding, an LSTM, attention, and convolutions in one and two dimensions."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 8)
        self.lstm = nn.LSTM(8, 6, 2, bidirectional=True, batch_first=True)
        self.attention = nn.MultiheadAttention(12, 3, batch_first=True)
        self.norm = nn.LayerNorm(12)
        self.grouped = nn.Conv1d(12, 24, 3, groups=4)
        self.up = nn.ConvTranspose1d(24, 6, 2, stride=2)

    def forward(self, tokens, image):
        y, _ = self.lstm(self.embed(tokens))
        z, _ = self.attention(y, y, y, need_weights=False)
        z = self.up(nn.functional.gelu(self.grouped(self.norm(z + y).transpose(1, 2))))
        return torch.einsum("bcl,bl->bc", z, image), z.mean()


def test_macs_by_hand():
    example = torch.zeros(2, 5, dtype=torch.int64), torch.zeros(2, 6)
    module = Mixed().train()
    network = trace(module, example)
    lstm = 2 * 5 * 2 * 24 * ((8 + 6) + (12 + 6))
    attention = 2 * 5 * 12 * 36 + 2 * 5 * 5 * 12 * 2 + 2 * 5 * 12 * 12
    convolutions = 2 * 24 * 3 * 3 * 3 + 2 * 24 * 3 * 6 * 2
    assert network.total_macs == lstm + attention + convolutions + 2 * 6 * 6
    assert network.uncounted == {}
    assert network.parameters == sum(p.numel() for p in module.parameters())
    assert len(network.outputs) == 2
    assert module.training
    profile = LayerProfile.from_torch(module, example, upload_dtype="uint8")
    assert profile.name == "Mixed"
    assert profile.input_bytes == 2 * 5 * 8 + 2 * 6


def test_bytes_follow_the_type():
    module = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)).to(torch.bfloat16)
    profile = LayerProfile.from_torch(module, torch.zeros(1, 4, dtype=torch.bfloat16))
    assert (profile.input_bytes, *profile.output_bytes) == (8, 6, 4)
    assert [(tensor.shape, tensor.dtype) for tensor in profile.cut_tensors] == [
        ((1, 3), "bfloat16"),
        ((1, 2), "bfloat16"),
    ]


def test_what_no_rule_knows_is_named():
    class Spectral(nn.Module):
        def forward(self, x):
            return torch.fft.fft(x @ x).real

    with pytest.warns(UncountedOperators, match=r"^Spectral: an unknown part .* no rule knows fft_fft$"):
        LayerProfile.from_torch(Spectral(), torch.zeros(4, 4))


def test_a_module_that_cannot_be_traced_is_refused():
    class Moody(nn.Module):
        def forward(self, x):
            return x if float(x.sum()) > 0 else x @ x

    with pytest.raises(InputError, match=r"torch\.export cannot trace Moody: "):
        LayerProfile.from_torch(Moody(), torch.zeros(2, 2))


def test_weights_are_the_parameters_and_statistics_that_each_layer_reads():
    module = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))
    profile = LayerProfile.from_torch(module, torch.zeros(1, 3, 8, 8))
    assert profile.weight_bytes.tolist() == [4 * 3 * 8 * 9, 4 * (8 * 36 * 10 + 10)]


class Scaled(nn.Module):
    """Writes into a part of a tensor that a convolution made, and reads the whole."""

    def __init__(self):
        super().__init__()
        self.first, self.beside, self.last = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(2, 4, 1), nn.Conv2d(6, 3, 1)

    def forward(self, x):
        y = self.first(x)
        y[:, 1:5].mul_(self.beside(x))
        return self.last(y)


class Halves(Scaled):
    """Writes into both parts of a tensor that is split into views, one after the other."""

    def __init__(self):
        super().__init__()
        self.each = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(2))

    def forward(self, x):
        y = self.first(x)
        for part, layer in zip(y.chunk(2, 1), self.each, strict=True):
            part.add_(layer(part))
        return self.last(y)


class Filled(Scaled):
    """Writes its two halves into an empty tensor, and changes its input."""

    def forward(self, x):
        x.sub_(0.5)
        y = torch.zeros(1, 6, 8, 8)
        y[:, :6] = self.first(x)
        y[:, 1:5] += self.beside(x)
        return self.last(y)


def test_what_is_written_through_a_view_is_counted():
    first, beside, last, each = 64 * 6 * 18, 64 * 4 * 2, 64 * 3 * 6, 64 * 3 * 27
    x = torch.ones(1, 2, 8, 8)
    for module, macs in (
        (Scaled(), first + beside + last),
        (Halves(), first + 2 * each + last),
        (Filled(), first + beside + last),
    ):
        network = trace(module, x)
        assert (network.total_macs, network.uncounted) == (macs, {})
        assert network.inputs == ("x",)
    assert (x == 1).all()
    profile = LayerProfile.from_torch(Halves(), x)
    assert profile.macs.tolist() == [first, each, each, last]
    assert profile.output_bytes.tolist()[1:] == [4 * 64 * 6, 4 * 64 * 6, 4 * 64 * 3]  # the halves, put together again


def test_encoder_layers_are_counted_operator_by_operator():
    network = trace(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), torch.zeros(1, 5, 8))
    assert network.total_macs == 5 * 8 * 24 + 2 * 5 * 5 * 8 + 5 * 8 * 8 + 2 * 5 * 8 * 16


class Remembers(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("past", torch.zeros(4, 4))

    def forward(self, x):
        self.calls += 1
        return x @ x + self.calls


class Keeps(Remembers):
    def forward(self, x):
        self.past[:2] = x[:2]
        return self.past @ x


class Loses(Remembers):
    def forward(self, x, y):
        y.copy_(x @ x)
        return x + 1


def test_what_is_left_for_the_next_task_is_refused():
    x = torch.zeros(4, 4)
    assert trace(Remembers(), x).total_macs == 64  # what it counts, both sides know
    with pytest.raises(InputError, match=r'Keeps writes to its buffer "past" .* make it an input and return'):
        trace(Keeps(), x)
    with pytest.raises(InputError, match='Loses writes to its input "y" what no output is made from'):
        trace(Loses(), (x, x.clone()))
