"""Build the sprite atlas from the Noto Color Emoji font and Unicode's emoji-test.txt (a maker's tool, not used at run time).

    python -m promptlab.world.build_atlas --font NotoColorEmoji.ttf --table emoji-test.txt --out assets

One sprite for each single-character emoji that shows a thing: no flags, skin tones, keycaps, arrows, clock faces or signs.
One name in twelve is marked `held_out`: the pretraining never shows those.
"""

import argparse
import json
import re
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

CELL, COLUMNS = 64, 26
SKIP_GROUPS = {"Component", "Symbols", "Flags"}
SKIP_SUBGROUPS = {"family", "person-symbol", "time", "heart", "hotel", "emotion", "person-activity", "place-religious"}
RENAME = {"pool 8 ball": "billiard ball", "dna": "dna helix", "globe showing americas": "globe", "tennis": "tennis racket",
          "magnifying glass tilted left": "magnifying glass", "speaker high volume": "loudspeaker",
          "vertical traffic light": "traffic light", "locked": "padlock", "steaming bowl": "noodle soup", "flag in hole": "golf flag",
          "performing arts": "theater masks", "bullseye": "dart board", "horse racing": "race horse", "cooking": "fried egg in a pan"}
KEEP_ANYWAY = {
    "red heart", "broken heart", "heart with arrow", "heart with ribbon", "love letter", "kiss mark", "collision", "dashing away",
    "speech balloon", "sweat droplets", "bomb", "watch", "hourglass done", "alarm clock", "stopwatch", "mantelpiece clock",
    "church", "mosque", "synagogue", "bellhop bell", "luggage", "person running", "person walking", "dancer", "footprints",
    "full moon", "crescent moon", "sun", "star", "rainbow", "cloud", "umbrella with rain drops", "high voltage", "snowflake",
    "snowman", "fire", "droplet", "water wave", "tornado", "comet", "glowing star", "cloud with rain", "cloud with snow",
    "cloud with lightning", "sun with face", "full moon face", "ringed planet", "hundred points", "zzz",
}
DROP = re.compile(
    r"moon|^(green|blue|orange) book|sun behind|^(inbox|outbox) tray|mailbox with|^open mailbox with|closed mailbox with lowered"
    r"|notebook|bookmark tabs|^(yen|euro|pound) banknote|chart|^(1st|2nd|3rd)|globe showing (Europe|Asia)|card index|spiral"
    r"|squinting face with tongue|person in suit|right-facing|leftwards|rightwards|upside|index pointing|backhand index (left|right|down)"
    r"|palm (down|up)|mobile phone with|bell with slash|muted|speaker (low|medium)|^(left|right) |locomotive$|oncoming|railway|tram car"
    r"|mountain (cable|railway)|monorail|night with|cityscape at|sunrise over|sunset|playground|wheel$|japanese symbol|joker|mahjong"
    r"|flower playing|confetti|tanabata|moon viewing|optical|floppy|dvd|^(dvd|computer disk)|input|locked with|unlocked|ballot|old key"
    r"|briefs|^(woman|man)’s (hat|sandal|boot|shoe)|person (frowning|pouting|gesturing|tipping|raising|bowing|facepalming|shrugging)"
    r"|deaf person|merperson|supervillain|pregnant|breast|receipt|identification|placard|smoking|tray$", re.I)

