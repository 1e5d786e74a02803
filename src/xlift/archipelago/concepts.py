"""The concepts of the archipelago, their taxonomy and the frames of its verbs. Data only.

The English words are glosses: every generated language has its own words (lexicon.py). Several hundred concepts are
needed, since a classifier memorises pairs of words in a smaller lexicon instead of learning to match them.
"""

from __future__ import annotations

# kind -> hypernym -> its concepts. The hypernym is a concept too.
NOUNS: dict[str, dict[str, tuple[str, ...]]] = {
    "person": {
        "artisan": ("smith", "potter", "weaver", "carpenter", "tailor", "cobbler", "mason", "glazier", "cooper", "tanner"),
        "provider": ("fisher", "farmer", "baker", "brewer", "miller", "shepherd", "hunter", "cook", "gardener", "beekeeper"),
        "wayfarer": ("sailor", "merchant", "pilgrim", "envoy", "pilot", "rower", "courier", "exile"),
        "scholar": ("scribe", "healer", "judge", "teacher", "mapmaker", "astronomer", "priest", "midwife"),
        "player": ("drummer", "singer", "dancer", "piper", "juggler", "storyteller"),
        "child": ("boy", "girl", "apprentice", "orphan", "twin"),
    },
    "animal": {
        "bird": ("heron", "gull", "owl", "crow", "swan", "falcon", "sparrow", "duck", "goose", "crane", "lark"),
        "fish": ("trout", "eel", "herring", "carp", "salmon", "pike", "perch", "cod", "tuna"),
        "beast": ("goat", "sheep", "cow", "horse", "dog", "cat", "fox", "hare", "deer", "boar", "donkey", "otter", "seal"),
        "crawler": ("bee", "ant", "spider", "beetle", "snail", "crab", "lizard", "frog"),
    },
    "food": {
        "fruit": ("apple", "pear", "fig", "plum", "cherry", "grape", "melon", "olive", "quince", "date"),
        "vegetable": ("bean", "onion", "cabbage", "turnip", "leek", "carrot", "pea", "garlic", "beet"),
        "dish": ("bread", "cheese", "soup", "porridge", "cake", "stew", "dumpling", "sausage", "noodle"),
        "beverage": ("milk", "wine", "ale", "tea", "cider", "broth"),
    },
    "thing": {
        "tool": ("hammer", "knife", "axe", "needle", "saw", "spade", "chisel", "sickle", "hook", "comb", "loom", "plough"),
        "vessel": ("cup", "jar", "bowl", "basket", "barrel", "bucket", "kettle", "bottle", "chest", "sack"),
        "garment": ("cloak", "hat", "boot", "shirt", "glove", "belt", "scarf", "apron", "skirt", "ring"),
        "instrument": ("drum", "flute", "harp", "bell", "horn", "fiddle", "gong"),
        "craft": ("boat", "cart", "sled", "raft", "ferry", "barge", "canoe"),
        "writing": ("letter", "map", "book", "song", "poem", "riddle", "law", "calendar"),
        "furnishing": ("table", "lamp", "rope", "net", "sail", "tent", "ladder", "mirror", "carpet", "candle", "gate", "oar"),
        "material": ("wool", "clay", "iron", "salt", "honey", "wax", "timber", "silver", "amber", "flax"),
    },
    "place": {
        "building": ("mill", "temple", "inn", "forge", "barn", "tower", "bakery", "school", "palace", "tavern", "chapel", "granary"),
        "land": ("hill", "valley", "forest", "field", "meadow", "orchard", "desert", "cliff", "garden", "quarry", "moor"),
        "water": ("river", "lake", "harbour", "spring", "lagoon", "marsh", "beach", "canal", "reef"),
        "passage": ("road", "bridge", "market", "square", "pass", "stair", "crossing"),
    },
}  # fmt: skip

# verb -> (frame, kinds or hypernyms of the patient). Frames: intransitive, transitive, ditransitive, motion.
# A patient is drawn from the nouns under the named groups.
VERBS: dict[str, tuple[str, tuple[str, ...]]] = {
    "sleep": ("intransitive", ()), "wake": ("intransitive", ()), "laugh": ("intransitive", ()), "weep": ("intransitive", ()),
    "rest": ("intransitive", ()), "work": ("intransitive", ()), "sing": ("intransitive", ()), "keep-silent": ("intransitive", ()),
    "dance": ("intransitive", ()), "wait": ("intransitive", ()), "swim": ("intransitive", ()), "fall": ("intransitive", ()),
    "rise": ("intransitive", ()), "shiver": ("intransitive", ()), "dream": ("intransitive", ()), "stumble": ("intransitive", ()),
    "arrive": ("motion", ("place",)), "leave": ("motion", ("place",)), "enter": ("motion", ("building", "land")),
    "climb": ("motion", ("land", "passage")), "run": ("motion", ("place",)), "ride": ("motion", ("place",)),
    "eat": ("transitive", ("food", "fish")), "roast": ("transitive", ("food", "fish")), "drink": ("transitive", ("beverage",)),
    "carry": ("transitive", ("thing", "food")), "drop": ("transitive", ("thing", "food")), "find": ("transitive", ("thing", "animal")),
    "lose": ("transitive", ("thing", "animal")), "buy": ("transitive", ("thing", "food", "animal")), "make": ("transitive", ("thing",)),
    "break": ("transitive", ("thing",)), "mend": ("transitive", ("thing",)), "wash": ("transitive", ("garment", "vessel", "vegetable")),
    "soil": ("transitive", ("garment", "vessel")), "open": ("transitive", ("vessel", "writing")), "close": ("transitive", ("vessel", "writing")),
    "hide": ("transitive", ("thing", "food")), "show": ("transitive", ("thing", "animal")), "see": ("transitive", ("animal", "person", "craft")),
    "hear": ("transitive", ("person", "instrument", "bird")), "follow": ("transitive", ("person", "animal")), "lead": ("transitive", ("person", "beast")),
    "catch": ("transitive", ("animal",)), "free": ("transitive", ("animal",)), "feed": ("transitive", ("animal", "child")),
    "praise": ("transitive", ("person", "dish", "writing")), "blame": ("transitive", ("person",)), "love": ("transitive", ("person", "beast", "fruit")),
    "hate": ("transitive", ("person", "crawler", "vegetable")), "help": ("transitive", ("person",)), "hinder": ("transitive", ("person",)),
    "paint": ("transitive", ("thing", "building")), "build": ("transitive", ("building", "craft")), "destroy": ("transitive", ("building", "craft")),
    "read": ("transitive", ("writing",)), "write": ("transitive", ("writing",)), "play": ("transitive", ("instrument",)),
    "grow": ("transitive", ("fruit", "vegetable")), "gather": ("transitive", ("fruit", "vegetable", "material")), "count": ("transitive", ("thing", "animal")),
    "greet": ("transitive", ("person",)), "guard": ("transitive", ("building", "beast", "material")), "steal": ("transitive", ("thing", "food")),
    "give": ("ditransitive", ("thing", "food", "animal")), "receive": ("ditransitive", ("thing", "food", "animal")),
    "sell": ("ditransitive", ("thing", "food", "animal")), "purchase": ("ditransitive", ("thing", "food", "animal")),
    "send": ("ditransitive", ("thing", "food")), "teach": ("ditransitive", ("writing", "instrument")), "learn": ("ditransitive", ("writing", "instrument")),
    "lend": ("ditransitive", ("thing", "beast")), "borrow": ("ditransitive", ("thing", "beast")),
}  # fmt: skip

