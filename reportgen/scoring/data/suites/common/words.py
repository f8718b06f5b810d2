"""Lists of common English words: most are one token, behind a space, of the tokenizers of published models."""

MEN = (
    "John James Robert Michael David William Richard Thomas Charles Daniel Matthew Anthony Mark Paul Steven Andrew "
    "George Kevin Brian Edward Jason Jeff Ryan Jacob Gary Eric Scott Frank Adam Peter Henry Jack Sam Tom Tim Jim Ben "
    "Simon Carl Luke"
).split()
WOMEN = (
    "Mary Linda Barbara Susan Jessica Sarah Karen Lisa Nancy Margaret Sandra Ashley Kim Emily Donna Michelle Carol "
    "Amanda Laura Rebecca Helen Anna Emma Julia Grace Rachel Alice Kate Jane Rose Amy Claire Lucy Martha Maria Diana "
    "Sophie Elizabeth Victoria Jennifer"
).split()
PLACES = "store park school station market library office hospital garden museum beach church".split()
THINGS = "drink book ring ball key letter gift card phone bag hat map coat watch camera ticket".split()
# Nouns with no more than one common reading, for lists, keys and values
NOUNS = (
    "apple river stone table window garden paper bottle horse mountain bridge circle doctor engine finger forest "
    "hammer island jacket kitchen ladder market mirror needle ocean pencil pocket rabbit ribbon school shadow "
    "spring summer tiger tower tunnel valley wagon winter button castle corner desert dinner dragon flower "
    "farmer guitar honey insect jungle lemon machine monkey palace pepper planet prison rocket salad sister "
    "soldier spider station sugar temple ticket turtle village violin wallet water wheat wind wolf wood"
).split()
COLOURS = "red blue green yellow black white brown pink purple orange gray silver".split()
CITIES = (
    "London Paris Berlin Madrid Rome Vienna Oslo Dublin Lisbon Prague Warsaw Athens Cairo Tokyo Delhi Moscow Boston "
    "Chicago Dallas Denver Houston Seattle Toronto Sydney"
).split()
JOBS = "doctor teacher farmer driver baker singer lawyer nurse writer painter soldier manager waiter pilot".split()
NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
).split()
