"""What the app says where there is nothing to show yet, where something cannot be done, and why. One place, so that tests can read it."""

NO_SHOTS = "No pictures yet. Try the sample shots with one click, or bring your own: 2 classes, 2+ images each."
GATE = "Nothing here yet: choose shots on the first screen."
NO_RUN = "Nothing is trained yet: tick a method and press Train."
ONE_RUN = "Train one more method to compare."
NO_MATCH = "No run matches '{}': the search reads method, data and settings such as lr=0.002; take a word away."
FEW_POINTS = "A map needs 5 points or more and there are {}; here they are as a list."
NAMES = "Names that would lie on one another show when you point at a diamond or zoom in."
NO_WORDS = "{} has no learned words; see what else it has under More, or its Evidence."
IDLE = "Idle."
STOPPED_EARLY = "Stopped before the first step; nothing was learned."
NO_SESSION = "This page has lost its session; reload it."
FULL = "All {} places are taken; try again in a few minutes."
RETURNED = ("Your earlier session has ended (an hour without use, or the server was restarted). Your settings are back; "
            "open your project file to get pictures and runs back.")
BUG = "Something went wrong in {what}; the report below can be copied. It holds versions and no pictures."
DEMO = "the demo CLIP works now."
BUSY = "{} before you"
STILL = "A training is still running; stop it before you change the shots."
PRIVACY = ("Pictures stay on the machine that runs this page and are deleted with your session: when you press Delete my data, or after an "
           "hour without use. Nothing is sent anywhere else, and nothing is counted. Whoever guesses a file's long random address "
           "could read it, so bring nothing secret to a shared server.")
LIMITS = "Up to 2,000 pictures, 10 MB and 89 megapixels each; JPG, PNG, WebP, GIF, BMP, TIFF. Zip: one folder a class."
FIXED = "These are sample shots; they stay as they are. Bring your own pictures to name, move and delete them."
BASELINE = "This is the baseline every method must beat."
TRY = "Drop a picture on the left, or take a held-out one: the answers of all methods appear here."
DELETED = "Your pictures, runs and settings are deleted."
SUGGESTED = 8


def fewer(name: str, count: int) -> str:
    """Why training must wait for a class."""
    return f"Class '{name}' has {count} image{'' if count == 1 else 's'}; held-out check needs 2."


def offline(name: str, size: str) -> str:
    """A model that is not on this machine."""
    return f"{name} needs about {size} and internet; {DEMO}"


def place(count: int, seconds: float | None) -> str:
    """Where somebody stands in the queue."""
    people = f"{count} {'person' if count == 1 else 'people'}"
    about = "" if seconds is None else f", about {duration(seconds)}"
    return f"{BUSY.format(people)}{about}. Stop works while you wait."


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 1:
        return "1 s"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def count(n: int, what: str) -> str:
    """"1 class", "2 classes"."""
    plural = what + ("es" if what.endswith(("s", "x", "ch")) else "s")
    return f"{n:,} {what if n == 1 else plural}"
