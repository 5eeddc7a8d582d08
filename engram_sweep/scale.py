"""A scale: one commented YAML file in `sweeps/` that says what a sweep holds fixed and what it varies.

Adding an experiment is adding a file; everything else is derived from it (see `engram_sweep.plan`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engram_sweep.corpus.sources import SOURCES
from engram_sweep.corpus.tokenizer import TOKENIZERS
from engram_sweep.errors import UserError

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Beta = Annotated[float, Field(ge=0, lt=1)]


class _Section(BaseModel):
    """Strict: unknown keys and silent conversions are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Corpus(_Section):
    """Which text, and how much of it is held out as whole documents."""

    source: str
    tokenizer: str
    validation_share: Annotated[float, Field(gt=0, lt=1)]
    fingerprint: str | None = None

    @model_validator(mode="after")
    def _known(self) -> Corpus:
        for key, value, known in (("source", self.source, SOURCES), ("tokenizer", self.tokenizer, TOKENIZERS)):
            if value not in known:
                raise ValueError(f"{key}: expected one of {', '.join(sorted(known))}, got {value!r}")
        return self


Aligned = Annotated[int, Field(ge=8, multiple_of=8)]
"""Widths that grouped matrix products run over: their rows must be 16-byte aligned, in bf16 too."""
Even = Annotated[int, Field(ge=2, multiple_of=2)]


class MLA(_Section):
    """Multi-head latent attention, by the names of DeepSeek's published configs."""

    q_lora_rank: Annotated[int, Field(ge=0)] = 0
    """0 projects queries straight from the hidden state."""
    kv_lora_rank: Count
    qk_nope_head_dim: Count
    qk_rope_head_dim: Even
    v_head_dim: Count


class Model(_Section):
    """The backbone at rho = 1; along rho only routed experts and, under `iso: strict`, shared widths change."""

    d_model: Aligned
    n_layers: Count
    n_heads: Count
    n_kv_heads: Count | None = None
    """Key/value heads of grouped-query attention; `n_heads` where left out."""
    head_dim: Even | None = None
    mla: MLA | None = None
    """Multi-head latent attention instead of grouped-query attention; it sets the head widths."""
    streams: Annotated[int, Field(ge=1, le=16)] = 1
    """Residual streams (mHC); 1 is the plain residual."""
    expert_width: Aligned
    routed_experts: Count
    top_k: Count
    shared_width: Annotated[int, Field(ge=0)]
    dense_layers: Annotated[int, Field(ge=0)] = 0
    dense_width: Annotated[int, Field(ge=0)] = 0
    rope_theta: Positive = 10_000.0
    init_std: Positive = 0.02

    @model_validator(mode="after")
    def _fits(self) -> Model:
        if self.top_k >= self.routed_experts:
            raise ValueError(f"top_k: expected less than routed_experts ({self.routed_experts}), got {self.top_k}")
        if self.mla is None and self.head_dim is None:
            raise ValueError("head_dim: expected this key (or mla), it is missing")
        if self.mla is not None and (self.head_dim is not None or self.n_kv_heads is not None):
            raise ValueError("mla: expected neither head_dim nor n_kv_heads beside it, its own keys set the heads")
        if self.n_kv_heads is not None and self.n_heads % self.n_kv_heads:
            raise ValueError(f"n_kv_heads: expected a divisor of n_heads ({self.n_heads}), got {self.n_kv_heads}")
        if self.dense_layers >= self.n_layers:
            raise ValueError(f"dense_layers: expected less than n_layers ({self.n_layers}), got {self.dense_layers}")
        if bool(self.dense_layers) != bool(self.dense_width):
            raise ValueError("dense_width: expected a width exactly where dense_layers is above 0")
        return self


class Memory(_Section):
    """The Engram modules (paper section 2)."""

    layers: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1, strict=False)]
    max_order: Annotated[int, Field(ge=2)] = 3
    heads: Count = 8
    head_dim: Count
    conv_kernel: Count = 4
    signed_sqrt: bool = False
    compress_tokenizer: bool = True
    hash_seed: Annotated[int, Field(ge=0)] = 0
    init_std: Annotated[float, Field(ge=0)] = 0.02
    reset_at_documents: bool = False
    """N-grams do not reach behind the token that ends a document; the released demo's do."""

    @model_validator(mode="after")
    def _ordered(self) -> Memory:
        if list(self.layers) != sorted(set(self.layers)):
            raise ValueError(f"layers: expected ascending distinct blocks, got {list(self.layers)}")
        return self


class Training(_Section):
    """How every point is trained; the same for all of them."""

    tokens: Count
    window: Count
    batch_windows: Count
    learning_rate: Positive
    table_learning_rate_factor: Positive = 5.0
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    betas: Annotated[tuple[Beta, Beta], Field(strict=False)] = (0.9, 0.95)
    schedule: Literal["cosine", "wsd"] = "cosine"
    warmup_share: Share = 0.03
    final_share: Share = 0.1
    decay_share: Share = 0.2
    clip_norm: Positive = 1.0
    balance_rate: Annotated[float, Field(ge=0)] = 1e-3


