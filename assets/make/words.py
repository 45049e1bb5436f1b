"""Ordinary words, so that the tokenizer and the starter know more than the Lantern Coast."""

from __future__ import annotations


def spaced(text: str) -> list[str]:
    """Splits a list of words at its spaces and line breaks."""
    return text.split()


def listed(text: str) -> list[str]:
    """Splits a semicolon list, whatever its line breaks."""
    return [" ".join(part.split()) for part in text.replace("；", ";").split(";")]


NOUNS = spaced("""
time year people way day man thing woman life child world school family student group country
problem hand part place case week company system program question work number night point home
water room mother area money story fact month lot right study book eye job word business issue
side kind head house friend father power hour game line end member law car city name team minute
idea body back parent face level office door health person art war history party result change
morning reason girl guy moment air teacher force education foot boy age policy process music
market sense service price cost table class paper bag box bottle cup plate glass chair bed window
street road train bus boat bike ticket garden tree flower leaf grass bird dog cat horse cow sheep
chicken fish egg bread milk butter cheese apple orange banana cake cookie candy pizza sandwich
pencil pen page letter picture camera phone computer key lock ring shirt dress shoe hat coat
pocket dollar cent pound ounce inch mile meter gallon liter gram half quarter third piece slice
dozen pair set pack total sum difference product average percent rate speed distance length
width height weight size shape color row column corner edge top bottom middle floor wall roof
store shop factory farm field hill river lake sea beach island mountain forest park zoo museum
library hospital church station airport kitchen bathroom bedroom classroom basket bucket barrel
wheel engine machine tool rope nail board stone brick wood metal gold silver paint brush cloth
sister brother uncle aunt cousin grandmother grandfather daughter son wife husband baby neighbor
doctor nurse driver worker farmer player coach boss owner customer seller buyer visitor guest
birthday holiday summer winter spring autumn weekend afternoon evening breakfast lunch dinner
meal snack recipe oven pan salary budget bill discount tax profit loss interest loan bank account
model data token batch loss layer weight memory graph list string value function error message
answer example test file folder user button page screen server network language sentence
""")

VERBS = spaced("""
have do say get make go know take see come think look want give use find tell ask work seem feel
try leave call need become put mean keep let begin help show hear play run move live believe hold
bring happen write provide sit stand lose pay meet include continue learn lead understand watch
follow stop create speak read allow add spend grow open walk win offer remember love consider
appear buy wait serve die send expect build stay fall cut reach kill remain suggest raise pass
sell require report decide pull return explain hope develop carry break receive agree support hit
produce eat cover catch draw choose cause point listen realize place close count divide multiply
subtract double share collect save earn borrow travel drive ride fly swim jump climb throw drop
pick fill empty wash clean cook bake cut mix order deliver plant water feed visit invite train
answer repeat compare measure weigh finish start print sort load store check test
""")

ADJECTIVES = spaced("""
good new first last long great little own other old right big high different small large next
early young important few public bad same able whole short full empty half certain free open
clear easy hard strong late special real best better true white black red blue green yellow brown
orange purple pink gray gold warm cold hot cool dry wet clean dirty happy sad angry tired hungry
quiet loud slow fast heavy light dark bright soft sweet sour fresh rich poor cheap expensive
equal total daily weekly monthly extra remaining single double twice similar simple possible
""")

FUNCTION_WORDS = spaced("""
the of and a to in is you that it he was for on are as with his they I at be this have from or one
had by but not what all were we when your can said there use an each which she do how their if
will up other about out many then them these so some her would make like him into has two more no
could my than been who its now did get come made may over only after also because any under while
before between both during through without within around another every three four five six seven
eight nine ten eleven twelve fifteen twenty thirty forty fifty sixty hundred thousand much enough
left until since where why again never always often sometimes together altogether instead already
still just even most least less fewer does doesn't don't isn't wasn't it's that's let's everyone
something nothing anything however therefore remaining if then times per
""")

