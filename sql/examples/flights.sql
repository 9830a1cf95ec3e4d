-- Python functions over the 336,776 flights that left New York City in 2013.
--
-- Inline functions are written where they are used (py_udf_varchar, py_udf_double, py_udf); great_circle_km, delay_class,
-- scheduled and route are named functions from flights_functions.py. Run it with `make demo`.

-- Great-circle distance of every flight, against the distance the airline reports
SELECT
    origin,
    dest,
    count(*) AS flights,
    round(avg(great_circle_km(o.lat, o.lon, d.lat, d.lon)), 1) AS great_circle_km,
    round(avg(distance) * 1.609344, 1) AS reported_km
FROM flights
JOIN airports o ON o.faa = origin
JOIN airports d ON d.faa = dest
GROUP BY ALL
ORDER BY great_circle_km DESC, origin
LIMIT 8;

-- Manufacturers, cleaned up: 'AIRBUS INDUSTRIE' and 'AIRBUS' are one, and so are the three McDonnell Douglas
SELECT
    py_udf_varchar(
        $$
        NOISE = {"INDUSTRIE", "INC", "CO", "CORPORATION", "CORP", "AIRCRAFT", "COMPANY", "LTD", "HELICOPTER"}

        def clean(name):
            words = [word for word in name.replace(".", " ").split() if word not in NOISE]
            return " ".join(words or name.split()).title().replace("Mcdonnell", "McDonnell")
        $$,
        manufacturer
    ) AS maker,
    count(*) AS flights,
    count(DISTINCT flights.tailnum) AS planes,
    round(avg(arr_delay), 2) AS mean_arrival_delay
FROM flights
JOIN planes USING (tailnum)
GROUP BY ALL
ORDER BY flights DESC, maker
LIMIT 8;

-- Delays in classes; a cancelled flight has no departure, so the function wants to see NULL
SELECT delay_class(dep_delay, arr_delay) AS class, count(*) AS flights, round(avg(dep_delay), 1) AS mean_departure_delay
FROM flights
GROUP BY ALL
ORDER BY flights DESC, class;

-- Families of aircraft, by a regular expression over the model
SELECT
    py_udf_varchar(
        $$
        import re

        FAMILY = re.compile(r"^([A-Z]{1,3})?-?(\d{3})")

        def family(model):
            match = FAMILY.match(model)
            return "".join(filter(None, match.groups())) if match else "other"
        $$,
        model
    ) AS family,
    count(*) AS flights,
    round(sum(air_time) / 60) AS hours_in_the_air
FROM flights
JOIN planes USING (tailnum)
GROUP BY ALL
ORDER BY flights DESC, family
LIMIT 8;

-- When flights leave late: weekday and part of the day, by datetime
SELECT
    split_part(scheduled(flights.year, month, day, hour), ' ', 1) AS weekday,
    split_part(scheduled(flights.year, month, day, hour), ' ', 2) AS part_of_day,
    count(*) AS flights,
    round(avg(dep_delay), 1) AS mean_departure_delay
FROM flights
GROUP BY ALL
ORDER BY mean_departure_delay DESC, weekday
LIMIT 8;

-- Delay by how cold it felt: a wind chill (US National Weather Service, 2001) inferred as DOUBLE
SELECT
    floor((py_udf(
        'lambda f, mph: f if f > 50 or mph < 3 else 35.74 + 0.6215 * f + (0.4275 * f - 35.75) * mph ** 0.16',
        temp,
        wind_speed
    )::DOUBLE) / 20) * 20 AS felt_from_fahrenheit,
    count(*) AS flights,
    round(avg(dep_delay), 1) AS mean_departure_delay
FROM flights
JOIN weather USING (origin, year, month, day, hour)
GROUP BY ALL
ORDER BY felt_from_fahrenheit;

-- Routes by name: a coroutine awaits two look-ups on the host, each of which is called once for a batch of flights
SELECT route(carrier, dest) AS route, count(*) AS flights, round(avg(arr_delay), 1) AS mean_arrival_delay
FROM flights
GROUP BY ALL
ORDER BY flights DESC, route
LIMIT 8;
