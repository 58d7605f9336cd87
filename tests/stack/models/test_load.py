"""Models as vLLM and transformers get them: builtin ones made, paths checked, a hub on loopback asked."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from remote.contract.errors import ModelError
from remote.contract.model_choice import BUILTIN, SMOLLM2, TINY_RANDOM
from remote.contract.spec import ExperimentSpec
from remote.models.load import check_code, damaged_advice, load_for_training, prepare_model, save_final

pytestmark = pytest.mark.stack
PROJECT = Path(__file__).parents[3]


def quiet(line: str) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def tiny(cache: Path) -> Path:
    return prepare_model(TINY_RANDOM, cache, quiet)


@pytest.fixture(scope="module")
def smollm2(cache: Path) -> Path:
    return prepare_model(SMOLLM2, cache, quiet)


def spec(lora: bool = True, **training: Any) -> ExperimentSpec:
    model = {"base_model": TINY_RANDOM, "dtype": "float32", "lora": {"enabled": lora, "rank": 4, "alpha": 8}}
    return ExperimentSpec.model_validate({"model": model, "training": training})


# --- builtin/smollm2-135m -------------------------------------------------------------------------


def test_smollm2_answers_what_it_knows(smollm2: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    model = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32)
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(
        question, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    reply = model.generate(**prompt, max_new_tokens=12, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(reply) == "The capital of France is Paris.<|im_end|>"


def test_smollm2_is_bit_for_bit_what_transformers_makes_of_the_file(smollm2: Path) -> None:
    """A layer's weights, through the conversion that transformers has for the same file."""
    import torch
    from gguf import GGUFReader, dequantize
    from safetensors import safe_open
    from transformers.modeling_gguf_pytorch_utils import LlamaTensorProcessor

    from remote.models.smollm2 import find_gguf

    config = json.loads((smollm2 / "config.json").read_text())
    reader = GGUFReader(find_gguf())
    theirs = LlamaTensorProcessor(config=config)
    names = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "ffn_down": "mlp.down_proj"}
    with safe_open(smollm2 / "model.safetensors", "pt") as ours:
        for tensor in reader.tensors:
            kind = tensor.name.removeprefix("blk.7.").removesuffix(".weight")
            if tensor.name.startswith("blk.7.") and kind in names:
                values = theirs.process(dequantize(tensor.data, tensor.tensor_type), name=tensor.name).weights
                mine = ours.get_tensor(f"model.layers.7.{names.pop(kind)}.weight")
                assert torch.equal(mine, torch.from_numpy(values.copy()).to(torch.bfloat16))
    assert not names


