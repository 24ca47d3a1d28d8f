"""The labels of Mapillary Vistas 1.2, all 66 in their order, and of 2.0 a few: what the official config files say."""

# readable name, T for a thing, name
V12 = """
Bird T animal--bird
Ground Animal T animal--ground-animal
Curb - construction--barrier--curb
Fence - construction--barrier--fence
Guard Rail - construction--barrier--guard-rail
Barrier - construction--barrier--other-barrier
Wall - construction--barrier--wall
Bike Lane - construction--flat--bike-lane
Crosswalk - Plain T construction--flat--crosswalk-plain
Curb Cut - construction--flat--curb-cut
Parking - construction--flat--parking
Pedestrian Area - construction--flat--pedestrian-area
Rail Track - construction--flat--rail-track
Road - construction--flat--road
Service Lane - construction--flat--service-lane
Sidewalk - construction--flat--sidewalk
Bridge - construction--structure--bridge
Building - construction--structure--building
Tunnel - construction--structure--tunnel
Person T human--person
Bicyclist T human--rider--bicyclist
Motorcyclist T human--rider--motorcyclist
Other Rider T human--rider--other-rider
Lane Marking - Crosswalk T marking--crosswalk-zebra
Lane Marking - General - marking--general
Mountain - nature--mountain
Sand - nature--sand
Sky - nature--sky
Snow - nature--snow
Terrain - nature--terrain
Vegetation - nature--vegetation
Water - nature--water
Banner T object--banner
Bench T object--bench
Bike Rack T object--bike-rack
Billboard T object--billboard
Catch Basin T object--catch-basin
CCTV Camera T object--cctv-camera
Fire Hydrant T object--fire-hydrant
Junction Box T object--junction-box
Mailbox T object--mailbox
Manhole T object--manhole
Phone Booth T object--phone-booth
Pothole - object--pothole
Street Light T object--street-light
Pole T object--support--pole
Traffic Sign Frame T object--support--traffic-sign-frame
Utility Pole T object--support--utility-pole
Traffic Light T object--traffic-light
Traffic Sign (Back) T object--traffic-sign--back
Traffic Sign (Front) T object--traffic-sign--front
Trash Can T object--trash-can
Bicycle T object--vehicle--bicycle
Boat T object--vehicle--boat
Bus T object--vehicle--bus
Car T object--vehicle--car
Caravan T object--vehicle--caravan
Motorcycle T object--vehicle--motorcycle
On Rails - object--vehicle--on-rails
Other Vehicle T object--vehicle--other-vehicle
Trailer T object--vehicle--trailer
Truck T object--vehicle--truck
Wheeled Slow T object--vehicle--wheeled-slow
Car Mount - void--car-mount
Ego Vehicle - void--ego-vehicle
Unlabeled - void--unlabeled
"""

# in 2.0, ambiguous labels and groups are not evaluated either; some of them have instances
V20 = """
Bird T animal--bird
Ambiguous Barrier - construction--barrier--ambiguous
Curb - construction--barrier--curb
Road - construction--flat--road
Person T human--person--individual
Person Group - human--person--person-group
Signage - Ambiguous T object--sign--ambiguous
Car T object--vehicle--car
Dynamic - void--dynamic
Unlabeled - void--unlabeled
"""
NOT_EVALUATED = {"Ambiguous Barrier", "Person Group", "Signage - Ambiguous", "Unlabeled"}


def config_of(version: str) -> dict:
    """The content of ``config_<version>.json``."""
    labels = []
    for label_id, line in enumerate({"v1.2": V12, "v2.0": V20}[version].strip().splitlines()):
        readable, thing, name = line.rsplit(" ", 2)
        labels.append(
            {
                "color": [label_id, 255 - label_id, 7],
                "instances": thing == "T",
                "readable": readable,
                "name": name,
                "evaluate": readable not in NOT_EVALUATED,
            }
        )
    numbers = {"v1.2": (1.1, "public"), "v2.0": ("2.0", "mvd20")}[version]
    structure = "{split}/{content}/{key:.{22}}.{ext}"
    return {"labels": labels, "version": numbers[0], "mapping": numbers[1], "folder_structure": structure}


def categories_of(version: str) -> list[dict]:
    """The categories of the panoptic JSON, without "Unlabeled": 1.2 has readable names, 2.0 names for machines."""
    labels = config_of(version)["labels"]
    rows = []
    for label_id, label in enumerate(labels):
        name = label["readable"] if version == "v1.2" else label["name"]
        row = {"id": label_id + 1, "name": name, "supercategory": label["name"], "isthing": int(label["instances"])}
        if label["readable"] != "Unlabeled":
            rows.append(row | {"color": label["color"]})
    return rows
