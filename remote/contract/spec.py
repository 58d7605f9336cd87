"""The spec: every config key, with its type, bounds, default and help.

The docstring under a field is its help in the form, in `vfm config schema` and in the docs. Reading YAML,
layering overrides and reporting problems belong to `tui/config`.
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
    """YAML 1.1 reads `3e-6` as a string: convert it to a number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


Float = Annotated[float, BeforeValidator(_number)]


def _upper(value: object) -> object:
    """GPU types may be written in any case, as on Modal."""
    return value.upper() if isinstance(value, str) else value


class Section(BaseModel):
    """A group of keys; unknown keys are errors."""

    model_config = ConfigDict(
        extra="forbid", strict=False, use_attribute_docstrings=True, protected_namespaces=()
    )


MOST_GPUS = {"A10G": 4, "A10": 4}
"""Maximum number of GPUs of a type in one container, where it is less than 8 (Modal's guide to GPUs)."""


class GpuSection(Section):
    """The GPUs of a run on Modal."""

    count: int = Field(1, ge=1, le=8)
    """Number of GPUs. With more than one, vLLM uses the first and each trainer has one of the others."""
    type: Annotated[GpuType, BeforeValidator(_upper)] = "A100-40GB"
    """GPU type: T4 (no bfloat16) and A10G for small models, A100 and up for production. Modal may give an
    H200 for H100, 80 GB for A100 and a B300 for B200+, at the price of the type you name; H100! is always an
    H100."""

    @model_validator(mode="after")
    def _count_is_available(self) -> GpuSection:
        most = MOST_GPUS.get(self.type, 8)
        if self.count > most:
            raise ValueError(
                f"modal.gpu.count = {self.count} is more than the {most} that Modal allows of "
                f"modal.gpu.type = {self.type} in one container: lower it, or take another type"
            )
        return self


class ModalSection(Section):
    """Compute resources on Modal. The local backend uses what the machine has."""

    cpus: Float = Field(8.0, gt=0, le=64)
    """Physical CPU cores reserved for the container."""
    memory: int = Field(32768, ge=1024, le=344064)
    """Memory reserved for the container, in MB."""
    gpu: GpuSection = GpuSection()
    """The GPUs of the container."""
    timeout: int = Field(14400, ge=60, le=86400)
    """Seconds after which an attempt is stopped, at most 24 hours. Applies on the local backend too."""
    retries: int = Field(3, ge=0, le=10)
    """How many times a run that reached its timeout, or whose vLLM could not be restarted, continues by
    itself from its last checkpoint. Applies on the local backend too. `vfm resume` grants as many again."""
    region: str | None = None
    """Modal regions to run in: `us`, `eu`, `us-east`; separate several with commas. A region costs 1.5 to
    1.75 times as much. Unset: any region."""
    cloud: str | None = None
    """Cloud provider to run on: `aws`, `gcp`, `oci`. Unset: any."""

    @field_validator("region", "cloud")
    @classmethod
    def _are_names(cls, value: str | None, info: ValidationInfo) -> str | None:
        name = r"[a-z0-9]+(-[a-z0-9]+)*"
        allowed = rf"{name}(, *{name})*" if info.field_name == "region" else name
        if value is None or re.fullmatch(allowed, value):
            return value
        example = "`us` or `us-east, eu`" if info.field_name == "region" else "`aws` or `gcp`"
        raise ValueError(f"these are Modal's own names, such as {example}")


class BudgetSection(Section):
    """Limit on what a run may cost. Runs on this machine cost nothing."""

    max_usd: Float | None = Field(None, gt=0)
    """US dollars. The run saves and stops when the estimated cost of all its attempts reaches this amount.
    Unset: no limit but the timeout."""


class LoraSection(Section):
    """Low-rank adapters: train small matrices instead of every weight."""

    enabled: bool = True
    """Train an adapter (true) or every weight (false)."""
    rank: int = Field(16, ge=1, le=512)
    """Rank of the adapter's matrices."""
    alpha: Float = Field(32.0, gt=0)
    """Scale of the adapter: its output is multiplied by alpha / rank."""
    dropout: Float = Field(0.0, ge=0, lt=1)
    """Dropout on the adapter's input while training."""


class ModelSection(Section):
    """The model that is trained."""

    base_model: str | None = None
    """A hub id, a local path, or `builtin/smollm2-135m` or `builtin/tiny-random`, which need no hub.
    Unset: the environment's own default."""
    max_token_length: int = Field(4096, ge=16, le=1048576)
    """Maximum length of an episode in training, prompt and replies together, in tokens; the rest is cut."""
    dtype: Dtype = "bfloat16"
    """Number format of the weights, in the trainer and in the server."""
    attn_implementation: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    """Attention implementation of the trainer."""
    trust_remote_code: bool = False
    """Run the Python code that a model or a checkpoint contains. It can read the run's keys; some hub models
    need it. Off: such code is never run."""
    overrides: dict[str, str] = Field(default_factory=dict)
    """Environment name → model, in place of `base_model` for that environment."""
    lora: LoraSection = LoraSection()
    """Low-rank adapters."""


