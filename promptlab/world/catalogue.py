"""The classes of the named tasks. First half base, second half new; names that pretraining never showed are in both halves.

The order mixes easy and hard names, so that the halves are about as hard as each other.
"""

ANIMALS = """fox, elephant, raccoon, penguin, monkey, tiger face, octopus, hedgehog, cow face, swan, leopard, kangaroo, frog, wolf, shark,
peacock, hamster, beetle, donkey, camel, dog face, giraffe, panda, owl, gorilla, tiger, jellyfish, badger, pig face, goose, cat face,
otter, lizard, deer, dolphin, baby chick, rabbit face, ant, horse, llama"""
FOOD = """melon, pizza, banana, croissant, carrot, doughnut, hamburger, sushi, lemon, tomato, pancakes, cupcake, noodle soup, garlic, taco,
mango, cookie, eggplant, bacon, pear, watermelon, french fries, kiwi fruit, bagel, cucumber, birthday cake, hot dog, dumpling, tangerine,
red apple, waffle, shortcake, spaghetti, onion, burrito, peach, chocolate bar, potato, meat on bone, green apple"""
VEHICLES = """bus, airplane, taxi, sailboat, ambulance, tractor, rocket, motorcycle, skateboard, train, pickup truck, canoe, bullet train,
automobile, police car, ship, fire engine, racing car, helicopter, motor scooter, roller skate, sport utility vehicle, delivery truck,
motor boat"""
FACES = """grinning face, winking face, neutral face, thinking face, crying face, face with tongue, sleeping face, angry face, nerd face,
hot face, kissing face, flushed face, yawning face, worried face, smiling face with hearts, grinning squinting face,
face with raised eyebrow, winking face with tongue, shushing face, loudly crying face, face savoring food, sleepy face, enraged face,
face with monocle, cold face, star-struck, partying face, tired face, confused face, smiling face with heart-eyes"""
SCENES = """fox, banana, airplane, guitar, rose, pizza, owl, umbrella, key, bicycle, robot, mushroom, octopus, clown face, camera, castle,
balloon, hammer, strawberry, sailboat"""
TEXTURES = [(pattern, colour) for colour in ("red", "blue", "green", "yellow", "gray", "purple")
            for pattern in ("striped", "dotted", "checkered", "noisy")]


def classes(task: str) -> list[str]:
    """Class names of a task."""
    if task == "textures":
        return [f"{pattern} {colour} background" for pattern, colour in TEXTURES]
    words = {"animals": ANIMALS, "food": FOOD, "vehicles": VEHICLES, "faces": FACES, "scenes": SCENES, "scenes-masks": SCENES}[task]
    return [" ".join(name.split()) for name in words.split(",")]
