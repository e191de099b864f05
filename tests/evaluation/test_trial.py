"""Figures and their bars."""

import pytest

from ldm_lab.evaluation.trial import Figure


@pytest.mark.parametrize(
    ("figure", "value", "words", "bar", "is_met"),
    [
        (Figure(unit="%", at_least=0.95), 0.9499, "95.0 %", "≥ 95.0 %", False),
        (Figure(unit="%", at_least=0.95), 0.95, "95.0 %", "≥ 95.0 %", True),
        (Figure(unit="%", at_most=0.05), 0.051, "5.1 %", "≤ 5.0 %", False),
        (Figure(unit="dB", at_least=30.0), 31.237, "31.24 dB", "≥ 30.00 dB", True),
        (Figure(), 0.12345, "0.123", "–", True),
        (Figure(at_least=0.1), float("nan"), "nan", "≥ 0.100", False),
        (Figure(at_most=0.1), float("nan"), "nan", "≤ 0.100", False),
    ],
)
def test_a_figure_is_spelled_and_held_to_its_bar(figure, value, words, bar, is_met):
    assert figure.spell(value) == words
    assert figure.bar == bar
    assert figure.is_met(value) is is_met
