// Runs the Node.js drivers through their paces and prints one JSON line per step. The server is
// named by PGHOST and the like; what is printed must not depend on which server it is.
'use strict';

const pg = require('pg');
const Cursor = require('pg-cursor');
const QueryStream = require('pg-query-stream');
const postgres = require('postgres');

const FLIGHTS =
  'SELECT flight_id, flight_number, carrier, flight_date, scheduled_hour, distance_km,' +
  ' is_cancelled, departure_delay, average_arrival_delay, on_time_rate' +
  ' FROM flights WHERE flight_id <= $1 ORDER BY flight_id';
const SLOW = 'SELECT count(*) FROM generate_series(1, 2000000000)';

const print = (name, value) => console.log(JSON.stringify([name, value]));

async function step(name, run) {
  try {
    print(name, await run());
  } catch (error) {
    const { code, message, position, severity } = error;
    print(name, { code, message, position, severity });
  }
}

const connect = async (options = {}) => {
  const client = new pg.Client({ password: process.env.PGPASSWORD, ...options });
  await client.connect();
  return client;
};

const shape = (result) => ({
  command: result.command,
  count: result.rowCount,
  fields: result.fields.map((field) => [field.name, field.dataTypeID, field.tableID, field.format]),
  rows: result.rows,
});

async function nodePostgres() {
  const client = await connect();
  await step('pg simple', async () => shape(await client.query('SELECT * FROM airlines ORDER BY 1')));
  await step('pg values', async () => shape(await client.query(FLIGHTS, [9])));
  await step('pg array', async () =>
    shape(await client.query('SELECT carrier FROM airlines WHERE carrier = ANY($1) ORDER BY 1', [['UA', 'AA']])));
  await step('pg date', async () =>
    shape(await client.query('SELECT count(*) FROM flights WHERE flight_id <= 2000 AND scheduled_hour < $1', [
      new Date('2013-01-02T00:00:00Z'),
    ])));
  await step('pg null', async () =>
    shape(await client.query('SELECT count(*) FROM flights WHERE flight_id <= 9 AND carrier = $1', [null])));
  for (const carrier of ['UA', 'AA', 'nothing']) {
    await step(`pg named ${carrier}`, async () =>
      shape(await client.query({ name: 'by-code', text: 'SELECT * FROM airlines WHERE carrier = $1', values: [carrier] })));
  }
  await step('pg binary', async () =>
    shape(await client.query({ text: 'SELECT flight_id, month, distance FROM flights WHERE flight_id = $1', values: [3], binary: true })));
  await step('pg rows as arrays', async () =>
    shape(await client.query({ text: 'SELECT 1 AS a, 2 AS a', rowMode: 'array' })));
  await step('pg several', async () => (await client.query('SELECT 1 AS a; SELECT 2 AS b')).map(shape));
  await step('pg empty', async () => shape(await client.query('')));
  await step('pg error', async () => client.query('SELECT nope FROM flights'));
  await step('pg value error', async () => client.query('SELECT * FROM flights WHERE flight_id = $1', ['x']));
  await step('pg after error', async () => shape(await client.query('SELECT 1 AS one')));
  await step('pg transaction', async () => {
    await client.query('BEGIN');
    await client.query('SAVEPOINT a');
    await client.query('SELECT nope FROM airlines').catch(() => {});
    await client.query('ROLLBACK TO a');
    const { rows } = await client.query('SELECT count(*) FROM airlines');
    await client.query('COMMIT');
    return rows;
  });
  await step('pg notice', async () => {
    const seen = [];
    client.once('notice', (notice) => seen.push(notice.message));
    await client.query('COMMIT');
    return seen;
  });
  await step('pg cursor', async () => {
    const cursor = client.query(new Cursor(FLIGHTS, [25]));
    const sizes = [];
    for (;;) {
      const rows = await cursor.read(10);
      sizes.push(rows.length);
      if (rows.length === 0) break;
    }
    await cursor.close();
    return sizes;
  });
  await step('pg cursor closed early', async () => {
    const cursor = client.query(new Cursor(FLIGHTS, [2000]));
    const rows = await cursor.read(3);
    await cursor.close();
    return [rows, (await client.query('SELECT 1 AS one')).rows];
  });
  await step('pg stream', async () => {
    let sum = 0;
    for await (const row of client.query(new QueryStream(FLIGHTS, [300], { batchSize: 70 }))) {
      sum += Number(row.flight_id);
    }
    return sum;
  });
  await client.end();

  const pool = new pg.Pool({ max: 4, password: process.env.PGPASSWORD });
  await step('pg pool', async () => {
    const texts = Array.from({ length: 20 }, (_, n) => pool.query('SELECT count(*) FROM flights WHERE flight_id <= $1', [n]));
    return (await Promise.all(texts)).map((result) => result.rows[0].count);
  });
  await pool.end();

  const quick = await connect({ statement_timeout: 200 });
  await step('pg statement_timeout', async () => quick.query(SLOW));
  await quick.end();
}

