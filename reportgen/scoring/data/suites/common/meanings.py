"""Words by their meaning: opposites, words of the same meaning, and kinds of things."""

OPPOSITES = tuple(
    tuple(pair.split("/"))
    for pair in (
        "hot/cold big/small up/down left/right day/night black/white good/bad old/young rich/poor fast/slow "
        "happy/sad hard/soft high/low full/empty open/closed wet/dry light/dark long/short early/late strong/weak "
        "clean/dirty loud/quiet near/far safe/dangerous easy/difficult cheap/expensive true/false first/last "
        "inside/outside above/below before/after always/never win/lose buy/sell push/pull love/hate friend/enemy "
        "begin/end north/south east/west male/female deep/shallow wide/narrow"
    ).split()
)
ALIKE = tuple(
    tuple(pair.split("/"))
    for pair in (
        "happy/glad big/large small/little fast/quick begin/start end/finish speak/talk shut/close sick/ill "
        "smart/clever angry/mad rich/wealthy house/home road/street present/gift stone/rock woods/forest car/vehicle "
        "doctor/physician child/kid error/mistake picture/image answer/reply job/work shop/store sea/ocean"
    ).split()
)
KINDS = {
    "fruit": "apple orange banana lemon peach cherry".split(),
    "animal": "dog cat horse lion tiger rabbit".split(),
    "color": "red blue green yellow purple brown".split(),
    "tool": "hammer knife saw drill shovel axe".split(),
    "vehicle": "car truck bus train bicycle ship".split(),
    "country": "France Spain Italy Japan China Egypt".split(),
    "sport": "football tennis hockey golf baseball basketball".split(),
    "number": "two three four five seven nine".split(),
}
