"""Metrics of answers against values worked out by hand or by the library's own way."""

from __future__ import annotations

import pytest

from lorafw.builtin.metrics.bleu import Bleu
from lorafw.builtin.metrics.chrf import Chrf
from lorafw.builtin.metrics.edit_similarity import EditSimilarity
from lorafw.builtin.metrics.exact_match import ExactMatch
from lorafw.builtin.metrics.first_letter import FirstLetter
from lorafw.builtin.metrics.gsm8k import Gsm8kAnswer
from lorafw.builtin.metrics.rouge import Rouge
from lorafw.builtin.metrics.sari import Sari
from lorafw.contracts import Metric, Written
from lorafw.errors import DataError
from lorafw.figures.resampling import total

PAIRS = [
    ("the cat sat on the mat", "the cat is on the mat"),
    ("a quick brown fox jumps over dogs", "the quick brown fox jumped over the lazy dog"),
    ("", "nothing was said here at all"),
    ("It was 3.5 degrees, he said.", "It was 3.5 degrees, she said."),
]


def figures(metric: Metric, *pairs: tuple[str, str], source: str = "") -> dict[str, float]:
    """Figures of (answer, reference) pairs together."""
    rows = [metric.measure(Written(wanted, said, source)) for said, wanted in pairs]
    return dict(metric.summarise(total(rows)))


@pytest.mark.parametrize(
    ("said", "wanted", "options", "score"),
    [
        (" Blue  sky", "blue sky", {}, 1),
        ("ｂｌｕｅ", "blue", {}, 1),
        ("blue.", "blue", {}, 0),
        ("blue.", "blue", {"ignore_punctuation": True}, 1),
        ("Blue", "blue", {"ignore_case": False}, 0),
        ("", "blue", {}, 0),
    ],
)
def test_exact_match(said: str, wanted: str, options: dict[str, bool], score: int) -> None:
    assert figures(ExactMatch(**options), (said, wanted)) == {"exact_match": score}


@pytest.mark.parametrize(
    ("said", "strict", "flexible"),
    [
        ("5 + 3 = 8\n#### 8", 1, 1),
        ("#### 1,008.0", 0, 0),
        ("So there are 8 apples.", 0, 1),
        ("8 apples, not 9", 0, 0),
        ("", 0, 0),
    ],
)
def test_gsm8k(said: str, strict: int, flexible: int) -> None:
    found = figures(Gsm8kAnswer(), (said, "3 + 5 = 8\n#### 8"))
    assert found == {"gsm8k": strict, "gsm8k_flexible": flexible}


def test_a_row_without_a_number_is_an_error() -> None:
    with pytest.raises(DataError, match="no number in the answer 'blue'"):
        Gsm8kAnswer().measure(Written("blue", "8"))


@pytest.mark.parametrize(
    ("said", "score"), [("B", 1), ("(b) since", 1), (" b.", 1), ("A", 0), ("", 0), ("...", 0)]
)
def test_first_letter(said: str, score: int) -> None:
    assert figures(FirstLetter(), (said, "B. because"))["first_letter"] == score


def test_empty_answers_are_wrong_and_counted() -> None:
    assert figures(FirstLetter(), ("", "A"), ("A", "A")) == {"first_letter": 0.5}
    assert figures(ExactMatch(), ("", "A"), ("A", "A")) == {"exact_match": 0.5}


def test_edit_similarity_is_the_ratio_of_difflib_from_0_to_1() -> None:
    # kitten -> sitting: 4 letters stay in place, of 6 + 7
    found = figures(EditSimilarity(), ("kitten", "sitting"))
    assert found == {"edit_similarity": pytest.approx(2 * 4 / 13)}


def test_rouge_by_hand() -> None:
    # 5 of 6 words, 3 of 5 pairs, the longest common subsequence has 5 words
    found = figures(Rouge(), PAIRS[0])
    assert found == pytest.approx({"rouge1": 5 / 6, "rouge2": 3 / 5, "rougeL": 5 / 6})


def test_rouge_is_rouge_scores_own_on_english() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    names = ["rouge1", "rouge2", "rougeL"]
    for said, wanted in PAIRS:
        own = RougeScorer(names).score(wanted, said)
        expected = {name: pytest.approx(own[name].fmeasure) for name in names}
        assert figures(Rouge(), (said, wanted)) == expected


@pytest.mark.parametrize("pairs", [PAIRS, PAIRS[:1], PAIRS[1:3]])
def test_corpus_bleu_and_chrf_are_sacrebleus(pairs: list[tuple[str, str]]) -> None:
    from sacrebleu import corpus_bleu, corpus_chrf

    said, wanted = map(list, zip(*pairs, strict=True))
    found = figures(Bleu(), *pairs)
    assert found["bleu"] == pytest.approx(corpus_bleu(said, [wanted], force=True).score)
    precision = corpus_bleu(said, [wanted], force=True)
    assert found["bleu1"] == pytest.approx(precision.bp * precision.precisions[0])
    assert figures(Chrf(), *pairs)["chrf"] == pytest.approx(corpus_chrf(said, [wanted]).score)


CHINESE = ("我喜欢吃苹果和香蕉", "我喜欢吃苹果和橙子")


def test_chinese_is_taken_apart() -> None:
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu import corpus_bleu

    assert RougeScorer(["rouge1"]).score(CHINESE[1], CHINESE[0])["rouge1"].fmeasure == 0
    assert corpus_bleu([CHINESE[0]], [[CHINESE[1]]], tokenize="13a").score == 0
    # 7 of 9 characters in one run: 6 of 8 pairs
    found = figures(Rouge(), CHINESE)
    assert found == pytest.approx({"rouge1": 7 / 9, "rouge2": 6 / 8, "rougeL": 7 / 9})
    expected = 100 * (7 / 9 * 6 / 8 * 5 / 7 * 4 / 6) ** 0.25
    assert figures(Bleu(), CHINESE)["bleu"] == pytest.approx(expected)
    assert figures(Bleu(tokenize="13a"), CHINESE)["bleu"] == 0


def test_japanese_is_taken_apart() -> None:
    assert figures(Bleu(), ("東京へ行きます", "東京に行きます"))["bleu1"] == pytest.approx(600 / 7)


def test_sari_reads_the_source() -> None:
    wanted = "95 species are known."
    source = "About 95 species are currently known."
    assert figures(Sari(), (wanted, wanted), source=source) == {"sari": pytest.approx(100)}
    assert figures(Sari(), (source, wanted), source=source)["sari"] < 70


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from lorafw.builtin.trackers import _packages
    from lorafw.errors import LorafwError

    monkeypatch.setattr(_packages, "find_spec", lambda name: None)
    for metric in (Rouge(), Bleu(), Chrf(), EditSimilarity()):
        with pytest.raises(LorafwError, match=r"the metric needs.*lorafw\[evaluate\]"):
            metric.preflight()
