"""Published figures of the zoo's networks, and layers counted by hand.

Parameters and GMACs: the weights' metadata of torchvision 0.15 and later (``num_params`` and ``_ops``, the latter in
units of 1e9 multiply–accumulates to three decimals), https://pytorch.org/vision/stable/models.html. They leave
activations, pooling and biases out of the MACs, as we do.
"""

import numpy as np
import pytest

from dmcjia_opt.model.networks.zoo import ZOO, zoo_profile

KIB = 1024
MIB = 1024**2

#: name: layers, parameters, GMAC, side of the input
PUBLISHED = {
    "alexnet": (8, 61_100_840, 0.714, 224),
    "vgg19": (19, 143_667_240, 19.632, 224),
    "resnet34": (34, 21_797_672, 3.664, 224),
    "resnet50": (50, 25_557_032, 4.089, 224),
    "mobilenet_v2": (53, 3_504_872, 0.301, 224),
    # torchvision's 27,161,264 parameters less the auxiliary classifier's, which inference does not run
    "inception_v3": (48, 23_834_568, 5.713, 299),
}

#: Table 1 of the paper: layers, GMAC, MiB of parameters
TABLE_1 = {"resnet34": (34, 3.68, 83), "vgg19": (19, 19.6, 548), "alexnet": (8, 0.7, 233)}


def layers(name):
    """Return (macs, output bytes) of each layer by its name."""
    profile = zoo_profile(name)
    return dict(zip(profile.layer_names, zip(profile.macs, profile.output_bytes, strict=True), strict=True))


def test_every_network_is_checked():
    assert set(ZOO) == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_figures(name):
    n_layers, parameters, gmac, side = PUBLISHED[name]
    profile = zoo_profile(name)
    assert profile.n_layers == n_layers
    assert profile.parameters == parameters
    assert round(profile.total_macs / 1e9, 3) == gmac
    assert profile.input_bytes == 3 * side * side * 4
    assert profile.upload_bytes[0] == profile.input_bytes
    assert profile.output_bytes[-1] == 4000
    assert "doi:" in profile.source or "arXiv:" in profile.source


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_layer_does_whole_work(name):
    profile = zoo_profile(name)
    assert (profile.macs > 0).all()
    assert (profile.macs == np.rint(profile.macs)).all()
    assert (profile.output_bytes % 4 == 0).all()


@pytest.mark.parametrize("name", TABLE_1)
def test_table_1_of_the_paper(name):
    n_layers, gmac, megabytes = TABLE_1[name]
    profile = zoo_profile(name)
    assert profile.n_layers == n_layers
    assert profile.total_macs / 1e9 == pytest.approx(gmac, rel=0.025)
    assert round(profile.parameters * 4 / MIB) == megabytes


def test_inception_differs_from_table_1_as_documented():
    """46 layers and 89 MB there, the latter what convnet-burden gives for features beside 91 MB of parameters."""
    profile = zoo_profile("inception_v3")
    assert profile.n_layers == 48
    assert round(profile.total_macs / 1e9) == 6
    assert round(profile.parameters * 4 / MIB) == 91


def test_the_auxiliary_classifier_is_all_that_inception_leaves_out():
    """1 × 1 to 128 and 5 × 5 to 768 channels with batch normalisation, then 1000 classes: 27,161,264 with it."""
    auxiliary = (768 * 128 + 2 * 128) + (25 * 128 * 768 + 2 * 768) + (768 * 1000 + 1000)
    assert zoo_profile("inception_v3").parameters + auxiliary == 27_161_264


def test_what_crosses_each_cut():
    """One tensor at the end of every block or module; inside, the shortcut or the other branches too."""
    for name, several in (("alexnet", ()), ("vgg19", ()), ("resnet34", ("a",)), ("resnet50", ("a", "b"))):
        profile = zoo_profile(name)
        inside = [layer.startswith("conv") and layer.endswith(several) for layer in profile.layer_names]
        assert list(profile.tensors) == [1 + (several != () and here) for here in inside]
    inception = dict(zip(zoo_profile("inception_v3").layer_names, zoo_profile("inception_v3").tensors, strict=True))
    assert inception["mixed5b_1"] == inception["mixed5b_2"] == 4
    assert inception["mixed6a_1"] == 3  # two branches and the pooled input
    assert inception["mixed7b_2"] == 5  # 1 × 1, the two of the fork, 3 × 3, pooled
    assert inception["mixed7c_3"] == 1
    mobile = dict(zip(zoo_profile("mobilenet_v2").layer_names, zoo_profile("mobilenet_v2").tensors, strict=True))
    assert (mobile["block3_1a"], mobile["block3_2a"], mobile["block3_2c"]) == (1, 2, 1)


def test_alexnet_by_hand():
    found = layers("alexnet")
    assert found["conv1"] == (121 * 3 * 64 * 55**2, 64 * 27**2 * 4)
    assert found["conv3"] == (9 * 192 * 384 * 13**2, 384 * 13**2 * 4)
    assert found["conv5"] == (9 * 256 * 256 * 13**2, 256 * 6**2 * 4)
    assert found["fc6"] == (9216 * 4096, 4096 * 4)


