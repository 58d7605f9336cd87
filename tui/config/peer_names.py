"""A table of other trainers' config keys (TRL, transformers, peft, verl) and their equivalents here.

`layers.py` suggests corrections of names that are merely misspelt.
"""

from __future__ import annotations

from typing import NamedTuple

from tui.config.yaml_files import Key


class Equivalent(NamedTuple):
    """The equivalent of another program's key."""

    key: str | None
    """The key of ours; None where there is none."""
    note: str = ""
    """How it differs, or what to do where there is no key."""


_STEPS = Equivalent("training.steps", "optimiser steps, not passes over the tasks")
_BATCH = Equivalent("training.batch_size", "times gradient_accumulation_steps are a step's episodes")
_MODEL = Equivalent("model.base_model")
_DTYPE = Equivalent("model.dtype", "float32, bfloat16 or float16")
_GROUP = Equivalent("training.num_generations")
_REPLY = Equivalent("training.max_completion_length")
_CONTEXT = Equivalent("vllm.max_model_len", "and model.max_token_length for what is trained on")
_KL = Equivalent("training.beta")
_CLIP = Equivalent("training.epsilon")
_VLLM = Equivalent(None, "episodes are always played by a vLLM server, whose keys are under vllm")
_VOLUMES = Equivalent(None, "volumes are named after EXPERIMENTER and EXPERIMENT_NAME, which are set in .env")
_NAME = Equivalent(
    None, "an experiment's name is EXPERIMENT_NAME in .env, and each run gets an id of its own"
)
_REWARDS = Equivalent(None, "rewards belong to the environment: docs/environments.md")
_TASKS = Equivalent(
    "training.environment", "the tasks belong to it; its options are training.environment_args"
)
_TARGETS = Equivalent(None, "an adapter is on every linear layer: there is nothing to choose")
_PARALLEL = Equivalent("modal.gpu.count", "vLLM has vllm.gpus of them, each trainer one: docs/gpus.md")
_UPLOAD = Equivalent(None, "weights stay in the run's volume: vfm get fetches them")

_TABLE: tuple[tuple[Equivalent, str], ...] = (
    (Equivalent("training.steps"), "max_steps num_steps total_steps training_steps train_steps"),
    (_STEPS, "num_train_epochs num_epochs epochs total_epochs total_training_steps"),
    (_BATCH, "per_device_train_batch_size train_batch_size micro_batch_size bs"),
    (Equivalent("training.gradient_accumulation_steps"), "gradient_accumulation grad_accum grad_accum_steps"),
    (_MODEL, "model_name_or_path model_name model_path pretrained pretrained_model_name_or_path"),
    (_DTYPE, "bf16 fp16 torch_dtype precision mixed_precision"),
    (Equivalent("model.lora.rank"), "lora_r lora_rank"),
    (Equivalent("model.lora.alpha"), "lora_alpha"),
    (Equivalent("model.lora.dropout"), "lora_dropout"),
    (Equivalent("model.lora.enabled"), "use_peft use_lora"),
    (_TARGETS, "target_modules lora_target_modules"),
    (Equivalent("model.attn_implementation"), "attn_impl"),
    (_VLLM, "use_vllm vllm_mode vllm_server_host vllm_server_port vllm_server_base_url"),
    (Equivalent("vllm.gpu_memory_utilization"), "vllm_gpu_memory_utilization"),
    (Equivalent("vllm.gpus"), "tensor_parallel_size vllm_tensor_parallel_size"),
    (Equivalent(None, "a run goes on by a command: vfm resume RUN"), "resume_from_checkpoint resume"),
    (Equivalent("wandb.enabled"), "report_to use_wandb log_with"),
    (Equivalent("wandb.project"), "wandb_project"),
    (_VOLUMES, "output_dir logging_dir save_dir volumes"),
    (_NAME, "run_name experiment_name wandb_run_name exp_name"),
    (_GROUP, "rollouts_per_prompt group_size num_rollouts samples_per_prompt"),
    (Equivalent("training.learning_rate"), "lr"),
    (Equivalent("training.lr_scheduler"), "lr_scheduler_type"),
    (Equivalent("training.warmup_steps", "in steps"), "warmup_ratio"),
    (_KL, "kl_coef kl_coeff kl_beta kl_loss_coef init_kl_coef"),
    (_CLIP, "cliprange clip_range clip_ratio clip_eps epsilon_high epsilon_low"),
    (_REPLY, "max_new_tokens max_tokens max_completion_tokens max_response_length"),
    (_CONTEXT, "max_seq_len max_seq_length max_prompt_length context_length seq_len"),
    (Equivalent("training.eval_steps"), "eval_strategy evaluation_strategy eval_freq test_freq"),
    (Equivalent("training.save_steps"), "save_strategy save_freq checkpoint_interval"),
    (Equivalent(None, "every step is on record"), "logging_steps"),
    (Equivalent("training.environment"), "env_id env_name environment_id"),
    (Equivalent("training.environment_args"), "env_args env_kwargs"),
    (_TASKS, "dataset dataset_name train_dataset data_path train_files"),
    (_REWARDS, "reward_funcs reward_weights reward_model reward_fn"),
    (Equivalent(None, "the optimiser is AdamW, whose keys are under training"), "optim optimizer"),
    (_PARALLEL, "deepspeed fsdp num_processes num_gpus n_gpus_per_node"),
    (Equivalent("modal.gpu.type"), "accelerator"),
    (_UPLOAD, "push_to_hub hub_model_id hub_strategy"),
)
_NAMES = {name: equivalent for equivalent, names in _TABLE for name in names.split()}
"""By a key's last part, wherever it stands."""
_DOTTED: dict[str, Equivalent] = {
    "name": _NAME,
    "model.name": _MODEL,
    "model.path": _MODEL,
    "lora.r": Equivalent("model.lora.rank"),
    "model.lora.r": Equivalent("model.lora.rank"),
    "peft.r": Equivalent("model.lora.rank"),
    "env": Equivalent("training.environment"),
    "environment": Equivalent("training.environment"),
    "gpu": Equivalent("modal.gpu.type"),
    "gpus": _PARALLEL,
    "training.n": _GROUP,
    "rollout.n": _GROUP,
    "wandb.name": _NAME,
}
"""By the whole key, where its last part alone says too little."""


def find(key: Key) -> Equivalent | None:
    """The equivalent of an unknown key; None where no program in the table has it."""
    for length in range(len(key), 0, -1):
        head = key[:length]
        found = _DOTTED.get(".".join(head)) or _NAMES.get(head[-1])
        if found is not None:
            return found
    return None
