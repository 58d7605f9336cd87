"""The spec: everything that decides what an experiment does, validated.

Owns every config key, its type, bounds, default and help (the docstring under a field is what the
form, `vfm config schema` and the docs show). Reading YAML, layering overrides and telling people
about problems belong to `tui/config`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

GpuType = Literal[
    "T4",
    "L4",
    "A10G",
    "A10",
    "A100",
    "A100-40GB",
    "A100-80GB",
    "L40S",
    "RTX-PRO-6000",
    "H100",
    "H100!",
    "H200",
    "B200",
    "B200+",
]
WeightSync = Literal["auto", "adapter", "merged", "full"]
Dtype = Literal["float32", "bfloat16", "float16"]


def _number(value: object) -> object:
    """YAML 1.1 reads `3e-6` as a string: take it as the number that was meant."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


Float = Annotated[float, BeforeValidator(_number)]


def _upper(value: object) -> object:
    """Modal takes the names of GPUs in any case."""
    return value.upper() if isinstance(value, str) else value


class Section(BaseModel):
    """A group of keys; a key that it does not know is refused."""

    model_config = ConfigDict(
        extra="forbid", strict=False, use_attribute_docstrings=True, protected_namespaces=()
    )


MOST_GPUS = {"A10G": 4, "A10": 4}
"""How many of a type one container may have, where that is fewer than 8 (Modal's guide to GPUs)."""


class GpuSection(Section):
    """The GPUs that Modal attaches."""

    count: int = Field(1, ge=1, le=8)
    """How many GPUs; with more than one, vLLM has the first and the trainers the others."""
    type: Annotated[GpuType, BeforeValidator(_upper)] = "A100-40GB"
    """Which GPU, in any case: T4 (no bfloat16) and A10G for small models, A100 and up for production. H100
    may be an H200, A100 one with 80 GB, B200+ a B300, at the price of what is named; H100! is an H100."""

    @model_validator(mode="after")
    def _there_are_so_many(self) -> GpuSection:
        most = MOST_GPUS.get(self.type, 8)
        if self.count > most:
            raise ValueError(
                f"modal.gpu.count = {self.count} is more than the {most} that Modal has of modal.gpu.type = "
                f"{self.type} in one container: lower it, or take another type"
            )
        return self


class ModalSection(Section):
    """Modal's compute resources. The local backend takes what the machine has."""

    cpus: Float = Field(8.0, gt=0, le=64)
    """Physical CPU cores reserved for the container."""
    memory: int = Field(32768, ge=1024, le=344064)
    """Memory reserved for the container, in MB."""
    gpu: GpuSection = GpuSection()
    """The GPUs that Modal attaches."""
    timeout: int = Field(14400, ge=60, le=86400)
    """Seconds after which an attempt is stopped; at most 24 hours. The local backend honours it too."""
    retries: int = Field(3, ge=0, le=10)
    """How often a run that reached its timeout, or lost its vLLM for good, goes on by itself from its last
    checkpoint, on the local backend too. `vfm resume` gives it as many again."""
    region: str | None = None
    """Where Modal may take the machine, by its names of regions: `us`, `eu`, `us-east`; several with commas
    between. It costs 1.5 to 1.75 times as much. Unset: anywhere."""
    cloud: str | None = None
    """Whose machine Modal may take: `aws`, `gcp`, `oci`. Unset: anybody's."""

    @field_validator("region", "cloud")
    @classmethod
    def _are_names(cls, value: str | None, info: ValidationInfo) -> str | None:
        name = r"[a-z0-9]+(-[a-z0-9]+)*"
        several = rf"{name}(, *{name})*" if info.field_name == "region" else name
        if value is None or re.fullmatch(several, value):
            return value
        example = "`us` or `us-east, eu`" if info.field_name == "region" else "`aws` or `gcp`"
        raise ValueError(f"these are Modal's own names, such as {example}")


class BudgetSection(Section):
    """What a run may cost. This machine costs nothing."""

    max_usd: Float | None = Field(None, gt=0)
    """The run saves and stops when its estimated cost, all attempts together, reaches this many US
    dollars. Unset: no limit but the timeout."""


class LoraSection(Section):
    """Low-rank adapters: train a few small matrices instead of every weight."""

    enabled: bool = True
    """Train an adapter (true) or every weight (false)."""
    rank: int = Field(16, ge=1, le=512)
    """Rank of the adapter's matrices."""
    alpha: Float = Field(32.0, gt=0)
    """Scale of the adapter: its output is multiplied by alpha / rank."""
    dropout: Float = Field(0.0, ge=0, lt=1)
    """Dropout on the adapter's input while training."""


