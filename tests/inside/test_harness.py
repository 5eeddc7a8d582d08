"""lm-eval itself asks our questions of our model, and comes to our answers."""

from __future__ import annotations

import importlib.util
import os
import sys
import warnings
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from engram_sweep.errors import UserError
from engram_sweep.inside.eval import answers_of
from engram_sweep.inside.likelihood import likelihoods
from engram_sweep.inside.trained import Trained
from tests.inside.answering import Knowing, questions


@pytest.fixture
def lm_eval(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What of lm-eval is needed, without a network; in CI not having it is a failure."""
    if importlib.util.find_spec("lm_eval") is None:
        stop = pytest.fail if os.environ.get("CI") else pytest.skip
        stop("needs lm-eval: pip install -c constraints.txt lm-eval")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with warnings.catch_warnings():
        # Of its own requirements.
        warnings.simplefilter("ignore")
        import datasets  # type: ignore[import-not-found]
        from lm_eval.api.task import ConfigurableTask  # type: ignore[import-not-found]
        from lm_eval.evaluator import evaluate  # type: ignore[import-not-found]

        from engram_sweep.inside.harness import HarnessModel
    return SimpleNamespace(
        Dataset=datasets.Dataset, Task=ConfigurableTask, evaluate=evaluate, Model=HarnessModel
    )


@pytest.mark.parametrize("knows", [False, True])
def test_it_chooses_as_we_do_question_by_question(
    run: Trained, lm_eval: SimpleNamespace, knows: bool
) -> None:
    asked = questions(30)
    if knows:
        # Half of them, so that right and wrong are both compared.
        run = replace(run, model=Knowing(asked[::2]))  # type: ignore[arg-type]
    documents = [
        {"context": q.context, "answers": [a[1:] for a in q.answers], "right": q.right}
        for q in asked
    ]
    config: dict[str, Any] = {
        "task": "toy",
        "custom_dataset": lambda **_: {"test": lm_eval.Dataset.from_list(documents)},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{context}}",
        "doc_to_choice": "answers",
        "doc_to_target": "right",
        "metric_list": [{"metric": "acc_bytes", "aggregation": "mean", "higher_is_better": True}],
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = lm_eval.evaluate(
            lm=lm_eval.Model(run), task_dict={"toy": lm_eval.Task(config=config)}, bootstrap_iters=0
        )
    ours = answers_of(run, "toy", asked).to_pandas()
    samples = sorted(theirs["samples"]["toy"], key=lambda each: each["doc_id"])
    assert [bool(each["acc_bytes"]) for each in samples] == list(ours["correct"])
    logs = [each["filtered_resps"][q.right][0] for each, q in zip(samples, asked, strict=True)]
    assert logs == pytest.approx(list(-ours["bits"] * 0.6931471805599453), abs=1e-4)
    assert not knows or ours["correct"][::2].all()


def test_a_long_text_is_read_window_by_window(run: Trained, lm_eval: SimpleNamespace) -> None:
    model, window = lm_eval.Model(run), run.spec.training.window
    text = "ab" * window
    [found] = model.loglikelihood_rolling([SimpleNamespace(args=(text,))])
    ids = model.tokenizer.encode(text)
    halves = [
        likelihoods(run.model, [(ids[:0], ids[:window])], window, 0)[0].log,
        likelihoods(run.model, [(ids[:0], ids[window:])], window, ord("b"))[0].log,
    ]
    assert found == pytest.approx(sum(halves))


def test_what_it_cannot_do_is_one_line(run: Trained, lm_eval: SimpleNamespace) -> None:
    model = lm_eval.Model(run)
    with pytest.raises(UserError, match="expected tasks that ask for likelihoods"):
        model.generate_until([])
    long = SimpleNamespace(args=("a", "b" * (run.spec.training.window + 1)))
    with pytest.raises(UserError, match="expected answers of at most"):
        model.loglikelihood([long])


def test_without_it_the_import_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    missing: ModuleType | None = None
    for name in ("lm_eval", "lm_eval.api", "lm_eval.api.model"):
        monkeypatch.setitem(sys.modules, name, missing)  # type: ignore[arg-type]
    monkeypatch.delitem(sys.modules, "engram_sweep.inside.harness", raising=False)
    with pytest.raises(UserError, match=r"pip install -c constraints.txt lm-eval$"):
        import engram_sweep.inside.harness  # noqa: F401
