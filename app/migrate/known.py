"""The keys of LLaMA-Factory 0.9.5 and their defaults, as its dataclasses have them."""

from __future__ import annotations

from typing import Any

_BY_DEFAULT: tuple[tuple[Any, str], ...] = (
    (None,
     "model_name_or_path adapter_name_or_path adapter_folder cache_dir add_tokens "
     "add_special_tokens new_special_tokens_config rope_scaling mixture_of_depths "
     "moe_aux_loss_coef hf_hub_token ms_hub_token om_hub_token quantization_bit "
     "quantization_device_map export_dir export_quantization_bit "
     "export_quantization_dataset export_hub_model_id kt_weight_path "
     "kt_expert_checkpoint_path kt_use_lora_experts kt_lora_expert_num "
     "kt_lora_expert_intermediate_size vllm_config sglang_config compute_dtype device_map "
     "model_max_length template dataset eval_dataset media_dir interleave_probs "
     "preprocessing_num_workers max_samples eval_num_beams packing tool_format "
     "default_system tokenized_path output_dir lr_scheduler_kwargs optim_args "
     "optim_target_modules tf32 gradient_checkpointing_kwargs torch_compile_backend "
     "torch_compile_mode liger_kernel_config neftune_noise_alpha torch_empty_cache_steps "
     "disable_tqdm run_name trackio_space_id trackio_bucket_id trackio_static_space_id "
     "eval_steps eval_accumulation_steps save_total_limit hub_token hub_private_repo "
     "hub_model_id hub_revision metric_for_best_model greater_is_better data_seed "
     "accelerator_config parallelism_config dataloader_prefetch_factor label_names "
     "ddp_find_unused_parameters ddp_bucket_cap_mb ddp_broadcast_buffers ddp_static_graph "
     "ddp_backend fsdp fsdp_config deepspeed resume_from_checkpoint warmup_ratio "
     "logging_dir generation_max_length generation_num_beams generation_config "
     "ray_init_kwargs master_addr master_port profiler_output_dir profile_modules "
     "freeze_extra_modules additional_target lora_alpha loraplus_lr_ratio ref_model "
     "ref_model_adapters ref_model_quantization_bit reward_model reward_model_adapters "
     "reward_model_quantization_bit ld_alpha badam_start_block swanlab_workspace "
     "swanlab_run_name swanlab_api_key swanlab_logdir swanlab_lark_webhook_url "
     "swanlab_lark_secret hyper_parallel_args early_stopping_steps save_dir"),
    (True,
     "use_fast_tokenizer low_cpu_mem_usage use_reentrant_gc use_kv_cache "
     "double_quantization ignore_pad_token_for_loss enable_thinking "
     "average_tokens_across_devices log_on_each_node logging_nan_inf_filter "
     "eval_do_concat_batches dataloader_pin_memory remove_unused_columns "
     "skip_memory_metrics profiler_record_shapes profiler_profile_memory "
     "profiler_with_stack freeze_vision_tower freeze_multi_modal_projector do_sample "
     "skip_special_tokens"),
    (False,
     "resize_vocab split_special_tokens shift_attn use_unsloth use_unsloth_gc "
     "enable_liger_kernel disable_gradient_checkpointing upcast_layernorm "
     "upcast_lmhead_output train_from_scratch use_v1_kernels print_param_status "
     "trust_remote_code image_do_pan_and_scan crop_to_patches use_audio_in_video "
     "export_legacy_format use_kt vllm_enforce_eager block_diag_attn train_on_prompt "
     "mask_history streaming overwrite_cache eval_on_each_dataset neat_packing "
     "preserve_thinking data_shared_file_system bf16 fp16 bf16_full_eval fp16_full_eval "
     "gradient_checkpointing torch_compile use_liger_kernel use_cache auto_find_batch_size "
     "logging_first_step prediction_loss_only eval_on_start eval_use_gather_object "
     "batch_eval_metrics save_only_model save_on_each_node enable_jit_checkpoint "
     "push_to_hub hub_always_push load_best_model_at_end ignore_data_skip "
     "restore_callback_states_from_checkpoint full_determinism use_cpu "
     "dataloader_drop_last dataloader_persistent_workers do_train do_eval do_predict "
     "sortish_sampler predict_with_generate fp8 fp8_enable_fsdp_float8_all_gather "
     "enable_torch_profiler overwrite_output_dir create_new_adapter use_rslora use_dora "
     "pissa_init pissa_convert ppo_score_norm ppo_whiten_rewards use_galore "
     "galore_layerwise use_apollo apollo_layerwise apollo_scale_front use_badam "
     "use_swanlab pure_bf16 use_llama_pro use_adam_mini use_mca use_hyper_parallel "
     "use_muon use_dft_loss use_asft_loss use_eaft_loss freeze_language_model "
     "compute_accuracy disable_shuffling plot_loss include_effective_tokens_per_second"),
    ("noise_init", "init_special_tokens"),
    ("main", "model_revision"),
    ("auto", "flash_attn infer_dtype fp8_backend"),
    ("huggingface", "infer_backend project"),
    ("offload", "offload_folder"),
    ("bnb", "quantization_method"),
    ("nf4", "quantization_type"),
    (589824, "image_max_pixels"),
    (1024, "image_min_pixels export_quantization_maxlen max_length max_new_tokens"),
    (65536, "video_max_pixels"),
    (256, "video_min_pixels"),
    (2.0, "video_fps galore_scale"),
    (128, "video_maxlen export_quantization_nsamples"),
    (16000, "audio_sampling_rate"),
    (5, "export_size n_shot"),
    ("cpu", "export_device"),
    (4096, "vllm_maxlen sglang_maxlen"),
    (0.7, "vllm_gpu_util sglang_mem_fraction top_p"),
    (32, "vllm_max_lora_rank oft_block_size"),
    (-1, "sglang_tp_size max_steps local_rank"),
    ("triton", "sglang_lora_backend"),
    ("data", "dataset_dir"),
    (2048, "cutoff_len"),
    (16384, "buffer_size"),
    ("concat", "mix_strategy"),
    (1000, "preprocessing_batch_size"),
    (0.0,
     "val_size weight_decay label_smoothing_factor module_dropout lora_dropout pref_ftx "
     "pref_bco_weight dpo_label_smoothing"),
    (8, "per_device_train_batch_size per_device_eval_batch_size lora_rank"),
    (3.0, "num_train_epochs"),
    (5e-05, "learning_rate"),
    ("linear", "lr_scheduler_type"),
    (0, "warmup_steps eval_delay dataloader_num_workers oft_rank badam_verbose"),
    ("adamw_torch_fused", "optim"),
    (0.9, "adam_beta1"),
    (0.999, "adam_beta2"),
    (1e-08, "adam_epsilon"),
    (1,
     "gradient_accumulation_steps ray_num_workers profiler_wait_steps "
     "profiler_warmup_steps profiler_active_steps profiler_repeat ppo_buffer_size "
     "num_beams"),
    (1.0,
     "max_grad_norm kto_chosen_weight kto_rejected_weight eaft_alpha repetition_penalty "
     "length_penalty"),
    ("steps", "logging_strategy save_strategy"),
    (500, "logging_steps save_steps"),
    ("no", "include_num_input_tokens_seen eval_strategy"),
    ("passive", "log_level"),
    ("warning", "log_level_replica"),
    ("none", "report_to"),
    ([], "include_for_metrics"),
    ("every_save", "hub_strategy"),
    (42, "seed"),
    ("random", "train_sampling_strategy apollo_proj"),
    ("length", "length_column_name"),
    (1800, "ddp_timeout"),
    ("", "debug"),
    (2, "freeze_trainable_layers"),
    ("all", "freeze_trainable_modules oft_target lora_target galore_target apollo_target"),
    (1e-06, "loraplus_lr_embedding"),
    (16, "pissa_iter galore_rank apollo_rank"),
    (0.1, "pref_beta asft_alpha"),
    ("sigmoid", "pref_loss"),
    (0.5, "simpo_gamma"),
    (4, "ppo_epochs batch_size"),
    (6.0, "ppo_target"),
    ("lora", "reward_model_type finetuning_type"),
    (200, "galore_update_interval apollo_update_interval"),
    ("std", "galore_proj_type apollo_proj_type"),
    (32.0, "apollo_scale"),
    ("channel", "apollo_scale_type"),
    ("layer", "badam_mode"),
    ("ascending", "badam_switch_mode"),
    (50, "badam_switch_interval top_k"),
    (0.05, "badam_update_ratio"),
    ("adjacent", "badam_mask_mode"),
    ("llamafactory", "swanlab_project"),
    ("cloud", "swanlab_mode"),
    ("sft", "stage"),
    (0.95, "temperature"),
    ("<required>", "task"),
    ("evaluation", "task_dir"),
    ("en", "lang"),
    ("reuse_dataset_if_exists", "download_mode"),
)
DEFAULTS: dict[str, Any] = {key: value for value, keys in _BY_DEFAULT for key in keys.split()}
