"""The errors of engines and of the API, in words."""

from __future__ import annotations

from app.board.i18n.methods import answering

EN: dict[str, str] = answering.EN
ZH: dict[str, str] = answering.ZH
FIELDS: dict[str, tuple[str, str]] = {}
MESSAGES: dict[str, str] = {
    **answering.MESSAGES,
    "adapter_bias": "这个适配器训练了基础模型的偏置，无法只为其他请求关闭。",
    "adapter_load": "这个适配器与基础模型不匹配。",
    "adapter_loaded": "已经加载了同名的适配器。",
    "adapter_no_words": "这个适配器给出分数，不生成文字。",
    "adapter_not_found": "没有加载这个适配器。",
    "adapter_other_method": "一个基础模型只能同时加载同一种方法的适配器。",
    "adapter_tokenizer": "这个适配器的分词器与基础模型不同。",
    "closing": "正在关闭。",
    "command_line": "引擎的启动参数无法使用。",
    "context_length_exceeded": "提示超过了模型的上下文长度。",
    "invalid_api_key": "密钥不对，或没有发送密钥。",
    "invalid_json": "请求不是有效的 JSON。",
    "invalid_role": "消息的角色无法使用。",
    "invalid_schema": "无法使用这个 JSON Schema。",
    "invalid_tool_calls": "工具调用的格式不对。",
    "invalid_tools": "工具定义的格式不对。",
    "invalid_value": "某个参数的值无法使用。",
    "missing_parameter": "缺少一个参数。",
    "no_weights": "这个导出没有以自己的名称提供的完整模型。",
    "no_embeddings": "这个模型不能给出向量。",
    "overloaded": "等待的请求太多。",
    "request_too_large": "请求太大。",
    "structured_output_missing": "这里没有安装结构化输出所需的 llguidance。",
    "unknown_parameter": "引擎不认识某个参数。",
    "unknown_url": "没有这个地址。",
    "unsupported_content": "消息中有引擎无法处理的内容。",
    "unsupported_value": "引擎不支持某个参数的值。",
}
ADVICE: dict[str, str] = {
    **answering.ADVICE,
    "adapter_bias": "请单独加载合并后的运行。",
    "adapter_load": "请放在训练它的基础模型上。",
    "adapter_no_words": "请选择会生成文字的模型的适配器。",
    "adapter_other_method": "请先卸载其他适配器，或单独加载合并后的运行。",
    "adapter_tokenizer": "请放在训练它的基础模型上。",
    "context_length_exceeded": "请缩短对话，或新建对话。",
    "invalid_api_key": "用 finestra keys create 新建密钥。",
    "no_weights": "请向它的某个文件提问，或导出合并后的模型。",
    "overloaded": "请稍后再试。",
    "structured_output_missing": "请安装：pip install 'finestra[structured]'。",
}
REASONS: dict[str, str] = {}