class Arms(_Section):
    """Control arms beside the curve; each trains every seed."""

    over_encoding: Annotated[tuple[Share, ...], Field(strict=False)] = ()
    """At these rho: the memory's rows averaged into the input embedding."""
    one_row: bool = False
    """The Engram modules with one row per head, all experts kept: the compute without the memory."""
    dense: bool = False
    """The same activated parameters, nothing sparse."""


class Sweep(_Section):
    """What varies."""

    iso: Literal["strict", "paper"] = "strict"
    rho: Annotated[tuple[Share, ...], Field(min_length=1, strict=False)]
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1, strict=False)]
    arms: Arms = Arms()

    @model_validator(mode="after")
    def _distinct(self) -> Sweep:
        for key, values in (("rho", self.rho), ("seeds", self.seeds)):
            if len(set(values)) != len(values):
                raise ValueError(f"{key}: expected distinct values, got {list(values)}")
        if 1 in self.arms.over_encoding:
            raise ValueError("arms.over_encoding: expected rho below 1, where experts give up parameters, got 1")
        return self


class Launch(_Section):
    """Where runs go; not part of any run's identity."""

    executor: Literal["local", "inline"] = "local"
    parallel: Annotated[int, Field(ge=0)] = 0
    """Runs side by side; 0 for one per core."""
    timeout_minutes: Count = 60
    retries: Annotated[int, Field(ge=0)] = 2
    """How often a run whose worker was killed starts again within one sweep."""
    sustained_gflops: Positive
    """Training speed that one worker is expected to sustain, for the plan's cost estimate."""


class Scale(_Section):
    """One file of `sweeps/`."""

    name: str
    """The file's name without `.yaml`."""
    about: str
    corpus: Corpus
    model: Model
    memory: Memory
    training: Training
    sweep: Sweep
    launch: Launch

    @model_validator(mode="after")
    def _placed(self) -> Scale:
        for layer in self.memory.layers:
            if layer >= self.model.n_layers:
                raise ValueError(f"memory.layers: expected blocks 0..{self.model.n_layers - 1}, got {layer}")
        return self


def scale_names(folder: Path) -> list[str]:
    """Names of the scales in a folder, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def load_scale(name: str, folder: Path = Path("sweeps")) -> Scale:
    """Read `<folder>/<name>.yaml`.

    Raises:
        UserError: no such scale (lists those there are), unreadable YAML, or a key that is unknown, missing, of the
            wrong type or impossible: one line with the file, the key and what was expected.
    """
    path = folder / f"{name}.yaml"
    # The name is a folder of results too: a path in it would lead out of there.
    if name not in scale_names(folder):
        there = ", ".join(scale_names(folder)) or f"none in {folder}/"
        raise UserError(f"no scale named {name!r}; there are: {there}")
    try:
        text = path.read_text("utf8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected a readable UTF-8 file: {error}") from None
    try:
        return Scale.model_validate({"name": name, **_mapping(text, path)})
    except ValidationError as error:
        raise UserError(f"{path}: {_first_problem(error)}") from None


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice and reads 1e-3 as a number."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.MarkedYAMLError(problem=f"key {key!r} is given twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


# YAML 1.1 wants "1.0e-3"; people write 3e-3 and mean a number.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("+-0123456789")
)


def _mapping(text: str, path: Path) -> dict[str, Any]:
    try:
        data = yaml.load(text, _Loader)
    # Beside YAML's own errors: impossible dates and endless integers (ValueError), endless nesting (RecursionError).
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark else ""
        problem = str(getattr(error, "problem", None) or error).splitlines()[0]
        raise UserError(f"{path}:{line} not valid YAML: {problem}") from None
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise UserError(f"{path}: expected a mapping of sections (corpus, model, memory, training, sweep, launch)")
    if "name" in data:
        raise UserError(f"{path}: name: expected no such key, the file's name is the scale's name")
    return data


def _first_problem(error: ValidationError) -> str:
    """The first validation error as `section.key: what was expected, what was found`."""
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    separator = "." if problem["type"] == "value_error" and where else ": "
    if problem["type"] == "extra_forbidden":
        message = f"unknown key, expected one of {', '.join(_keys_at(problem['loc'][:-1]))}"
    elif problem["type"] == "missing":
        message = "expected this key, it is missing"
    elif problem["type"] != "value_error":
        message = f"{message[0].lower()}{message[1:]}, got {_short(problem['input'])}"
        message = message.replace("input should", "expected it to")
    more = error.error_count() - 1
    return f"{where}{separator}{message}" + (f" (and {more} more problem{'s'[: more > 1]})" if more else "")


def _short(value: object, most: int = 60) -> str:
    """What was found, on one line of bounded length."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def _keys_at(loc: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Scale
    for part in loc:
        model = model.model_fields[str(part)].annotation  # type: ignore[assignment]  # every section is a model
    return [key for key in model.model_fields if not (model is Scale and key == "name")]
