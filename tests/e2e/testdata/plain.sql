-- The cubes of the demo as plain tables, beside the base tables in schema base: their dimensions and
-- segments, one row per row of the cube, written out by hand. Measures have no column here: what is
-- checked spells them out.
CREATE TABLE airlines AS SELECT carrier, name FROM base.airlines;

CREATE TABLE airports AS
SELECT faa, name, lat || ',' || lon AS location, alt AS altitude, tz::smallint AS utc_offset,
  tzone AS time_zone, dst = 'A' AS has_daylight_saving, alt > 5000 AS high_altitude
FROM base.airports;

CREATE TABLE flights AS
SELECT f.flight_id, f.flight AS flight_number, f.carrier, a.name AS carrier_name,
  f.tailnum AS tail_number, f.origin, f.dest AS destination, f.origin || '-' || f.dest AS route,
  f.flight_date, f.time_hour AS scheduled_hour,
  f.flight_date + (f.hour * 60 + f.minute) * INTERVAL '1 minute' AS scheduled_departure,
  f.month::smallint AS month, f.hour::smallint AS hour,
  CASE WHEN f.hour < 6 THEN 'night' WHEN f.hour < 12 THEN 'morning' WHEN f.hour < 18
    THEN 'afternoon' ELSE 'evening' END AS part_of_day,
  f.dep_delay AS departure_delay, f.arr_delay AS arrival_delay, f.air_time, f.distance,
  round(f.distance * 1.609344, 1)::numeric(10,1) AS distance_km,
  f.dep_time IS NULL AS is_cancelled, f.arr_delay >= 15 AS is_delayed,
  CASE WHEN f.dep_time IS NULL THEN 'cancelled' WHEN f.arr_delay IS NULL THEN 'diverted'
    WHEN f.arr_delay < 15 THEN 'on time' WHEN f.arr_delay < 60 THEN 'late'
    ELSE 'very late' END AS delay_class,
  f.distance >= 2000 AS long_haul, f.hour < 6 AS red_eye, f.arr_delay >= 15 AS late_arrival
FROM base.flights AS f LEFT JOIN base.airlines AS a ON f.carrier = a.carrier;

CREATE TABLE planes AS
SELECT tailnum AS tail_number, year AS manufactured, type, manufacturer, model, engine,
  engines::smallint AS engines, seats, speed AS cruise_speed,
  CASE WHEN seats <= 20 THEN 'small' WHEN seats <= 150 THEN 'medium' ELSE 'large' END AS size
FROM base.planes;

CREATE TABLE weather AS
SELECT origin, time_hour AS observed_at, temp AS temperature,
  (temp - 32) * 5 / 9 AS temperature_celsius, dewp AS dew_point, humid AS humidity,
  wind_dir AS wind_direction, wind_speed, wind_gust, precip::numeric(6,2) AS precipitation,
  pressure, visib AS visibility, precip > 0 AS is_rainy, wind_speed > 25 OR visib < 1 AS stormy
FROM base.weather;

CREATE TABLE flight_overview AS
SELECT f.flight_id, f.flight_date, f.scheduled_hour, f.scheduled_departure, f.month, f.part_of_day,
  f.flight_number, f.route, f.departure_delay, f.arrival_delay, f.distance, f.is_cancelled,
  f.delay_class, a.carrier, a.name AS airline, o.faa AS origin_faa, o.name AS origin_name,
  o.time_zone AS origin_time_zone, d.faa AS destination_faa, d.name AS destination_name,
  d.time_zone AS destination_time_zone, d.altitude AS destination_altitude,
  d.location AS destination_location, p.tail_number, p.manufacturer, p.model, p.seats, p.size,
  p.manufactured AS plane_year, w.temperature, w.wind_speed, w.precipitation, w.visibility,
  f.long_haul, f.late_arrival, w.stormy, w.temperature <= 32 AS freezing,
  f.tail_number AS flown_by
FROM flights AS f
LEFT JOIN airlines AS a ON f.carrier = a.carrier
LEFT JOIN airports AS o ON f.origin = o.faa
LEFT JOIN airports AS d ON f.destination = d.faa
LEFT JOIN planes AS p ON f.tail_number = p.tail_number
LEFT JOIN weather AS w ON f.origin = w.origin AND f.scheduled_hour = w.observed_at;
ANALYZE;
