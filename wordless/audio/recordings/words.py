"""The words of the embedded corpus, in the order in which a larger corpus takes them."""

# The ten digits, then common commands, then words that differ in length and sounds: the default corpus.
DEFAULT = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"),
    *("house", "water", "music", "garden", "window", "happy", "purple", "morning", "basket", "elephant"),
)
# Common words of one to four syllables, so that hours of the corpus hold more than other takes of the same words.
_MORE = """
rabbit tiger monkey spider turtle chicken dolphin lizard pigeon beaver camel donkey falcon hamster insect jaguar
kitten leopard ostrich panther raccoon salmon scorpion squirrel walrus zebra buffalo butterfly crocodile kangaroo
apple banana butter cabbage carrot cheese cherry chocolate coffee cookie garlic ginger honey lemon mushroom mustard
onion orange pancake pepper pickle potato pumpkin salad sandwich spinach sugar tomato vanilla yogurt
blanket bottle bucket button candle carpet ceiling chimney corner curtain cushion drawer furniture hammer kitchen
ladder lantern mattress mirror napkin needle oven pillow pocket ribbon scissors shelter table umbrella wallet
autumn canyon cloudy desert forest glacier harbor island jungle lightning meadow mountain ocean pebble planet
rainbow river shadow sunset thunder valley volcano winter blossom feather summer horizon orchard prairie tornado
baker captain doctor farmer fisher hunter lawyer mayor nephew painter pilot poet president professor sailor sister
soldier student teacher uncle waiter brother cousin daughter grandfather neighbor partner stranger tailor husband
answer arrive believe borrow carry collect decide deliver describe discover explain follow forget gather imagine
improve invite listen measure notice observe prepare promise protect remember repeat suggest travel understand
whisper
ancient bitter brilliant careful clever comfortable curious dangerous delicate different empty famous foolish
friendly gentle golden hungry important lazy lonely modern narrow patient polite quiet scarlet silent simple wooden
yellow
bird cup desk fish fork frog glove hat ink jar key lamp map net pen ring ship star train tree truck wolf box chair
drum flag glass horse leaf spoon
accident adventure afternoon beginning business century children computer country culture danger distance education
electric energy evening example experience freedom history industry knowledge language library machine memory moment
newspaper number opinion
"""
WORDS = (*DEFAULT, *_MORE.split())