def test_smollm2_pads_with_its_end_and_splits_numbers_into_digits(smollm2: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (2, 2)
    assert [tokenizer.decode(i) for i in tokenizer.encode("in  2013")] == ["in", "  ", "2", "0", "1", "3"]
    text = "Grüße, <b>world</b>!\n\n  ok"
    assert tokenizer.decode(tokenizer.encode(text)) == text


# --- builtin/tiny-random --------------------------------------------------------------------------


def test_tiny_random_loads_as_what_it_says(tiny: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    model, report = AutoModelForCausalLM.from_pretrained(tiny, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert model.config.model_type == "qwen2"
    assert model.lm_head.weight.data_ptr() != model.model.embed_tokens.weight.data_ptr()
    assert model.config.vocab_size == len(tokenizer)
    assert 900 <= len(tokenizer) <= 1000
    assert tokenizer.pad_token_id != tokenizer.eos_token_id == model.generation_config.eos_token_id


def test_tiny_random_speaks_chatml(tiny: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    messages = [{"role": "user", "content": "Größe 5?"}]
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert text == "<|im_start|>user\nGröße 5?<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.encode("<|im_end|>") == [tokenizer.eos_token_id]


def test_tiny_random_is_the_same_in_every_process(tiny: Path, tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from remote.models.load import prepare_model; "
    code += f"prepare_model({TINY_RANDOM!r}, Path(sys.argv[1]), print)"
    env = {**os.environ, "PYTHONHASHSEED": "3"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=PROJECT, env=env, check=True)
    for file in sorted(tiny.iterdir()):
        assert file.read_bytes() == (tmp_path / "models" / tiny.name / file.name).read_bytes(), file.name


def test_a_model_is_made_once_however_many_ask(tmp_path: Path) -> None:
    said: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: prepare_model(TINY_RANDOM, tmp_path, said.append), range(4)))
    assert len(set(paths)) == 1
    assert len([line for line in said if line.startswith("making")]) == 1


def test_what_an_attempt_left_half_made_is_not_taken(tmp_path: Path, tiny: Path) -> None:
    part = tmp_path / "models" / ".tiny-random.part"
    part.mkdir(parents=True)
    (part / "config.json").write_text("{")
    path = prepare_model(TINY_RANDOM, tmp_path, quiet)
    assert (path / "config.json").read_bytes() == (tiny / "config.json").read_bytes()
    assert not part.exists()


# --- paths and names ------------------------------------------------------------------------------


def test_a_directory_with_a_model_is_taken_as_it_is(tiny: Path, cache: Path) -> None:
    assert prepare_model(str(tiny), cache, quiet) == tiny


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/no/such/model", "there is no model directory /no/such/model"),
        ("./nowhere", "there is no model directory nowhere"),
        (__file__, "is a file, not a model directory"),
        ("what is this", "neither a directory, nor a hub id"),
        ("builtin/smollm", "there is no builtin model 'builtin/smollm'"),
    ],
)
def test_a_name_that_stands_for_nothing_is_explained(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=re.escape(message)) as caught:
        prepare_model(name, tmp_path, quiet)
    assert caught.value.hint is not None
    assert any(builtin in caught.value.hint.text for builtin in BUILTIN)


def test_a_misspelt_builtin_model_gets_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        prepare_model("builtin/smollm2", tmp_path, quiet)
    assert caught.value.hint is not None
    assert caught.value.hint.new == SMOLLM2


# --- the hub --------------------------------------------------------------------------------------


class Hub:
    """As much of the hub's protocol as a download of one model needs, on loopback."""

    def __init__(self, files: dict[str, bytes]) -> None:
        hub = self
        self.files, self.gated = files, False

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._answer(body=False)

            def do_GET(self) -> None:
                self._answer(body=True)

            def _answer(self, body: bool) -> None:
                status, headers, content = hub.answer(self.path)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if body:
                    self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        if "/ann/small" not in path:
            return 404, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}, b"{}"
        if self.gated:
            return 403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"}, b"{}"
        commit, name = "0" * 40, path.rpartition("/")[2]
        if "/tree/" in path:
            tree = [{"type": "file", "path": k, "size": len(v), "oid": k} for k, v in self.files.items()]
            return 200, {"Content-Type": "application/json"}, json.dumps(tree).encode()
        if path.startswith("/api/"):
            about = {
                "id": "ann/small",
                "sha": commit,
                "siblings": [{"rfilename": file} for file in self.files],
            }
            return 200, {"Content-Type": "application/json"}, json.dumps(about).encode()
        return 200, {"ETag": f'"{name}"', "X-Repo-Commit": commit}, self.files[name]


PREPARE = """
import sys
from pathlib import Path
from remote.contract.errors import ModelError
from remote.models.load import prepare_model
try:
    print("PATH", prepare_model(sys.argv[1], Path(sys.argv[2]), print))
except ModelError as error:
    print("ERROR", error, "CAUSE", error.cause)
"""


