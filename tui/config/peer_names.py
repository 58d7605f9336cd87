"""What other trainers' config keys are called here: of TRL, transformers, peft, verl, and the guide's file.

A table, and finding an entry by a key that nobody here knows. Names that are merely misspelt are layers'.
"""

from __future__ import annotations

from typing import NamedTuple

from tui.config.yaml_files import Key


class Here(NamedTuple):
    """What stands in the place of another program's key."""

    key: str | None
    """The key here; None where there is none."""
    note: str = ""
    """What is different, or what to do in place of a key."""


_STEPS = Here("training.steps", "optimiser steps, not passes over the tasks")
_BATCH = Here("training.batch_size", "times gradient_accumulation_steps are a step's episodes")
_MODEL = Here("model.base_model")
_DTYPE = Here("model.dtype", "float32, bfloat16 or float16")
_GROUP = Here("training.num_generations")
_REPLY = Here("training.max_completion_length")
_CONTEXT = Here("vllm.max_model_len", "and model.max_token_length for what is trained on")
_KL = Here("training.beta")
_CLIP = Here("training.epsilon")
_VLLM = Here(None, "episodes are always played by a vLLM server, whose keys are under vllm")
_VOLUMES = Here(None, "volumes are named after EXPERIMENTER and EXPERIMENT_NAME, which are set in .env")
_NAME = Here(None, "an experiment's name is EXPERIMENT_NAME in .env, and each run gets an id of its own")
_REWARDS = Here(None, "rewards belong to the environment: docs/environments.md")
_TASKS = Here("training.environment", "the tasks belong to it; its options are training.environment_args")
_TARGETS = Here(None, "an adapter is on every linear layer: there is nothing to choose")
_PARALLEL = Here("modal.gpu.count", "vLLM has vllm.gpus of them, each trainer one: docs/gpus.md")
_UPLOAD = Here(None, "weights stay in the run's volume: vfm get fetches them")

_TABLE: tuple[tuple[Here, str], ...] = (
    (Here("training.steps"), "max_steps num_steps total_steps training_steps train_steps"),
    (_STEPS, "num_train_epochs num_epochs epochs total_epochs total_training_steps"),
    (_BATCH, "per_device_train_batch_size train_batch_size micro_batch_size bs"),
    (Here("training.gradient_accumulation_steps"), "gradient_accumulation grad_accum grad_accum_steps"),
    (_MODEL, "model_name_or_path model_name model_path pretrained pretrained_model_name_or_path"),
    (_DTYPE, "bf16 fp16 torch_dtype precision mixed_precision"),
    (Here("model.lora.rank"), "lora_r lora_rank"),
    (Here("model.lora.alpha"), "lora_alpha"),
    (Here("model.lora.dropout"), "lora_dropout"),
    (Here("model.lora.enabled"), "use_peft use_lora"),
    (_TARGETS, "target_modules lora_target_modules"),
    (Here("model.attn_implementation"), "attn_impl"),
    (_VLLM, "use_vllm vllm_mode vllm_server_host vllm_server_port vllm_server_base_url"),
    (Here("vllm.gpu_memory_utilization"), "vllm_gpu_memory_utilization"),
    (Here("vllm.gpus"), "tensor_parallel_size vllm_tensor_parallel_size"),
    (Here(None, "a run goes on by a command: vfm resume RUN"), "resume_from_checkpoint resume"),
    (Here("wandb.enabled"), "report_to use_wandb log_with"),
    (Here("wandb.project"), "wandb_project"),
    (_VOLUMES, "output_dir logging_dir save_dir volumes"),
    (_NAME, "run_name experiment_name wandb_run_name exp_name"),
    (_GROUP, "rollouts_per_prompt group_size num_rollouts samples_per_prompt"),
    (Here("training.learning_rate"), "lr"),
    (Here("training.lr_scheduler"), "lr_scheduler_type"),
    (Here("training.warmup_steps", "in steps"), "warmup_ratio"),
    (_KL, "kl_coef kl_coeff kl_beta kl_loss_coef init_kl_coef"),
    (_CLIP, "cliprange clip_range clip_ratio clip_eps epsilon_high epsilon_low"),
    (_REPLY, "max_new_tokens max_tokens max_completion_tokens max_response_length"),
    (_CONTEXT, "max_seq_len max_seq_length max_prompt_length context_length seq_len"),
    (Here("training.eval_steps"), "eval_strategy evaluation_strategy eval_freq test_freq"),
    (Here("training.save_steps"), "save_strategy save_freq checkpoint_interval"),
    (Here(None, "every step is on record"), "logging_steps"),
    (Here("training.environment"), "env_id env_name environment_id"),
    (Here("training.environment_args"), "env_args env_kwargs"),
    (_TASKS, "dataset dataset_name train_dataset data_path train_files"),
    (_REWARDS, "reward_funcs reward_weights reward_model reward_fn"),
    (Here(None, "the optimiser is AdamW, whose keys are under training"), "optim optimizer"),
    (_PARALLEL, "deepspeed fsdp num_processes num_gpus n_gpus_per_node"),
    (Here("modal.gpu.type"), "accelerator"),
    (_UPLOAD, "push_to_hub hub_model_id hub_strategy"),
)
_NAMES = {name: here for here, names in _TABLE for name in names.split()}
"""By a key's last part, wherever it stands."""
_DOTTED: dict[str, Here] = {
    "name": _NAME,
    "model.name": _MODEL,
    "model.path": _MODEL,
    "lora.r": Here("model.lora.rank"),
    "model.lora.r": Here("model.lora.rank"),
    "peft.r": Here("model.lora.rank"),
    "env": Here("training.environment"),
    "environment": Here("training.environment"),
    "gpu": Here("modal.gpu.type"),
    "gpus": _PARALLEL,
    "training.n": _GROUP,
    "rollout.n": _GROUP,
    "wandb.name": _NAME,
}
"""By the whole key, where its last part alone says too little."""


def find(key: Key) -> Here | None:
    """What an unknown key of another program is called here; None where no program is known to have it."""
    for length in range(len(key), 0, -1):
        head = key[:length]
        found = _DOTTED.get(".".join(head)) or _NAMES.get(head[-1])
        if found is not None:
            return found
    return None
