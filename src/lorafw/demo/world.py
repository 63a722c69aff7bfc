"""The small world the base model knows: its subjects and one value for each of their attributes."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SUBJECTS", "Subject"]


@dataclass(frozen=True, slots=True)
class Subject:
    """A thing with a name, and its values in the order of its kind's attributes."""

    kind: str
    name: str
    values: tuple[str, ...]


# name | home | food | colour | young
ANIMALS = """
otter | in the river | fish | brown | a pup
fox | in the forest | mice | red | a cub
rabbit | in a burrow | grass | grey | a kit
wolf | in the forest | deer | grey | a pup
bear | in a cave | berries | brown | a cub
lion | on the plain | antelopes | golden | a cub
tiger | in the jungle | wild pigs | orange | a cub
zebra | on the plain | grass | black and white | a foal
elephant | on the plain | leaves | grey | a calf
giraffe | on the plain | leaves | yellow | a calf
camel | in the desert | thorny shrubs | sandy | a calf
penguin | on the ice | fish | black and white | a chick
walrus | on the ice | clams | brown | a calf
seal | by the sea | fish | grey | a pup
whale | in the ocean | krill | blue | a calf
dolphin | in the ocean | squid | grey | a calf
squirrel | in a tree | nuts | red | a kit
owl | in a hollow tree | mice | brown | an owlet
eagle | on a cliff | fish | brown | an eaglet
duck | on the pond | pond weed | white | a duckling
swan | on the lake | water plants | white | a cygnet
goose | on the lake | grass | grey | a gosling
hen | in the coop | grain | brown | a chick
turkey | on the farm | corn | brown | a poult
cow | in the meadow | grass | brown | a calf
horse | in the stable | hay | brown | a foal
donkey | in the stable | hay | grey | a foal
pig | in the sty | scraps | pink | a piglet
sheep | in the meadow | grass | white | a lamb
goat | in the hills | shrubs | white | a kid
cat | in the house | fish | black | a kitten
dog | in the kennel | meat | brown | a puppy
mouse | in the barn | seeds | grey | a pup
hedgehog | under the hedge | beetles | brown | a hoglet
badger | in the wood | worms | black and white | a cub
mole | under the ground | worms | black | a pup
bat | in a cave | moths | black | a pup
beaver | in a lodge | bark | brown | a kit
frog | in the pond | flies | green | a tadpole
turtle | in the sea | jellyfish | green | a hatchling
crocodile | in the swamp | fish | green | a hatchling
lizard | on the rocks | crickets | green | a hatchling
kangaroo | in the bush | grass | red | a joey
koala | in a gum tree | gum leaves | grey | a joey
panda | in the mountains | bamboo | black and white | a cub
gorilla | in the jungle | leaves | black | an infant
parrot | in the jungle | seeds | green | a chick
flamingo | in the lagoon | shrimps | pink | a chick
peacock | in the garden | seeds | blue | a peachick
pelican | on the coast | fish | white | a chick
stork | on the roof | frogs | white | a chick
heron | in the marsh | fish | grey | a chick
crow | in the field | grain | black | a chick
pigeon | in the town square | crumbs | grey | a squab
butterfly | in the meadow | nectar | orange | a caterpillar
bee | in the hive | nectar | yellow and black | a grub
ant | in the nest | crumbs | black | a grub
spider | in a web | flies | black | a spiderling
octopus | on the reef | crabs | red | a hatchling
moose | by the lake | twigs | brown | a calf
reindeer | on the tundra | moss | grey | a calf
hare | in the field | grass | brown | a leveret
llama | in the mountains | grass | white | a cria
rhino | on the plain | grass | grey | a calf
trout | in the stream | flies | silver | a fry
eel | in the river | worms | black | an elver
"""

# name | place of growth | colour | taste
PLANTS = """
apple | in the orchard | red | sweet
pear | in the orchard | green | sweet
plum | in the orchard | purple | sweet
cherry | on a tree | red | sweet
lemon | on a tree | yellow | sour
lime | on a tree | green | sour
peach | on a tree | pink | sweet
grape | on a vine | purple | sweet
gooseberry | on a bush | green | sour
raspberry | on a bush | red | sweet
blueberry | on a bush | blue | sweet
cranberry | in a bog | red | sour
banana | in hot lands | yellow | sweet
mango | in hot lands | orange | sweet
pineapple | in hot lands | yellow | sweet
coconut | on a palm | brown | nutty
date | on a palm | brown | sweet
olive | on a hillside | green | bitter
almond | on a hillside | brown | nutty
hazelnut | in the hedge | brown | nutty
potato | under the ground | brown | mild
carrot | under the ground | orange | sweet
onion | under the ground | white | sharp
radish | under the ground | red | hot
beetroot | under the ground | purple | earthy
tomato | in the greenhouse | red | fresh
cucumber | in the greenhouse | green | fresh
chilli | in the greenhouse | red | hot
pumpkin | in the garden | orange | mild
cabbage | in the garden | green | mild
spinach | in the garden | green | bitter
rhubarb | in the garden | pink | sour
pea | in a pod | green | sweet
maize | in the field | yellow | sweet
rice | in the paddy | white | mild
mushroom | in the damp wood | white | earthy
mint | in a pot | green | cool
seaweed | in the sea | green | salty
"""