# Names that are obscure, too close to another sprite, or whose drawing says little.
OBSCURE = set("""grinning face with big eyes|grinning face with smiling eyes|beaming face with smiling eyes|slightly smiling face
smiling face
kissing face with smiling eyes|slightly frowning face|frowning face with open mouth|hushed face|anguished face|confounded face|weary face
anxious face with sweat|disappointed face|downcast face with sweat|face without mouth|dotted line face|shaking face|smirking face
relieved face|pensive face|face with diagonal mouth|smiling face with tear|face with hand over mouth|grinning cat with smiling eyes
cat with wry smile|pouting cat|kissing cat|angry face with horns|zany face|lying face|face holding back tears|pleading face
raised back of hand|hand with fingers splayed|pinched fingers|pinching hand|love-you gesture|left-facing fist|raising hands|open hands
palms up together|middle finger|biting lip|ear with hearing aid|mechanical leg|eye|child|person|older person|person blond hair|person beard
person wearing turban|person with skullcap|person in tuxedo|mage|troll|genie|person swimming|person bouncing ball|people wrestling
person playing handball|person mountain biking|person in lotus position|guide dog|ox|ewe|rat|horse face|two-hump camel|pig nose|dodo
front-facing baby chick|wing|hatching chick|cockroach|fly|rosette|blossom|hyacinth|white flower|deciduous tree|shamrock
leaf fluttering in wind
empty nest|sheaf of rice|olive|ginger root|stuffed flatbread|tamale|falafel|cut of meat|shallow pan of food|oden|fish cake with swirl
rice cracker|curry rice|custard|clinking beer mugs|clinking glasses|mate|pouring liquid|beverage box|sake|fork and knife|chestnut|butter
globe with meridians|map of japan|national park|desert|building construction|classical building|houses|house with garden|derelict house
japanese post office|post office|bank|love hotel|department store|hotel|office building|tokyo tower|wedding|foggy|cityscape|sunrise|fog
light rail|metro|trolleybus|station|tram|high-speed train|articulated lorry|motorway|bus stop|construction|minibus|auto rickshaw
manual wheelchair|horizontal traffic light|speedboat|ferry|passenger ship|airplane departure|airplane arrival|small airplane|aerial tramway
wind face|cyclone|star|umbrella on ground|closed umbrella|snowman without snow|cloud with lightning|cloud with rain|full moon face
water wave|sun with face|sparkler|pine decoration|wind chime|reminder ribbon|ticket|military medal|softball|rugby football|lacrosse
field hockey|martial arts uniform|running shirt|goal net|joystick|spade suit|heart suit|diamond suit|club suit|mirror ball|knot|thread
goggles|lab coat|sari|one-piece swimsuit|bikini|woman's clothes|clutch bag|handbag|thong sandal|running shoe|ballet shoes|hair pick
prayer beads|billed cap|flat shoe|loudspeaker|musical score|musical notes|level slider|control knobs|long drum|pager|fax machine
low battery|trackball|film frames|clapper board|camera with flash|videocassette|magnifying glass tilted right|diya lamp|ledger|bookmark
page facing up|rolled-up newspaper|label|page with curl|incoming envelope|envelope with arrow|e-mail|black nib|pen|memo|open file folder
tear-off calendar|clipboard|round pushpin|linked paperclips|card file box|file cabinet|triangular ruler|hammer and pick|hammer and wrench
clamp|white cane|link|hook|pick|petri dish|satellite antenna|drop of blood|adhesive bandage|crutch|elevator|mirror|lotion bottle
safety pin|plunger|funeral urn|nazar amulet|hamsa|coffin|cigarette|microbe|dashing away|sweat droplets|zzz|money with wings|dollar banknote
snake eyes|oil drum|kick scooter|seat|tent|bridge at night|hot springs|milky way|postal horn|soap|roll of paper|bubbles|hair|selfie
playing cards|cricket game|sled|skis|nail polish|red paper lantern|japanese dolls|carp streamer|red envelope|admission tickets
framed picture
telephone receiver|razor|sponge|basket|jar|amphora|spoon|ice|mouth|leg|foot|lungs|ring buoy|anchor|person with veil|woman with headscarf
guard|superhero|elf|prince|person fencing|person cartwheeling|person rowing boat|person juggling|see-no-evil monkey
speak-no-evil monkey""".replace("\n", "|").split("|"))

# Never shown in pretraining. The first are made of words that other names teach (tiger and cow face are shown, tiger face is not), so that
# a model can read them; nothing ties the words of the second to their looks, and those are hardly ever right.
COMPOSED = """grinning face|face with tongue|loudly crying face|face with open mouth|smiling face with heart-eyes|smiling face with halo
smiling face with sunglasses|face with thermometer|cowboy hat face|sun with face|full moon face|grinning cat|crying cat|weary cat
cat with tears of joy|heart with ribbon|heart with arrow|thumbs down|raised hand|skull and crossbones|person in bed|person running
person biking|tiger face|dog face|pig face|cow face|rabbit face|dragon face|spouting whale|green apple|ice cream|fried shrimp|rice ball
fork and knife with plate|police car|train|cloud with rain|cloud with snow|umbrella with rain drops|soccer ball|alarm clock
studio microphone|video camera"""
UNHEARD = "raccoon|panda|hamburger|cucumber|automobile|flushed face|enraged face|saxophone|broom|scissors"
HELD_OUT = set(f"{COMPOSED}|{UNHEARD}".replace("\n", "|").split("|"))


