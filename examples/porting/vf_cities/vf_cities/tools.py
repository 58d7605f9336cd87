"""The tools, which verifiers serves from a process of their own: `python -m vf_cities.tools`."""

import verifiers.v1 as vf

PEOPLE = {"Ulm": 129_000, "Graz": 303_000, "Cork": 224_000, "Pisa": 89_000, "Lund": 94_000}


class CityTools(vf.Toolset[vf.ToolsetConfig]):
    TOOL_PREFIX = "cities"

    @vf.tool
    def inhabitants(self, city: str) -> str:
        """How many people live in a city; `city` is its name in English."""
        return str(PEOPLE.get(city, "unknown city"))


if __name__ == "__main__":
    CityTools.run()
