"""Words that readable names are made of: short, harmless, easy to say and to spell."""

from __future__ import annotations

__all__ = ["ADJECTIVES", "NOUNS"]

ADJECTIVES = (
    "able agile amber apt azure bold brave brief bright brisk broad calm candid chief civic clean clear clever cosy "
    "crisp daring deep deft eager early easy even fair famed fast fine firm first fit fleet fond frank free fresh "
    "full gentle glad golden good grand great green happy hardy honest humble ideal jolly keen kind large late level "
    "light lively loyal lucid lucky major mellow merry mild modest neat new nimble noble novel open plain polite "
    "prime prompt proud pure quick quiet rapid rare ready regal rich ripe robust rosy royal safe sharp shiny silent "
    "silver simple smart smooth snug social solid sound spare stable steady still strong sunny super swift tidy true "
    "upbeat urban valid vast vivid warm wise witty young"
).split()

NOUNS = (
    "acorn alder anchor apple arbor aspen badger bamboo banjo basil beacon beaver birch bison bramble breeze brook "
    "canary canoe canyon castle cedar cello cherry clover comet compass coral cove crane cricket delta dolphin dune "
    "eagle ember falcon fern ferry fig finch fjord forest fountain fox garden gecko geyser glacier grove gull harbor "
    "hazel heron hill island ivy jasper juniper kayak kestrel lagoon lantern larch lark laurel lemon lilac linden "
    "lotus lynx magnet maple marble meadow mesa mint moon moose myrtle nectar oasis ocean olive orchid osprey otter "
    "owl palm panda pearl pebble pepper pine planet plum pond poplar prairie quartz quail rabbit raven reef ridge "
    "river robin rocket saffron sage salmon shore sparrow spruce stone summit swallow swan thistle tiger topaz trail "
    "trout tulip tundra valley violet walnut willow wren zebra"
).split()
