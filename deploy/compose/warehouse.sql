-- The warehouse of the compose file: one table, and a role that can read it.
create role reader login password 'reader';
create table orders (
    id bigint primary key,
    status text not null,
    amount numeric(12, 2) not null,
    placed_on timestamp not null
);
insert into orders
select n, (array['new', 'paid', 'shipped'])[n % 3 + 1], n * 1.25, timestamp '2024-01-01' + n * interval '7 hours'
from generate_series(1, 1000) as n;
grant select on orders to reader;
