"""The fixed colours of drawings: everything that is not a class."""

VOID_COLOR = (104, 106, 112)
HATCH_COLOR = (176, 178, 184)
DOT_COLOR = (28, 28, 32)
BORDER_COLOR = (246, 246, 246)

# In the order of the numbers that ``error_kinds`` gives.
ERROR_COLORS = {
    "right": (122, 178, 158),
    "wrong segment": (240, 190, 60),
    "wrong class": (205, 62, 50),
    "missed": (92, 60, 150),
    "void": VOID_COLOR,
}