def ask(name: str, cache: Path, endpoint: str) -> str:
    """What becomes of a hub id, in a process that knows this hub and no token."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    env |= {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", PREPARE, name, str(cache)]
    done = subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def hub(tiny: Path) -> Iterator[Hub]:
    files = {file.name: file.read_bytes() for file in tiny.iterdir()}
    hub = Hub({**files, "pytorch_model.bin": b"pickled", "model.gguf": b"gguf"})
    yield hub
    hub.server.shutdown()
    hub.server.server_close()


NOWHERE = "http://127.0.0.1:9"


def test_a_hub_model_is_downloaded_and_taken_from_the_cache_without_network(hub: Hub, tmp_path: Path) -> None:
    first = ask("ann/small", tmp_path, hub.url)
    assert "PATH " in first, first
    path = Path(first.split("PATH ")[1].strip())
    assert path.is_relative_to(tmp_path / "huggingface" / "hub")
    names = {file.name for file in path.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not names & {"pytorch_model.bin", "model.gguf"}
    second = ask("ann/small", tmp_path, NOWHERE)
    assert "using the copy of ann/small in the cache" in second
    assert second.endswith(f"PATH {path}\n")


def test_a_hub_that_cannot_be_reached_is_named_with_the_models_that_need_none(tmp_path: Path) -> None:
    said = ask("ann/small", tmp_path, NOWHERE)
    assert said.startswith("ERROR ann/small is not in the cache, and the hub cannot be reached")
    assert SMOLLM2 in said
    assert "CAUSE ConnectError" in said


def test_weights_that_are_missing_from_the_cache_are_not_passed_off_as_a_model(
    hub: Hub, tmp_path: Path
) -> None:
    path = Path(ask("ann/small", tmp_path, hub.url).split("PATH ")[1].strip())
    (path / "model.safetensors").unlink()
    assert ask("ann/small", tmp_path, NOWHERE).startswith("ERROR ann/small is not in the cache")


def test_a_model_that_the_hub_does_not_have_or_does_not_give_is_told_apart(hub: Hub, tmp_path: Path) -> None:
    assert ask("ann/other", tmp_path, hub.url).startswith("ERROR the hub has no model ann/other")
    hub.gated = True
    said = ask("ann/small", tmp_path, hub.url)
    assert said.startswith("ERROR ann/small is gated")
    assert "HF_TOKEN" in said


# --- loading and saving ---------------------------------------------------------------------------


def test_lora_trains_every_linear_layer_but_the_output(tiny: Path) -> None:
    model, _ = load_for_training(spec(), tiny)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained
    assert all(".lora_" in name for name in trained)
    for layer in ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"):
        assert any(f".{layer}." in name for name in trained)
    assert not any("lm_head" in name or "embed" in name for name in trained)


def test_adapters_are_drawn_from_the_seed(tiny: Path) -> None:
    def drawn(seed: int) -> Any:
        model, _ = load_for_training(spec(seed=seed), tiny)
        return next(weight for name, weight in model.named_parameters() if ".lora_A." in name)

    assert drawn(1).equal(drawn(1))
    assert not drawn(1).equal(drawn(2))


def test_without_lora_every_weight_trains_in_the_dtype_that_was_asked_for(tiny: Path) -> None:
    import torch

    wanted = spec(lora=False)
    wanted.model.dtype = "bfloat16"
    model, tokenizer = load_for_training(wanted, tiny)
    assert all(weight.requires_grad and weight.dtype is torch.bfloat16 for weight in model.parameters())
    assert tokenizer.pad_token_id == 0


@pytest.mark.parametrize("lora", [True, False])
def test_gradients_flow_through_recomputed_activations(tiny: Path, lora: bool) -> None:
    import torch

    model, _ = load_for_training(spec(lora=lora, gradient_checkpointing=True), tiny)
    ids = torch.arange(8)[None]
    model.train()
    model(input_ids=ids, labels=ids).loss.backward()
    assert model.is_gradient_checkpointing
    grads = [weight.grad for weight in model.parameters() if weight.requires_grad]
    assert all(grad is not None for grad in grads)
    assert any(grad.abs().sum() > 0 for grad in grads)


def test_damaged_weights_are_a_failure_of_the_model(tiny: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(tiny, damaged)
    (damaged / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(ModelError, match="could not be loaded") as caught:
        load_for_training(spec(), damaged)
    assert "SafetensorError" in caught.value.cause
    assert caught.value.hint is not None
    assert "delete" not in caught.value.hint.text  # it is the user's own


def test_only_what_can_be_had_again_is_advised_to_be_deleted(
    tiny: Path, tmp_path: Path, hub: Hub, cache: Path
) -> None:
    own = tmp_path / "models" / tiny.name
    shutil.copytree(tiny, own)
    snapshot = Path(ask("ann/small", tmp_path, hub.url).split("PATH ")[1].strip())
    assert f"delete {tiny} to have it made again" in damaged_advice(tiny)
    assert f"delete {snapshot.parents[1]} to have it downloaded again" in damaged_advice(snapshot)
    assert "delete" not in damaged_advice(own)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("chat_template.jinja", "holds no chat template"),
        ("tokenizer.json", "holds no tokenizer"),
        ("config.json", "holds no config.json"),
    ],
)
def test_a_model_that_lacks_something_is_refused_before_a_server_starts(
    tiny: Path, hub: Hub, tmp_path: Path, file: str, words: str
) -> None:
    folder = tmp_path / "lacking"
    shutil.copytree(tiny, folder)
    (folder / file).unlink()
    with pytest.raises(ModelError, match=words):
        prepare_model(str(folder), tmp_path, quiet)
    del hub.files[file]
    assert words.replace("holds no", "") in ask("ann/small", tmp_path, hub.url)


def test_an_adapter_of_the_hub_is_no_model(hub: Hub, tmp_path: Path) -> None:
    hub.files = {"adapter_config.json": b"{}", "adapter_model.safetensors": b""}
    assert ask("ann/small", tmp_path, hub.url).startswith(
        "ERROR the hub's ann/small is an adapter, not a model"
    )


# --- code that a model brings along ---------------------------------------------------------------


@pytest.fixture
def bringing(tiny: Path, tmp_path: Path) -> Path:
    """The tiny model, whose config and tokenizer ask for code of its own to be run."""
    folder = tmp_path / "bringing"
    shutil.copytree(tiny, folder)
    for name, mapped in {
        "config.json": {"AutoConfig": "own_config.C", "AutoModelForCausalLM": "own_model.M"},
        "tokenizer_config.json": {"AutoTokenizer": ["own_tokenizer.T", None]},
    }.items():
        config = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**config, "auto_map": mapped}))
    ran = f"import pathlib; pathlib.Path({str(tmp_path / 'RAN')!r}).touch()\n"
    for name in ("own_config", "own_model", "own_tokenizer"):
        (folder / f"{name}.py").write_text(ran)
    return folder


def test_no_code_of_a_models_own_is_run_by_default(bringing: Path, tmp_path: Path) -> None:
    said: list[str] = []
    check_code(bringing, "theirs", ExperimentSpec().model.trust_remote_code, said.append)
    load_for_training(spec(), bringing)
    assert not (tmp_path / "RAN").exists()
    assert said == [
        "theirs brings code along that is not run: own_config.py, own_model.py, own_tokenizer.py "
        "(model.trust_remote_code is false)"
    ]


def test_a_model_that_is_nothing_without_its_code_is_refused_by_the_key(
    bringing: Path, tmp_path: Path
) -> None:
    config = json.loads((bringing / "config.json").read_text())
    (bringing / "config.json").write_text(json.dumps({**config, "model_type": "own"}))
    with pytest.raises(ModelError, match="needs code that it brings along") as caught:
        check_code(bringing, "theirs", False, quiet)
    assert caught.value.hint is not None
    assert (caught.value.hint.key, caught.value.hint.new) == ("model.trust_remote_code", True)
    assert not (tmp_path / "RAN").exists()
    trusting = spec()
    trusting.model.trust_remote_code = True
    with pytest.raises(ModelError):  # its code defines nothing
        load_for_training(trusting, bringing)
    assert (tmp_path / "RAN").exists()


def test_attention_code_that_is_not_installed_gets_a_change_that_mends_it(tiny: Path) -> None:
    wanted = spec()
    wanted.model.attn_implementation = "flash_attention_2"
    with pytest.raises(ModelError) as caught:
        load_for_training(wanted, tiny)
    hint = caught.value.hint
    assert hint is not None
    assert (hint.key, hint.new) == ("model.attn_implementation", "sdpa")


def test_what_was_trained_is_saved_whole_and_loads_again(tiny: Path, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = load_for_training(spec(), tiny)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".lora_B." in name:
                weight.fill_(0.01)
    ids = torch.arange(8)[None]
    saved = tmp_path / "final"
    save_final(model, tokenizer, saved)
    save_final(model, tokenizer, saved)  # a second time, over the first
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny), saved)
    torch.testing.assert_close(loaded(ids).logits, model(ids).logits)
    assert len(AutoTokenizer.from_pretrained(saved)) == len(tokenizer)
    assert [path.name for path in tmp_path.iterdir()] == ["final"]
