"""Which hardware runs a model, and that a lesser one is never taken in silence."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.errors import ModelError
from agent.vision.engine import PROVIDERS, EngineOptions, OnnxEngine, OnnxRuntime
from agent.vision.model_file import ModelFile, judge
from tests.fakes.onnx_models import Seen, TinyModel

TENSOR = np.zeros((1, 3, 32, 64), np.float32)


class FakeRuntime:
    """A build of ONNX Runtime with chosen providers, of which some break or quietly give way to the CPU."""

    def __init__(self, *has: str, broken: tuple[str, ...] = (), quiet: tuple[str, ...] = ()) -> None:
        self.has, self.broken, self.quiet = has, broken, quiet
        self.opened: list[tuple[str, int]] = []

    def available(self) -> list[str]:
        return ["AzureExecutionProvider", *(PROVIDERS[name] for name in self.has)]

    def open(self, data: bytes, provider: str, threads: int) -> FakeSession:
        name = next(short for short, long in PROVIDERS.items() if long == provider)
        self.opened.append((name, threads))
        if name in self.broken:
            raise RuntimeError("libnvinfer.so.10 is missing\nat provider_bridge.cc:1")
        return FakeSession([PROVIDERS["cpu"]] if name in self.quiet else [provider, PROVIDERS["cpu"]])


class FakeSession:
    def __init__(self, providers: list[str]) -> None:
        self.providers = providers

    def get_providers(self) -> list[str]:
        return self.providers

    def run(self, output_names: Any, input_feed: Any) -> list[Any]:
        raise RuntimeError("")


@pytest.fixture
def model() -> ModelFile:
    return judge(TinyModel("yolo").build(), Path("tiny.onnx"))


def test_given_the_real_runtime_when_loaded_then_it_runs_on_the_cpu_without_a_fallback(model: ModelFile) -> None:
    engine = OnnxEngine(model, EngineOptions(threads=1))

    assert (engine.provider, engine.fallback) == ("cpu", ())
    assert engine.run(TENSOR)["output0"].shape == (1, 10, 42)


def test_given_every_provider_when_loaded_then_the_fastest_is_taken(model: ModelFile) -> None:
    runtime = FakeRuntime("cpu", "xnnpack", "cuda", "tensorrt")

    engine = OnnxEngine(model, EngineOptions(threads=3), runtime)

    assert (engine.provider, engine.fallback) == ("tensorrt", ())
    assert runtime.opened == [("tensorrt", 3)]


def test_given_providers_that_fail_when_loaded_then_the_next_is_taken_and_each_reason_is_kept_and_logged(
    model: ModelFile, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = FakeRuntime("cpu", "cuda", "tensorrt", broken=("tensorrt",), quiet=("cuda",))

    with caplog.at_level(logging.WARNING):
        engine = OnnxEngine(model, EngineOptions(), runtime)

    assert engine.provider == "cpu"
    assert engine.fallback == (
        "the model tiny runs on cpu instead: tensorrt refuses it (libnvinfer.so.10 is missing)",
        "the model tiny runs on cpu instead: cuda did not start on this machine",
    )
    assert [record.getMessage() for record in caplog.records] == list(engine.fallback)


def test_given_a_wish_this_build_lacks_when_loaded_then_the_cpu_is_taken_and_says_so(model: ModelFile) -> None:
    engine = OnnxEngine(model, EngineOptions(providers=("openvino",)), FakeRuntime("cpu"))

    assert engine.provider == "cpu"
    assert engine.fallback == ("the model tiny runs on cpu instead: openvino is not in this build of ONNX Runtime",)


def test_given_a_wish_for_the_cpu_when_loaded_then_nothing_else_is_tried(model: ModelFile) -> None:
    runtime = FakeRuntime("cpu", "cuda")

    assert OnnxEngine(model, EngineOptions(providers=("cpu",)), runtime).provider == "cpu"
    assert [name for name, _ in runtime.opened] == ["cpu"]


def test_given_no_provider_that_loads_when_loaded_then_all_reasons_are_in_one_sentence(model: ModelFile) -> None:
    with pytest.raises(ModelError, match=r"can't be loaded: cuda refuses it \(.*\); cpu refuses it .*export it again"):
        OnnxEngine(model, EngineOptions(), FakeRuntime("cpu", "cuda", broken=("cpu", "cuda")))


def test_given_a_model_that_fails_while_running_when_run_then_one_sentence_says_so(model: ModelFile) -> None:
    engine = OnnxEngine(model, EngineOptions(), FakeRuntime("cpu"))

    with pytest.raises(ModelError, match=r"the model tiny fails while running on cpu \(RuntimeError\)"):
        engine.run(TENSOR)


def test_given_a_wrong_tensor_when_run_then_onnx_runtime_s_reason_is_kept(model: ModelFile) -> None:
    engine = OnnxEngine(model, EngineOptions(threads=1))

    with pytest.raises(ModelError, match=r"fails while running on cpu .*dimensions"):
        engine.run(np.zeros((1, 3, 8, 8), np.float32))


def test_given_a_graph_onnx_runtime_refuses_when_loaded_then_one_sentence_says_so() -> None:
    broken = TinyModel("yolo").build().replace(b"ReduceMean", b"ReduceMoan")

    with pytest.raises(ModelError, match=r"can't be loaded: cpu refuses it .*export it again"):
        OnnxEngine(judge(broken, Path("tiny.onnx")), EngineOptions(threads=1))


def test_given_a_detr_model_when_run_then_it_is_fed_the_size_of_its_input() -> None:
    detr = judge(TinyModel("detr", (Seen(0, 0.9, 32, 16, 64, 32),), batch=None).build(), Path("tiny.onnx"))

    outputs = OnnxEngine(detr, EngineOptions(threads=1)).run(np.zeros((2, 3, 32, 64), np.float32))

    np.testing.assert_allclose(outputs["boxes"], [[[0, 0, 64, 32]]] * 2)


@pytest.mark.parametrize("name", ["xnnpack", "cuda"])
def test_given_a_provider_this_build_lacks_when_opened_then_onnx_runtime_leaves_it_out(
    model: ModelFile, name: str
) -> None:
    with pytest.warns(UserWarning, match="not in available provider names"):
        session = OnnxRuntime().open(model.data, PROVIDERS[name], 1)

    assert session.get_providers() == [PROVIDERS["cpu"]]