class ModelSection(Section):
    """Which model learns, and in what form."""

    base_model: str | None = None
    """A hub id, a local path, or `builtin/smollm2-135m` or `builtin/tiny-random`, which need no hub.
    Unset: the environment's own default."""
    max_token_length: int = Field(4096, ge=16, le=1048576)
    """Longest episode that is trained on, prompt and replies together, in tokens; longer ones are cut off."""
    dtype: Dtype = "bfloat16"
    """Number format of the weights, in the trainer and in the server."""
    attn_implementation: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    """The trainer's attention code."""
    trust_remote_code: bool = False
    """Run Python code that a model or a checkpoint brings along, with the run's keys at hand; some hub models
    need it. Off, such code is never run."""
    overrides: dict[str, str] = Field(default_factory=dict)
    """Environment name → model, in place of `base_model` for that environment."""
    lora: LoraSection = LoraSection()
    """Low-rank adapters."""


class TrainingSection(Section):
    """What is trained, and how (GRPO)."""

    environment: str = Field("vf-wordle", min_length=1)
    """The verifiers environment: a package of `environments/` in any spelling (`wordle`, `vf-wordle`), the
    path of a package's folder or wheel, or a package of the package index (`index:some-env`,
    `some-env==1.2`)."""
    environment_args: dict[str, Any] = Field(default_factory=dict)
    """Options handed to the environment's taskset."""
    environment_secrets: list[str] = Field(default_factory=list)
    """Names of variables that the environment needs, such as `SEARCH_API_KEY`: their values are looked up in
    .env or the shell when the run is launched, and are written nowhere. What .env holds is handed over
    anyway."""
    script: str | None = Field(None, min_length=1)
    """The training script, by its path in the project: `examples/grpo/train_wordle.py`. Unset: the one that
    TRAINING_SCRIPTS in run_modal.py names for the environment, or else the built-in training."""
    steps: int = Field(200, ge=1)
    """Optimiser steps."""
    batch_size: int = Field(8, ge=1)
    """Episodes in one forward and backward pass."""
    gradient_accumulation_steps: int = Field(8, ge=1)
    """Passes before an optimiser step; a step trains on batch_size × this many episodes."""
    num_generations: int = Field(8, ge=2)
    """Episodes of the same task in a group; an advantage is relative to its group."""
    learning_rate: Float = Field(3e-6, gt=0, le=1)
    """Learning rate of AdamW."""
    lr_scheduler: Literal["constant", "constant_with_warmup", "linear", "cosine"] = "constant"
    """How the learning rate changes over the steps."""
    warmup_steps: int = Field(0, ge=0)
    """Steps over which the learning rate rises to its value."""
    max_grad_norm: Float = Field(0.1, gt=0)
    """Gradients are clipped to this norm."""
    weight_decay: Float = Field(0.0, ge=0)
    """Weight decay of AdamW."""
    max_completion_length: int = Field(512, ge=1)
    """Longest reply of one turn, in tokens."""
    max_turns: int | None = Field(None, ge=1)
    """Most replies in one episode; unset leaves it to the environment."""
    temperature: Float = Field(1.0, gt=0, le=5)
    """Sampling temperature of the training episodes."""
    top_p: Float = Field(1.0, gt=0, le=1)
    """Nucleus sampling of the training episodes: 1 is off."""
    beta: Float = Field(0.0, ge=0)
    """Weight of the KL penalty against the base model; 0 leaves the base model out of memory."""
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo"] = "dapo"
    """How token losses are added up (TRL's names)."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """Divide advantages by the standard deviation of the group, of the batch, or not at all."""
    epsilon: Float = Field(0.2, gt=0)
    """Clipping range of the policy ratio."""
    entropy_coef: Float = Field(0.0, ge=0)
    """Bonus for entropy, so that a policy does not settle on one answer too soon; 0 is off."""
    seed: int = Field(42, ge=0, le=4294967295)
    """Seed of task order, adapter initialisation and sampling."""
    save_steps: int = Field(50, ge=1)
    """A checkpoint every this many steps; the last step always saves one."""
    save_total_limit: int = Field(2, ge=1)
    """How many checkpoints are kept."""
    gradient_checkpointing: bool | None = None
    """Recompute activations in the backward pass: less memory, more time. Unset: on Modal it is on, here
    it is off."""
    concurrency: int = Field(64, ge=1)
    """Episodes under way at once."""
    episode_timeout: Float = Field(1800.0, gt=0, le=86400)
    """Seconds that an episode may take, its tools and rewards included; then it fails, and its line is named.
    Training, held-out scores, evaluations and `vfm env check` go by it. A server that gives no token for half
    as long, while requests wait, counts as hung, whatever `vllm.stall_timeout` says."""
    eval_examples: int = Field(0, ge=0)
    """Held-out tasks scored before and after the training (and every `eval_steps`); 0 is off."""
    eval_steps: int = Field(0, ge=0)
    """Score the held-out tasks every this many steps too; 0 is off."""
    max_idle_steps: int = Field(100, ge=0)
    """The run stops after this many steps in a row that teach nothing: no episode can be trained on, or all
    rewards of every group are equal. 0: never."""
    log_rollouts: int = Field(4, ge=0)
    """Episodes of a step that are shown live; all of them are saved."""
    max_logp_difference: Float | None = Field(None, gt=0)
    """The run stops when server and trainer disagree by more than this on the log-probability of a
    sampled token (mean, in nats). Unset: 0.01 in float32, 0.5 otherwise."""

    @field_validator("environment_secrets", mode="before")
    @classmethod
    def _listed(cls, names: object) -> object:
        return names.replace(",", " ").split() if isinstance(names, str) else names

    @field_validator("environment_secrets")
    @classmethod
    def _are_names(cls, names: list[str]) -> list[str]:
        if all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) for name in names):
            return names
        raise ValueError("these are names of variables, such as SEARCH_API_KEY, and never their values")

    @model_validator(mode="after")
    def _whole_groups(self) -> TrainingSection:
        episodes = self.batch_size * self.gradient_accumulation_steps
        if episodes % self.num_generations:
            raise ValueError(
                f"batch_size × gradient_accumulation_steps = {episodes} is no multiple of "
                f"num_generations = {self.num_generations}, so groups would be cut in two"
            )
        return self


class VllmSection(Section):
    """The vLLM server that plays the episodes, on 127.0.0.1."""

    gpu_memory_utilization: Float = Field(0.5, gt=0, lt=1)
    """Share of the GPU's memory that vLLM takes; the trainer has the rest. No effect on a CPU."""
    cpu_kvcache_space: int = Field(1, ge=1)
    """Memory for the KV cache on a CPU, in GB. No effect on a GPU."""
    max_model_len: int = Field(4096, ge=16)
    """Longest prompt and reply together, in tokens."""
    block_size: Literal[8, 16, 32, 64, 128] = 16
    """Tokens in a block of the KV cache; a CPU takes the next multiple of 32."""
    enforce_eager: bool = True
    """Do not compile graphs: slower decoding, quicker start, less memory."""
    enable_auto_tool_choice: bool | None = None
    """Let the model call tools by itself. Unset: on where the environment offers its functions as tools."""
    tool_call_parser: str | None = None
    """How tool calls are read from replies, by vLLM's names: `hermes`, `xlam`. Unset: as the model that runs
    writes them, where that is known."""
    port: int | None = Field(None, ge=1, le=65535)
    """Port on 127.0.0.1. Unset: 8000, or the next free one."""
    weight_sync: WeightSync = "auto"
    """How trained weights reach the server: a LoRA `adapter`, the adapter `merged` into a copy of the
    weights, or the `full` weights. `auto`: adapter on a GPU, merged on a CPU, full without LoRA."""
    startup_timeout: int = Field(900, ge=10)
    """Seconds that the server may take to start."""
    startup_retries: int = Field(1, ge=0, le=5)
    """How often a server that died while starting is started again, where that can help."""
    restarts: int = Field(3, ge=0, le=100)
    """How often in a row a server that died or hangs in mid-run is started again, with the present weights,
    and what was under way there is repeated. A step that is played to its end sets the count back."""
    stall_timeout: int = Field(300, ge=2)
    """Seconds without a token, while requests wait, after which the server counts as hung; never more than
    half of `training.episode_timeout`. Starting is not counted; a part of a long prompt counts as a token."""
    gpus: int | None = Field(None, ge=1, le=7)
    """GPUs that the server has for itself where `modal.gpu.count` is more than one; the trainers have the
    others. Unset: one. A single GPU is shared."""