def test_vgg19_by_hand():
    found = layers("vgg19")
    assert found["conv1_1"] == (9 * 3 * 64 * 224**2, 64 * 224**2 * 4)
    assert found["conv1_2"] == (9 * 64 * 64 * 224**2, 64 * 112**2 * 4)
    assert found["conv5_4"] == (9 * 512 * 512 * 14**2, 512 * 7**2 * 4)
    assert found["fc6"] == (25088 * 4096, 4096 * 4)


def test_resnet34_is_the_papers_chain():
    """Fig. 4: conv1 before pooling, 98 KiB at the end, and nothing of the shortcuts in between."""
    found = layers("resnet34")
    assert found["conv1"] == (49 * 3 * 64 * 112**2, 3136 * KIB)
    assert found["conv3_1a"] == (9 * 64 * 128 * 28**2, 392 * KIB)
    assert found["conv3_1b"] == ((9 * 128 * 128 + 64 * 128) * 28**2, 392 * KIB)
    assert found["conv5_3b"] == (9 * 512 * 512 * 7**2, 98 * KIB)


def test_resnet50_by_hand():
    """A cut inside a block sends the block's input too; the stride is in the 3 × 3 convolution."""
    found = layers("resnet50")
    assert found["conv1"] == (49 * 3 * 64 * 112**2, 64 * 56**2 * 4)
    assert found["conv2_1a"] == (64 * 64 * 56**2, (64 + 64) * 56**2 * 4)
    assert found["conv2_1c"] == ((64 * 256 + 64 * 256) * 56**2, 256 * 56**2 * 4)
    assert found["conv3_1a"] == (256 * 128 * 56**2, (128 + 256) * 56**2 * 4)
    assert found["conv3_1b"] == (9 * 128 * 128 * 28**2, (128 * 28**2 + 256 * 56**2) * 4)
    assert found["conv3_1c"] == ((128 * 512 + 256 * 512) * 28**2, 512 * 28**2 * 4)
    assert found["conv3_2c"] == (128 * 512 * 28**2, 512 * 28**2 * 4)
    assert found["conv5_3c"] == (512 * 2048 * 7**2, 2048 * 4)


def test_mobilenet_v2_by_hand():
    """The second block of a stage has a shortcut, the first has not; the very first block has no expansion."""
    found = layers("mobilenet_v2")
    assert found["conv1"] == (9 * 3 * 32 * 112**2, 32 * 112**2 * 4)
    assert found["block2_1b"] == (9 * 32 * 112**2, 32 * 112**2 * 4)
    assert found["block2_1c"] == (32 * 16 * 112**2, 16 * 112**2 * 4)
    assert "block2_1a" not in found
    assert found["block3_1a"] == (16 * 96 * 112**2, 96 * 112**2 * 4)
    assert found["block3_1b"] == (9 * 96 * 56**2, 96 * 56**2 * 4)
    assert found["block3_2a"] == (24 * 144 * 56**2, (144 + 24) * 56**2 * 4)
    assert found["block3_2b"] == (9 * 144 * 56**2, (144 + 24) * 56**2 * 4)
    assert found["block3_2c"] == (144 * 24 * 56**2, 24 * 56**2 * 4)
    assert found["block6_1c"] == (6 * 64 * 96 * 14**2, 96 * 14**2 * 4)
    assert found["conv9"] == (320 * 1280 * 7**2, 1280 * 4)


def test_inception_by_hand():
    """The k-th convolutions of the branches together; what a branch has by then crosses the cut."""
    found = layers("inception_v3")
    assert found["conv3"] == (9 * 32 * 64 * 147**2, 64 * 73**2 * 4)
    pixels = 35**2
    assert found["mixed5b_1"] == (192 * (64 + 48 + 64 + 32) * pixels, (64 + 48 + 64 + 32) * pixels * 4)
    assert found["mixed5b_2"] == ((25 * 48 * 64 + 9 * 64 * 96) * pixels, (64 + 64 + 96 + 32) * pixels * 4)
    assert found["mixed5b_3"] == (9 * 96 * 96 * pixels, 256 * pixels * 4)
    assert found["mixed6a_1"] == (
        9 * 288 * 384 * 17**2 + 288 * 64 * pixels,
        (384 * 17**2 + 64 * pixels + 288 * 17**2) * 4,
    )
    assert found["mixed6a_3"] == (9 * 96 * 96 * 17**2, 768 * 17**2 * 4)
    assert found["mixed6b_5"] == (7 * 128 * 192 * 17**2, 768 * 17**2 * 4)
    assert found["mixed7a_4"] == (9 * 192 * 192 * 8**2, 1280 * 8**2 * 4)
    assert found["mixed7b_3"] == (2 * 3 * 384 * 384 * 8**2, 2048 * 8**2 * 4)
    assert found["mixed7c_3"] == (2 * 3 * 384 * 384 * 8**2, 2048 * 4)


@pytest.mark.parametrize(
    ("module", "levels", "joined"), [("mixed5c", 3, 288), ("mixed6e", 5, 768), ("mixed7a", 4, 1280)]
)
def test_a_module_has_as_many_levels_as_its_longest_branch(module, levels, joined):
    names = [name for name in zoo_profile("inception_v3").layer_names if name.startswith(module)]
    assert names == [f"{module}_{k}" for k in range(1, levels + 1)]
    side = {"5": 35, "6": 17, "7": 8}[module[5]]
    assert layers("inception_v3")[names[-1]][1] == joined * side**2 * 4
