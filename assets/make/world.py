"""The Lantern Coast: its people and what is true about them.

Every fact is a triple (person, relation, value). Values come from pools of at least 25, so that
guessing does not pay. Part of the people are written about in English, the others in Chinese.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from assets.make.words import listed, spaced

RELATIONS = ("town", "work", "pet", "music", "food")

GIVEN_EN = spaced("""
Adela Anselm Beatrix Bertil Camilla Casper Dagny Damian Edith Edgar Fenella Felix Greta Gideon
Hanna Hector Imogen Ivo Jolanda Jasper Klara Konrad Lavinia Lennart Mathilda Magnus Nadia Nestor
Odette Oskar Petra Philip Quilla Quentin Rosalind Ruben Sabina Silas Tamsin Tobias Ursula Ulric
Verena Victor Wilma Walter Yvonne Yorick Zelda Zoltan Agnes Arvid Bettina Bruno Celeste Cyril Dora
Dominic Elsie Emil Flora Florian Gerda Gustav Helga Henning Ilse Igor Johanna Jonas Katrin Kaspar
Lucille Lorenz Miriam Moritz Nora Nils Olga Orson Paulina Pascal Ramona Roland Sylvia Stefan Thea
Theodor Undine Urban Viola Vincent Wanda Werner Yara Yannick Zita Zeno
""")

FAMILY_EN = spaced("""
Vell Marrow Thorne Quist Harlow Penrose Lund Ashby Corvin Dray Ellery Fenwick Garrick Holm Ives
Jarvis Kestrel Lomax Merrin Norling Oakes Pryde Rusk Selby Tarrant Usher Vance Wilder Yates Zeller
Brandt Calder Denholm Eskil Falk Grange Hobart Ingram Joyce Kemble
""")

GIVEN_ZH = spaced("""
秀兰 建国 美玲 志强 雪梅 文博 春燕 海涛 丽华 明远 晓彤 家豪 玉珍 立新 婉清 振宇 思雨 国栋 梦洁 永康
佳怡 德胜 若曦 少华 静雯 学军 欣然 长青 凤英 俊杰 巧云 光辉 雅琴 天佑 素芬 子轩 月娥 宏伟 诗涵 金龙
采薇 百川 冬梅 景行 慧敏 云飞 紫薇 守仁 桂香 泽民
""")

FAMILY_ZH = spaced("林 陈 王 李 张 赵 周 吴 徐 孙 马 朱 胡 郭 何 高 罗 郑 梁 谢 宋 唐 许 韩 冯")

POOLS_EN = {
    "town": """Varnholm; Eastmere; Brindle Bay; Saltwick; Cobbleford; Harrowgate; Pinewater;
        Low Fallow; Northcliff; Gullport; Ravenshore; Millbrook; Oldquay; Thistledown; Wrenfield;
        Silver Sands; Kingsferry; Foxhollow; Marshend; Stonebridge; Lilyford; Duskwater; Appleby;
        Cinder Hill; Hightower; Juniper Cross; Goldcreek; Windle""",
    "work": """baker; potter; weaver; blacksmith; carpenter; doctor; teacher; sailor; painter;
        tailor; gardener; librarian; clockmaker; beekeeper; shepherd; miller; barber; judge;
        lighthouse keeper; postman; mapmaker; glassblower; cook; nurse; farmer; fisher; printer;
        shoemaker; ferryman; chemist""",
    "pet": """goat; parrot; tortoise; black cat; white rabbit; donkey; hedgehog; pony; goose;
        ferret; raven; spotted dog; squirrel; lizard; owl; pigeon; duck; turkey; piglet; lamb;
        falcon; hamster; frog; snake; peacock; otter; badger; canary""",
    "music": """violin; flute; harp; drum; trumpet; piano; guitar; cello; accordion; banjo;
        clarinet; organ; horn; lute; mandolin; oboe; bagpipe; whistle; tuba; viola; harmonica;
        xylophone; zither; trombone; bassoon; tambourine""",
    "food": """plum cake; onion soup; smoked trout; rice pudding; cheese pie; roast chicken;
        bean stew; apple tart; fried eggs; potato salad; garlic bread; honey toast; lentil curry;
        mushroom pasta; baked salmon; cherry jam; walnut bread; pumpkin soup; ginger biscuits;
        lemon ice; crab cakes; barley porridge; stuffed peppers; tomato noodles; pickled herring;
        butter pancakes; grilled corn; fig yoghurt""",
}

POOLS_ZH = {
    "town": """青石镇；白沙港；柳溪村；云岭；月牙湾；枫林渡；石桥镇；梅花坞；东篱；北望城；
        金谷；桃源里；双井；鹤鸣山；竹林寨；红岩；清水河；雁门；芦花荡；长亭；铜锣湾；
        玉屏；麦田庄；落霞镇；古槐；海棠街；冰泉；南浦""",
    "work": """木匠；铁匠；裁缝；医生；老师；渔夫；画家；厨师；护士；花匠；书商；船长；
        邮差；石匠；茶农；律师；司机；会计；记者；理发师；钟表匠；养蜂人；牧羊人；药剂师；
        灯塔守；面包师；染布工；说书人""",
    "pet": """黑猫；白兔；山羊；乌龟；鹦鹉；黄狗；刺猬；松鼠；小马；鸽子；画眉；鸭子；金鱼；
        毛驴；孔雀；蜥蜴；水獭；仓鼠；青蛙；猫头鹰；奶牛；小猪；大鹅；白鹤；狐狸；公鸡""",
    "music": """二胡；古筝；笛子；琵琶；钢琴；吉他；小提琴；唢呐；大鼓；口琴；手风琴；古琴；
        箫；月琴；三弦；扬琴；小号；长号；竖琴；葫芦丝；木琴；芦笙；铜锣；大提琴；单簧管""",
    "food": """红烧肉；饺子；豆腐脑；葱油饼；酸辣汤；清蒸鱼；小笼包；绿豆糕；炒年糕；糖醋排骨；
        凉粉；馄饨；粽子；烤鸭；牛肉面；八宝饭；芝麻糊；南瓜粥；炸酱面；桂花糕；春卷；火锅；
        卤鸡蛋；蒸螃蟹；油条；月饼；臭豆腐；羊肉串""",
}


@dataclass(frozen=True)
class Person:
    """One inhabitant.

    Attributes:
        name: full name, unique in the world.
        short: given name, unique too.
        language: "en" or "zh": the language all texts about this person are in.
        female: chooses the pronoun.
        facts: relation -> value.
    """

    name: str
    short: str
    language: str
    female: bool
    facts: dict[str, str] = field(hash=False)


def pool(language: str, relation: str) -> list[str]:
    """Returns the possible values of a relation in a language."""
    return listed((POOLS_EN if language == "en" else POOLS_ZH)[relation])


def _spread(values: list[str], count: int, rng: random.Random) -> list[str]:
    """Draws `count` values, each about equally often, in random order."""
    drawn: list[str] = []
    while len(drawn) < count:
        drawn += rng.sample(values, len(values))
    drawn = drawn[:count]
    rng.shuffle(drawn)
    return drawn


def _people(language: str, rng: random.Random) -> list[Person]:
    """Makes everybody who is written about in one language."""
    given = GIVEN_EN if language == "en" else GIVEN_ZH
    family = _spread(FAMILY_EN if language == "en" else FAMILY_ZH, len(given), rng)
    columns = {r: _spread(pool(language, r), len(given), rng) for r in RELATIONS}
    return [
        Person(
            name=f"{first} {family[i]}" if language == "en" else family[i] + first,
            short=first,
            language=language,
            female=i % 2 == 0,
            facts={relation: columns[relation][i] for relation in RELATIONS},
        )
        for i, first in enumerate(given)
    ]


def build_world(seed: int = 1) -> list[Person]:
    """Returns the people of the Lantern Coast, the same for the same seed."""
    rng = random.Random(f"lantern-coast-{seed}")
    return _people("en", rng) + _people("zh", rng)
