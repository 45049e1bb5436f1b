"""Problems in Chinese, by their code; ``{name}`` stands for a parameter of the problem.

A text whose parameters a problem does not carry must not name them: errors that are raised
(datasets, models, runs) carry none, so theirs are whole sentences.
"""

from __future__ import annotations

MESSAGES: dict[str, str] = {
    # Values of fields
    "missing": "缺少此字段。", "literal_error": "{value} 不是 {expected} 之一。",
    "float_type": "{value} 不是数字。", "float_parsing": "{value} 不是数字。",
    "finite_number": "{value} 不是有限的数。", "int_type": "{value} 不是整数。",
    "int_parsing": "{value} 不是整数。", "int_from_float": "{value} 不是整数。",
    "bool_type": "{value} 既不是 true 也不是 false。",
    "bool_parsing": "{value} 既不是 true 也不是 false。",
    "string_type": "{value} 不是文本。", "list_type": "{value} 不是列表。",
    "model_type": "{value} 不是一个配置段。",
    "greater_than": "{value} 太小。", "greater_than_equal": "{value} 太小。",
    "less_than": "{value} 太大。", "less_than_equal": "{value} 太大。",
    "too_short": "这个列表是空的。", "string_too_short": "这里是空的。",
    "string_too_long": "文本太长。", "extra_forbidden": "没有字段“{name}”（值 {value}）。",
    "unknown_field": "没有字段“{name}”（值 {value}）。",
    "unknown_field_close": "没有字段“{name}”（值 {value}）。",
    "control_characters": "这里不能有换行和控制字符。",
    "name_is_path": "名称不是路径：不能有“/”和“\\”。",
    "dataset_name": "“{name}”既不是数据集名称，也不是路径。",
    "dataset_twice": "同一个数据集写了两次。",
    # Combinations
    "full_on_quantized": "4 位权重无法训练：全参数微调需要完整的权重。",
    "eval_in_train": "“{name}”既是训练数据又是评估数据。",
    "exact_match_needs_eval": "精确匹配需要评估数据。",
    "exact_match_of_dpo": "偏好对没有唯一的正确答案可供匹配。",
    "label_smoothing_loss": "损失“{loss}”没有标签平滑。",
    "unknown_template": "没有名为“{name}”的对话模板。",
    "override_syntax": "“{text}”不是有效的覆盖写法。",
    "yaml_syntax": "这不是有效的 YAML{where}：{what}。",
    "yaml_mapping": "运行配置应当是由若干配置段组成的映射。",
}

ADVICE: dict[str, str] = {
    "missing": "请补上。", "literal_error": "请选择其中之一。",
    "float_type": "请填写数字，例如 2.0e-4。", "float_parsing": "请填写数字，例如 2.0e-4。",
    "finite_number": "请填写数字，例如 2.0e-4。", "int_type": "请填写整数。",
    "int_parsing": "请填写整数。", "int_from_float": "请填写整数。",
    "bool_type": "请填写 true 或 false。", "bool_parsing": "请填写 true 或 false。",
    "string_type": "请填写文本，必要时加引号。", "list_type": "请填写列表。",
    "model_type": "请在其下缩进书写“字段: 值”。",
    "greater_than": "必须大于 {gt}。", "greater_than_equal": "至少为 {ge}。",
    "less_than": "必须小于 {lt}。", "less_than_equal": "至多为 {le}。",
    "too_short": "至少填写 {min_length} 项。", "string_too_short": "至少 {min_length} 个字符。",
    "string_too_long": "至多 {max_length} 个字符。",
    "extra_forbidden": "请删除，或检查拼写和所在的配置段。",
    "unknown_field": "请删除，或检查拼写和所在的配置段。",
    "unknown_field_close": "是否想写“{suggestion}”？",
    "control_characters": "请删除这些字符。", "name_is_path": "请换一个名称。",
    "dataset_name": "请填写登记表中的名称或文件路径。", "dataset_twice": "请去掉其中一个。",
    "full_on_quantized": "请选择 LoRA（即 QLoRA），或将量化设为“不量化”。",
    "eval_in_train": "请换一个评估集，或使用验证集划分。",
    "exact_match_needs_eval": "请指定评估集或验证集划分。",
    "exact_match_of_dpo": "请关闭精确匹配；奖励差和准确率始终会测量。",
    "label_smoothing_loss": "请设为 0，或选择“sigmoid”或“robust”。",
    "unknown_template": "请使用“auto”，即分词器自带的对话模板。",
    "override_syntax": "请写成 section.key=value。", "yaml_syntax": "请修正该行；用空格缩进。",
    "yaml_mapping": "请以“name: my-run”这样的一行开头。",
}