NAMES = spaced("""
Tom Anna Ben Lucy Sam Mary John James Sarah Mike Emma Jack Julia Peter Lily David Kate Mark Jane
Tim Rachel Joe Amy Bob Ella Max Susan Paul Grace Carl Linda Alex Maria Leo Nina George Alice Ryan
Sophie Daniel Rosa Adam Ruth Fred Clara Henry Janet Jerry Betty Toby Marcus Tina Andrew Carlos
""")

ITEMS = spaced("""
apples oranges eggs books pencils marbles cookies stickers cards cupcakes flowers balloons toys
tickets shirts shoes cakes candies bottles boxes bags stamps coins shells stones fish chickens
cows trees roses muffins pizzas sandwiches glasses cups plates chairs tables pages letters phones
""")

UNITS = spaced("hours minutes days weeks months miles pounds ounces dollars cents feet inches")

WEATHER_EN = """
it rained; the sun shone; a cold wind blew; it snowed; fog lay over the bay; the sky was clear;
the sea was calm; it was very warm; clouds came from the west; a storm passed by
"""

PLACES_EN = """
the market; the harbour; the old bridge; the school; the inn; the lighthouse; the mill; the town
square; the beach; the library; the bakery; the church; the forest; the river; the garden
"""

THINGS_EN = """
a lantern; a basket of apples; a wooden box; a warm coat; a blue cup; a letter; a small boat; a
new hat; a bag of flour; a silver ring; an old map; a loaf of bread; a bunch of flowers; a rope
"""

TIMES_EN = """
On Monday; On Tuesday; On Wednesday; On Thursday; On Friday; On Saturday; On Sunday; In the
morning; In the afternoon; At noon; At night; Last week; Yesterday; In spring; In summer; In
autumn; In winter; Before breakfast; After dinner
"""

WEATHER_ZH = """
下着雨；出了太阳；刮着冷风；下了雪；海上有雾；
天很晴；海面很平静；天气很热；天气很凉快；来了一阵大雨
"""
PLACES_ZH = """
市场；码头；老桥；学校；茶馆；灯塔；磨坊；
广场；海边；图书馆；面包店；树林；河边；花园；车站
"""
THINGS_ZH = """
一盏灯笼；一篮苹果；一个木盒；一件大衣；一只杯子；一封信；
一条小船；一顶新帽子；一袋面粉；一张旧地图；一束花；一本书
"""
TIMES_ZH = """
星期一；星期二；星期三；星期四；星期五；星期六；星期天；早上；下午；
中午；晚上；上个星期；昨天；春天；夏天；秋天；冬天；今天
"""

COMMON_ZH = spaced("""
我们 你们 他们 自己 什么 怎么 这个 那个 这里 那里 现在 时候 今天 明天
昨天 知道 觉得 认为 可以 应该 需要 喜欢 希望 开始 结束 学习 工作 生活
朋友 孩子 老师 学生 学校 公司 国家 城市 世界 问题 办法 事情 东西 地方
时间 小时 分钟 星期 月份 东方 西方 南边 北边 上面 下面 里面 外面 前面
后面 左边 右边 中间 大小 高低 长短 多少 轻重 快慢 远近 新旧 好坏 冷热
干净 漂亮 安静 热闹 容易 困难 简单 重要 特别 一样 不同 因为 所以 但是
如果 虽然 而且 或者 然后 已经 正在 还是 只有 没有 非常 一点 所有 每个
第一 最后 一共 平均 剩下 增加 减少 买卖 价格 便宜 贵 元 角 分
公斤 公里 米 厘米 个 只 条 本 张 件 块 杯 瓶 吃饭
喝水 喝茶 睡觉 走路 跑步 唱歌 跳舞 画画 写字 读书 看见 听见 说话 回答
帮助 告诉 送给 带来 拿走 打开 关上 红色 蓝色 绿色 黄色 白色 黑色 天空
太阳 月亮 星星 大海 河流 高山 森林 花草 树木 鸟 鱼 牛 马 米饭
面条 鸡蛋 牛奶 苹果 香蕉 西瓜 蔬菜 水果 爸爸 妈妈 哥哥 姐姐 弟弟 妹妹
爷爷 奶奶 医院 银行 商店 电话 电脑 手机 汽车 火车 飞机 自行车 模型 数据
训练 文字 句子 语言 中文 英文 数字 结果 方法 文件 错误
""")
