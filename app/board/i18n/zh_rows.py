"""What is wrong or odd in a row, and what rows were taken for, in Chinese.

As in ``zh_reasons`` the English text is the key: reports keep it as text. ``{name}`` stands for
whatever the data layer filled in there. What is not known stays English.
"""

SPEAKERS = {"the user": "用户", "the assistant": "助手", "the system": "系统", "a tool": "工具",
            "the tool": "工具", "a system message": "系统消息"}

# What follows "Row 7 of village"; the more special ones first.
ROWS: dict[str, str] = {
    "says the same as row {first}": "与第 {first} 行相同",
    "says nearly the same as row {first}": "与第 {first} 行几乎相同",
    "has no text in '{column}' ({who}'s turn)": "“{column}”里没有文字（{who}的轮次）",
    "has no text in '{column}'": "“{column}”里没有文字",
    "has no turns in '{column}'": "“{column}”里没有对话轮次",
    "has no call in '{column}'": "“{column}”里没有工具调用",
    "has no turn of a user or assistant in '{column}'": "“{column}”里没有用户或助手的轮次",
    "has null in '{column}'": "“{column}”的值为 null",
    "has no prompt: '{chosen}' and '{rejected}' begin differently":
        "没有共同的提示：“{chosen}”和“{rejected}”的开头不同",
    "has no '{role}' in '{column}'": "“{column}”里没有“{role}”",
    "has null in '{role}' in '{column}'": "“{column}”里“{role}”的值为 null",
    "has no '{column}'": "没有“{column}”",
    "has {value} in '{column}', not text": "“{column}”里是 {value}，不是文字",
    "has {value} in '{column}', not true or false": "“{column}”里是 {value}，不是 true 或 false",
    "has {value} in '{column}', not the name of a class": "“{column}”里是 {value}，不是类别名称",
    "has {value} in '{column}', not a turn with a role and a content":
        "“{column}”里是 {value}，不是带角色和内容的轮次",
    "has {value} in '{column}', not a turn with '{role}' and '{content}'":
        "“{column}”里是 {value}，不是带“{role}”和“{content}”的轮次",
    "has {value} in '{column}', not a list of {wanted}":
        "“{column}”里是 {value}，不是列表（应为 {wanted}）",
    "has {value} in '{column}', not a {wanted}":
        "“{column}”里是 {value}，类型不符（应为 {wanted}）",
    "has the role '{role}' in '{column}'; known roles are {known}":
        "“{column}”里有未知角色“{role}”；已知的角色是 {known}",
    "has the class {value} in '{column}'; the classes are {known}":
        "“{column}”里的类别是 {value}；已知的类别是 {known}",
    "has the turns {turns} as answer in '{column}', not one turn of the assistant":
        "“{column}”里的回答是 {turns} 这些轮次，而不是助手的一轮",
    "has {who} speaking after {other} (turn {n})": "第 {n} 轮：{who}紧接在{other}之后发言",
    "ends with {who} in '{column}': the assistant never answers":
        "“{column}”以{who}结尾：助手没有回答",
    "has the same answer in '{chosen}' and '{rejected}': there is nothing to learn":
        "“{chosen}”和“{rejected}”的回答相同：没有可学的内容",
    "has the special token '{token}' in '{column}'; it is learned as plain text":
        "“{column}”里有特殊 token“{token}”；会按普通文字学习",
    "has the special token '{token}'; it is learned as plain text":
        "含有特殊 token“{token}”；会按普通文字学习",
    "has the control character {code} in '{column}'": "“{column}”里有控制字符 {code}",
    "has the control character {code}": "含有控制字符 {code}",
    "has garbled characters in '{column}': {around}; it was written or read in another encoding":
        "“{column}”里有乱码：{around}；写入或读取时用了别的编码",
    "has {n} characters": "有 {n} 个字符",
    "has pictures or sound in '{column}'; only text can be trained on":
        "“{column}”里有图片或声音；只能用文字训练",
    "has a tool without a name in '{column}': {value}": "“{column}”里有没有名称的工具：{value}",
    "has a call without a name in '{column}': {value}": "“{column}”里有没有名称的调用：{value}",
    "has text in '{column}' that is not JSON: {value}": "“{column}”里的文字不是 JSON：{value}",
    "is not JSON: {why} at column {place}; it begins {start}":
        "不是 JSON（第 {place} 个字符处：{why}），开头是 {start}",
    "is not JSON: {why}": "不是 JSON：{why}",
    "is not UTF-8 ({why})": "不是 UTF-8 编码（{why}）",
    "is {value}, not an object with named columns": "是 {value}，不是带列名的对象",
    "cannot be read: a quote is opened and not closed{more}": "无法读取：有引号没有闭合{more}",
}

# What rows were taken for, said of their columns; each is replaced where it stands.
SHAPES: dict[str, str] = {
    "the registry says so": "登记表中这样写明",
    "columns '{a}' and '{b}' in all {n} rows looked at": "查看的 {n} 行都有列“{a}”和“{b}”",
    "columns '{a}' and '{b}' in {share} of {n} rows looked at":
        "查看的 {n} 行中有 {share} 含列“{a}”和“{b}”",
    "column '{a}' in all {n} rows looked at holds ": "查看的 {n} 行中，列“{a}”都是",
    "column '{a}' in {share} of {n} rows looked at holds ":
        "查看的 {n} 行中有 {share}，列“{a}”是",
    "turns with '{role}' and '{content}'": "带“{role}”和“{content}”的对话轮次",
    "exchanges of '{a}' and '{b}'": "“{a}”与“{b}”的往来",
    "lists of texts: user and assistant in turn, the user first":
        "文字列表：用户与助手轮流，用户在先",
    "conversations as one text, with marks such as 'Human:' and 'Assistant:'":
        "写成一段文字的对话，带“Human:”“Assistant:”之类的标记",
    "plain text": "纯文本",
    ", written as '\\n\\nHuman: ... \\n\\nAssistant: ...'":
        "，写成“\\n\\nHuman: … \\n\\nAssistant: …”",
    " are whole conversations with one beginning": "，是开头相同的完整对话",
    " answer '{prompt}'": "，是对“{prompt}”的回答",
    " (with '{query}' below the former)": "（“{query}”接在前者之后）",
    "; '{column}' is not used": "；不使用“{column}”",
    "'{label}' says of each answer whether it is desired, beside ":
        "“{label}”说明每个回答好或坏；",
    "'{label}' in all {n} rows looked at is the class of '{text}', {m} in all":
        "查看的 {n} 行中，“{label}”都是“{text}”的类别，共 {m} 类",
    "; the classes have only numbers: name them in the mapping":
        "；类别只有编号：请在映射中为它们命名",
    "; the answers are short, so they are taken for references, not for answers to learn":
        "；回答很短，因此当作参考答案，而不是要学的回答",
    "; the answers are long, so they are taken for answers to learn, not for references":
        "；回答很长，因此当作要学的回答，而不是参考答案",
}