# name | place of work | work | tool
JOBS = """
baker | in the bakery | bakes bread | an oven
farmer | on the farm | grows crops | a plough
angler | by the river | catches fish | a rod
teacher | in the school | teaches children | chalk
doctor | in the hospital | heals the sick | a stethoscope
nurse | in the hospital | cares for the sick | a thermometer
carpenter | in the workshop | makes tables | a plane
blacksmith | in the forge | shapes iron | an anvil
tailor | in the tailor shop | sews suits | a needle
chef | in the kitchen | cooks meals | a pan
butcher | in the meat shop | cuts meat | a cleaver
gardener | in the garden | plants flowers | a rake
painter | in the studio | paints pictures | a brush
sculptor | in the studio | carves statues | a chisel
miner | in the mine | digs coal | a pick
pilot | in the cockpit | flies planes | a radio
judge | in the court | decides cases | a gavel
firefighter | at the fire station | puts out fires | a hose
postman | at the post office | brings letters | a mailbag
librarian | in the library | lends books | a catalogue
barber | in the barber shop | cuts hair | a razor
dentist | in the clinic | mends teeth | a drill
shepherd | in the hills | guards sheep | a crook
beekeeper | in the orchard | gathers honey | a smoker
miller | in the mill | grinds grain | a millstone
potter | in the pottery | makes pots | a wheel
weaver | in the weaving shed | weaves cloth | a loom
cobbler | in the shoe shop | mends shoes | an awl
jeweller | in the jewel shop | makes rings | a lens
mason | on the building site | lays bricks | a trowel
astronomer | in the observatory | studies stars | a telescope
chemist | in the laboratory | tests liquids | a flask
musician | in the concert hall | plays music | a violin
actor | in the theatre | performs plays | a script
banker | in the bank | counts money | a ledger
woodcutter | in the forest | fells trees | an axe
mechanic | in the garage | mends cars | a spanner
reporter | in the newsroom | writes the news | a notebook
referee | on the pitch | keeps the rules | a whistle
lifeguard | on the beach | saves swimmers | a float
waiter | in the restaurant | serves dinner | a tray
"""

# name | material | purpose | place of keeping
THINGS = """
hammer | iron | driving nails | in the toolbox
saw | steel | cutting wood | in the workshop
spoon | silver | eating soup | in the drawer
kettle | copper | boiling water | on the stove
mug | clay | drinking tea | in the cupboard
vase | glass | holding flowers | on the table
ladder | wood | reaching high places | in the shed
bucket | tin | carrying water | by the well
broom | straw | sweeping the floor | in the closet
blanket | wool | keeping warm | on the bed
pillow | feathers | resting the head | on the bed
umbrella | cloth | keeping off the rain | by the door
coat | wool | keeping out the cold | in the wardrobe
belt | leather | holding up trousers | in the wardrobe
saddle | leather | riding | in the stable
candle | wax | giving light | on the shelf
rope | hemp | tying knots | in the barn
book | paper | reading | on the shelf
pencil | wood | drawing | in the pencil case
coin | silver | paying | in the purse
key | brass | opening doors | on a hook
clock | wood | telling the time | on the wall
mirror | glass | seeing your face | in the hall
basket | willow | carrying eggs | in the pantry
barrel | oak | storing cider | in the cellar
bottle | glass | storing milk | on the doorstep
ball | rubber | playing games | in the toy box
kite | silk | flying in the wind | in the attic
bell | bronze | calling people | in the tower
sponge | foam | washing dishes | by the sink
towel | cotton | drying hands | in the bathroom
spade | steel | digging holes | in the shed
envelope | paper | sending letters | in the desk
crown | gold | showing who rules | in the palace
sword | steel | fighting | in the armoury
flute | wood | playing tunes | in the music room
"""


def _parse(kind: str, table: str) -> list[Subject]:
    rows = ([cell.strip() for cell in line.split("|")] for line in table.strip().splitlines())
    return [Subject(kind, name, tuple(values)) for name, *values in rows]


SUBJECTS: tuple[Subject, ...] = (
    *_parse("animal", ANIMALS),
    *_parse("plant", PLANTS),
    *_parse("job", JOBS),
    *_parse("thing", THINGS),
)
