"""Keys of LLaMA-Factory 0.9.5 without a counterpart here, by the reason why there is none."""

from __future__ import annotations

from typing import Any

ONE_DEVICE = ("A run is one process on one device: nothing is spread over several. The batch of "
              "all devices together is per_device_train_batch_size x "
              "gradient_accumulation_steps.")
CODE = "Code that comes with a model is never run."
TEXT_ONLY = "Finestra trains on text: images, videos and audio are not read."
SERVING = "It is about serving or inference, not about training."
EXPORTING = ("It is about exporting: a run's result lies in its folder, as adapter/ or model/; "
             "there is no command yet that merges or converts it.")
PREDICTING = ("It is about predicting on its own, which is not there yet: answers are measured "
              "during a run, one greedy answer to a question.")
SECRET = ("Secrets do not belong into a config: HF_TOKEN, MODELSCOPE_API_TOKEN and "
          "SWANLAB_API_KEY are read from the environment.")
CACHE = "Prepared tokens and downloads have their own cache, which knows when it is out of date."
LOGGING = "Every step is logged, drawn and kept in the run's folder."
FOLDER = "A run's folder is made by the studio, a new one each time."
VOCABULARY = "The tokenizer and the vocabulary stay as they are."
ARCHITECTURE = "The model's architecture stays as it is."
PPO_ONLY = "It belongs to PPO, which has no counterpart; GRPO is the nearest."
PRECISION = "Which parts are held in which precision follows from model.dtype."
PUSHING = "Runs are not pushed to a hub."
PROFILING = "There is no profiler."
OTHER_PROGRAMS = "It needs another training program, which Finestra does not use."
LOADER = "Rows are prepared before training and loaded by the trainer itself."
SAVING = "Checkpoints are whole, so that a run resumes exactly."
DETERMINISM = "A resumed run always equals an uninterrupted one."
METRICS = "What is measured is the same in every run."
TRACKERS = "Metrics go to the studio's own curves, and to SwanLab."
INTERNAL = "It is set by the program, not by people."
ATTENTION = "model.attn_implementation says how attention is computed."

_GROUPS: dict[str, str] = {
    ONE_DEVICE: "deepspeed fsdp fsdp_config ddp_timeout ddp_backend ddp_bucket_cap_mb "
                "ddp_broadcast_buffers ddp_find_unused_parameters ddp_static_graph local_rank "
                "ray_num_workers ray_init_kwargs master_addr master_port parallelism_config "
                "accelerator_config average_tokens_across_devices data_shared_file_system "
                "log_on_each_node save_on_each_node use_mca use_hyper_parallel "
                "hyper_parallel_args fp8_enable_fsdp_float8_all_gather quantization_device_map "
                "eval_use_gather_object",
    CODE: "trust_remote_code",
    TEXT_ONLY: "media_dir image_max_pixels image_min_pixels image_do_pan_and_scan "
               "crop_to_patches video_max_pixels video_min_pixels video_fps video_maxlen "
               "use_audio_in_video audio_sampling_rate freeze_vision_tower "
               "freeze_multi_modal_projector freeze_language_model",
    SERVING: "infer_backend infer_dtype offload_folder use_kv_cache use_cache vllm_maxlen "
             "vllm_gpu_util vllm_enforce_eager vllm_max_lora_rank vllm_config sglang_maxlen "
             "sglang_mem_fraction sglang_tp_size sglang_config sglang_lora_backend",
    EXPORTING: "export_dir export_size export_device export_quantization_bit "
               "export_quantization_dataset export_quantization_nsamples "
               "export_quantization_maxlen export_legacy_format export_hub_model_id",
    PREDICTING: "eval_num_beams generation_num_beams generation_config num_beams "
                "length_penalty skip_special_tokens task task_dir batch_size lang n_shot save_dir "
                "download_mode",
    SECRET: "hf_hub_token ms_hub_token om_hub_token hub_token swanlab_api_key "
            "swanlab_lark_webhook_url swanlab_lark_secret",
    CACHE: "cache_dir overwrite_cache tokenized_path preprocessing_batch_size streaming "
           "buffer_size",
    LOGGING: "logging_first_step logging_nan_inf_filter log_level log_level_replica disable_tqdm "
             "logging_dir debug include_num_input_tokens_seen logging_strategy "
             "print_param_status skip_memory_metrics",
    FOLDER: "overwrite_output_dir",
    VOCABULARY: "use_fast_tokenizer resize_vocab split_special_tokens add_tokens "
                "add_special_tokens new_special_tokens_config init_special_tokens",
    ARCHITECTURE: "rope_scaling shift_attn mixture_of_depths moe_aux_loss_coef "
                  "train_from_scratch",
    PPO_ONLY: "ppo_buffer_size ppo_epochs ppo_score_norm ppo_target ppo_whiten_rewards "
              "reward_model_adapters reward_model_quantization_bit reward_model_type",
    PRECISION: "upcast_layernorm upcast_lmhead_output tf32 bf16_full_eval fp16_full_eval",
    PUSHING: "push_to_hub hub_private_repo hub_model_id hub_strategy hub_always_push "
             "hub_revision",
    PROFILING: "enable_torch_profiler profiler_output_dir profiler_wait_steps "
               "profiler_warmup_steps profiler_active_steps profiler_repeat "
               "profiler_record_shapes profiler_profile_memory profiler_with_stack "
               "profile_modules",
    OTHER_PROGRAMS: "use_unsloth use_kt kt_weight_path kt_expert_checkpoint_path "
                    "kt_use_lora_experts kt_lora_expert_num kt_lora_expert_intermediate_size "
                    "fp8_backend use_v1_kernels torch_compile_backend torch_compile_mode "
                    "liger_kernel_config gradient_checkpointing_kwargs use_reentrant_gc "
                    "auto_find_batch_size torch_empty_cache_steps low_cpu_mem_usage",
    LOADER: "dataloader_drop_last dataloader_num_workers dataloader_pin_memory "
            "dataloader_persistent_workers dataloader_prefetch_factor remove_unused_columns "
            "label_names length_column_name sortish_sampler ignore_pad_token_for_loss "
            "tool_format preserve_thinking",
    SAVING: "save_only_model enable_jit_checkpoint adapter_folder",
    DETERMINISM: "ignore_data_skip restore_callback_states_from_checkpoint full_determinism",
    METRICS: "prediction_loss_only eval_do_concat_batches eval_accumulation_steps "
             "include_for_metrics batch_eval_metrics eval_delay eval_on_each_dataset",
    TRACKERS: "project trackio_space_id trackio_bucket_id trackio_static_space_id "
              "swanlab_workspace swanlab_logdir",
    INTERNAL: "compute_dtype device_map model_max_length block_diag_attn",
    "The embeddings have the rate of the others.": "loraplus_lr_embedding",
    "The blocks say their size: oft_block_size.": "oft_rank",
    "APOLLO and GaLore project as their packages do by themselves.":
        "galore_proj_type apollo_proj apollo_proj_type apollo_scale_type apollo_scale_front",
    "BAdam goes through blocks of layers.":
        "badam_mode badam_start_block badam_update_ratio badam_mask_mode badam_verbose",
    "LLaMA Pro trains blocks that lie all over the model; here freeze trains the last layers.":
        "use_llama_pro",
    "Rows without a system message get none, or the template's own: put it into the rows.":
        "default_system",
    "The reference is the model as it was when the run began.":
        "ref_model_adapters ref_model_quantization_bit",
    "What decides on the best knows which way is better.": "greater_is_better",
}
ABSENT: dict[str, str] = {key: reason for reason, keys in _GROUPS.items() for key in keys.split()}

