"""What an evaluation chose, counts and notes, in Chinese; by the English text."""

from __future__ import annotations

NOTES: dict[str, str] = {
    # What it will take.
    "not known": "未知",
    "{count} question": "{count} 题",
    "{count} questions": "{count} 题",
    "{count} questions, about {tokens} tokens read, up to {cost}":
        "{count} 题，约读取 {tokens} 个 token，费用最多 {cost}",
    "{count} questions, about {tokens} tokens read": "{count} 题，约读取 {tokens} 个 token",
    "{reason}; {votes} questions about people's votes. Read: about {chars} characters a token, "
    "which is English; Chinese takes two to four times as many. Written: at most {tokens} tokens "
    "a reply, mostly fewer. Replies that cannot be read are asked for once more; answers that are "
    "the same are not asked about.":
        "{reason}；另有 {votes} 题关于人工投票。读取量按每个 token 约 {chars} 个字符估算（英文），"
        "中文约为其二到四倍。每次回复最多 {tokens} 个 token，通常更少。读不懂的回复会再问一次；"
        "相同的回答不再询问。",
    "{reason}. Read: about {chars} characters a token, which is English; Chinese takes two to four "
    "times as many. Written: at most {tokens} tokens a reply, mostly fewer. Replies that cannot be "
    "read are asked for once more; answers that are the same are not asked about.":
        "{reason}。读取量按每个 token 约 {chars} 个字符估算（英文），中文约为其二到四倍。"
        "每次回复最多 {tokens} 个 token，通常更少。读不懂的回复会再问一次；相同的回答不再询问。",
    "{rows} rows of {models} models, once each": "{models} 个模型各 {rows} 行，每行一次",
    "{rows} rows of {models} models beside the first, in both orders":
        "除第一个外的 {models} 个模型各 {rows} 行，两种顺序各一次",
    "{rows} rows of {models} models beside the first, in one order":
        "除第一个外的 {models} 个模型各 {rows} 行，只用一种顺序",
    # How a dataset is scored.
    "'{dataset}' is scored by {metric}: {reason}.": "“{dataset}”按 {metric} 评分：{reason}。",
    "Nothing says what is right in '{dataset}', so it has no scores.":
        "“{dataset}”没有正确答案可供对照，因此没有得分。",
    "no model here tells likelihoods, so written answers are compared":
        "这些模型都无法给出可能性，因此比较生成的回答",
    "the references are texts: shared words count": "参考答案是文本：按共有的词评分",
    "the references are texts: shared letters count, in any language":
        "参考答案是文本：按共有的字符评分，适用于任何语言",
    "the rows have choices": "这些行带有选项",
    "the rows say which tools are to be called": "这些行指明了应调用的工具",
    "the rows have a class": "这些行带有类别",
    "the rows are texts that answer no question": "这些行是不回答问题的文本",
    "every reference is a number, or ends in one after ####":
        "每个参考答案都是数字，或以 #### 后的数字结尾",
    "every reference is JSON": "每个参考答案都是 JSON",
    "every reference is short, {words} words or fewer": "每个参考答案都很短，不超过 {words} 个词",
    # What happened.
    "The metric '{metric}' has nothing to compare with at {places}.":
        "指标“{metric}”在 {places} 上没有可对照的内容。",
    "The metric '{metric}' has failed for '{model}' at '{dataset}': {why}":
        "指标“{metric}”在“{dataset}”上对“{model}”失败：{why}",
    "{cut} of {count} answers of '{model}' were cut at the longest length "
    "(generation.max_new_tokens).":
        "“{model}”的 {count} 个回答中有 {cut} 个因达到最大长度（"
        "generation.max_new_tokens）被截断。",
    "'{model}' could not answer {wrong} of {count} rows, which count as empty; row {row} of "
    "'{dataset}': {why}":
        "“{model}”有 {wrong} / {count} 行无法回答，按空回答计；“{dataset}”第 {row} 行：{why}",
    "{bad} of {rows} rows of '{dataset}' are skipped: {why}":
        "“{dataset}”的 {rows} 行中有 {bad} 行被跳过：{why}",
    "'{name}' gets no scores by likelihood. {reason}": "“{name}”没有可能性得分。{reason}",
    "An endpoint does not tell how likely given texts are.": "端点不会给出指定文本的可能性。",
    "llama.cpp's server does not tell how likely given texts are.":
        "llama.cpp 的服务器不会给出指定文本的可能性。",
    # Judges.
    "People's votes on {model} beside {first}: the judge says the same in {share} of {votes} (a "
    "tie counts as shared only where both call it one). Cohen's kappa, which takes chance out, "
    "cannot be told, because both always say the same. Where neither called it a tie, they say "
    "the same in {same} of {decided}.":
        "人工投票（{model} 对 {first}）："
        "裁判与 {votes} 次投票中的 {share} 一致（双方都判平局才算一致）。"
        "双方的判断始终相同，无法计算 Cohen kappa。双方都未判平局时，"
        "{decided} 次中有 {same} 次一致。",
    "People's votes on {model} beside {first}: the judge says the same in {share} of {votes} (a "
    "tie counts as shared only where both call it one). Cohen's kappa, which takes chance out, is "
    "{kappa}. Where neither called it a tie, they say the same in {same} of {decided}.":
        "人工投票（{model} 对 {first}）："
        "裁判与 {votes} 次投票中的 {share} 一致（双方都判平局才算一致）。"
        "排除偶然后的 Cohen kappa 为 {kappa}。双方都未判平局时，{decided} 次中有 {same} 次一致。",
    "{model} beside {first}, {dataset}: the judge said the same in both orders in {steady} of "
    "{rows} rows ({share}); the others are ties.":
        "{model} 对 {first}，{dataset}："
        "{rows} 行中有 {steady} 行（{share}）裁判在两种顺序下判断相同，"
        "其余按平局计。",
    "{model} beside {first}, {dataset}: the judge said the same in both orders in {steady} of "
    "{rows} rows ({share}); the others are ties. Of {said} verdicts for one of them, {shown} were "
    "for the answer that was shown first.":
        "{model} 对 {first}，{dataset}："
        "{rows} 行中有 {steady} 行（{share}）裁判在两种顺序下判断相同，"
        "其余按平局计。{said} 次分出胜负的判断中，有 {shown} 判给先显示的回答。",
    "{model}, {dataset}: {same} of {rows} rows have the same answer twice; they are ties, and the "
    "judge was not asked.":
        "{model}，{dataset}：{rows} 行中有 {same} 行两个回答相同，按平局计，未询问裁判。",
    "{model}, {dataset}: {count} of {rows} rows are left out, because no verdict could be read, "
    "not the second time either.":
        "{model}，{dataset}：{rows} 行中有 {count} 行被略去，因为两次都读不出判断。",
    "{model}, {dataset}: {count} of {rows} rows are left out, because the judge's server refused "
    "the question ({why}), or no verdict could be read, not the second time either.":
        "{model}，{dataset}：{rows} 行中有 {count} 行被略去，因为裁判的服务器拒绝了问题（{why}），"
        "或者两次都读不出判断。",
    "{model}, {dataset}: the judge's server counted no tokens in {count} of {calls} replies, so "
    "that more was used than is shown.":
        "{model}，{dataset}：裁判的服务器在 {calls} 次回复中有 {count} 次没有统计 token，"
        "实际用量多于显示的数字。",
}