class TrainingSection(Section):
    """What is trained and how (GRPO)."""

    environment: str = Field("vf-wordle", min_length=1)
    """The verifiers environment: a package of `environments/` in any spelling (`wordle`, `vf-wordle`), the
    path of a package's folder or wheel, or a package of the package index (`index:some-env`,
    `some-env==1.2`)."""
    environment_args: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the environment's taskset."""
    environment_secrets: list[str] = Field(default_factory=list)
    """Names of variables that the environment needs, such as `SEARCH_API_KEY`. Their values are read from
    .env or the shell at launch and never written down. Everything in .env is passed on anyway."""
    script: str | None = Field(None, min_length=1)
    """Path of the training script in the project: `examples/grpo/train_wordle.py`. Unset: the one that
    TRAINING_SCRIPTS in run_modal.py names for the environment, or the built-in training."""
    steps: int = Field(200, ge=1)
    """Optimiser steps."""
    batch_size: int = Field(8, ge=1)
    """Episodes in one forward and backward pass."""
    gradient_accumulation_steps: int = Field(8, ge=1)
    """Passes before an optimiser step; a step trains on batch_size × this many episodes."""
    num_generations: int = Field(8, ge=2)
    """Episodes of the same task in a group. Advantages are relative to the group."""
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
    """Maximum length of the reply in one turn, in tokens."""
    max_turns: int | None = Field(None, ge=1)
    """Maximum number of replies in an episode. Unset: the environment's own limit."""
    temperature: Float = Field(1.0, gt=0, le=5)
    """Sampling temperature of the training episodes."""
    top_p: Float = Field(1.0, gt=0, le=1)
    """Nucleus sampling of the training episodes; 1 is off."""
    beta: Float = Field(0.0, ge=0)
    """Weight of the KL penalty against the base model. 0: no penalty, and the base model takes no memory."""
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo"] = "dapo"
    """How token losses are aggregated (TRL's names)."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """Divide advantages by the standard deviation of the group, of the batch, or not at all."""
    epsilon: Float = Field(0.2, gt=0)
    """Clipping range of the policy ratio."""
    entropy_coef: Float = Field(0.0, ge=0)
    """Weight of an entropy bonus, which keeps the policy from collapsing to one answer early; 0 is off."""
    seed: int = Field(42, ge=0, le=4294967295)
    """Seed of task order, adapter initialisation and sampling."""
    save_steps: int = Field(50, ge=1)
    """Save a checkpoint every this many steps; the last step always saves one."""
    save_total_limit: int = Field(2, ge=1)
    """Number of checkpoints to keep."""
    gradient_checkpointing: bool | None = None
    """Recompute activations in the backward pass: less memory, more time. Unset: on for Modal, off here."""
    concurrency: int = Field(64, ge=1)
    """Episodes that are played at the same time."""
    episode_timeout: Float = Field(1800.0, gt=0, le=86400)
    """Seconds that an episode may take, tools and rewards included. One that takes longer fails, and the log
    names the line that it was at. Applies to training, held-out scores, evaluations and `vfm env check`. A
    server that gives no token for half as long, while requests wait, counts as hung."""
    eval_examples: int = Field(0, ge=0)
    """Held-out tasks to score before and after the training (and every `eval_steps`); 0 is off."""
    eval_steps: int = Field(0, ge=0)
    """Score the held-out tasks every this many steps too; 0 is off."""
    max_idle_steps: int = Field(100, ge=0)
    """Stop the run after this many steps in a row without a learning signal: no episode can be trained on, or
    all rewards of every group are equal. 0: never."""
    log_rollouts: int = Field(4, ge=0)
    """Episodes of a step that are shown live. All of them are saved."""
    max_logp_difference: Float | None = Field(None, gt=0)
    """Stop the run when server and trainer disagree by more than this on the log-probability of a sampled
    token (mean, in nats). Unset: 0.01 in float32, 0.5 otherwise."""

    @field_validator("environment_secrets", mode="before")
    @classmethod
    def _split_names(cls, names: object) -> object:
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
    """Fraction of the GPU's memory that vLLM takes; the trainer has the rest. No effect on a CPU."""
    cpu_kvcache_space: int = Field(1, ge=1)
    """Memory for the KV cache on a CPU, in GB. No effect on a GPU."""
    max_model_len: int = Field(4096, ge=16)
    """Maximum length of prompt and reply together, in tokens."""
    block_size: Literal[8, 16, 32, 64, 128] = 16
    """Tokens per block of the KV cache. On a CPU it is rounded up to a multiple of 32."""
    enforce_eager: bool = True
    """Do not compile CUDA graphs: slower decoding, faster start, less memory."""
    enable_auto_tool_choice: bool | None = None
    """Let the model decide when to call a tool. Unset: on where the environment offers tools."""
    tool_call_parser: str | None = None
    """vLLM's parser for the tool calls in replies, such as `hermes` or `xlam`. Unset: the one for the model,
    where it is known."""
    port: int | None = Field(None, ge=1, le=65535)
    """Port on 127.0.0.1. Unset: 8000, or the next free one."""
    weight_sync: WeightSync = "auto"
    """How trained weights reach the server: as a LoRA `adapter`, `merged` into a copy of the weights, or as
    the `full` weights. `auto`: adapter on a GPU, merged on a CPU, full without LoRA."""
    startup_timeout: int = Field(900, ge=10)
    """Seconds that the server may take to start."""
    startup_retries: int = Field(1, ge=0, le=5)
    """How many times to start a server again that died while starting, where that can help."""
    restarts: int = Field(3, ge=0, le=100)
    """How many times in a row to restart a server that dies or hangs during the run, with the current
    weights; its unfinished requests are repeated. A step that is played to its end resets the count."""
    stall_timeout: int = Field(300, ge=2)
    """Seconds without a token, while requests wait, after which the server counts as hung; at most half of
    `training.episode_timeout`. Not while it starts; a processed part of a long prompt counts as a token."""
    gpus: int | None = Field(None, ge=1, le=7)
    """GPUs of the server alone, where `modal.gpu.count` is more than one; the trainers have the others.
    Unset: one. A single GPU is shared by both."""


