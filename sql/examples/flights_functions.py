"""The named functions of flights.sql: plain Python, with types by annotation."""

import math
from datetime import datetime

EARTH_RADIUS_KM = 6371.0088  # mean radius, IUGG


def great_circle_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Distance of two points in degrees, by the haversine formula."""
    north1, north2 = math.radians(lat1), math.radians(lat2)
    half_chord = (
        math.sin((north2 - north1) / 2) ** 2
        + math.cos(north1) * math.cos(north2) * math.sin(math.radians(lon2 - lon1) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(half_chord))


def delay_class(departure: int | None, arrival: int | None) -> str:
    """Return what became of a flight, by its delays in minutes."""
    if departure is None:
        return "cancelled"
    if arrival is None:
        return "diverted"
    if arrival <= 0:
        return "on time" if departure <= 15 else "late, made up"
    return "slightly late" if arrival <= 30 else "late" if arrival <= 120 else "very late"


def scheduled(year: int, month: int, day: int, hour: int) -> str:
    """Weekday and part of the day of a departure."""
    time = datetime(year, month, day, hour)  # noqa: DTZ001 - local time at the airport, as in the data
    part = "night" if time.hour < 6 else "morning" if time.hour < 12 else "afternoon" if time.hour < 18 else "evening"
    return f"{time:%A} {part}"


async def route(carrier: str, dest: str) -> str:
    """Airline and destination by name, both looked up on the host: one call of each for a batch of flights."""
    import host  # type: ignore[import-not-found]  # noqa: PLC0415 - there is one inside the sandbox only

    airline, airport = await host.gather(host.airline(carrier), host.airport(dest))
    return f"{airline} to {airport or dest}"


FUNCTIONS = (great_circle_km, delay_class, scheduled, route)
# What the host looks up for them: queries of a key and a value.
LOOKUPS = {"airline": "SELECT carrier, name FROM airlines", "airport": "SELECT faa, name FROM airports"}
