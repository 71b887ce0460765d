import pytest

from dmcjia_opt.studies.reproduce.paper import TABLE_1
from dmcjia_opt.studies.reproduce.table1 import TABLE1

ITEM, SEEDS = TABLE1, 10


def column(finding, name):
    table = finding.tables["table1"]
    return dict(zip(table["model"], table[name], strict=True))


def test_rows_are_the_papers_and_two_more(finding):
    assert list(column(finding, "layers")) == [*TABLE_1, "mobilenet_v2", "resnet50"]
    assert column(finding, "gmac_paper")["resnet50"] is None


def test_layers(finding):
    assert column(finding, "layers") == {
        "inception_v3": 48,
        "resnet34": 34,
        "vgg19": 19,
        "alexnet": 8,
        "mobilenet_v2": 53,
        "resnet50": 50,
    }


def test_work_and_parameters_are_near_the_papers(finding):
    for name, row in TABLE_1.items():
        assert column(finding, "gmac")[name] == pytest.approx(row.gmac, rel=0.05)
        assert column(finding, "parameters_mib")[name] == pytest.approx(row.megabytes, rel=0.03)


def test_what_agrees_within_rounding_and_what_does_not(finding):
    holds = {statement.claim.split(":")[0]: statement.holds for statement in finding.statements}
    assert holds == {"InceptionV3": False, "ResNet34": False, "VGG19": True, "AlexNet": True}
    evidence = {statement.claim.split(":")[0]: statement.evidence for statement in finding.statements}
    assert evidence["InceptionV3"].endswith("they differ in layers by 4.3 %, parameters by 2.2 %")
    assert evidence["ResNet34"].endswith("they differ in GMAC by -0.44 %")
    assert "differ" not in evidence["VGG19"]


def test_the_page_shows_the_recomputed_numbers(finding):
    assert "| VGG19 | 19 | 19 | 19.63 | 19.6 | 548.0 | 548 |" in finding.text
    assert finding.figure is None