class WandbSection(Section):
    """Weights & Biases."""

    project: str = Field("verifiers", min_length=1, max_length=128)
    """The W&B project of the run."""
    enabled: bool = True
    """Report to Weights & Biases. Without WANDB_API_KEY, or where W&B cannot be reached, the report is
    written offline into the run directory; `vfm wandb sync RUN` uploads it. WANDB_MODE in .env may be
    offline or disabled."""
    timeout: int = Field(60, ge=1, le=3600)
    """Seconds that W&B may take to start a report, and to receive the end of it. The training never waits."""

    @field_validator("project")
    @classmethod
    def _is_project(cls, name: str) -> str:
        # wandb's own rule: it would refuse the name when the report begins, offline too.
        if found := sorted({char for char in name if char in "/\\#?%:"}):
            raise ValueError(f"a W&B project's name cannot contain {' '.join(found)}")
        return name


class EvaluationSection(Section):
    """Settings of `--kind evaluate`."""

    num_examples: int = Field(50, ge=1)
    """Number of held-out tasks."""
    rollouts_per_example: int = Field(1, ge=1)
    """Episodes of each task."""
    temperature: Float = Field(0.0, ge=0, le=5)
    """Sampling temperature; 0 picks the likeliest token. Also used for held-out scores while training."""
    checkpoint: str | None = Field(None, min_length=1)
    """Checkpoint to evaluate instead of the base model: `RUN`, `RUN:checkpoint-40`, `RUN:final` or `RUN:best`
    of a training, or the path of a folder that holds an adapter or whole weights."""
    endpoint: str | None = None
    """URL of an OpenAI-compatible service to evaluate instead of a local vLLM, such as
    `https://api.example.com/v1`. `model.base_model` is then the service's name of the model."""
    endpoint_key: str = "OPENAI_API_KEY"
    """Name of the variable in .env that holds the endpoint's key. The key itself is never written down."""
    endpoint_seed: bool = False
    """Send a seed with each request to evaluation.endpoint, derived from training.seed, task and turn. Off by
    default, since some services refuse unknown fields. vLLM is always sent one."""

    @field_validator("endpoint")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is None or re.fullmatch(r"https?://[^\s@/?#]+(/[^\s@?#]*)?", value):
            return value
        raise ValueError(
            "an endpoint is a URL such as https://api.example.com/v1, without user, password, query or "
            "fragment; its key belongs in .env, in the variable that evaluation.endpoint_key names"
        )

    @field_validator("endpoint_key")
    @classmethod
    def _is_name(cls, value: str) -> str:
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
            return value
        raise ValueError("this is the name of a variable in .env, such as OPENAI_API_KEY, not the key")

    @model_validator(mode="after")
    def _checkpoint_or_endpoint(self) -> EvaluationSection:
        if self.checkpoint is not None and self.endpoint is not None:
            raise ValueError(
                "evaluation.checkpoint and evaluation.endpoint are both set: an endpoint serves its own "
                "weights, so unset one of them"
            )
        return self


def _version(value: object) -> object:
    """YAML reads 3.12 as a number: convert it to a version."""
    return str(value) if isinstance(value, float) else value


class ImageSection(Section):
    """The image that the worker runs in."""

    python: Annotated[Literal["3.11", "3.12"] | None, BeforeValidator(_version)] = None
    """Python version of the image, for environments that require one. Unset: 3.12 on Modal; on this machine,
    the version that vfm runs on."""


class ExperimentSpec(Section):
    """One experiment: every key with its default."""

    modal: ModalSection = ModalSection()
    """Compute resources on Modal."""
    budget: BudgetSection = BudgetSection()
    """Limit on what a run may cost."""
    model: ModelSection = ModelSection()
    """The model that is trained."""
    training: TrainingSection = TrainingSection()
    """Training parameters."""
    evaluation: EvaluationSection = EvaluationSection()
    """Evaluation parameters."""
    vllm: VllmSection = VllmSection()
    """The vLLM server."""
    wandb: WandbSection = WandbSection()
    """Weights & Biases."""
    image: ImageSection = ImageSection()
    """The image that the worker runs in."""

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