# Keys that LLaMA-Factory, or a release before, hands on to Ray, Megatron and KTransformers.
_HANDED_ON: dict[str, str] = {
    ONE_DEVICE: "placement_strategy resources_per_worker ray_run_name ray_storage_path "
                "tensor_model_parallel_size pipeline_model_parallel_size "
                "expert_model_parallel_size context_parallel_size "
                "virtual_pipeline_model_parallel_size sequence_parallel "
                "use_distributed_optimizer overlap_param_gather overlap_grad_reduce",
    OTHER_PROGRAMS: "kt_optimize_rule cpu_infer chunk_size kt_mode kt_maxlen kt_use_cuda_graph "
                    "kt_force_think bias_activation_fusion apply_rope_fusion moe_grouped_gemm "
                    "moe_token_dispatcher_type moe_shared_expert_overlap recompute_granularity "
                    "recompute_method recompute_num_layers",
}
HANDED_ON: dict[str, str] = {key: reason for reason, keys in _HANDED_ON.items()
                             for key in keys.split()}

ALWAYS: dict[str, str] = {
    "pissa_convert": "An adapter that began as PiSSA is always saved as a plain LoRA.",
    "plot_loss": "The curves are always drawn.",
    "compute_accuracy": "Token accuracy is always measured.",
    "include_effective_tokens_per_second": "Tokens per second are always measured.",
    "eval_on_start": "The model is always measured before training.",
}
OFF = "It is off, and there is no such switch here."
OLD: dict[str, str] = {
    "evaluation_strategy": "eval_strategy", "dpo_beta": "pref_beta", "dpo_loss": "pref_loss",
    "dpo_ftx": "pref_ftx", "kto_beta": "pref_beta", "kto_ftx": "pref_ftx",
    "orpo_beta": "pref_beta", "num_layer_trainable": "freeze_trainable_layers",
    "name_module_trainable": "freeze_trainable_modules", "no_cuda": "use_cpu",
    "sft_packing": "packing", "use_liger_kernel": "enable_liger_kernel",
    "rm_type": "reward_model_type", "lora_target_modules": "lora_target"}
UNKNOWN = "LLaMA-Factory has no such key either."


def is_off(value: Any) -> bool:
    """Tell whether a value switches a thing off."""
    return value is False or value in ({}, [], 0) or str(value).strip().lower() in (
        "false", "none", "no", "off", "null")