class WandbSection(Section):
    """Weights & Biases."""

    project: str = Field("verifiers", min_length=1)
    """The project that runs are reported to."""
    enabled: bool = True
    """Report to Weights & Biases. Without WANDB_API_KEY, or where W&B cannot be reached, the report is
    written offline, into the run directory; `vfm wandb sync RUN` uploads it. WANDB_MODE in .env may be
    offline or disabled."""
    timeout: int = Field(60, ge=1, le=3600)
    """Seconds that W&B may take to begin a report, and to take the last of it; the training never waits for
    it."""


class EvaluationSection(Section):
    """What `--kind evaluate` does."""

    num_examples: int = Field(50, ge=1)
    """Held-out tasks that are played."""
    rollouts_per_example: int = Field(1, ge=1)
    """Episodes of each task."""
    temperature: Float = Field(0.0, ge=0, le=5)
    """Sampling temperature; 0 takes the likeliest token. Held-out tasks scored while training use it too."""
    checkpoint: str | None = Field(None, min_length=1)
    """What is evaluated in place of the base model: a training's checkpoint, as `RUN`, `RUN:checkpoint-40`,
    `RUN:final` or `RUN:best`, or the path of a folder that holds an adapter or whole weights."""
    endpoint: str | None = None
    """Address of an OpenAI-compatible service that is evaluated in place of a server of ours, such as
    `https://api.example.com/v1`. The model is then called as that service calls it."""
    endpoint_key: str = "OPENAI_API_KEY"
    """Name of the variable in .env that holds the endpoint's key; the key itself is never written down."""
    endpoint_seed: bool = False
    """Send a seed with each request to evaluation.endpoint, derived from training.seed, task and turn. Off by
    default: some services refuse a field that they do not know. Our own server is always sent one."""

    @field_validator("endpoint")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is None or re.fullmatch(r"https?://[^\s@/?#]+(/[^\s@?#]*)?", value):
            return value
        raise ValueError(
            "an endpoint is an address such as https://api.example.com/v1, without user, password, query or "
            "fragment; its key belongs in .env, under the name that evaluation.endpoint_key says"
        )

    @field_validator("endpoint_key")
    @classmethod
    def _is_name(cls, value: str) -> str:
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
            return value
        raise ValueError("this is the name of a variable in .env, such as OPENAI_API_KEY, not the key")

    @model_validator(mode="after")
    def _one_of_them(self) -> EvaluationSection:
        if self.checkpoint is not None and self.endpoint is not None:
            raise ValueError(
                "evaluation.checkpoint and evaluation.endpoint are both set: an endpoint serves weights of "
                "its own, so unset one of them"
            )
        return self