async function postgresJs() {
  const sql = postgres({ max: 1, onnotice: () => {}, types: {}, pass: process.env.PGPASSWORD });
  const rows = (result) => ({
    count: result.count,
    command: result.command,
    columns: result.columns.map((column) => [column.name, column.type, column.table]),
    rows: [...result],
  });
  await step('js rows', async () => rows(await sql.unsafe(FLIGHTS, [9])));
  await step('js template', async () => rows(await sql`SELECT * FROM airlines WHERE carrier = ${'UA'}`));
  await step('js list', async () =>
    rows(await sql`SELECT carrier FROM airlines WHERE carrier IN ${sql(['UA', 'AA'])} ORDER BY 1`));
  await step('js date', async () =>
    rows(await sql`SELECT count(*) FROM flights WHERE flight_id <= 2000 AND scheduled_hour < ${new Date('2013-01-02')}`));
  await step('js dynamic', async () =>
    rows(await sql`SELECT ${sql(['carrier', 'name'])} FROM ${sql('airlines')} ORDER BY ${sql('carrier')} LIMIT 2`));
  await step('js simple', async () => (await sql`SELECT 1 AS a; SELECT 2 AS b`.simple()).map((part) => [...part]));
  await step('js transaction', async () =>
    sql.begin('read only', async (inside) => {
      const first = await inside`SELECT count(*) FROM airlines`;
      await inside.savepoint((save) => save`SELECT nope FROM airlines`).catch(() => {});
      return [...first, ...(await inside`SELECT 2 AS two`)];
    }));
  await step('js cursor', async () => {
    const sizes = [];
    await sql`SELECT flight_id FROM flights WHERE flight_id <= 25 ORDER BY 1`.cursor(10, (part) => {
      sizes.push(part.length);
    });
    return sizes;
  });
  await step('js cursor stopped', async () => {
    for await (const part of sql`SELECT flight_id FROM flights WHERE flight_id <= 900 ORDER BY 1`.cursor(5)) {
      return [...part];
    }
    return [];
  });
  await step('js describe', async () => {
    const { types, columns } = await sql`SELECT name FROM airlines WHERE carrier = ${'UA'}`.describe();
    return [types, columns.map((column) => [column.name, column.type])];
  });
  await step('js copy', async () => {
    const stream = await sql`COPY (SELECT * FROM airlines ORDER BY 1) TO STDOUT`.readable();
    const parts = [];
    for await (const part of stream) parts.push(part);
    return Buffer.concat(parts).toString();
  });
  await step('js error', async () => sql`SELECT nope FROM flights`);
  await step('js cancel', async () => {
    const query = sql.unsafe(SLOW);
    setTimeout(() => query.cancel(), 300);
    await query;
  });
  await step('js after', async () => rows(await sql`SELECT count(*) FROM airlines`));
  await sql.end();
}

nodePostgres()
  .then(postgresJs)
  .then(() => print('end', null));
