"""A base in few bits answers and carries adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.serving, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize(("quantization", "double"), [
    ("nf4", True), ("nf4", False), ("int8", True)])
def test_a_quantized_base_answers_and_carries_adapters(
        quantization: str, double: bool, tiny_model: Path, adapters: dict[str, Path],
        tmp_path: Path) -> None:
    from tests.trainer.serving.conftest import serving

    with serving(tmp_path, tiny_model, quantization=quantization,
                 double_quantization=double) as server:
        model: Any = server.room.served.forward.model
        assert model.is_quantized
        if quantization == "nf4":
            assert model.config.quantization_config.bnb_4bit_use_double_quant is double

        def says(name: str) -> list[int]:
            ids: list[int] = server.chat("hat", model=name)["choices"][0]["token_ids"]
            return ids

        base = says("tiny")
        assert server.post("/v1/load_lora_adapter", lora_name="one",
                           lora_path=str(adapters["one"])).status_code == 200
        assert says("one") != base == says("tiny")