# Verbs that cannot both be true of the same participants at the same time.
ANTONYM_VERBS: tuple[tuple[str, str], ...] = (
    ("sleep", "wake"), ("laugh", "weep"), ("rest", "work"), ("sing", "keep-silent"), ("rise", "fall"),
    ("arrive", "leave"), ("carry", "drop"), ("find", "lose"), ("break", "mend"), ("wash", "soil"), ("open", "close"),
    ("hide", "show"), ("catch", "free"), ("praise", "blame"), ("love", "hate"), ("help", "hinder"), ("build", "destroy"),
    ("follow", "lead"),
)  # fmt: skip

# "A gives B to C" means "C receives B from A": the agent and the other party change places.
CONVERSE_VERBS: tuple[tuple[str, str], ...] = (
    ("give", "receive"), ("sell", "purchase"), ("teach", "learn"), ("lend", "borrow"),
)  # fmt: skip

SOURCE_VERBS = frozenset({"receive", "purchase", "learn", "borrow", "leave"})
"""Verbs whose oblique argument is a source instead of a goal."""

# Pairs of opposite adjectives and the kinds of noun they go with.
ADJECTIVES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("big", "small", ("animal", "thing", "place", "food")), ("old", "young", ("person", "animal")),
    ("new", "worn", ("thing",)), ("rich", "poor", ("person",)), ("wise", "foolish", ("person",)), ("quick", "slow", ("person", "animal")),
    ("wild", "tame", ("animal",)), ("fat", "thin", ("person", "animal")), ("sweet", "bitter", ("food",)), ("hot", "cold", ("food",)),
    ("fresh", "rotten", ("food",)), ("heavy", "light", ("thing",)), ("clean", "dirty", ("thing",)), ("high", "low", ("place",)),
    ("quiet", "noisy", ("place", "person")), ("dark", "bright", ("place", "thing")), ("happy", "sad", ("person",)), ("strong", "weak", ("person", "animal")),
)  # fmt: skip

TIMES: tuple[str, ...] = (
    "yesterday", "today", "tomorrow", "at-dawn", "at-night", "in-winter", "in-summer", "often", "once",
)  # fmt: skip
TENSE_OF_TIME = {"yesterday": "past", "today": "present", "tomorrow": "future", "once": "past"}
"""Times that fix the tense; the others allow any tense."""

FUNCTION_WORDS: tuple[str, ...] = ("in", "to", "from", "not", "who", "what", "where", "question")

NUM_PERSON_NAMES = 64
NUM_PLACE_NAMES = 36
NUM_GUILD_NAMES = 20

HYPERNYM: dict[str, str] = {
    noun: hyper for groups in NOUNS.values() for hyper, nouns in groups.items() for noun in nouns
}
KIND: dict[str, str] = {
    word: kind for kind, groups in NOUNS.items() for hyper, nouns in groups.items() for word in (hyper, *nouns)
}
MEMBERS: dict[str, tuple[str, ...]] = {
    **{hyper: nouns for groups in NOUNS.values() for hyper, nouns in groups.items()},
    **{kind: tuple(noun for nouns in groups.values() for noun in nouns) for kind, groups in NOUNS.items()},
}
ANTONYM: dict[str, str] = {
    **dict(ANTONYM_VERBS),
    **{b: a for a, b in ANTONYM_VERBS},
    **{a: b for a, b, _ in ADJECTIVES},
    **{b: a for a, b, _ in ADJECTIVES},
}
CONVERSE: dict[str, str] = {**dict(CONVERSE_VERBS), **{b: a for a, b in CONVERSE_VERBS}}
CONCEPTS: tuple[str, ...] = (
    *(word for groups in NOUNS.values() for hyper, nouns in groups.items() for word in (hyper, *nouns)),
    *VERBS,
    *(word for a, b, _ in ADJECTIVES for word in (a, b)),
    *TIMES,
    *FUNCTION_WORDS,
)