def _version(value: object) -> object:
    """YAML reads 3.12 as a number: take it as the version that was meant."""
    return str(value) if isinstance(value, float) else value


class ImageSection(Section):
    """The image that runs train in."""

    python: Annotated[Literal["3.11", "3.12"] | None, BeforeValidator(_version)] = None
    """Python of the image, here and on Modal, for environments that want a certain one. Unset: 3.12 on
    Modal; here the one that this program runs with."""


class ExperimentSpec(Section):
    """One experiment: the guide's sections, every key with its default."""

    modal: ModalSection = ModalSection()
    """Modal compute resources."""
    budget: BudgetSection = BudgetSection()
    """What a run may cost."""
    model: ModelSection = ModelSection()
    """Model configuration."""
    training: TrainingSection = TrainingSection()
    """Training parameters."""
    evaluation: EvaluationSection = EvaluationSection()
    """Evaluation parameters."""
    vllm: VllmSection = VllmSection()
    """vLLM server settings."""
    wandb: WandbSection = WandbSection()
    """Weights & Biases."""
    image: ImageSection = ImageSection()
    """The image that runs train in."""

    @model_validator(mode="after")
    def _fits_together(self) -> ExperimentSpec:
        if self.training.max_completion_length >= self.vllm.max_model_len:
            raise ValueError(
                f"training.max_completion_length = {self.training.max_completion_length} leaves no "
                f"room for a prompt in vllm.max_model_len = {self.vllm.max_model_len}"
            )
        count, gpus = self.modal.gpu.count, self.vllm.gpus
        if gpus is not None and gpus >= count > 1:
            raise ValueError(
                f"vllm.gpus = {gpus} leaves the trainers none of modal.gpu.count = {count}: "
                "lower it, or raise the count"
            )
        sync, lora = self.vllm.weight_sync, self.model.lora.enabled
        if lora and sync == "full":
            raise ValueError("vllm.weight_sync = full needs model.lora.enabled = false")
        if not lora and sync in ("adapter", "merged"):
            raise ValueError(f"vllm.weight_sync = {sync} needs model.lora.enabled = true")
        return self

    @property
    def episodes_per_step(self) -> int:
        """Episodes that one optimiser step trains on."""
        return self.training.batch_size * self.training.gradient_accumulation_steps