def rows(table: Path):
    """(codepoint, name, group, subgroup) of every fully qualified emoji made of one character."""
    group = subgroup = ""
    for line in table.read_text(encoding="utf-8").splitlines():
        if line.startswith("# group:"):
            group = line.split(":", 1)[1].strip()
        elif line.startswith("# subgroup:"):
            subgroup = line.split(":", 1)[1].strip()
        elif "; fully-qualified" in line:
            codes = [c for c in line.split(";")[0].split() if c != "FE0F"]
            if len(codes) == 1:
                yield codes[0], re.sub(r"^.*? E\d+\.\d+ ", "", line.split("#", 1)[1].strip()), group, subgroup


def clean(name: str) -> str:
    """The everyday word: lower case, plain apostrophes, no colons or accents."""
    name = name.lower().replace("’", "'").replace("“", "").replace("”", "").replace(":", "").replace("ñ", "n")
    return RENAME.get(name, name)


def chosen(table: Path) -> list[dict[str, object]]:
    """The sprites of the atlas with their taxonomy; one in twelve is held out of pretraining."""
    out: list[dict[str, object]] = []
    for code, name, group, subgroup in rows(table):
        keep = clean(name) in KEEP_ANYWAY or (
            clean(name) not in OBSCURE and group not in SKIP_GROUPS and subgroup not in SKIP_SUBGROUPS and not DROP.search(name))
        if keep:
            out.append({"name": clean(name), "group": group, "subgroup": subgroup, "codepoint": code,
                        "held_out": clean(name) in HELD_OUT})
    return out


def glyph(font: ImageFont.FreeTypeFont, code: str) -> Image.Image | None:
    """One glyph, cropped and fitted into a cell with a clear border of one pixel; None if the font lacks it."""
    big = Image.new("RGBA", (160, 160))
    ImageDraw.Draw(big).text((8, 8), chr(int(code, 16)), font=font, embedded_color=True)
    box = big.getchannel("A").getbbox()
    if box is None:
        return None
    art = big.crop(box).convert("RGBa")  # premultiplied, so the resize does not bleed dark edges
    scale = (CELL - 2) / max(art.size)
    art = art.resize((max(1, round(art.width * scale)), max(1, round(art.height * scale))), Image.Resampling.LANCZOS)
    cell = Image.new("RGBA", (CELL, CELL))
    cell.paste(art.convert("RGBA"), ((CELL - art.width) // 2, (CELL - art.height) // 2))
    return cell


def build(font_file: Path, table: Path, out: Path) -> int:
    """Write `sprites.webp` (lossless) and `sprites.json`; returns the number of sprites."""
    font = ImageFont.truetype(str(font_file), 109)  # the one size of the font's bitmaps
    entries, cells = [], []
    for entry in chosen(table):
        art = glyph(font, str(entry["codepoint"]))
        if art is not None:
            entries.append(entry)
            cells.append(art)
    sheet = Image.new("RGBA", (CELL * COLUMNS, CELL * -(-len(cells) // COLUMNS)))
    for i, art in enumerate(cells):
        sheet.paste(art, (CELL * (i % COLUMNS), CELL * (i // COLUMNS)))
    sheet.save(out / "sprites.webp", lossless=True, quality=100, method=6)
    lines = ",\n".join(json.dumps(e) for e in entries)
    (out / "sprites.json").write_text(f'{{"cell": {CELL}, "columns": {COLUMNS}, "sprites": [\n{lines}\n]}}\n')
    return len(entries)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--font", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    build(args.font, args.table, args.out)


if __name__ == "__main__":
    main()
